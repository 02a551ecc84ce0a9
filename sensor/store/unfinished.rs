//! A replay that did not come to its end, and how the same command goes on with it (rules A1 and T2).
//!
//! What a judge decides depends on what the ledger held before, so a replay that is given again after a kill must not read
//! what the killed one committed. Before its first batch a replay therefore keeps the tables as they are, by hard links, and
//! its command beside them:
//!
//! ```text
//! unfinished/COMMAND  what was asked, and after which batch
//! unfinished/tables   the tables at that time
//! unfinished/LENGTHS  how long their files are that grow
//! unfinished/again    a copy of these, for as long as a second run catches up
//! ```
//!
//! The same command then runs on the copy until it comes to the batch with which the killed run ended: the ledger has these
//! batches, and they are not written to it a second time. From there on both are the same, and it goes on with the ledger. A
//! digest over all batches says whether they are: a capture may have changed under its name.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hasher};

use crate::model::{Batch, LedgerError, SinkPosition};

use super::folder::{self, failed};
use super::lengths::{self, Lengths};
use super::rows::Log;
use super::table::Table;
use super::{Store, v1};

/// The folder, and what it is called until it is whole and while it is being removed.
const FOLDER: &str = "unfinished";
const PARTIAL: &str = "unfinished.tmp";
const COMMAND: &str = "COMMAND";
const TABLES: &str = "tables";
const AGAIN: &str = "again";
/// Before the number of the last batch in the first line of the command.
const AFTER: &str = "after batch ";

/// The key of the digest over the batches of a run.
pub const DIGEST: &[u8] = b"digest";

/// How a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing of it is in the ledger.
    Anew,
    /// The same run was not finished; so many batches of it are in the ledger.
    Again(u64),
}

/// The run that is in progress.
#[derive(Debug)]
pub(super) struct Run {
    /// Lines after this one are kept until the run has ended: the same command gives them again.
    pub outbox_start: u64,
    pub again: Option<Again>,
}

/// What a run that goes through what the ledger has already reads and writes in the ledger's place.
#[derive(Debug)]
pub(super) struct Again {
    store: Box<Store>,
    /// The last batch that the ledger has, and the digest then.
    through: u64,
    digest: u64,
    is_behind: AtomicBool,
}

impl Store {
    /// Tells that a run begins which can be given again as it is, and by which words that is recognised. After a run that
    /// was killed the same words go on with it: what it committed is gone through and not committed twice, and the sink
    /// `told` is given all lines of the run once more, since its file is begun anew.
    ///
    /// To be called once, before the judge reads. A temporary ledger ends with its run, so that nothing is kept of it.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails.
    pub fn begin_run(&self, command: &str, told: &str) -> Result<Beginning, LedgerError> {
        if self.is_temporary() {
            return Ok(Beginning::Anew);
        }
        let dir = self.rows.folder();
        let unfinished = dir.join(FOLDER);
        let now = self.lock_writer().sequence();
        let start = recorded(&unfinished, command).map_err(failed(dir, READING))?;
        let before = match start.filter(|start| *start < now) {
            Some(start) => self.copy_of(&unfinished, start)?,
            None => None,
        };
        let Some(before) = before else {
            forget(dir).map_err(failed(dir, KEEPING))?;
            self.keep(command, now)?;
            let outbox_start = Self::outbox_start_of(self, told)?;
            self.lock_writer().digest = Some(0);
            let _ = self.run.set(Run {
                outbox_start,
                again: None,
            });
            return Ok(Beginning::Anew);
        };
        let outbox_start = Self::outbox_start_of(&before, told)?;
        let position = SinkPosition {
            line: outbox_start,
            ..SinkPosition::default()
        };
        self.set_position(told, position)?;
        let digest = self.rows.read(Table::Meta, DIGEST, v1::decode_digest)?.unwrap_or(0);
        let committed = now - before.lock_writer().sequence();
        before.lock_writer().digest = Some(0);
        self.lock_writer().digest = Some(digest);
        let again = Again {
            through: now,
            digest,
            is_behind: AtomicBool::new(true),
            store: Box::new(before),
        };
        let again = Some(again);
        let _ = self.run.set(Run { outbox_start, again });
        Ok(Beginning::Again(committed))
    }

    /// Returns the number of the last line that a sink had when a run began; a new one begins with the run.
    fn outbox_start_of(before: &Self, sink: &str) -> Result<u64, LedgerError> {
        let position = before.position(sink)?;
        Ok(position.map_or_else(|| before.outbox_end(), |position| position.line))
    }

    /// Tells that the run has ended, with everything in the ledger.
    ///
    /// # Errors
    ///
    /// `OtherInput` when the input ended before all that the killed run committed was gone through; `Failed` when the disk
    /// fails.
    pub fn end_run(&self) -> Result<(), LedgerError> {
        if self.is_temporary() {
            return Ok(());
        }
        let dir = self.rows.folder();
        let is_behind = self.behind().is_some();
        forget(dir).map_err(failed(dir, KEEPING))?;
        if is_behind {
            return Err(other_input(dir));
        }
        Ok(())
    }

    /// Returns after which line the outbox is kept because a run that is in progress may have to give it again.
    pub(super) fn kept_for_run(&self) -> Option<u64> {
        self.run.get().map(|run| run.outbox_start)
    }

    /// Returns what stands in the ledger's place, as long as a run goes through what the ledger has.
    pub(super) fn behind(&self) -> Option<&Again> {
        let again = self.run.get()?.again.as_ref()?;
        again.is_behind.load(Ordering::Acquire).then_some(again)
    }

    /// Returns where the judge reads.
    pub(super) fn read_from(&self) -> &Self {
        self.behind().map_or(self, |again| &again.store)
    }

    /// Takes a batch that the ledger has already.
    pub(super) fn catch_up(&self, again: &Again, batch: &Batch) -> Result<(), LedgerError> {
        again.store.commit(batch)?;
        if batch.sequence < again.through {
            return Ok(());
        }
        let dir = self.rows.folder();
        if again.store.lock_writer().digest != Some(again.digest) {
            forget(dir).map_err(failed(dir, KEEPING))?;
            return Err(other_input(dir));
        }
        again.is_behind.store(false, Ordering::Release);
        Ok(())
    }

    /// Forgets an unfinished run, as its command cannot go on any more once something else is committed.
    pub(super) fn leave_unfinished(&self) -> Result<(), LedgerError> {
        if self.run.get().is_none() && self.has_unfinished.swap(false, Ordering::Relaxed) {
            let dir = self.rows.folder();
            forget(dir).map_err(failed(dir, KEEPING))?;
        }
        Ok(())
    }

    /// Keeps the tables as they are, and the command.
    fn keep(&self, command: &str, now: u64) -> Result<(), LedgerError> {
        let dir = self.rows.folder();
        let partial = dir.join(PARTIAL);
        fs::create_dir(&partial).map_err(failed(dir, KEEPING))?;
        self.rows.checkpoint(&partial.join(TABLES))?;
        let kept = || {
            let tables = partial.join(TABLES);
            let measured = lengths::measured(&tables)?;
            Lengths::default().renew(&tables, &partial.join(folder::LENGTHS), &measured)?;
            let mut file = fs::File::create(partial.join(COMMAND))?;
            file.write_all(text_of(command, now).as_bytes())?;
            file.sync_all()?;
            fs::File::open(&partial)?.sync_all()?;
            fs::rename(&partial, dir.join(FOLDER))?;
            fs::File::open(dir)?.sync_all()
        };
        kept().map_err(failed(dir, KEEPING))
    }

    /// Opens a copy of the tables that were kept; nothing if they are not those of that batch.
    fn copy_of(&self, unfinished: &Path, start: u64) -> Result<Option<Self>, LedgerError> {
        let again = unfinished.join(AGAIN);
        copy(unfinished, &again).map_err(failed(unfinished, KEEPING))?;
        let store = Self::open_claimed(&again, self.memory, self.expiry.retention(), Log::Absent, None)?;
        let is_it = store.lock_writer().sequence() == start;
        Ok(is_it.then_some(store))
    }
}

/// What is said to be done when it fails.
const READING: &str = "reading what an unfinished run has left";
const KEEPING: &str = "keeping the tables for a run that may have to be repeated";

fn other_input(dir: &Path) -> LedgerError {
    LedgerError::OtherInput {
        folder: folder::shown(dir),
    }
}

fn text_of(command: &str, after: u64) -> String {
    format!("{AFTER}{after}\n{command}\n")
}

/// Returns after which batch an unfinished run with these words began, if there is one.
fn recorded(unfinished: &Path, command: &str) -> io::Result<Option<u64>> {
    let text = match fs::read_to_string(unfinished.join(COMMAND)) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => return Ok(None),
        Err(error) => return Err(error),
    };
    let after = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(AFTER)?.parse().ok());
    Ok(after.filter(|after| text == text_of(command, *after)))
}

/// Removes what an unfinished run left: its command cannot go on any more.
pub(super) fn forget(dir: &Path) -> io::Result<()> {
    let (whole, partial) = (dir.join(FOLDER), dir.join(PARTIAL));
    remove(&partial)?;
    match fs::rename(&whole, &partial) {
        Ok(()) => remove(&partial),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Says whether an unfinished run left something.
pub(super) fn is_left(dir: &Path) -> bool {
    dir.join(FOLDER).exists()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Copies what was kept into a new state folder. Files of rows never change once they are written, so that a link to them
/// does.
fn copy(unfinished: &Path, again: &Path) -> io::Result<()> {
    remove(again)?;
    let to = again.join(folder::TABLES);
    fs::create_dir_all(&to)?;
    match fs::copy(unfinished.join(folder::LENGTHS), again.join(folder::LENGTHS)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for entry in fs::read_dir(unfinished.join(TABLES))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let copied: PathBuf = to.join(name);
        let is_rows = path.extension().is_some_and(|extension| extension == "sst");
        if !(is_rows && fs::hard_link(&path, &copied).is_ok()) {
            fs::copy(&path, &copied)?;
        }
    }
    Ok(())
}

/// Returns the digest of a run with one batch more: over all that decides what later batches hold.
pub(super) fn digest(before: u64, batch: &Batch) -> u64 {
    let mut hasher = FixedState::with_seed(before).build_hasher();
    hasher.write_u64(batch.sequence);
    hasher.write_i64(batch.at.0);
    hasher.write(&batch.journal);
    for page in &batch.pages {
        hasher.write_u64(u64::from(page.workload.0) << 32 | u64::from(page.number));
        hasher.write(&page.row);
    }
    for alert in &batch.deliver {
        hasher.write(&alert.id.0);
        hasher.write_u32(alert.revision);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ledger, Timestamp};
    use crate::store::tests::open;

    const TOLD: &str = "alerts";

    fn commit(store: &Store, sequences: std::ops::RangeInclusive<u64>) -> Result<(), LedgerError> {
        for sequence in sequences {
            let mut batch = Batch::empty(sequence, Timestamp(sequence as i64));
            batch.folded_through = Some(0);
            store.commit(&batch)?;
        }
        Ok(())
    }

    fn next(store: &Store) -> u64 {
        store.opening().unwrap().next_sequence
    }

    #[test]
    fn the_same_run_reads_what_was_before_it_until_it_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        commit(&store, 1..=3).unwrap();
        assert_eq!(store.begin_run("a", TOLD).unwrap(), Beginning::Anew);
        commit(&store, 4..=9).unwrap();
        drop(store);
        for _ in 0..2 {
            let store = open(folder.path());
            assert_eq!(store.begin_run("a", TOLD).unwrap(), Beginning::Again(6));
            assert_eq!(next(&store), 4);
            commit(&store, 4..=8).unwrap();
            assert_eq!(next(&store), 9, "it is not there yet, and is dropped");
        }
        let store = open(folder.path());
        assert_eq!(next(&store), 10);
        assert_eq!(store.begin_run("a", TOLD).unwrap(), Beginning::Again(6));
        commit(&store, 4..=12).unwrap();
        assert_eq!(next(&store), 13);
        store.end_run().unwrap();
        assert!(!is_left(folder.path()));
        drop(store);
        assert_eq!(next(&open(folder.path())), 13);
    }

    #[test]
    fn an_input_that_is_too_short_or_another_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let begun = || {
            let store = open(folder.path());
            let next = next(&store);
            store.begin_run("a", TOLD).unwrap();
            commit(&store, next..=next + 4).unwrap();
            drop(store);
            let store = open(folder.path());
            assert_eq!(store.begin_run("a", TOLD).unwrap(), Beginning::Again(5));
            (store, next)
        };
        let (store, next) = begun();
        commit(&store, next..=next + 3).unwrap();
        assert!(matches!(store.end_run(), Err(LedgerError::OtherInput { .. })));
        drop(store);
        let (store, next) = begun();
        commit(&store, next..=next + 3).unwrap();
        let other = Batch::empty(next + 4, Timestamp(0));
        assert!(matches!(store.commit(&other), Err(LedgerError::OtherInput { .. })));
        drop(store);
        let store = open(folder.path());
        assert_eq!(store.begin_run("a", TOLD).unwrap(), Beginning::Anew);
    }

    #[test]
    fn whatever_else_commits_ends_what_was_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        for other in [None, Some("b")] {
            let store = open(folder.path());
            let next = next(&store);
            assert_eq!(store.begin_run("a", TOLD).unwrap(), Beginning::Anew);
            commit(&store, next..=next + 2).unwrap();
            drop(store);
            let store = open(folder.path());
            assert!(is_left(folder.path()));
            if let Some(other) = other {
                assert_eq!(store.begin_run(other, TOLD).unwrap(), Beginning::Anew);
            }
            commit(&store, next + 3..=next + 3).unwrap();
            if other.is_some() {
                store.end_run().unwrap();
            }
            assert!(!is_left(folder.path()));
        }
    }
}
