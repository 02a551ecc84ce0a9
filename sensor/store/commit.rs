//! One batch as one atomic write (rule A1).

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;

use crate::model::{Batch, Day, Holder, LedgerError, NameRecord, Page, SECOND, Timestamp};

use super::Store;
use super::expiry::{self, RecentEpochs};
use super::holders::{self, RecentHolders};
use super::rows::Rows;
use super::table::Table;
use super::v1::{self, Committed};

/// The key of the row that says where the ledger stands.
pub const COMMITTED: &[u8] = b"committed";

/// The key of the judge's state.
pub const STATE: &[u8] = b"judge";

/// How many rows with something expired in them one batch writes anew, of each kind; keeps a batch short.
const RENEWED: usize = 64;

/// How far the present moves before names of no use are deleted once more; each time leaves a mark in the table.
const NAMES_STEP: i64 = 3600 * SECOND;

/// Where the ledger stands, as the next commit must know it.
#[derive(Debug)]
pub struct Writer {
    committed: Committed,
    recent: RecentEpochs,
    names_trimmed: Timestamp,
}

impl Writer {
    /// Reads where the ledger stands.
    pub fn read(rows: &Rows) -> Result<Self, LedgerError> {
        let committed = rows.read(Table::Meta, COMMITTED, v1::decode_committed)?;
        let mut recent = RecentEpochs::default();
        for place in 0..expiry::RECENT {
            if let Some(end) = rows.read(Table::Meta, &v1::recent_key(place), v1::decode_time)? {
                recent.put(place, end);
            }
        }
        Ok(Self {
            committed: committed.unwrap_or(Committed {
                sequence: 0,
                at: Timestamp::MIN,
                outbox_end: 0,
                folded_through: 0,
            }),
            recent,
            names_trimmed: Timestamp::MIN,
        })
    }

    /// Returns what expiry takes as the present.
    pub fn present(&self) -> Timestamp {
        self.recent.least()
    }

    /// Returns the greatest number that an outbox line was given.
    pub const fn outbox_end(&self) -> u64 {
        self.committed.outbox_end
    }
}

impl Store {
    /// Writes a batch, all of it or nothing; returns when it is as durable as it asks to be.
    ///
    /// Pages and names that are expired (rule B5) are left out. An alert in both `opened` and `closed` ends closed; an
    /// arrival in both `judged` and `pending` ends pending, since another run may have given the same number. After an
    /// error nothing of the batch is to be seen and it may be committed again.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, or when the batch's sequence is not after the last one's, which is a bug of the caller.
    pub fn commit(&self, batch: &Batch) -> Result<(), LedgerError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let last = writer.committed.sequence;
        if batch.sequence <= last {
            let order = std::io::Error::other(format!("batch {} comes after batch {last}", batch.sequence));
            return Err(self.rows.failed("committing out of order")(order));
        }
        let place = RecentEpochs::place(batch.sequence);
        let present = writer.recent.least_with(place, batch.at);
        // A batch from the past must be safe before it is written; what it lets expire waits until it is.
        self.expiry.set_present(present.min(self.expiry.present()));
        let committed = Committed {
            sequence: batch.sequence,
            at: batch.at,
            outbox_end: writer.committed.outbox_end + batch.deliver.len() as u64,
            folded_through: writer.committed.folded_through.max(batch.folded_through.unwrap_or(0)),
        };

        let mut changes = Changes {
            rows: &self.rows,
            batch: WriteBatch::with_capacity_bytes(expected_octets(batch)),
            row: Vec::new(),
        };
        changes.put(Table::Meta, COMMITTED, v1::encode_committed(committed))?;
        changes.put(Table::Meta, &v1::recent_key(place), v1::encode_time(batch.at))?;
        changes.baseline(batch, writer.committed.folded_through, self.expiry.pair_cutoff())?;
        changes.alerts(batch, writer.committed.outbox_end)?;
        changes.contacts(batch)?;
        changes.names(batch)?;
        let trims_names = present.0.saturating_sub(writer.names_trimmed.0) >= NAMES_STEP;
        if trims_names {
            changes.delete_range(
                Table::Names,
                &v1::last_use_key(Timestamp::MIN),
                &v1::last_use_key(present),
            )?;
        }
        self.renew(&mut changes, batch)?;
        let folds = self.index(&mut changes, batch)?;
        self.rows.write(changes.batch, batch.durability)?;

        writer.committed = committed;
        writer.recent.put(place, batch.at);
        writer.names_trimmed = if trims_names {
            present
        } else {
            present.min(writer.names_trimmed)
        };
        self.expiry.set_present(present);
        if folds || !batch.holders.is_empty() {
            let mut recent = self.recent_holders.write().unwrap_or_else(PoisonError::into_inner);
            if folds {
                recent.clear();
            } else {
                recent.add(batch.holders.iter().copied());
            }
        }
        self.outbox_end.store(committed.outbox_end, Ordering::Release);
        Ok(())
    }

    /// Brings every committed batch to the disk. To be called at least every 10 s while batches are grouped.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails.
    pub fn sync(&self) -> Result<(), LedgerError> {
        self.rows.sync()
    }

    /// Writes the entries of the index: as one row, or everything recent into the buckets. Returns which.
    fn index(&self, changes: &mut Changes<'_>, batch: &Batch) -> Result<bool, LedgerError> {
        let recent = self.recent_holders.read().unwrap_or_else(PoisonError::into_inner);
        if recent.len() + batch.holders.len() < holders::FOLD {
            if !batch.holders.is_empty() {
                let row = v1::encode_holders(&batch.holders);
                changes.put(Table::RecentHolders, &v1::sequence_key(batch.sequence), row)?;
            }
            return Ok(false);
        }
        changes.fold(&recent, batch)?;
        Ok(true)
    }

    /// Writes anew what compactions found to be expired in part. The batch's own pages are newer than what they saw.
    fn renew(&self, changes: &mut Changes<'_>, batch: &Batch) -> Result<(), LedgerError> {
        for key in self.expiry.take_pages(RENEWED) {
            let Some((workload, number)) = v1::workload_of_page(&key) else {
                continue;
            };
            let is_newer = batch
                .pages
                .iter()
                .any(|page| page.workload == workload && page.number == number);
            if is_newer {
                continue;
            }
            if let Some(pairs) = self.rows.read(Table::Pages, &key, v1::decode_page)? {
                let page = Page {
                    workload,
                    number,
                    pairs,
                };
                changes.page(&page, self.expiry.pair_cutoff())?;
            }
        }
        for key in self.expiry.take_buckets(RENEWED) {
            // Merging nothing into it lets the merge leave out what is expired.
            changes.merge(Table::Holders, &key, v1::encode_holders(&[]))?;
        }
        Ok(())
    }
}

/// The changes of a batch as they are collected.
struct Changes<'a> {
    rows: &'a Rows,
    batch: WriteBatch,
    /// Where long rows are written before they are copied into the batch.
    row: Vec<u8>,
}

/// Returns about how many octets a batch takes, so that they are not moved again and again while it grows.
fn expected_octets(batch: &Batch) -> usize {
    let paged: usize = batch.pages.iter().map(|page| page.pairs.len()).sum();
    let holders = batch.holders.len() * size_of::<Holder>();
    1024 + (paged + batch.pairs.len()) * v1::USUAL_PAIR + holders
}

impl Changes<'_> {
    fn put(&mut self, table: Table, key: &[u8], row: Vec<u8>) -> Result<(), LedgerError> {
        self.batch.put_cf(self.rows.family(table)?, key, row);
        Ok(())
    }

    fn merge(&mut self, table: Table, key: &[u8], row: Vec<u8>) -> Result<(), LedgerError> {
        self.batch.merge_cf(self.rows.family(table)?, key, row);
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), LedgerError> {
        self.batch.delete_cf(self.rows.family(table)?, key);
        Ok(())
    }

    fn delete_range(&mut self, table: Table, from: &[u8], to: &[u8]) -> Result<(), LedgerError> {
        self.batch.delete_range_cf(self.rows.family(table)?, from, to);
        Ok(())
    }

    fn put_json<T: serde::Serialize>(&mut self, table: Table, key: &[u8], record: &T) -> Result<(), LedgerError> {
        let row = v1::encode_json(record).map_err(self.rows.failed("writing a record as JSON"))?;
        self.put(table, key, row)
    }

    fn baseline(&mut self, batch: &Batch, folded: u64, cutoff: Timestamp) -> Result<(), LedgerError> {
        for (workload, record) in &batch.workloads {
            let row = v1::encode_workload(record);
            self.put(Table::Workloads, &v1::workload_key(*workload), row)?;
        }
        if !batch.pairs.is_empty() {
            v1::encode_journal(&mut self.row, &batch.pairs);
            let journal = self.rows.family(Table::Journal)?;
            self.batch.put_cf(journal, v1::sequence_key(batch.sequence), &self.row);
        }
        for page in &batch.pages {
            self.page(page, cutoff)?;
        }
        if let Some(through) = batch.folded_through
            && through > folded
        {
            let (from, to) = (folded.saturating_add(1), through.saturating_add(1));
            self.delete_range(Table::Journal, &v1::sequence_key(from), &v1::sequence_key(to))?;
        }
        Ok(())
    }

    fn page(&mut self, page: &Page, cutoff: Timestamp) -> Result<(), LedgerError> {
        let key = v1::page_key(page.workload, page.number);
        let pages = self.rows.family(Table::Pages)?;
        match v1::encode_page(&mut self.row, page, cutoff) {
            Some(()) => self.batch.put_cf(pages, key, &self.row),
            None => self.batch.delete_cf(pages, key),
        }
        Ok(())
    }

    fn alerts(&mut self, batch: &Batch, outbox_end: u64) -> Result<(), LedgerError> {
        for record in &batch.alerts {
            let row = v1::encode_alert(record).map_err(self.rows.failed("writing an alert as JSON"))?;
            self.put(Table::Alerts, &record.alert.id.0, row)?;
        }
        for (number, line) in (outbox_end + 1..).zip(&batch.deliver) {
            self.put_json(Table::Outbox, &v1::sequence_key(number), line)?;
        }
        for open in &batch.opened {
            self.put_json(Table::Open, &open.id.0, open)?;
        }
        for id in &batch.closed {
            self.delete(Table::Open, &id.0)?;
        }
        Ok(())
    }

    fn contacts(&mut self, batch: &Batch) -> Result<(), LedgerError> {
        for arrival in &batch.judged {
            self.delete(Table::Pending, &v1::sequence_key(arrival.0))?;
        }
        for contact in &batch.pending {
            self.put_json(Table::Pending, &v1::sequence_key(contact.arrival.0), contact)?;
        }
        match &batch.state {
            Some(state) => self.put_json(Table::State, STATE, state),
            None => Ok(()),
        }
    }

    /// Names lie by the day of their last use, so that a row goes when all of it is of no use.
    fn names(&mut self, batch: &Batch) -> Result<(), LedgerError> {
        let mut days: BTreeMap<Day, Vec<&NameRecord>> = BTreeMap::new();
        for record in &batch.names.records {
            days.entry(expiry::last_use(record).day()).or_default().push(record);
        }
        for records in days.into_values() {
            if let Some(last_use) = records.iter().map(|record| expiry::last_use(record)).max() {
                let row = v1::encode_names(&batch.names, &records);
                self.put(Table::Names, &v1::names_key(last_use, batch.sequence), row)?;
            }
        }
        Ok(())
    }

    /// Merges the recent entries and the batch's into the buckets and deletes their rows.
    fn fold(&mut self, recent: &RecentHolders, batch: &Batch) -> Result<(), LedgerError> {
        let entries = recent.all_with(&batch.holders);
        for bucket in entries.chunk_by(|a, b| v1::bucket(a.destination) == v1::bucket(b.destination)) {
            if let Some(first) = bucket.first() {
                let key = v1::bucket(first.destination);
                self.merge(Table::Holders, &key, v1::encode_holders(bucket))?;
            }
        }
        let rows = (v1::sequence_key(0), v1::sequence_key(batch.sequence));
        self.delete_range(Table::RecentHolders, &rows.0, &rows.1)
    }
}
