//! One batch as one atomic write (rule A1).

use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;

use crate::model::{
    Batch, DailyRound, DuePart, Holder, LedgerError, RECENT, RecentEpochs, SECOND, StoredPair, Timestamp, WorkloadId,
};

use super::Store;
use super::kept::LIMITS;
use super::rows::Rows;
use super::table::Table;
use super::unfinished;
use super::v1::{self, Committed};

/// The key of the row that says where the ledger stands.
pub const COMMITTED: &[u8] = b"committed";

/// The key of the judge's state.
pub const STATE: &[u8] = b"judge";

/// How many buckets of the index with something expired in them one batch writes anew; keeps a batch short.
const RENEWED: usize = 64;

/// How far the present moves before names of no use are deleted once more; each time leaves a mark in the table.
const NAMES_STEP: i64 = 3600 * SECOND;

/// How many rows of contacts that wait, or of what the budget counted, may be of no use before they are deleted together.
const PENDING_STEP: u64 = 64;

/// Where the ledger stands, as the next commit must know it.
#[derive(Debug)]
pub struct Writer {
    committed: Committed,
    recent: RecentEpochs,
    names_trimmed: Timestamp,
    pending_trimmed: u64,
    counted_trimmed: u64,
    /// Over all batches of the run, if it may be given again.
    pub digest: Option<u64>,
    /// Looks at every page once a day of packet time.
    round: DailyRound,
    /// Behind the greatest number of a workload.
    workloads_end: u32,
    /// Whether something expired in this round.
    has_expired: bool,
}

impl Writer {
    /// Reads where the ledger stands.
    pub fn read(rows: &Rows) -> Result<Self, LedgerError> {
        let committed = rows.read(Table::Meta, COMMITTED, v1::decode_committed)?;
        let workloads_end = rows.last_key(Table::Workloads)?.and_then(|key| {
            let last = v1::from_workload_key(&key)?;
            Some(last.0.saturating_add(1))
        });
        Ok(Self {
            committed: committed.unwrap_or(Committed {
                sequence: 0,
                at: Timestamp::MIN,
                outbox_end: 0,
                folded_through: 0,
            }),
            recent: recent(rows)?,
            names_trimmed: Timestamp::MIN,
            pending_trimmed: 0,
            counted_trimmed: 0,
            digest: None,
            round: DailyRound::default(),
            workloads_end: workloads_end.unwrap_or(0),
            has_expired: false,
        })
    }

    /// Returns the number of the last batch.
    pub const fn sequence(&self) -> u64 {
        self.committed.sequence
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

/// Reads when the last batches were.
pub fn recent(rows: &Rows) -> Result<RecentEpochs, LedgerError> {
    let mut recent = RecentEpochs::default();
    for place in 0..RECENT {
        if let Some(end) = rows.read(Table::Meta, &v1::recent_key(place), v1::decode_time)? {
            recent.put(place, end);
        }
    }
    Ok(recent)
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
        if let Some(again) = self.behind() {
            return self.catch_up(again, batch);
        }
        self.leave_unfinished()?;
        self.renew_old_lengths()?;
        let mut writer = self.lock_writer();
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
        };
        changes.put(Table::Meta, COMMITTED, v1::encode_committed(committed))?;
        changes.put(Table::Meta, &v1::recent_key(place), v1::encode_time(batch.at))?;
        let digest = writer.digest.map(|before| unfinished::digest(before, batch));
        if let Some(digest) = digest {
            changes.put(Table::Meta, unfinished::DIGEST, v1::encode_digest(digest))?;
        }
        changes.baseline(batch, writer.committed.folded_through, self.expiry.pair_cutoff())?;
        changes.alerts(batch, writer.committed.outbox_end)?;
        changes.contacts(batch)?;
        changes.kept(batch)?;
        changes.names(batch)?;
        let trims_names = present.0.saturating_sub(writer.names_trimmed.0) >= NAMES_STEP;
        if trims_names {
            changes.delete_range(
                Table::Names,
                &v1::last_use_key(Timestamp::MIN),
                &v1::last_use_key(present),
            )?;
        }
        let pending = (
            writer.pending_trimmed,
            batch.waits_from.unwrap_or(0).min(batch.sequence),
        );
        let pending_trimmed = changes.trim(Table::Pending, v1::sequence_key, pending)?;
        let counted = (
            writer.counted_trimmed,
            batch.counted_from.unwrap_or(0).min(batch.sequence),
        );
        let counted_trimmed = changes.trim(Table::State, v1::counted_key, counted)?;
        let newest = batch.workloads.iter().map(|(id, _)| id.0.saturating_add(1)).max();
        let workloads_end = writer.workloads_end.max(newest.unwrap_or(0));
        let mut round = writer.round.clone();
        let due = round.due(self.expiry.present(), workloads_end);
        let has_expired = match &due {
            Some(due) => self.expire(&mut changes, batch, due)?,
            None => false,
        };
        self.renew(&mut changes)?;
        changes.index(&batch.holders)?;
        self.rows.write(changes.batch, batch.durability)?;

        (writer.committed, writer.digest) = (committed, digest);
        writer.recent.put(place, batch.at);
        (writer.round, writer.workloads_end) = (round, workloads_end);
        writer.has_expired |= has_expired;
        if due.is_some_and(|due| due.is_last) && std::mem::take(&mut writer.has_expired) {
            self.is_untidy.store(true, Ordering::Release);
        }
        (writer.pending_trimmed, writer.counted_trimmed) = (pending_trimmed, counted_trimmed);
        writer.names_trimmed = if trims_names {
            present
        } else {
            present.min(writer.names_trimmed)
        };
        self.expiry.set_present(present);
        self.outbox_end.store(committed.outbox_end, Ordering::Release);
        Ok(())
    }

    /// Says whether a round over all pages found something expired, so that [`Store::tidy`] has something to do.
    #[must_use]
    pub fn is_untidy(&self) -> bool {
        self.is_untidy.load(Ordering::Acquire)
    }

    /// Frees the disk of what is expired, if a round over all pages found anything: files of pages and alerts are written
    /// anew without it. Takes seconds for millions of pairs, in which batches can be committed.
    pub fn tidy(&self) -> Result<(), LedgerError> {
        if self.is_untidy.swap(false, Ordering::AcqRel) {
            self.rows.flush()?;
            self.rows.compact(Table::Pages)?;
            self.rows.compact(Table::Alerts)?;
        }
        Ok(())
    }

    /// Brings every committed batch to the disk. To be called at least every 10 s while batches are grouped.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails.
    pub fn sync(&self) -> Result<(), LedgerError> {
        self.rows.sync()?;
        self.renew_lengths()
    }

    /// Writes pages anew in which something is expired, of the workloads whose turn it is. The batch's own pages are newer.
    /// Says whether there was anything.
    fn expire(&self, changes: &mut Changes<'_>, batch: &Batch, due: &DuePart) -> Result<bool, LedgerError> {
        let cutoff = self.expiry.pair_cutoff();
        if cutoff == Timestamp::MIN {
            return Ok(false);
        }
        let mut has_expired = false;
        let from = v1::workload_key(WorkloadId(due.from)).to_vec();
        let to = v1::workload_key(WorkloadId(due.to)).to_vec();
        for row in self.rows.scan_once(Table::Pages, from..to)? {
            let (key, row) = row?;
            let place = v1::workload_of_page(&key).zip(v1::page_span(&row));
            let ((workload, number), span) = place.ok_or_else(|| self.rows.damaged(Table::Pages))?;
            let is_newer = || {
                let mut pages = batch.pages.iter();
                pages.any(|page| page.workload == workload && page.number == number)
            };
            if span.least < cutoff && !is_newer() {
                changes.page(workload, number, &row, cutoff)?;
                has_expired = true;
            }
        }
        Ok(has_expired)
    }

    /// Writes anew what compactions found to be expired in part.
    fn renew(&self, changes: &mut Changes<'_>) -> Result<(), LedgerError> {
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
}

/// Returns about how many octets a batch takes, so that they are not moved again and again while it grows.
fn expected_octets(batch: &Batch) -> usize {
    let paged: usize = batch.pages.iter().map(|page| page.row.len() + 32).sum();
    let named: usize = batch.names.rows.iter().map(|row| row.octets.len() + 64).sum();
    let holders = batch.holders.iter().map(Vec::len).sum::<usize>() * size_of::<Holder>();
    let waiting = batch.pending.len() * USUAL_PENDING + batch.judged.len() * size_of::<u64>();
    let alerts = (batch.alerts.len() + batch.deliver.len()) * USUAL_ALERT;
    4096 + paged + batch.journal.len() + named + holders + waiting + alerts
}

/// What a waiting contact and an alert take on average, rounded up: to size a batch before it is written.
const USUAL_PENDING: usize = 128;
const USUAL_ALERT: usize = 2560;

impl Changes<'_> {
    fn put(&mut self, table: Table, key: &[u8], row: impl AsRef<[u8]>) -> Result<(), LedgerError> {
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

    /// Deletes the rows of batches from one to another, once they are enough; returns up to which they are deleted then.
    fn trim<K: AsRef<[u8]>>(
        &mut self,
        table: Table,
        key: impl Fn(u64) -> K,
        (from, to): (u64, u64),
    ) -> Result<u64, LedgerError> {
        if to.saturating_sub(from) < PENDING_STEP {
            return Ok(from);
        }
        self.delete_range(table, key(from).as_ref(), key(to).as_ref())?;
        Ok(to)
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
        for workload in &batch.forgotten {
            self.delete(Table::Workloads, &v1::workload_key(*workload))?;
            self.delete(Table::State, &v1::unrecorded_key(*workload))?;
        }
        if !batch.journal.is_empty() {
            let journal = self.rows.family(Table::Journal)?;
            self.batch
                .put_cf(journal, v1::sequence_key(batch.sequence), &batch.journal);
        }
        for page in &batch.pages {
            self.page(page.workload, page.number, &page.row, cutoff)?;
        }
        if let Some(through) = batch.folded_through
            && through > folded
        {
            let (from, to) = (folded.saturating_add(1), through.saturating_add(1));
            self.delete_range(Table::Journal, &v1::sequence_key(from), &v1::sequence_key(to))?;
        }
        Ok(())
    }

    /// Writes a page; pairs whose last contact was before `cutoff` are left out.
    fn page(&mut self, workload: WorkloadId, number: u32, row: &[u8], cutoff: Timestamp) -> Result<(), LedgerError> {
        let key = v1::page_key(workload, number);
        let pages = self.rows.family(Table::Pages)?;
        let damaged = || self.rows.damaged(Table::Pages);
        if row.is_empty() {
            self.batch.delete_cf(pages, key);
            return Ok(());
        }
        let span = v1::page_span(row).ok_or_else(damaged)?;
        if span.least >= cutoff {
            self.batch.put_cf(pages, key, row);
            return Ok(());
        }
        let batch = v1::page_batch(row).ok_or_else(damaged)?;
        let mut pairs = Vec::new();
        let mut take = |stored: StoredPair| {
            if stored.pair.last() >= cutoff {
                pairs.push(stored);
            }
        };
        v1::page_pairs(row, None, &mut take).ok_or_else(damaged)?;
        if pairs.is_empty() {
            self.batch.delete_cf(pages, key);
        } else {
            let row = v1::encode_page(batch, &mut pairs.iter().map(|stored| stored.view(workload)));
            self.batch.put_cf(pages, key, row);
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
        if !batch.judged.is_empty() || !batch.pending.is_empty() || batch.waits_from.is_some() {
            let row = v1::encode_pending(batch.waits_from.unwrap_or(0), &batch.judged, &batch.pending);
            self.put(Table::Pending, &v1::sequence_key(batch.sequence), row)?;
        }
        if !batch.counted.is_empty() || batch.counted_from.is_some() {
            let row = v1::encode_budget(batch.counted_from.unwrap_or(0), &batch.counted);
            self.put(Table::State, &v1::counted_key(batch.sequence), row)?;
        }
        match &batch.state {
            Some(state) => self.put_json(Table::State, STATE, state),
            None => Ok(()),
        }
    }

    fn kept(&mut self, batch: &Batch) -> Result<(), LedgerError> {
        let kept = &batch.kept;
        if kept.is_whole || kept.limits.is_some() {
            self.put(Table::State, LIMITS, v1::encode_limits(kept.limits.as_ref()))?;
        }
        for (prefix, days) in [(&v1::PAIRS[..], &kept.pairs), (&v1::ALERTS[..], &kept.alerts)] {
            for (day, count) in days {
                let key = v1::day_key(prefix, *day);
                match count {
                    0 => self.delete(Table::State, &key)?,
                    _ => self.put(Table::State, &key, v1::encode_count(*count))?,
                }
            }
        }
        for (workload, unrecorded) in &kept.unrecorded {
            let row = v1::encode_unrecorded(unrecorded);
            self.put(Table::State, &v1::unrecorded_key(*workload), row)?;
        }
        Ok(())
    }

    fn names(&mut self, batch: &Batch) -> Result<(), LedgerError> {
        let own = v1::rows_of(&batch.names);
        for (number, row) in (0..).zip(own.iter().chain(&batch.names.rows)) {
            let key = v1::names_key(row.last_use, batch.sequence, number);
            self.put(Table::Names, &key, &row.octets)?;
        }
        Ok(())
    }

    /// Merges entries of the index into their buckets.
    fn index(&mut self, runs: &[Vec<Holder>]) -> Result<(), LedgerError> {
        let mut holders = runs.concat();
        // This sort finds the runs and merges them.
        holders.sort();
        holders.dedup();
        for bucket in holders.chunk_by(|a, b| v1::bucket(a.destination) == v1::bucket(b.destination)) {
            if let Some(first) = bucket.first() {
                let key = v1::bucket(first.destination);
                self.merge(Table::Holders, &key, v1::encode_holders(bucket))?;
            }
        }
        Ok(())
    }
}
