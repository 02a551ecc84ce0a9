//! `sensor run`: watch an interface, or what mirrors send to UDP sockets.

use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::LiveFrom;
use crate::model::{ListenUrl, Policy, SinkRule};
use crate::run::{LiveRun, OpenSink};
use crate::settings::{Mode, Settings};
use crate::sinks;
use crate::store::Store;

use super::exit::Error;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        sensor run --state DIR --interface eth1               a SPAN port; takes CAP_NET_RAW\n  \
        sensor run --state DIR --listen udp://0.0.0.0:4789    VXLAN; takes no privilege\n  \
        sensor run --state DIR --listen geneve://[::]:16081   GENEVE over IPv6 on its own port\n\n\
        SIGINT or SIGTERM stop it in order; it goes on where it was at the next start.\n\
        Exit status: 0 stopped, 1 something failed, 2 arguments or settings refused.")]
pub(super) struct Arguments {
    /// The interface that receives mirrored traffic; else `[capture] interface` of the settings.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Receive what mirrors send over UDP, without privilege: udp://ADDRESS:PORT for the ports of VXLAN and GENEVE in the
    /// settings (4789, 4790 and 6081 unless changed), vxlan://ADDRESS:PORT or geneve://ADDRESS:PORT for any other;
    /// 0.0.0.0 and [::] are all addresses. May be given several times; else `[capture] listen` of the settings.
    #[arg(long, value_name = "URL", conflicts_with = "interface")]
    listen: Vec<ListenUrl>,
    /// The settings; without a file, the built-in defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the ledger, created if absent.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Workers, and sockets for each address; the cores unless given. Alerts are the same for every number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let settings = match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    let mut policy = settings.policy(Mode::Live);
    let threads = threads(arguments.threads);
    let from = live_from(&arguments, &settings, &mut policy, threads)?;
    let store = Arc::new(Store::open(
        &arguments.state,
        policy.ledger_memory(),
        policy.baseline.retention,
    )?);
    let sinks = open_sinks(&settings.sinks)?;
    let run = LiveRun {
        threads,
        store,
        from: from.clone(),
        ring: u32::try_from(settings.capture.ring).unwrap_or(u32::MAX),
        sinks,
        kept_lines: settings.kept_lines,
        policy,
    };
    let tally = run.run(|| tracing::info!("watching {from}; stop with SIGINT or SIGTERM"))?;
    tracing::info!("stopped; counters: {}", tally.to_json());
    if tally.undelivered.is_empty() {
        Ok(())
    } else {
        Err(Error::Undelivered(tally.undelivered.join("; ")))
    }
}

/// Returns where frames are to come from: what the command line says, else what the settings say.
fn live_from(
    arguments: &Arguments,
    settings: &Settings,
    policy: &mut Policy,
    threads: usize,
) -> Result<LiveFrom, Error> {
    let (interface, urls) = match (&arguments.interface, arguments.listen.as_slice()) {
        (None, []) => (
            settings.capture.interface.as_deref(),
            settings.capture.listen.as_slice(),
        ),
        (interface, urls) => (interface.as_deref(), urls),
    };
    if let Some(interface) = interface {
        return Ok(LiveFrom::Interface(interface.to_owned()));
    }
    if urls.is_empty() {
        return Err(Error::Argument(
            "nothing to watch: give --interface NAME or --listen URL, or interface or listen under [capture] in the settings"
                .to_owned(),
        ));
    }
    let listens = policy.network.listen(urls).map_err(|(position, problem)| {
        let url = urls.get(position).map(ToString::to_string).unwrap_or_default();
        Error::Argument(format!("cannot listen on {url}: {problem}"))
    })?;
    Ok(LiveFrom::Sockets { listens, each: threads })
}

/// Opens sinks.
pub(super) fn open_sinks(rules: &[SinkRule]) -> Result<Vec<OpenSink>, Error> {
    rules
        .iter()
        .map(|rule| match sinks::open(rule) {
            Ok(sink) => Ok(OpenSink { sink, from: rule.from }),
            Err(error) if error.source.kind() == std::io::ErrorKind::InvalidInput => {
                Err(Error::Argument(error.to_string()))
            }
            Err(error) => Err(Error::Run(error.into())),
        })
        .collect()
}

/// Returns how many workers to start.
pub(super) fn threads(given: Option<u16>) -> usize {
    match given {
        Some(given) => usize::from(given),
        None => std::thread::available_parallelism().map_or(1, usize::from).min(64),
    }
}
