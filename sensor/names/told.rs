//! Who was told of an address: an index that is written often and read seldom.
//!
//! Workers append, nothing is looked for. When the judge has a question, it spreads what was appended over buckets, and
//! sorts what came to the one that it asks: by address, then by client. An address may have been told to a million clients,
//! so the judge never looks at all of them: it goes through clients in their order, from where it wants to, and leaves out
//! whole ranges. An entry is a short hash of an address with the number of a client. It may be stale or another address's
//! by a collision: what the client itself holds decides.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::map::Client;

/// The bits of an entry that are the number of a client; the rest are of the hash.
const NUMBER_BITS: u32 = 32;

/// How many buckets there are, by the front of the hash: of ten million entries one holds a few thousand.
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
    buckets: Vec<Bucket>,
    len: usize,
}

/// Entries in runs, each in order, and at least twice as long as the next: so an entry is moved a few times in its life,
/// and a question meets a few runs.
#[derive(Debug, Clone, Default)]
struct Bucket {
    runs: Vec<Vec<u64>>,
    unsorted: Vec<u64>,
}

/// Where to go on among the clients that were told of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// At the next one.
    One,
    /// At the first one that is not before this one; one that was passed does not come again.
    From(Client),
    /// Nowhere.
    End,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            buckets: vec![Bucket::default(); 1 << BUCKET_BITS],
            len: 0,
        }
    }
}

impl Buckets {
    fn extend(&mut self, entries: &[u64]) {
        self.len += entries.len();
        for entry in entries {
            if let Some(bucket) = self.buckets.get_mut(place(*entry)) {
                bucket.unsorted.push(*entry);
            }
        }
    }
}

impl Bucket {
    /// Brings what was added into order.
    fn sort(&mut self, client_of: &impl Fn(u64) -> Client) {
        if self.unsorted.is_empty() {
            return;
        }
        let key = |entry: u64| (front(entry), client_of(entry));
        // Clients lie elsewhere, and a sort asks for each many times.
        let mut keyed: Vec<_> = self.unsorted.drain(..).map(|entry| (key(entry), entry)).collect();
        keyed.sort_unstable();
        keyed.dedup();
        self.runs.push(keyed.into_iter().map(|(_, entry)| entry).collect());
        self.unsorted.shrink_to(0);
        while let [.., before, last] = self.runs.as_slice() {
            if before.len() >= 2 * last.len() {
                break;
            }
            let merged = merged(before, last, key);
            self.runs.truncate(self.runs.len() - 2);
            self.runs.push(merged);
        }
    }

    /// Returns what there is of an address in each run.
    fn of(&self, hash: u64) -> impl Iterator<Item = &[u64]> {
        self.runs.iter().filter_map(move |run| {
            let from = run.partition_point(|entry| front(*entry) < front(hash));
            let rest = run.get(from..)?;
            let end = rest.partition_point(|entry| front(*entry) == front(hash));
            rest.get(..end).filter(|found| !found.is_empty())
        })
    }
}

fn merged<K: Ord>(a: &[u64], b: &[u64], key: impl Fn(u64) -> K) -> Vec<u64> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    while let (Some(&left), Some(&right)) = (a.peek(), b.peek()) {
        merged.extend(if key(left) <= key(right) { a.next() } else { b.next() });
    }
    merged.extend(a.chain(b));
    merged
}

/// Returns which bucket holds an entry, or those of a hash.
const fn place(entry: u64) -> usize {
    (entry >> (u64::BITS - BUCKET_BITS)) as usize
}

/// Returns what an entry has of the hash of its address.
const fn front(entry: u64) -> u64 {
    entry >> NUMBER_BITS
}

/// Returns the entry that says that a client was told of the address with this hash.
pub(super) const fn entry(hash: u64, number: u32) -> u64 {
    front(hash) << NUMBER_BITS | number as u64
}

/// Returns the number of an entry's client.
pub(super) const fn number(entry: u64) -> usize {
    entry as u32 as usize
}

impl Told {
    /// Adds entries.
    pub fn extend(&self, entries: &[u64]) {
        self.recent().extend_from_slice(entries);
    }

    /// Hands the clients that may have been told of the address with this hash to `take`, in order and once each, from one
    /// on; `take` says where to go on. Which client an entry stands for is not to change as long as there is that entry.
    pub fn visit(
        &self,
        hash: u64,
        from: Client,
        client_of: impl Fn(u64) -> Client,
        mut take: impl FnMut(Client) -> Next,
    ) {
        let buckets = self.sorted(hash, &client_of);
        let Some(bucket) = buckets.buckets.get(place(hash)) else {
            return;
        };
        let mut runs: Vec<&[u64]> = bucket.of(hash).collect();
        let seek = |runs: &mut Vec<&[u64]>, from: Client| {
            for run in runs.iter_mut() {
                let passed = run.partition_point(|entry| client_of(*entry) < from);
                *run = run.get(passed..).unwrap_or_default();
            }
            runs.retain(|run| !run.is_empty());
        };
        seek(&mut runs, from);
        while let Some(client) = runs
            .iter()
            .filter_map(|run| run.first())
            .map(|entry| client_of(*entry))
            .min()
        {
            for run in runs.iter_mut() {
                let same = run.iter().take_while(|entry| client_of(**entry) == client).count();
                *run = run.get(same..).unwrap_or_default();
            }
            match take(client) {
                Next::One => {}
                Next::From(from) => seek(&mut runs, from),
                Next::End => return,
            }
        }
    }

    /// Returns how many entries there are of the address with this hash.
    pub fn count(&self, hash: u64, client_of: impl Fn(u64) -> Client) -> usize {
        let buckets = self.sorted(hash, &client_of);
        let bucket = buckets.buckets.get(place(hash));
        bucket.map_or(0, |bucket| bucket.of(hash).map(<[u64]>::len).sum())
    }

    /// Returns the buckets with the one of a hash in order.
    fn sorted(&self, hash: u64, client_of: &impl Fn(u64) -> Client) -> MutexGuard<'_, Buckets> {
        let mut buckets = self.buckets();
        let mut recent = self.recent();
        buckets.extend(&recent);
        recent.clear();
        drop(recent);
        if let Some(bucket) = buckets.buckets.get_mut(place(hash)) {
            bucket.sort(client_of);
        }
        buckets
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
    use crate::model::{Address, Segment};

    /// Two of four hashes share a bucket.
    fn spread(hash: u64) -> u64 {
        (hash / 2) << 60 | (hash % 2) << 40
    }

    /// The client with a number; the order of one is not that of the other.
    fn client(number: u32) -> Client {
        let host = (number * 7919 % 251) as u8;
        (Segment::vni(number % 3), Address::v4([10, 0, 0, host]))
    }

    proptest! {
        #[test]
        fn entries_are_found_whenever_they_were_added(
            steps in prop::collection::vec((prop::collection::vec((0_u64..4, 0_u32..200), 0..60), any::<bool>()), 1..20),
            from in 0_u32..200,
            past in 0_u32..200,
        ) {
            let told = Told::default();
            let client_of = |entry| client(number(entry) as u32);
            let mut all = BTreeSet::new();
            for (added, asks) in &steps {
                let entries: Vec<u64> = added.iter().map(|(hash, number)| entry(spread(*hash), *number)).collect();
                told.extend(&entries);
                all.extend(added.iter().map(|(hash, number)| (*hash, client(*number))));
                if !*asks {
                    continue;
                }
                for hash in 0..4 {
                    let of = all.iter().filter(|(h, _)| *h == hash).map(|(_, client)| *client);
                    let of: Vec<Client> = of.filter(|told| *told >= client(from)).collect();
                    let mut found = Vec::new();
                    told.visit(spread(hash), client(from), client_of, |client| {
                        found.push(client);
                        Next::One
                    });
                    prop_assert_eq!(&found, &of);
                    prop_assert!(told.count(spread(hash), client_of) >= of.len());
                    // After the third, nothing before one of them.
                    let mut some = Vec::new();
                    told.visit(spread(hash), client(from), client_of, |one| {
                        some.push(one);
                        match some.len() {
                            3 => Next::From(client(past)),
                            6 => Next::End,
                            _ => Next::One,
                        }
                    });
                    let (first, rest) = of.split_at(of.len().min(3));
                    let rest = rest.iter().filter(|told| **told >= client(past)).take(3);
                    let expected: Vec<Client> = first.iter().chain(rest).copied().collect();
                    prop_assert_eq!(some, expected);
                }
            }
        }

        #[test]
        fn runs_are_few(lengths in prop::collection::vec(1_u32..40, 1..60)) {
            let told = Told::default();
            let mut next = 0;
            for length in lengths {
                let entries: Vec<u64> = (next..next + length).map(|number| entry(0, number)).collect();
                next += length;
                told.extend(&entries);
                let sorted = told.sorted(0, &|entry| client(number(entry) as u32));
                let runs = &sorted.buckets[0].runs;
                prop_assert!(runs.len() <= next.ilog2() as usize + 1, "{} runs of {next} entries", runs.len());
                prop_assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), next as usize);
            }
        }
    }
}
