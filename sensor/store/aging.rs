//! What expires and what does not (rule B5).

use std::ops::RangeInclusive;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::model::*;

use super::table::Table;
use super::tests::{MEMORY, RETENTION, name, open, pairs_of};
use super::{Store, samples};

/// A ledger of day 0 with a page of two pairs, of which the second is seen again on day 100, and the same in the index.
fn aged(store: &Store) {
    let mut runner = TestRunner::deterministic();
    let mut pair = |slot, day: i64| {
        let mut stored = samples::stored(Just(slot)).new_tree(&mut runner).unwrap().current();
        let last = Timestamp(0).plus(Span::days(day));
        stored.pair = Pair::restored(last, last, 1);
        stored
    };
    let mut batch = Batch::empty(1, Timestamp(0));
    batch.workloads = vec![(WorkloadId(1), workload())];
    batch.pages = [(0, [0, 1], [0, 100]), (1, [64, 65], [0, 0])]
        .map(|(number, slots, days)| {
            let pairs: Vec<StoredPair> = slots.into_iter().zip(days).map(|(slot, day)| pair(slot, day)).collect();
            samples::page_with(WorkloadId(1), number, 1, &pairs)
        })
        .into();
    let holder = |workload, day| Holder {
        destination: 9,
        workload: WorkloadId(workload),
        day,
    };
    batch.holders = Arc::new(vec![vec![holder(1, 0)], vec![holder(2, 100)]]);
    batch.names = name(Timestamp(0), 60, 1);
    store.commit(&batch).unwrap();
}

fn workload() -> WorkloadRecord {
    let mut runner = TestRunner::deterministic();
    samples::workload().new_tree(&mut runner).unwrap().current()
}

fn slots(store: &Store) -> Vec<u32> {
    let pages = store.pages(WorkloadId(1)).unwrap();
    pages
        .into_iter()
        .flat_map(|page| pairs_of(store, &page))
        .map(|stored| stored.slot)
        .collect()
}

/// Commits empty batches that end on a day, each run as a fold, and compacts everything.
fn pass(store: &Store, sequences: RangeInclusive<u64>, day: i64) {
    for sequence in sequences {
        store
            .commit(&Batch::empty(sequence, Timestamp(0).plus(Span::days(day))))
            .unwrap();
    }
    store.rows.flush().unwrap();
    for table in Table::ALL {
        store.rows.compact(table).unwrap();
    }
}

#[test]
fn rule_b5_what_is_expired_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    aged(&store);
    let recent = RECENT as u64;
    pass(&store, 2..=recent + 1, 180);
    assert_eq!(slots(&store), [0, 1, 64, 65], "exactly the retention still counts");
    assert_eq!(
        store
            .names(Timestamp(0).plus(Span::hours(1)), Timestamp(0).plus(Span::hours(1)))
            .unwrap()
            .records,
        []
    );
    pass(&store, recent + 2..=2 * recent + 1, 181);
    assert_eq!(slots(&store), [0, 1], "the page without a live pair goes at once");
    assert!(!store.is_untidy());
    store
        .commit(&Batch::empty(2 * recent + 2, Timestamp(0).plus(Span::days(181))))
        .unwrap();
    assert_eq!(slots(&store), [1], "the other is written anew with the next batch");
    assert!(store.is_untidy());
    drop(store);
    let store = open(folder.path());
    assert_eq!(slots(&store), [1]);
    pass(&store, 2 * recent + 3..=3 * recent + 2, 281);
    assert_eq!(slots(&store), [0; 0]);
}

/// Says whether anything in the files of a folder holds these octets.
fn holds(folder: &std::path::Path, octets: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, octets);
        }
        let content = std::fs::read(path).unwrap();
        content.windows(octets.len()).any(|window| window == octets)
    })
}

#[test]
fn rule_b5_what_is_expired_leaves_the_disk_within_a_day_of_packet_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let days = |days: i64| Timestamp(0).plus(Span::days(days));
    let name = |n: u32, slot: u32| {
        let hash = (u128::from(2 * n + slot) + 1) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834;
        let letters = (0..20).map(|at| char::from(b'a' + (hash >> (6 * at) & 63) as u8 % 26));
        letters.collect::<String>()
    };
    let mut batch = Batch::empty(1, days(0));
    for n in 0..50 {
        batch.workloads.push((WorkloadId(n), workload()));
        // The second pair of each page is seen again.
        let pairs = [(0, 0), (1, 100)].map(|(slot, last)| {
            let mut pair = Pair::new(days(0));
            pair.extend(days(last));
            let key = PairKey::Domain(name(n, slot).into());
            StoredPair { slot, key, pair }
        });
        batch.pages.push(samples::page_with(WorkloadId(n), 0, 1, &pairs));
    }
    store.commit(&batch).unwrap();
    let mut sequence = 1;
    // Each batch is four hours, so that the present lags 100 days behind.
    let mut pass_until = |day: i64| {
        while sequence < 6 * (day as u64 + 100) {
            sequence += 1;
            let at = Timestamp(0).plus(Span::hours(4 * sequence as i64));
            store.commit(&Batch::empty(sequence, at)).unwrap();
            store.tidy().unwrap();
        }
    };
    let found = |slot: u32| {
        (0..50)
            .filter(|n| holds(folder.path(), name(*n, slot).as_bytes()))
            .count()
    };
    pass_until(180);
    // Compression takes some apart.
    assert!(found(0) > 10 && found(1) > 10);
    pass_until(182);
    assert!(found(0) == 0 && found(1) > 10, "{} {}", found(0), found(1));
    pass_until(282);
    assert_eq!(found(1), 0);
}

#[test]
fn rule_b5_one_wrong_clock_deletes_nothing() {
    let store = Store::temporary(MEMORY, RETENTION).unwrap();
    aged(&store);
    let recent = RECENT as u64;
    pass(&store, 2..=recent, 3000);
    assert_eq!(slots(&store), [0, 1, 64, 65]);
    assert_eq!(store.names(Timestamp(1), Timestamp(1)).unwrap().records.len(), 1);
    pass(&store, recent + 1..=recent + 1, 0);
    pass(&store, recent + 2..=2 * recent, 3000);
    assert_eq!(slots(&store), [0, 1, 64, 65]);
    pass(&store, 2 * recent + 1..=2 * recent + 1, 3000);
    assert_eq!(slots(&store), [0; 0]);
}

#[test]
fn rule_b5_an_old_capture_is_safe_from_its_first_batch() {
    let store = Store::temporary(MEMORY, RETENTION).unwrap();
    let recent = RECENT as u64;
    pass(&store, 1..=recent, 3000);
    let mut runner = TestRunner::deterministic();
    let mut batch = Batch::empty(recent + 1, Timestamp(0));
    let mut stored = samples::stored(Just(5)).new_tree(&mut runner).unwrap().current();
    stored.pair = Pair::new(Timestamp(0));
    batch.pages = vec![samples::page_with(WorkloadId(1), 0, 1, &[stored])];
    store.commit(&batch).unwrap();
    store.rows.flush().unwrap();
    store.rows.compact(Table::Pages).unwrap();
    assert_eq!(slots(&store), [5]);
}
