//! Who was told of an address: an index that is written often and read seldom.
//!
//! Workers append, nothing is looked for; the few questions are answered from sorted runs. An entry is a short hash of
//! an address with the number of a client. It may be stale or another address's by a collision: what the client
//! itself holds decides.

use std::sync::{Mutex, PoisonError};

use crate::model::Runs;

/// The bits of an entry that are the number of a client; the rest are of the hash.
const NUMBER_BITS: u32 = 24;
/// How many clients can be told apart: an entry stands for all whose numbers leave the same rest.
pub(super) const NUMBERS: usize = 1 << NUMBER_BITS;
const NUMBER_MASK: u64 = NUMBERS as u64 - 1;

/// The index.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Appended by workers.
    recent: Mutex<Vec<u64>>,
    runs: Mutex<Runs<u64>>,
}

/// Returns the entry that says that a client was told of the address with this hash.
pub(super) const fn entry(hash: u64, number: u32) -> u64 {
    (hash & !NUMBER_MASK) | (number as u64 & NUMBER_MASK)
}

impl Told {
    /// Adds entries.
    pub fn extend(&self, entries: &[u64]) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend_from_slice(entries);
    }

    /// Returns the numbers, less multiples of [`NUMBERS`], of the clients that may have been told of the address with this
    /// hash, in order and once each.
    pub fn of(&self, hash: u64) -> Vec<u32> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = std::mem::take(&mut *self.recent.lock().unwrap_or_else(PoisonError::into_inner));
        runs.add(recent);
        let wanted = entry(hash, 0);
        let found = runs.same(|entry| (entry & !NUMBER_MASK).cmp(&wanted));
        let mut numbers: Vec<u32> = found.map(|entry| (entry & NUMBER_MASK) as u32).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Returns how many entries there are, stale ones included.
    pub fn len(&self) -> usize {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).len();
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.len() + recent
    }

    /// Replaces all entries.
    pub fn replace(&self, entries: Vec<u64>) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        *runs = Runs::default();
        runs.add(entries);
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_found_whenever_they_were_added(
            steps in prop::collection::vec((prop::collection::vec((0_u64..4, 0_u32..50), 0..30), any::<bool>()), 1..20),
        ) {
            let told = Told::default();
            let mut all = BTreeSet::new();
            for (added, asks) in &steps {
                let entries: Vec<u64> = added.iter().map(|(hash, number)| entry(hash << 40, *number)).collect();
                told.extend(&entries);
                all.extend(added.iter().copied());
                if *asks {
                    for hash in 0..4 {
                        let expected: Vec<u32> = all.iter().filter(|(h, _)| *h == hash).map(|(_, number)| *number).collect();
                        prop_assert_eq!(told.of(hash << 40), expected);
                    }
                }
            }
        }
    }
}
