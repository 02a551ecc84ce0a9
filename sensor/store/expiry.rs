//! Expiry by packet time (rule B5): what compaction may drop, and when.
//!
//! The present is that of [`crate::model::RecentEpochs`]; the times of those epochs are rows of the ledger.
//!
//! A compaction filter of rocksdb 0.25 can change a row only to octets that live for ever. So filters remove rows in
//! which everything is expired. Pages in which something is are written anew once a day of packet time, as commits go
//! through all of them bit by bit; buckets of the index are marked by the filter, and the next batches write them anew.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::CompactionDecision;

use crate::model::{AnswerFacts, Day, Span, Timestamp, kept_until};

use super::v1;

/// How much longer than a pair its entry in the index lives: a pair in use writes its entry anew only now and then.
const HOLDER_GRACE: Span = Span::days(60);

/// The longest that a name is kept after its last answer, whatever its time to live: a forged one may say 136 years.
const NAME_CAP: Span = Span::days(180);

/// How many buckets are marked at most; a compaction finds the others again.
const MARKED: usize = 4096;

/// What is expired now; written by commits, read by compactions.
#[derive(Debug)]
pub struct Expiry {
    retention: Span,
    present: AtomicI64,
    /// Keys of buckets in which something is expired, and something is not.
    marked: Mutex<BTreeSet<[u8; 2]>>,
}

impl Expiry {
    /// Returns a state in which nothing is expired.
    pub const fn new(retention: Span) -> Self {
        Self {
            retention,
            present: AtomicI64::new(i64::MIN),
            marked: Mutex::new(BTreeSet::new()),
        }
    }

    /// Returns how long a pair is kept.
    pub const fn retention(&self) -> Span {
        self.retention
    }

    /// Sets the present.
    pub fn set_present(&self, present: Timestamp) {
        self.present.store(present.0, Ordering::Relaxed);
    }

    /// Returns the present; [`Timestamp::MIN`] while nothing expires.
    pub fn present(&self) -> Timestamp {
        Timestamp(self.present.load(Ordering::Relaxed))
    }

    /// Returns the instant before which the last contact of an expired pair was.
    pub fn pair_cutoff(&self) -> Timestamp {
        self.present().minus(self.retention)
    }

    /// Returns the day before which an expired entry of the index was written.
    pub fn holder_cutoff(&self) -> Day {
        self.pair_cutoff().minus(HOLDER_GRACE).day()
    }

    /// Takes up to `most` keys of buckets to write anew.
    pub fn take_buckets(&self, most: usize) -> Vec<[u8; 2]> {
        let mut marked = self.marked();
        std::iter::from_fn(|| marked.pop_first()).take(most).collect()
    }

    fn marked(&self) -> MutexGuard<'_, BTreeSet<[u8; 2]>> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when a name is of use for the last time: alive, or kept to say that it is expired (rule N3).
pub fn last_use(name: &AnswerFacts) -> Timestamp {
    kept_until(name.last, name.greatest_ttl, name.expires).min(name.last.plus(NAME_CAP))
}

/// Decides about a page: removed if all of its pairs are expired.
pub fn decide_page(expiry: &Expiry, row: &[u8]) -> CompactionDecision {
    let cutoff = expiry.pair_cutoff();
    removed_if(v1::page_span(row).is_some_and(|span| span.greatest < cutoff))
}

/// Decides about an alert: removed if its contact began before a pair that is expired had its last one.
pub fn decide_alert(expiry: &Expiry, row: &[u8]) -> CompactionDecision {
    let cutoff = expiry.pair_cutoff();
    removed_if(v1::time_of_alert(row).is_some_and(|ts| ts < cutoff))
}

const fn removed_if(is_expired: bool) -> CompactionDecision {
    if is_expired {
        CompactionDecision::Remove
    } else {
        CompactionDecision::Keep
    }
}

/// Decides about a bucket of the index: removed if all of its entries are expired, marked if some are.
pub fn decide_bucket(expiry: &Expiry, key: &[u8], row: &[u8]) -> CompactionDecision {
    let cutoff = expiry.holder_cutoff().0;
    let (mut live, mut expired) = (false, false);
    for holder in v1::decode_holders(row) {
        live |= holder.day >= cutoff;
        expired |= holder.day < cutoff;
    }
    if !expired {
        return CompactionDecision::Keep;
    }
    if !live {
        return CompactionDecision::Remove;
    }
    if let Ok(key) = key.try_into() {
        let mut marked = expiry.marked();
        if marked.len() < MARKED {
            marked.insert(key);
        }
    }
    CompactionDecision::Keep
}

/// Decides about a row of names by its key, which says when its last record is of use.
pub fn decide_names(expiry: &Expiry, key: &[u8]) -> CompactionDecision {
    removed_if(key < v1::last_use_key(expiry.present()).as_slice())
}
