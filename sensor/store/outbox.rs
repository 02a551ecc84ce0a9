//! The outbox: lines for the sinks, numbered from 1 over the ledger's life, and how far each sink has come (rule A4).

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;

use crate::model::{Alert, Durability, LedgerError};

use super::Store;
use super::table::Table;
use super::v1;

/// Up to how many lines are deleted one by one; more leave one mark for the whole range.
const ONE_BY_ONE: u64 = 1024;

impl Store {
    /// Returns up to `limit` lines with numbers greater than `after`, in order.
    ///
    /// A first number greater than `after` + 1 says that lines in between were dropped.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when a line cannot be read.
    pub fn outbox_after(&self, after: u64, limit: usize) -> Result<Vec<(u64, Alert)>, LedgerError> {
        let Some(first) = after.checked_add(1) else {
            return Ok(Vec::new());
        };
        let damaged = || self.rows.damaged(Table::Outbox);
        self.rows
            .scan(Table::Outbox, v1::sequence_key(first).to_vec()..)?
            .take(limit)
            .map(|row| {
                let (key, row) = row?;
                let number = v1::from_sequence_key(&key).ok_or_else(damaged)?;
                Ok((number, v1::decode_json(&row).ok_or_else(damaged)?))
            })
            .collect()
    }

    /// Returns the greatest number that a committed line has; 0 before the first.
    #[must_use]
    pub fn outbox_end(&self) -> u64 {
        self.outbox_end.load(Ordering::Acquire)
    }

    /// Returns the number of the last line that a sink took, or `None` for a sink that is new.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when the position cannot be read.
    pub fn position(&self, sink: &str) -> Result<Option<u64>, LedgerError> {
        self.rows.read(Table::Meta, &v1::sink_key(sink), v1::decode_position)
    }

    /// Returns every sink that has a position, by name, also those that no setting names any more.
    ///
    /// # Errors
    ///
    /// As [`Store::position`].
    pub fn positions(&self) -> Result<Vec<(String, u64)>, LedgerError> {
        self.rows
            .scan_prefix(Table::Meta, &v1::sink_key(""))?
            .map(|row| {
                let (key, row) = row?;
                let entry = v1::sink_of(&key).zip(v1::decode_position(&row));
                let (sink, position) = entry.ok_or_else(|| self.rows.damaged(Table::Meta))?;
                Ok((sink.to_owned(), position))
            })
            .collect()
    }

    /// Keeps the number of the last line that a sink took. It reaches the disk with the next sync: after a crash a sink
    /// may be given lines once more.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails.
    pub fn set_position(&self, sink: &str, position: u64) -> Result<(), LedgerError> {
        let mut changes = WriteBatch::default();
        let key = v1::sink_key(sink);
        changes.put_cf(self.rows.family(Table::Meta)?, key, v1::encode_position(position));
        self.rows.write(changes, Durability::Grouped)
    }

    /// Forgets a sink.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails.
    pub fn forget_position(&self, sink: &str) -> Result<(), LedgerError> {
        let mut changes = WriteBatch::default();
        changes.delete_cf(self.rows.family(Table::Meta)?, v1::sink_key(sink));
        self.rows.write(changes, Durability::Grouped)
    }

    /// Deletes lines: those up to `taken_through`, which every sink took, and the oldest of the others beyond `most`.
    ///
    /// Returns how many of the others were deleted, which the caller counts and reports.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails; then nothing was deleted.
    pub fn trim_outbox(&self, taken_through: u64, most: u64) -> Result<u64, LedgerError> {
        let mut start = self.outbox_start.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.outbox_end();
        let taken_through = taken_through.min(end);
        let kept = self.kept_for_run().unwrap_or(u64::MAX);
        let through = taken_through.max(end.saturating_sub(most)).min(kept);
        if through < *start {
            return Ok(0);
        }
        let family = self.rows.family(Table::Outbox)?;
        let mut changes = WriteBatch::default();
        if through - *start < ONE_BY_ONE {
            for number in *start..=through {
                changes.delete_cf(family, v1::sequence_key(number));
            }
        } else {
            changes.delete_range_cf(family, v1::sequence_key(*start), v1::sequence_key(through + 1));
        }
        self.rows.write(changes, Durability::Grouped)?;
        let untaken = through.saturating_sub(taken_through.max(*start - 1));
        *start = through + 1;
        Ok(untaken)
    }
}
