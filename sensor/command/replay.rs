//! The `replay` program: capture files through the engine.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{BaselineMode, Counter, SinkRule, SinkUrl, Span};
use crate::run::{FileOrder, OpenSink, Progress, Replay, Tally};
use crate::settings::{Mode, Settings};
use crate::sinks::{JsonLines, RecordFiles};
use crate::store::Store;

use super::exit::{self, Error, Exit, with_causes};
use super::live::{open_sinks, threads};

/// What the `replay` program was asked for.
#[derive(Debug, clap::Parser)]
#[command(
    name = "replay",
    version,
    about = "Replays captures through the sensor's engine: the same packets give the same alerts as on the wire.",
    after_help = "Examples:\n  \
        replay --state baseline --learn monday.pcap          learn an ordinary day\n  \
        replay --state baseline tuesday.pcap                 what was new on the next\n  \
        replay --records seen --alerts alerts.jsonl x.pcap   everything that the sensor saw\n  \
        replay --merge sent.pcap.gz received.pcap.zst        both sides of a tap as one stream\n\n\
        Exit status: 0 done, 1 something failed, 2 arguments or settings refused."
)]
pub struct Arguments {
    /// Captures (pcap or pcapng, as they are or compressed by gzip or zstd), replayed in the order given; `-` is standard
    /// input.
    #[arg(required = true, value_name = "PCAP")]
    files: Vec<PathBuf>,
    /// Read all captures side by side, as one stream ordered by the time of their frames.
    #[arg(long)]
    merge: bool,
    /// The settings; without a file, the built-in defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The ledger to read and extend, created if absent; without it a temporary one.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Record contacts, raise nothing.
    #[arg(long)]
    learn: bool,
    /// Workers; the cores unless given. The output is the same for every number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    /// Alerts as JSON Lines, the file replaced; else standard output.
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// Also deliver alerts as syslog: udp://, tcp://, tls:// or relp://HOST:PORT, or unix:///PATH. Certificates of tls://
    /// are those of the [[sink]] with the same URL in --config.
    #[arg(long, value_name = "URL")]
    syslog: Option<SinkUrl>,
    /// Write dns.jsonl, flows.jsonl and contacts.jsonl: what the sensor saw.
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// Move all packet times: a sign, then numbers with units (d h m s ms us ns), such as +90d or -1h30m.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_shift, default_value = "+0s")]
    shift: Span,
    /// Counters as one JSON object: every frame is accounted for.
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
}

impl Arguments {
    /// Returns the captures.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// Runs the `replay` program; `progress` is told how far it is.
#[must_use]
pub fn replay(arguments: Arguments, progress: impl FnMut(Progress), done: impl FnOnce()) -> Exit {
    super::log::start();
    exit::of(run(arguments, progress, done))
}

fn run(arguments: Arguments, progress: impl FnMut(Progress), done: impl FnOnce()) -> Result<(), Error> {
    if arguments.files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
        return Err(Error::Argument(
            "standard input can be read only once: give `-` once".to_owned(),
        ));
    }
    let settings = match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    let mut policy = settings.policy(Mode::Replay);
    if arguments.learn {
        policy.baseline.mode = BaselineMode::LearnOnly;
    }
    let memory = policy.ledger_memory();
    let store = match &arguments.state {
        Some(folder) => Store::open(folder, memory, policy.baseline.retention)?,
        None => Store::temporary(memory, policy.baseline.retention)?,
    };
    let alerts = match &arguments.alerts {
        Some(path) => JsonLines::create(path),
        None => JsonLines::stdout(),
    };
    let mut sinks = vec![OpenSink::from(alerts.map_err(crate::run::RunError::from)?)];
    if let Some(url) = &arguments.syslog {
        let mut rule = SinkRule::from(url.clone());
        if let Some(known) = settings.sinks.iter().find(|known| known.url == *url) {
            rule.tls = known.tls.clone();
        }
        sinks.extend(open_sinks(&[rule])?);
    }
    let records = match &arguments.records {
        Some(folder) => Some(RecordFiles::create(folder).map_err(crate::run::RunError::from)?),
        None => None,
    };
    let replay = Replay {
        policy,
        store: Arc::new(store),
        threads: threads(arguments.threads),
        files: arguments.files.clone(),
        order: match arguments.merge {
            true => FileOrder::ByTime,
            false => FileOrder::AsGiven,
        },
        shift: arguments.shift,
        records,
        sinks,
        kept_lines: settings.kept_lines,
    };
    let outcome = replay.run(progress);
    done();
    let (tally, damage) = outcome?;
    if let Some(path) = &arguments.stats {
        write_stats(path, &tally)?;
    }
    let count = |counter| tally.counters.get(counter);
    eprintln!(
        "{} frames, {} packets, {} contacts; {} alerts raised, {} updated, {} withdrawn",
        count(Counter::Frames),
        count(Counter::Packets),
        count(Counter::Contacts),
        count(Counter::AlertsRaised),
        count(Counter::AlertsUpdated),
        count(Counter::AlertsWithdrawn),
    );
    let over = count(Counter::ContactsOverDestinations) + count(Counter::ContactsOverDisk);
    if over > 0 {
        eprintln!("{over} contacts were not recorded, since a budget was full; `sensor baseline stats` says which");
    }
    if let Some(damage) = damage {
        return Err(Error::Run(damage.into()));
    }
    if tally.undelivered.is_empty() {
        Ok(())
    } else {
        Err(Error::Undelivered(tally.undelivered.join("; ")))
    }
}

fn write_stats(path: &PathBuf, tally: &Tally) -> Result<(), Error> {
    let text = tally.to_json().to_string();
    let written = File::create(path).and_then(|mut file| writeln!(file, "{text}"));
    written.map_err(|error| Error::Undelivered(format!("cannot write {}: {}", path.display(), with_causes(&error))))
}

/// Parses what `--shift` takes.
fn parse_shift(text: &str) -> Result<Span, String> {
    const EXPECTED: &str = "expected a sign, then numbers with units d h m s ms us ns, such as +90d or -1h30m";
    const UNITS: [(&str, i128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("ms", 1_000_000),
        ("us", 1000),
        ("ns", 1),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let (sign, mut rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => (1, text),
    };
    if rest.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit_on) = rest.split_at(digits);
        let number: i128 = number.parse().map_err(|_| EXPECTED.to_owned())?;
        let found = UNITS.iter().find(|(unit, _)| unit_on.starts_with(unit));
        let Some((unit, nanoseconds)) = found else {
            return Err(EXPECTED.to_owned());
        };
        total = number
            .checked_mul(*nanoseconds)
            .and_then(|n| total.checked_add(n))
            .ok_or("too long a shift")?;
        rest = unit_on.strip_prefix(unit).unwrap_or_default();
    }
    i64::try_from(sign * total)
        .map(Span)
        .map_err(|_| "too long a shift: at most 292 years either way".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_a_sign_and_numbers_with_units() {
        assert_eq!(parse_shift("+90d"), Ok(Span::days(90)));
        assert_eq!(parse_shift("-1h30m"), Ok(Span(-Span::minutes(90).0)));
        assert_eq!(parse_shift("1ms2us3ns"), Ok(Span(1_002_003)));
        assert_eq!(parse_shift("+1m1s"), Ok(Span::seconds(61)));
        for wrong in ["", "+", "5", "d", "+5x", "+-5s", "--5s", "+99999999999999d", "5 s"] {
            assert!(parse_shift(wrong).is_err(), "{wrong}");
        }
    }
}
