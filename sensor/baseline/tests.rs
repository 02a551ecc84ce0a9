//! What is handed on to the ledger and what is forgotten.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::model::*;

use super::{Baseline, ContactFacts};

const WORKLOAD: WorkloadId = WorkloadId(1);

/// A ledger that keeps pages as they were written.
#[derive(Default)]
pub struct Paper {
    pages: Mutex<BTreeMap<(WorkloadId, u32), Sheet>>,
    journal: Vec<(u64, Vec<PairChange>)>,
}

/// A page; its row says only whose it is.
#[derive(Clone)]
struct Sheet {
    batch: u64,
    pairs: Vec<StoredPair>,
}

/// The baseline writes no names.
struct NoNames;

impl NameWriter for NoNames {
    fn add(&mut self, _: &NameView<'_>) {}

    fn take(&mut self) -> Vec<NameRow> {
        Vec::new()
    }

    fn reuse(&mut self, _: Vec<u8>) {}
}

impl Paper {
    fn sheet(&self, page: &StoredPage) -> Sheet {
        let workload = WorkloadId(u32::from_le_bytes(page.row[..].try_into().unwrap()));
        self.pages.lock().unwrap()[&(workload, page.number)].clone()
    }
}

fn owned(view: &PairView<'_>) -> StoredPair {
    let key = match view.key {
        PairKeyView::Text(_, text) => PairKey::Domain(text.into()),
        PairKeyView::Address(_, address) => PairKey::Address(address),
    };
    let (slot, pair) = (view.slot, view.pair.clone());
    StoredPair { slot, key, pair }
}

impl Ledger for Paper {
    fn opening(&self) -> Result<Opening, LedgerError> {
        Ok(Opening::default())
    }

    fn journal(&self, take: &mut dyn FnMut(u64, Vec<PairChange>)) -> Result<(), LedgerError> {
        self.journal
            .iter()
            .for_each(|(row, changes)| take(*row, changes.clone()));
        Ok(())
    }

    fn names(&self, _: Timestamp, _: Timestamp) -> Result<SavedNames, LedgerError> {
        Ok(SavedNames::default())
    }

    fn name_writer(&self) -> Box<dyn NameWriter> {
        Box::new(NoNames)
    }

    fn end_names(&self, _: &mut NameRow, _: &dyn Fn(Segment) -> Arc<str>) {}

    fn pages(&self, workload: WorkloadId) -> Result<Vec<StoredPage>, LedgerError> {
        let pages = self.pages.lock().unwrap();
        let own = pages.iter().filter(|((of, _), _)| *of == workload);
        let stored = own.map(|((_, number), sheet)| StoredPage {
            number: *number,
            batch: sheet.batch,
            least: sheet.pairs.iter().map(|stored| stored.pair.last()).min().unwrap(),
            row: Box::new(workload.0.to_le_bytes()),
        });
        Ok(stored.collect())
    }

    fn slots(&self, page: &StoredPage, take: &mut dyn FnMut(u32, PairKeyView<'_>)) -> Result<(), LedgerError> {
        self.sheet(page)
            .pairs
            .iter()
            .for_each(|stored| take(stored.slot, stored.key.view()));
        Ok(())
    }

    fn pairs(&self, page: &StoredPage, slot: Option<u32>, take: &mut dyn FnMut(StoredPair)) -> Result<(), LedgerError> {
        let pairs = self.sheet(page).pairs.into_iter();
        pairs
            .filter(|stored| slot.is_none_or(|slot| slot == stored.slot))
            .for_each(take);
        Ok(())
    }

    fn add_to_journal(&self, row: &mut JournalRow, pair: PairView<'_>) {
        row.octets.push((pair.slot % 256) as u8);
        row.pairs += 1;
    }

    fn page_row(&self, batch: u64, pairs: &mut dyn Iterator<Item = PairView<'_>>) -> Vec<u8> {
        let mut pairs = pairs.peekable();
        let (workload, slot) = pairs.peek().map(|view| (view.workload, view.slot)).unwrap();
        let pairs = pairs.map(|view| owned(&view)).collect();
        let key = (workload, slot / StoredPair::A_PAGE);
        self.pages.lock().unwrap().insert(key, Sheet { batch, pairs });
        workload.0.to_le_bytes().to_vec()
    }

    fn holders(&self, _: u64) -> Result<Vec<WorkloadId>, LedgerError> {
        Ok(Vec::new())
    }

    fn alert(&self, _: AlertId) -> Result<Option<AlertRecord>, LedgerError> {
        Ok(None)
    }
}

fn key(n: u32) -> PairKey {
    PairKey::Domain(format!("{n}.example").into())
}

fn facts(at: i64) -> ContactFacts<'static> {
    ContactFacts {
        first: Timestamp(at),
        last: Timestamp(at),
        octets_out: 1,
        octets_in: 1,
        port: Some(443),
        name: None,
    }
}

fn baseline() -> Baseline {
    with_limit(1000)
}

fn with_limit(limit: usize) -> Baseline {
    Baseline::new(Span::days(90), Span::days(180), limit)
}

fn count(baseline: &mut Baseline, ledger: &Paper, n: u32) -> Option<u32> {
    let pair = baseline.pair(ledger, WORKLOAD, &key(n), Timestamp(0)).unwrap();
    pair.map(|pair| pair.count)
}

fn stored(slot: u32, count: u32) -> StoredPair {
    let mut pair = Pair::new(Timestamp(0));
    pair.count = count;
    let key = key(slot);
    StoredPair { slot, key, pair }
}

#[test]
fn a_journal_row_that_is_older_than_a_page_changes_nothing_of_it() {
    let mut ledger = Paper::default();
    let page = Sheet {
        batch: 5,
        pairs: vec![stored(0, 9), stored(1, 9)],
    };
    ledger.pages.lock().unwrap().insert((WORKLOAD, 0), page);
    let change = |slot, count| PairChange {
        workload: WORKLOAD,
        stored: stored(slot, count),
    };
    let mut baseline = baseline();
    ledger.journal = vec![
        (4, vec![change(0, 1)]),
        (5, vec![change(1, 2), change(64, 3)]),
        (6, vec![change(1, 4)]),
    ];
    baseline.resume(&ledger, 7).unwrap();
    let counts: Vec<Option<u32>> = [0, 1, 64].map(|n| count(&mut baseline, &ledger, n)).into();
    assert_eq!(counts, [Some(9), Some(4), Some(3)]);
    for n in [0, 1, 64] {
        assert_eq!(baseline.holders(&ledger, &key(n)).unwrap(), [WORKLOAD]);
    }
}

#[test]
fn what_only_memory_has_is_one_more_row_at_the_end_and_nothing_is_written_twice() {
    let ledger = Paper::default();
    let mut baseline = baseline();
    baseline.begin(1, Timestamp::MIN);
    let places = [0, 1, 2].map(|n| baseline.record(&ledger, WORKLOAD, &key(n), &facts(0), None).unwrap());
    assert_eq!(baseline.take_journal(), [0, 1, 2]);
    baseline.begin(2, Timestamp::MIN);
    baseline.extend(&ledger, places[1], Timestamp(9), 5, 5).unwrap();
    baseline.record(&ledger, WORKLOAD, &key(2), &facts(1), None).unwrap();
    assert!(baseline.take_journal().is_empty(), "neither must survive a crash");
    baseline.begin(3, Timestamp::MIN);
    let (row, folded) = baseline.finish(&ledger, 100).unwrap().unwrap();
    assert_eq!((row, folded.through, folded.pages.len()), (vec![1, 2], None, 0));
    assert!(baseline.finish(&ledger, 100).unwrap().is_none());
}

#[test]
fn of_too_many_pairs_the_longest_unused_are_folded_then_forgotten_and_read_back() {
    let ledger = Paper::default();
    let mut baseline = with_limit(50);
    baseline.begin(1, Timestamp::MIN);
    for n in 0..100 {
        baseline.record(&ledger, WORKLOAD, &key(n), &facts(0), None).unwrap();
    }
    let mut holders = Vec::new();
    let mut rows = 0;
    for batch in 1..2000 {
        baseline.begin(batch, Timestamp::MIN);
        if batch % 10 == 0 {
            let busy = WorkloadId(2);
            baseline.record(&ledger, busy, &key(1), &facts(0), None).unwrap();
        }
        rows += usize::from(!baseline.take_journal().is_empty());
        let folded = baseline.fold(&ledger, None).unwrap();
        holders.extend(folded.holders.iter().flatten().copied());
        if !folded.pages.is_empty() {
            assert_eq!((folded.pages.len(), folded.through), (2, Some(1)));
        }
    }
    // The busy workload has one pair that is known, so one row; the idle one's row went when its pages were written.
    assert_eq!((rows, baseline.loaded_pairs), (2, 1));
    assert_eq!(holders.len(), 101);
    assert_eq!(count(&mut baseline, &ledger, 99), Some(1));
    assert_eq!(baseline.loaded_pairs, 101);
}

#[test]
fn rule_b5_slots_of_expired_pairs_are_used_again_and_a_page_without_any_goes() {
    let ledger = Paper::default();
    let mut baseline = baseline();
    let days = |days: i64| Timestamp(0).plus(Span::days(days));
    baseline.begin(1, Timestamp::MIN);
    for n in 0..200 {
        // Of the second page one pair is seen again.
        let last = if n == 70 { 100 } else { 0 };
        let facts = ContactFacts {
            last: days(last),
            ..facts(0)
        };
        baseline.record(&ledger, WORKLOAD, &key(n), &facts, None).unwrap();
    }
    baseline.take_journal();
    baseline.begin(2, days(180));
    assert_eq!(baseline.fold(&ledger, Some(0..2)).unwrap().pages.len(), 4);
    assert_eq!(baseline.loaded_pairs, 200, "exactly the retention still counts");
    baseline.begin(3, days(181));
    assert!(baseline.fold(&ledger, Some(0..2)).unwrap().pages.is_empty());
    assert_eq!(baseline.loaded_pairs, 1);
    let mut added = |n: u32| {
        baseline
            .record(&ledger, WORKLOAD, &key(n), &facts(days(181).0), None)
            .unwrap()
            .slot
    };
    let slots: Vec<u32> = (1000..1072).map(&mut added).collect();
    // 70 has a pair; the pages behind the second are gone.
    assert!(slots.into_iter().eq((0..70).chain(71..73)));
    assert_eq!(added(70), 70);
}

#[test]
fn rule_b5_what_the_ledger_still_shows_of_expired_pairs_is_as_absent() {
    let days = |days: i64| Timestamp(0).plus(Span::days(days));
    let at = |slot: u32, n: u32, day: i64| {
        let key = key(n);
        StoredPair {
            slot,
            key,
            pair: Pair::new(days(day)),
        }
    };
    let mut ledger = Paper::default();
    let page = Sheet {
        batch: 5,
        pairs: vec![at(0, 0, 0), at(1, 1, 50)],
    };
    ledger.pages.lock().unwrap().insert((WORKLOAD, 0), page);
    let mut baseline = baseline();
    baseline.begin(9, days(200));
    // Slot 2 was another pair's that is expired; slot 1 is taken over by a newer row.
    let change = |stored| PairChange {
        workload: WORKLOAD,
        stored,
    };
    ledger.journal = vec![
        (6, vec![change(at(2, 2, 0)), change(at(3, 3, 0))]),
        (7, vec![change(at(2, 4, 190)), change(at(1, 5, 190))]),
    ];
    baseline.resume(&ledger, 9).unwrap();
    let mut is_there = |n: u32| baseline.pair(&ledger, WORKLOAD, &key(n), days(150)).unwrap().is_some();
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(&mut is_there),
        [false, false, false, false, true, true]
    );
    assert_eq!(baseline.loaded_pairs, 2);
    let slot = baseline
        .record(&ledger, WORKLOAD, &key(6), &facts(days(200).0), None)
        .unwrap()
        .slot;
    assert_eq!(slot, 0);
}

#[test]
fn of_a_page_that_was_read_one_pair_changes_and_all_are_written() {
    let ledger = Paper::default();
    let pairs: Vec<StoredPair> = (0..64).filter(|n| n % 3 > 0).map(|n| stored(n, n)).collect();
    let page = Sheet { batch: 5, pairs };
    ledger.pages.lock().unwrap().insert((WORKLOAD, 0), page.clone());
    let mut baseline = with_limit(10);
    baseline.begin(6, Timestamp::MIN);
    assert_eq!(baseline.destinations(&ledger, WORKLOAD).unwrap(), 42);
    assert_eq!(
        baseline.place_of(&ledger, WORKLOAD, &key(0)).unwrap(),
        None,
        "slot 0 is free"
    );
    let place = baseline.record(&ledger, WORKLOAD, &key(40), &facts(0), None).unwrap();
    assert_eq!(place.slot, 40);
    // Too many are in memory; they go once their page is written and the ledger shows it.
    let written = (7..1000).flat_map(|batch| {
        baseline.begin(batch, Timestamp::MIN);
        baseline.fold(&ledger, None).unwrap().pages
    });
    assert_eq!(written.count(), 1);
    assert_eq!(baseline.loaded_pairs, 0);
    let pages = ledger.pages.lock().unwrap();
    let expected: Vec<(u32, u32)> = page.pairs.iter().map(|stored| (stored.slot, stored.slot)).collect();
    let now = pages[&(WORKLOAD, 0)].pairs.iter();
    let now: Vec<(u32, u32)> = now
        .map(|stored| (stored.slot, stored.pair.count - u32::from(stored.slot == 40)))
        .collect();
    assert_eq!(now, expected);
}
