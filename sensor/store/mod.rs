//! The ledger on RocksDB (rules A1, A4 and B5).
//!
//! One [`Store`] is shared by three threads: the judge reads through [`crate::model::Ledger`], the commit thread writes
//! one [`crate::model::Batch`] after another, and the delivery thread takes lines from the outbox. A batch is one atomic
//! write: pairs that changed are one row of the journal; in later batches the judge hands them over as pages, sorted by
//! workload, with their entries of the index, and the journal rows go.
//!
//! Nothing here decides anything and nothing reads a clock: what expires, expires by packet time.

mod commit;
mod expiry;
mod folder;
mod holders;
mod kept;
mod ledger;
mod lengths;
mod outbox;
mod rows;
mod survey;
mod table;
mod tools;
mod unfinished;
mod v1;

#[cfg(test)]
mod aging;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::model::{LedgerError, Span};

use commit::Writer;
use expiry::Expiry;
use lengths::Lengths;
use rows::{Log, Rows};
use table::Table;

pub use survey::{Extent, Standing};
pub use tools::{Alerts, AllPairs};
pub use unfinished::Beginning;

/// What a ledger that is only read keeps in memory.
const READER_MEMORY: u64 = 16 << 20;

/// The ledger in a state folder.
///
/// It is shared behind an [`Arc`]; each of its calls may be made from any thread. Only one process can write a folder at
/// a time; others read it beside that one with [`Store::open_read_only`].
pub struct Store {
    rows: Rows,
    expiry: Arc<Expiry>,
    writer: Mutex<Writer>,
    outbox_start: Mutex<u64>,
    outbox_end: AtomicU64,
    memory: u64,
    run: OnceLock<unfinished::Run>,
    is_untidy: AtomicBool,
    /// Whether an earlier run left what the same command would go on with.
    has_unfinished: AtomicBool,
    /// What is on the disk for certain, if it is to outlive this value.
    lengths: Option<Mutex<Lengths>>,
    // Removed when the tables are closed, so it stands behind them.
    own_folder: Option<TempDir>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("outbox_end", &self.outbox_end)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the ledger in a folder to read and write; makes one if the folder is absent or empty.
    ///
    /// `memory` bounds blocks that were read and rows that are not in files yet, in octets; under 8 MiB counts as 8 MiB.
    /// A pair without contact for `retention` of packet time may be deleted (rule B5).
    ///
    /// # Errors
    ///
    /// `OtherVersion` for a ledger of another format; `NotALedger` for a folder that holds something else; `Locked` when
    /// another process has it open; `Damaged` when a row cannot be read; `Failed` when the disk fails.
    pub fn open(dir: &Path, memory: u64, retention: Span) -> Result<Self, LedgerError> {
        folder::claim(dir)?;
        Self::open_claimed(dir, memory, retention, Log::Kept, None)
    }

    /// Opens a new ledger in a temporary folder that is removed when the store is dropped; it does not outlive a crash.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails.
    pub fn temporary(memory: u64, retention: Span) -> Result<Self, LedgerError> {
        let folder = temporary_folder()?;
        let dir = folder.path().to_owned();
        folder::claim(&dir)?;
        Self::open_claimed(&dir, memory, retention, Log::Absent, Some(folder))
    }

    /// Opens the ledger in a folder to read, as it is now, beside a sensor that may run on it. Every write fails.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], without `Locked`; `Failed` also when there is no ledger in the folder.
    pub fn open_read_only(dir: &Path) -> Result<Self, LedgerError> {
        folder::check(dir)?;
        let own = temporary_folder()?;
        let expiry = Arc::new(Expiry::new(Span(i64::MAX)));
        let db = folder::open_beside(dir, own.path(), || table::options(READER_MEMORY, &expiry))?;
        Self::of(
            Rows::new(db, dir.to_owned(), Log::Kept),
            READER_MEMORY,
            expiry,
            Some(own),
        )
    }

    /// Says whether the ledger vanishes with this value.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.own_folder.is_some()
    }

    fn open_claimed(
        dir: &Path,
        memory: u64,
        retention: Span,
        log: Log,
        own: Option<TempDir>,
    ) -> Result<Self, LedgerError> {
        let expiry = Arc::new(Expiry::new(retention));
        let (options, families) = table::options(memory, &expiry);
        let db = folder::open(dir, &options, families)?;
        let mut store = Self::of(Rows::new(db, dir.to_owned(), log), memory, expiry, own)?;
        if log == Log::Kept {
            store.lengths = Some(Mutex::default());
            store.renew_lengths()?;
        }
        Ok(store)
    }

    fn of(rows: Rows, memory: u64, expiry: Arc<Expiry>, folder: Option<TempDir>) -> Result<Self, LedgerError> {
        let writer = Writer::read(&rows)?;
        expiry.set_present(writer.present());
        let first_line = rows.scan(Table::Outbox, ..)?.next().transpose()?;
        let outbox_end = writer.outbox_end();
        let outbox_start = match first_line {
            Some((key, _)) => v1::from_sequence_key(&key).ok_or_else(|| rows.damaged(Table::Outbox))?,
            None => outbox_end + 1,
        };
        let has_unfinished = AtomicBool::new(unfinished::is_left(rows.folder()));
        Ok(Self {
            rows,
            memory,
            run: OnceLock::new(),
            has_unfinished,
            is_untidy: AtomicBool::new(false),
            expiry,
            writer: Mutex::new(writer),
            outbox_start: Mutex::new(outbox_start),
            outbox_end: AtomicU64::new(outbox_end),
            lengths: None,
            own_folder: folder,
        })
    }

    /// Lists what is on the disk for certain, so that less is refused when the ledger is opened again.
    fn renew_lengths(&self) -> Result<(), LedgerError> {
        let Some(lengths) = &self.lengths else {
            return Ok(());
        };
        let Some(measured) = self.rows.measured()? else {
            return Ok(());
        };
        let folder = self.rows.folder();
        lock(lengths)
            .renew(&folder::tables(folder), &folder.join(folder::LENGTHS), &measured)
            .map_err(self.rows.failed(rows::NOTING))
    }

    /// The same, if tables have come or gone since: what they hold is in no log any more.
    fn renew_old_lengths(&self) -> Result<(), LedgerError> {
        let tables = || folder::tables(self.rows.folder());
        match &self.lengths {
            Some(lengths) if lock(lengths).is_old(&tables()) => self.renew_lengths(),
            _ => Ok(()),
        }
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.lengths.is_some() {
            // Nothing grows any more then. If it cannot be listed, the list before is as true.
            self.rows.rest();
            let _ = self.renew_lengths();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn temporary_folder() -> Result<TempDir, LedgerError> {
    let made = tempfile::Builder::new().prefix("firstcontact-").tempdir();
    made.map_err(|source| LedgerError::Failed {
        folder: folder::shown(&std::env::temp_dir()),
        action: "making a temporary folder",
        source: Box::new(source),
    })
}
