//! `sensor baseline show`: workloads and how far they have learnt, or the pairs of one.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::model::{BaselineLine, PairLine, SegmentLine, StoredPair, WorkloadLine};
use crate::store::Store;
use crate::views::{pair_text, segment_text, workload_text};

use super::super::exit::Error;
use super::{export, find};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the ledger; a sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The pairs of this workload: a name of the inventory, an address, or segment and address as in vni=42/10.1.0.5.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, conflicts_with = "group")]
    workload: Option<String>,
    /// Only workloads of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// One JSON object a line, as `export` writes them.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let store = Store::open_read_only(&arguments.state)?;
    let standing = store.standing()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut workloads: Vec<_> = match (&arguments.workload, &arguments.group) {
        (Some(name), _) => find::workloads(&standing, name)?,
        (None, Some(group)) => find::group(&standing, group)?,
        (None, None) => standing.workloads.iter().collect(),
    };
    workloads.sort_by(|a, b| a.1.key.cmp(&b.1.key));
    if arguments.workload.is_none() && arguments.group.is_none() {
        for segment in standing.state.segments.iter().map(SegmentLine::from) {
            if arguments.json {
                export::write(&mut out, &BaselineLine::Segment(segment))?;
            } else {
                writeln!(out, "{}", segment_text(&segment, standing.at))?;
            }
        }
    }
    let pairs = arguments.workload.is_some().then(|| store.all_pairs()).transpose()?;
    for (id, record) in workloads {
        let line = WorkloadLine::from(record);
        if arguments.json {
            export::write(&mut out, &BaselineLine::Workload(line))?;
        } else {
            writeln!(out, "{}", workload_text(&line, standing.at))?;
        }
        let Some(pairs) = &pairs else { continue };
        for StoredPair { key, pair, .. } in export::ordered(pairs.of(*id)?) {
            let line = PairLine::of(&key, &pair);
            if arguments.json {
                export::write(&mut out, &BaselineLine::Pair(line))?;
            } else {
                writeln!(out, "{}", pair_text(&line))?;
            }
        }
    }
    out.flush()?;
    if standing.workloads.is_empty() && !arguments.json {
        eprintln!("no workloads");
    }
    Ok(())
}
