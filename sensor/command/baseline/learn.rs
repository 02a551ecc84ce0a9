//! `sensor baseline learn`: who is to learn, and until when (rule B4).

use std::path::PathBuf;

use crate::alerting::moment;
use crate::model::{Span, Timestamp};
use crate::run::{self, Learner};

use super::super::exit::Error;
use super::find;
use super::forget::parse_time;
use super::merge::{open_existing, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        sensor baseline learn --state DIR --workload web --for 24h   after a release\n  \
        sensor baseline learn --state DIR --segment vni=42 --for 14d a network whose baseline is to be made anew\n  \
        sensor baseline learn --state DIR --group frontend --for 0s  from now on it raises alerts\n\n\
        While a segment learns, nothing in it is raised. While a workload learns, what is new to its whole segment is raised \
        all the same. `sensor baseline show` says who learns; each end of learning is an event in the log.")]
#[command(group = clap::ArgGroup::new("who").required(true).args(["workload", "group", "segment"]))]
#[command(group = clap::ArgGroup::new("how long").required(true).args(["duration", "until"]))]
pub(super) struct Arguments {
    /// The folder of the ledger; no sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// This workload: a name of the inventory, an address, or segment and address as in vni=42/10.1.0.5.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    workload: Option<String>,
    /// Every workload of this group. Those that appear later start from the group's baseline.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// This segment, as records write it, with the workloads that learn as long as it does.
    #[arg(long, value_name = "SEGMENT", allow_hyphen_values = true)]
    segment: Option<String>,
    /// For how long, from the packet time at which the ledger stands; 0s ends it.
    #[arg(long = "for", id = "duration", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Span>,
    /// Until this packet time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let store = open_existing(&arguments.state)?;
    let standing = store.standing()?;
    let Some(at) = standing.at else {
        return Err(Error::Argument(format!(
            "{}: nothing was recorded yet, so there is nobody to learn",
            arguments.state.display()
        )));
    };
    let ids = |found: Vec<&(_, _)>| Learner::Workloads(found.into_iter().map(|(id, _)| *id).collect());
    let learner = match (&arguments.workload, &arguments.group, &arguments.segment) {
        (Some(name), _, _) => ids(find::workloads(&standing, name)?),
        (_, Some(group), _) => ids(find::group(&standing, group)?),
        (_, _, segment) => {
            let segment = segment.as_deref().unwrap_or_default();
            let known = || standing.state.segments.iter().map(|state| &state.segment);
            match known().find(|known| ***known == *segment) {
                Some(segment) => Learner::Segment(segment.clone()),
                None => return Err(find::unknown("segment", segment, known().map(ToString::to_string))),
            }
        }
    };
    let until = match (arguments.duration, arguments.until) {
        (Some(duration), _) => at.plus(duration),
        (None, until) => until.unwrap_or(at),
    };
    let (changed, events) = run::learn(&store, &learner, until)?;
    tell(&events);
    let what = match (changed, &learner) {
        (0, _) => "nothing changed".to_owned(),
        (_, Learner::Segment(segment)) => format!("segment {segment}"),
        (1, Learner::Workloads(_)) => "1 workload".to_owned(),
        (count, Learner::Workloads(_)) => format!("{count} workloads"),
    };
    let tail = match changed {
        0 => String::new(),
        _ if until > at => format!(": learning until {}", moment(until)),
        _ => ": learning has ended".to_owned(),
    };
    eprintln!("{what}{tail}");
    Ok(())
}

fn parse_duration(text: &str) -> Result<Span, String> {
    let duration = humantime::parse_duration(text).map_err(|_| "expected a duration such as 24h or 14d".to_owned())?;
    i64::try_from(duration.as_nanos())
        .map(Span)
        .map_err(|_| "too long: at most 292 years".to_owned())
}
