//! Expiry by packet time (rule B5): what compaction may drop, and when.
//!
//! The store takes as the present the least end of its last [`RECENT`] epochs, so that one wrong clock deletes nothing,
//! and an old capture is safe as soon as its first batch is committed. The times of those epochs are rows of the ledger;
//! until there are that many, nothing expires.
//!
//! A compaction filter of rocksdb 0.25 can change a row only to octets that live for ever. So filters remove rows in
//! which everything is expired, and mark those in which something is; the next batches write the marked rows anew.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::CompactionDecision;

use crate::model::{AnswerFacts, Day, Span, Timestamp, kept_until};

use super::v1;

/// How many epochs must agree that it is late enough to delete something.
pub const RECENT: usize = 600;

/// How much longer than a pair its entry in the index lives: a pair in use writes its entry anew only now and then.
const HOLDER_GRACE: Span = Span::days(60);

/// The longest that a name is kept after its last answer, whatever its time to live: a forged one may say 136 years.
const NAME_CAP: Span = Span::days(180);

/// How many rows of each kind are marked at most; a compaction finds the others again.
const MARKED: usize = 4096;

/// What is expired now; written by commits, read by compactions.
#[derive(Debug)]
pub struct Expiry {
    retention: Span,
    present: AtomicI64,
    marked: Mutex<Marked>,
}

/// Keys of rows in which something is expired, and something is not.
#[derive(Debug, Default)]
struct Marked {
    pages: BTreeSet<[u8; 8]>,
    buckets: BTreeSet<[u8; 2]>,
}

impl Expiry {
    /// Returns a state in which nothing is expired.
    pub const fn new(retention: Span) -> Self {
        Self {
            retention,
            present: AtomicI64::new(i64::MIN),
            marked: Mutex::new(Marked {
                pages: BTreeSet::new(),
                buckets: BTreeSet::new(),
            }),
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

    /// Takes up to `most` keys of pages to write anew.
    pub fn take_pages(&self, most: usize) -> Vec<[u8; 8]> {
        let mut marked = self.marked();
        std::iter::from_fn(|| marked.pages.pop_first()).take(most).collect()
    }

    /// Takes up to `most` keys of buckets to write anew.
    pub fn take_buckets(&self, most: usize) -> Vec<[u8; 2]> {
        let mut marked = self.marked();
        std::iter::from_fn(|| marked.buckets.pop_first()).take(most).collect()
    }

    fn marked(&self) -> MutexGuard<'_, Marked> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when a name is of use for the last time: alive, or kept to say that it is expired (rule N3).
pub fn last_use(name: &AnswerFacts) -> Timestamp {
    kept_until(name.last, name.greatest_ttl, name.expires).min(name.last.plus(NAME_CAP))
}

/// Decides about a page: removed if all of its pairs are expired, marked if some are.
pub fn decide_page(expiry: &Expiry, key: &[u8], row: &[u8]) -> CompactionDecision {
    let cutoff = expiry.pair_cutoff();
    let Some(span) = v1::page_span(row) else {
        return CompactionDecision::Keep;
    };
    if span.greatest < cutoff {
        return CompactionDecision::Remove;
    }
    if span.least < cutoff
        && let Ok(key) = key.try_into()
    {
        let mut marked = expiry.marked();
        if marked.pages.len() < MARKED {
            marked.pages.insert(key);
        }
    }
    CompactionDecision::Keep
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
        if marked.buckets.len() < MARKED {
            marked.buckets.insert(key);
        }
    }
    CompactionDecision::Keep
}

/// Decides about a row of names by its key, which says when its last record is of use.
pub fn decide_names(expiry: &Expiry, key: &[u8]) -> CompactionDecision {
    if key < v1::last_use_key(expiry.present()).as_slice() {
        CompactionDecision::Remove
    } else {
        CompactionDecision::Keep
    }
}

/// The ends of the last [`RECENT`] epochs that were committed.
#[derive(Debug, Default)]
pub struct RecentEpochs {
    ends: Vec<Option<Timestamp>>,
}

impl RecentEpochs {
    /// Returns the place of a batch; every [`RECENT`]th batch has the same.
    pub const fn place(sequence: u64) -> usize {
        (sequence % RECENT as u64) as usize
    }

    /// Puts an epoch in its place.
    pub fn put(&mut self, place: usize, end: Timestamp) {
        self.ends.resize(RECENT, None);
        if let Some(slot) = self.ends.get_mut(place) {
            *slot = Some(end);
        }
    }

    /// Returns the least end, once `end` were put at `place`; [`Timestamp::MIN`] while places are free.
    pub fn least_with(&self, place: usize, end: Timestamp) -> Timestamp {
        if self.ends.len() < RECENT {
            return Timestamp::MIN;
        }
        let others = self.ends.iter().enumerate().filter(|&(at, _)| at != place);
        others
            .map(|(_, slot)| slot.unwrap_or(Timestamp::MIN))
            .min()
            .map_or(end, |least| least.min(end))
    }

    /// Returns the least end; [`Timestamp::MIN`] while places are free.
    pub fn least(&self) -> Timestamp {
        if self.ends.len() < RECENT {
            return Timestamp::MIN;
        }
        let least = self.ends.iter().map(|slot| slot.unwrap_or(Timestamp::MIN)).min();
        least.unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_clock_moves_the_present_by_nothing() {
        let mut recent = RecentEpochs::default();
        for sequence in 1..=599 {
            recent.put(RecentEpochs::place(sequence), Timestamp(1000));
        }
        assert_eq!(recent.least(), Timestamp::MIN);
        assert_eq!(recent.least_with(RecentEpochs::place(600), Timestamp(9)), Timestamp(9));
        recent.put(RecentEpochs::place(600), Timestamp(i64::MAX));
        assert_eq!(recent.least(), Timestamp(1000));
        assert_eq!(
            recent.least_with(RecentEpochs::place(601), Timestamp(-5)),
            Timestamp(-5)
        );
        for sequence in 601..=1199 {
            recent.put(RecentEpochs::place(sequence), Timestamp(2000));
        }
        assert_eq!(recent.least(), Timestamp(2000));
    }
}
