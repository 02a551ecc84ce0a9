//! Who was told of an address: an index that is written often and read seldom.
//!
//! Workers append, nothing is looked for; the judge spreads what was appended over buckets when it has a question, and
//! looks through one of them. An entry is a short hash of an address with the number of a client. It may be stale or
//! another address's by a collision: what the client itself holds decides.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bits of an entry that are the number of a client; the rest are of the hash.
const NUMBER_BITS: u32 = 24;
/// How many clients can be told apart: an entry stands for all whose numbers leave the same rest.
pub(super) const NUMBERS: usize = 1 << NUMBER_BITS;
const NUMBER_MASK: u64 = NUMBERS as u64 - 1;

/// How many buckets there are, by the front of the hash: of ten million entries one holds a few thousand, which are looked
/// through in a microsecond.
const BUCKET_BITS: u32 = 12;

/// The index.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Appended by workers.
    recent: Mutex<Vec<u64>>,
    buckets: Mutex<Buckets>,
}

/// Entries by the front of their hash.
#[derive(Debug)]
struct Buckets {
    buckets: Vec<Vec<u64>>,
    len: usize,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            buckets: vec![Vec::new(); 1 << BUCKET_BITS],
            len: 0,
        }
    }
}

impl Buckets {
    fn extend(&mut self, entries: &[u64]) {
        self.len += entries.len();
        for entry in entries {
            if let Some(bucket) = self.buckets.get_mut(place(*entry)) {
                bucket.push(*entry);
            }
        }
    }
}

/// Returns which bucket holds an entry, or those of a hash.
const fn place(entry: u64) -> usize {
    (entry >> (u64::BITS - BUCKET_BITS)) as usize
}

/// Returns the entry that says that a client was told of the address with this hash.
pub(super) const fn entry(hash: u64, number: u32) -> u64 {
    (hash & !NUMBER_MASK) | (number as u64 & NUMBER_MASK)
}

impl Told {
    /// Adds entries.
    pub fn extend(&self, entries: &[u64]) {
        self.recent().extend_from_slice(entries);
    }

    /// Returns the numbers, less multiples of [`NUMBERS`], of the clients that may have been told of the address with this
    /// hash, in order and once each.
    pub fn of(&self, hash: u64) -> Vec<u32> {
        let mut buckets = self.buckets();
        let mut recent = self.recent();
        buckets.extend(&recent);
        recent.clear();
        drop(recent);
        let same = |entry: &&u64| **entry & !NUMBER_MASK == hash & !NUMBER_MASK;
        let found = buckets.buckets.get(place(hash)).into_iter().flatten().filter(same);
        let mut numbers: Vec<u32> = found.map(|entry| (entry & NUMBER_MASK) as u32).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Returns how many entries there are, stale ones included.
    pub fn len(&self) -> usize {
        self.recent().len() + self.buckets().len
    }

    /// Replaces all entries.
    pub fn replace(&self, entries: &[u64]) {
        let mut buckets = self.buckets();
        *buckets = Buckets::default();
        buckets.extend(entries);
        self.recent().clear();
    }

    fn recent(&self) -> MutexGuard<'_, Vec<u64>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Two of four hashes share a bucket.
    fn spread(hash: u64) -> u64 {
        (hash / 2) << 60 | (hash % 2) << 40
    }

    proptest! {
        #[test]
        fn entries_are_found_whenever_they_were_added(
            steps in prop::collection::vec((prop::collection::vec((0_u64..4, 0_u32..50), 0..30), any::<bool>()), 1..20),
        ) {
            let told = Told::default();
            let mut all = BTreeSet::new();
            for (added, asks) in &steps {
                let entries: Vec<u64> = added.iter().map(|(hash, number)| entry(spread(*hash), *number)).collect();
                told.extend(&entries);
                all.extend(added.iter().copied());
                if *asks {
                    for hash in 0..4 {
                        let expected: Vec<u32> = all.iter().filter(|(h, _)| *h == hash).map(|(_, number)| *number).collect();
                        prop_assert_eq!(told.of(spread(hash)), expected);
                    }
                }
            }
        }
    }
}
