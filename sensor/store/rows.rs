//! The rows of the tables, with errors that name the folder.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, CompactOptions, DB, DBPinnableSlice, IterateBounds, IteratorMode,
    ReadOptions, WriteBatch, WriteOptions,
};

use crate::model::{Durability, LedgerError};

use super::folder;
use super::lengths::{self, Measured};
use super::table::Table;

/// Whether changes are written to a log before they are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// They are: a change survives the process.
    Kept,
    /// They are not: the folder dies with the process.
    Absent,
}

/// A row as it was read: key and value.
pub type Row = (Box<[u8]>, Box<[u8]>);

/// What is said to be done when it fails.
pub const NOTING: &str = "noting how long files are";

/// The open tables.
pub struct Rows {
    db: DB,
    folder: PathBuf,
    log: Log,
    /// Held while the log is written to.
    writing: Mutex<()>,
    /// Why nothing can be written any more: RocksDB says it of the first write that fails, and then only that one did.
    broken: OnceLock<rocksdb::Error>,
}

impl Rows {
    /// Takes open tables over.
    pub const fn new(db: DB, folder: PathBuf, log: Log) -> Self {
        Self {
            db,
            folder,
            log,
            writing: Mutex::new(()),
            broken: OnceLock::new(),
        }
    }

    /// Returns the state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a folder that holds the tables as they are now, mostly by links to their files.
    pub fn checkpoint(&self, into: &Path) -> Result<(), LedgerError> {
        self.sync()?;
        // Without flushing: what the log holds is copied with it, so that no small files of rows come to be.
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(into, u64::MAX))
            .map_err(self.failed("keeping the tables as they are"))
    }

    /// Returns the handle of a table.
    pub fn family(&self, table: Table) -> Result<&ColumnFamily, LedgerError> {
        let absent = || LedgerError::Damaged {
            folder: folder::shown(&self.folder),
            kind: table.name(),
        };
        self.db.cf_handle(table.name()).ok_or_else(absent)
    }

    /// Returns a row.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>, LedgerError> {
        self.db
            .get_pinned_cf(self.family(table)?, key)
            .map_err(self.failed("reading"))
    }

    /// Returns a row as what it holds.
    pub fn read<T>(
        &self,
        table: Table,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, LedgerError> {
        match self.get(table, key)? {
            Some(row) => decode(&row).map(Some).ok_or_else(|| self.damaged(table)),
            None => Ok(None),
        }
    }

    /// Returns the rows whose keys are in a range, in order.
    pub fn scan(
        &self,
        table: Table,
        range: impl IterateBounds,
    ) -> Result<impl Iterator<Item = Result<Row, LedgerError>>, LedgerError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(range);
        options.set_total_order_seek(true);
        self.iterate(table, options)
    }

    /// Returns the rows whose keys are in a range, in order, without keeping what was read for who reads it next.
    pub fn scan_once(
        &self,
        table: Table,
        range: impl IterateBounds,
    ) -> Result<impl Iterator<Item = Result<Row, LedgerError>>, LedgerError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_iterate_range(range);
        options.set_total_order_seek(true);
        self.iterate(table, options)
    }

    fn iterate(
        &self,
        table: Table,
        options: ReadOptions,
    ) -> Result<impl Iterator<Item = Result<Row, LedgerError>>, LedgerError> {
        let family = self.family(table)?;
        let rows = self.db.iterator_cf_opt(family, options, IteratorMode::Start);
        Ok(rows.map(|row| row.map_err(self.failed("reading"))))
    }

    /// Returns the greatest key of a table.
    pub fn last_key(&self, table: Table) -> Result<Option<Box<[u8]>>, LedgerError> {
        let mut rows = self.db.iterator_cf(self.family(table)?, IteratorMode::End);
        let last = rows.next().transpose().map_err(self.failed("reading"))?;
        Ok(last.map(|(key, _)| key))
    }

    /// Returns the rows whose keys have the prefix by which their table is filtered, in order.
    pub fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Result<Row, LedgerError>>, LedgerError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        options.set_prefix_same_as_start(true);
        self.iterate(table, options)
    }

    /// Returns what the rows in a range hold, in order.
    pub fn read_all<T>(
        &self,
        table: Table,
        range: impl IterateBounds,
        decode: impl Fn(&[u8], &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, LedgerError> {
        self.scan(table, range)?
            .map(|row| {
                let (key, value) = row?;
                decode(&key, &value).ok_or_else(|| self.damaged(table))
            })
            .collect()
    }

    /// Applies changes, all or none.
    pub fn write(&self, changes: WriteBatch, durability: Durability) -> Result<(), LedgerError> {
        let mut options = WriteOptions::default();
        match self.log {
            Log::Kept => options.set_sync(durability == Durability::Synced),
            Log::Absent => options.disable_wal(true),
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.db.write_opt(changes, &options).map_err(self.broken("writing"))
    }

    /// Measures the files that grow; nothing after a write that failed, since RocksDB takes back what there is of it when
    /// it closes the file.
    pub fn measured(&self) -> Result<Option<Measured>, LedgerError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = lengths::measured(&folder::tables(&self.folder)).map_err(self.failed(NOTING))?;
        let errors = self.db.property_int_value(rocksdb::properties::BACKGROUND_ERRORS);
        let errors = errors.map_err(self.failed(NOTING))?;
        let is_whole = errors == Some(0) && self.broken.get().is_none();
        Ok(is_whole.then_some(measured))
    }

    /// Returns what makes an error of a write that failed: whatever it says itself, with why the first one did.
    fn broken(&self, action: &'static str) -> impl Fn(rocksdb::Error) -> LedgerError {
        move |error| self.failed(action)(self.broken.get_or_init(|| error).clone())
    }

    /// Brings everything that was written to the disk.
    pub fn sync(&self) -> Result<(), LedgerError> {
        match self.log {
            Log::Kept => self.db.flush_wal(true).map_err(self.broken("syncing")),
            Log::Absent => Ok(()),
        }
    }

    /// Ends what goes on beside the calls, for good: to be called before the tables are closed.
    pub fn rest(&self) {
        self.db.cancel_all_background_work(true);
    }

    /// Returns how many octets the files of a table hold.
    pub fn octets(&self, table: Table) -> Result<u64, LedgerError> {
        let octets = self
            .db
            .property_int_value_cf(self.family(table)?, rocksdb::properties::TOTAL_SST_FILES_SIZE);
        Ok(octets.map_err(self.failed("reading"))?.unwrap_or(0))
    }

    /// Returns what makes an error of an action that failed.
    pub fn failed<E>(&self, action: &'static str) -> impl Fn(E) -> LedgerError
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        folder::failed(&self.folder, action)
    }

    /// Returns the error for a row that cannot be read.
    pub fn damaged(&self, table: Table) -> LedgerError {
        LedgerError::Damaged {
            folder: folder::shown(&self.folder),
            kind: table.name(),
        }
    }

    /// Writes all new rows to files, after which the log that held them is of no more use.
    pub fn flush(&self) -> Result<(), LedgerError> {
        for table in Table::ALL {
            let family = self.family(table)?;
            self.db.flush_cf(family).map_err(self.failed("writing"))?;
        }
        Ok(())
    }

    /// Compacts a table whole, as RocksDB would in time.
    pub fn compact(&self, table: Table) -> Result<(), LedgerError> {
        let family = self.family(table)?;
        let mut options = CompactOptions::default();
        // What was written by compactions before has something expired in it too.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        options.set_exclusive_manual_compaction(false);
        self.db
            .compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }
}
