//! `sensor baseline export`: the whole baseline as JSON Lines.
//!
//! The header comes first, then segments, resolvers, and workloads by their keys, each with its pairs by kind and text. So
//! two ledgers that hold the same give the same octets.

use std::cmp::Reverse;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::model::{BaselineHeader, BaselineLine, PairLine, SegmentLine, StoredPair, WorkloadLine};
use crate::store::Store;

use super::super::exit::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the ledger; a sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Where to write; else standard output. A file is replaced once all of it is written.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let store = Store::open_read_only(&arguments.state)?;
    let Some(path) = &arguments.out else {
        let mut out = BufWriter::new(std::io::stdout().lock());
        write_all(&store, &mut out)?;
        return Ok(out.flush()?);
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => std::path::Path::new("."),
    };
    let named =
        |error: std::io::Error| Error::Failed(format!("cannot write {}", path.display()), Some(Box::new(error)));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(named)?;
    let mut out = BufWriter::new(file.as_file_mut());
    match write_all(&store, &mut out).and_then(|()| Ok(out.flush()?)) {
        Err(Error::Output(error)) => return Err(named(error)),
        other => other?,
    }
    drop(out);
    file.as_file().sync_all().map_err(named)?;
    allow_reading(file.as_file()).map_err(named)?;
    file.persist(path).map_err(|error| named(error.error))?;
    Ok(())
}

/// Gives a file the rights that any other new one has: temporary ones are their owner's alone, and an export is no more
/// of a secret than the alerts are.
fn allow_reading(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o640))
}

/// Writes everything; memory holds one workload's pairs at a time, and what the journal has.
pub(super) fn write_all(store: &Store, out: &mut impl Write) -> Result<(), Error> {
    let mut standing = store.standing()?;
    let pairs = store.all_pairs()?;
    write(out, &BaselineLine::Baseline(BaselineHeader::new(standing.at)))?;
    standing.state.segments.sort_by(|a, b| a.segment.cmp(&b.segment));
    for segment in &standing.state.segments {
        write(out, &BaselineLine::Segment(SegmentLine::from(segment)))?;
    }
    let mut resolvers = standing.state.resolvers;
    resolvers.sort_by(|a, b| (&a.segment, a.address).cmp(&(&b.segment, b.address)));
    for resolver in resolvers {
        write(out, &BaselineLine::Resolver(resolver))?;
    }
    standing.workloads.sort_by(|a, b| a.1.key.cmp(&b.1.key));
    for (id, record) in &standing.workloads {
        write(out, &BaselineLine::Workload(WorkloadLine::from(record)))?;
        for StoredPair { key, pair, .. } in ordered(pairs.of(*id)?) {
            write(out, &BaselineLine::Pair(PairLine::of(&key, &pair)))?;
        }
    }
    Ok(())
}

/// Returns pairs by kind and text. Where one that is expired stands beside its successor, until the ledger deletes it, it
/// is left out.
pub(super) fn ordered(mut pairs: Vec<StoredPair>) -> Vec<StoredPair> {
    pairs.sort_by_cached_key(|stored| (stored.key.kind(), stored.key.text(), Reverse(stored.pair.last())));
    pairs.dedup_by(|older, newer| older.key == newer.key);
    pairs
}

/// Writes one line.
pub(super) fn write(out: &mut impl Write, line: &BaselineLine) -> Result<(), Error> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}
