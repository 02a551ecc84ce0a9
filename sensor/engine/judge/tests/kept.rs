//! Counts of pairs agree with what they count, whatever happens in between (rule A5).

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::baseline::{Baseline, ContactFacts, Full, Need};
use crate::model::*;
use crate::store::Store;

const RETENTION: Span = Span::days(10);
const WORKLOADS: u32 = 3;

fn limits(destinations: u32, disk: u64) -> BaselineLimits {
    BaselineLimits {
        destinations,
        disk,
        retention: RETENTION,
    }
}

fn on(day: i64, seconds: i64) -> Timestamp {
    Timestamp(0).plus(Span::days(day)).plus(Span::seconds(seconds))
}

fn key(n: u32) -> PairKey {
    match n % 4 {
        0 => PairKey::Domain(format!("{n}.example").into()),
        1 => PairKey::Address(Address::v4([203, 0, 113, n as u8])),
        2 => PairKey::AttemptedDomain(format!("{n}.example").into()),
        _ => PairKey::Tenant(format!("{n}.example").into()),
    }
}

/// A baseline over a ledger, with runs that end as they like.
struct Estate {
    store: Store,
    baseline: Baseline,
    limits: BaselineLimits,
    sequence: u64,
    present: Timestamp,
}

impl Estate {
    fn new(limits: BaselineLimits) -> Self {
        let store = Store::temporary(8 << 20, Span(i64::MAX)).unwrap();
        let mut estate = Self {
            baseline: Baseline::new(RETENTION, RETENTION, 1000),
            store,
            limits,
            sequence: 1,
            present: on(100, 0),
        };
        estate.restart();
        estate
    }

    /// Begins a run on what the ledger holds; what was not committed is lost.
    fn restart(&mut self) {
        let opening = self.store.opening().unwrap();
        self.sequence = opening.next_sequence;
        self.baseline = Baseline::new(RETENTION, RETENTION, 1000);
        self.baseline.keep_within(Some(self.limits), opening.kept);
        self.baseline.begin(self.sequence, self.present);
        self.baseline.resume(&self.store, self.sequence).unwrap();
    }

    fn contact(&mut self, workload: u32, n: u32, at: Timestamp) -> Option<Full> {
        let (workload, key) = (WorkloadId(workload), key(n));
        let full = self.baseline.no_room(&self.store, workload, &key, Need::Pair).unwrap();
        if full.is_none() {
            let facts = ContactFacts {
                first: at,
                last: at,
                octets_out: 1,
                octets_in: 1,
                port: None,
                name: None,
            };
            let place = self.baseline.record(&self.store, workload, &key, &facts, None).unwrap();
            // Its flow lasts over midnight now and then.
            let last = at.plus(Span::hours(i64::from(n % 3) * 7));
            self.baseline.extend(&self.store, place, last, 1, 1).unwrap();
        } else {
            self.baseline.kept_mut().add_unrecorded(workload, at);
        }
        full
    }

    fn commit(&mut self, tidies: bool) {
        let mut batch = Batch::empty(self.sequence, self.present);
        batch.journal = self.baseline.take_journal();
        let due = tidies.then_some(0..WORKLOADS);
        let folded = self.baseline.fold(&self.store, due).unwrap();
        (batch.pages, batch.folded_through, batch.holders) = (folded.pages, folded.through, folded.holders);
        batch.kept = self.baseline.kept_mut().take_changed(batch.is_empty());
        if !batch.is_empty() {
            self.store.commit(&batch).unwrap();
            self.sequence += 1;
        }
        self.baseline.begin(self.sequence, self.present);
    }

    /// Returns the days of the last contacts of all pairs in the ledger that count, workload by workload.
    fn pairs(&self) -> Vec<Vec<Day>> {
        let from = self.limits.counts_from(self.present);
        let all = self.store.all_pairs().unwrap();
        let of = |workload| all.of(WorkloadId(workload)).unwrap();
        let days = |workload| {
            let days = of(workload).into_iter().map(|stored| stored.pair.last().day());
            days.filter(|day| *day >= from).collect()
        };
        (0..WORKLOADS).map(days).collect()
    }

    fn check(&mut self) {
        let from = self.limits.counts_from(self.present);
        let pairs = self.pairs();
        let mut by_day: BTreeMap<Day, u64> = BTreeMap::new();
        for day in pairs.iter().flatten() {
            *by_day.entry(*day).or_default() += 1;
        }
        let kept = self.store.kept().unwrap();
        let counted: BTreeMap<Day, u64> = kept.pairs.iter().copied().filter(|(day, _)| *day >= from).collect();
        assert_eq!(counted, by_day);
        let sum: u64 = by_day.values().sum();
        let disk = self.baseline.kept().disk().map(|(octets, _)| octets);
        assert_eq!(disk, Some(sum * PAIR_OCTETS));
        for (workload, pairs) in (0..).map(WorkloadId).zip(&pairs) {
            assert_eq!(self.baseline.counted_pairs(&self.store, workload).unwrap(), pairs.len());
            assert!(pairs.len() <= self.limits.destinations as usize);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Contacts(Vec<(u32, u32, i64)>),
    Commit { tidies: bool },
    Days(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let contact = (0..WORKLOADS, 0..40_u32, -3 * 86_400..86_400_i64);
    prop_oneof![
        4 => prop::collection::vec(contact, 0..30).prop_map(Step::Contacts),
        4 => any::<bool>().prop_map(|tidies| Step::Commit { tidies }),
        2 => (0..4_i64).prop_map(Step::Days),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn counts_are_those_of_all_pairs_after_contacts_expiry_and_kills(steps in prop::collection::vec(step(), 0..40)) {
        let mut estate = Estate::new(limits(25, u64::MAX));
        for step in steps {
            match step {
                Step::Contacts(contacts) => {
                    for (workload, n, at) in contacts {
                        let at = estate.present.plus(Span::seconds(at));
                        estate.contact(workload, n, at);
                    }
                }
                Step::Commit { tidies } => {
                    estate.commit(tidies);
                    estate.check();
                }
                Step::Days(days) => {
                    estate.commit(false);
                    estate.present = estate.present.plus(Span::days(days));
                    estate.baseline.begin(estate.sequence, estate.present);
                    estate.check();
                }
                Step::Restart => {
                    estate.restart();
                    estate.check();
                }
            }
        }
    }
}

#[test]
fn rule_a5_a_workload_has_room_again_when_pairs_expire_whether_or_not_memory_let_go_of_them() {
    for (tidies, restarts) in [(false, false), (true, false), (false, true)] {
        let mut estate = Estate::new(limits(3, u64::MAX));
        for n in 0..3 {
            assert_eq!(estate.contact(0, 4 * n, on(100 + i64::from(n), 0)), None);
        }
        assert_eq!(estate.contact(0, 12, on(102, 5)), Some(Full::Destinations));
        // Another workload has a budget of its own, and pairs that are known go on.
        assert_eq!(estate.contact(1, 12, on(102, 6)), None);
        assert_eq!(estate.contact(0, 4, on(103, 0)), None);
        estate.commit(false);
        estate.present = on(110, 1);
        estate.baseline.begin(estate.sequence, estate.present);
        if tidies {
            estate.commit(true);
        }
        if restarts {
            estate.restart();
        }
        // The first one's day is over, as is its retention; it comes back as a new one, or another does.
        assert_eq!(estate.contact(0, 12, on(110, 2)), None);
        assert_eq!(estate.contact(0, 0, on(110, 3)), Some(Full::Destinations));
        assert_eq!(estate.contact(0, 16, on(110, 3)), Some(Full::Destinations));
        estate.commit(false);
        estate.check();
    }
}

#[test]
fn rule_a5_the_disk_is_shared_by_all_pairs_and_alerts() {
    let mut estate = Estate::new(limits(100, 3 * PAIR_OCTETS + ALERT_OCTETS));
    assert_eq!(estate.contact(0, 0, on(100, 0)), None);
    assert_eq!(estate.contact(1, 0, on(100, 0)), None);
    estate.baseline.kept_mut().add_alert(on(100, 0));
    assert_eq!(
        estate.baseline.kept().disk(),
        Some((2 * PAIR_OCTETS + ALERT_OCTETS, 3 * PAIR_OCTETS + ALERT_OCTETS))
    );
    assert_eq!(estate.contact(2, 0, on(101, 0)), None);
    assert_eq!(estate.contact(2, 4, on(101, 0)), Some(Full::Disk));
    assert_eq!(estate.contact(2, 0, on(101, 1)), None);
    estate.commit(false);
    estate.restart();
    assert_eq!(estate.contact(2, 4, on(101, 2)), Some(Full::Disk));
    estate.commit(false);
    let unrecorded = Unrecorded {
        contacts: 2,
        latest: on(101, 2),
    };
    assert_eq!(estate.store.kept().unwrap().unrecorded, [(WorkloadId(2), unrecorded)]);
    // Two pairs and the alert expire.
    estate.present = on(110, 1);
    estate.baseline.begin(estate.sequence, estate.present);
    assert_eq!(estate.baseline.kept().disk().unwrap().0, PAIR_OCTETS);
    assert_eq!(estate.contact(2, 4, on(110, 2)), None);
}

#[test]
fn a_ledger_without_counts_is_counted() {
    let mut estate = Estate::new(limits(100, u64::MAX));
    // Batches of a version that did not count.
    for day in 0..3 {
        for n in 0..=(day as u32) {
            estate.contact(0, n, on(100 + day, 0));
        }
        let mut batch = Batch::empty(estate.sequence, estate.present);
        batch.journal = estate.baseline.take_journal();
        if day == 1 {
            let folded = estate.baseline.fold(&estate.store, Some(0..1)).unwrap();
            (batch.pages, batch.folded_through) = (folded.pages, folded.through);
        }
        estate.store.commit(&batch).unwrap();
        estate.sequence += 1;
        estate.baseline.begin(estate.sequence, estate.present);
    }
    assert!(!estate.store.kept().unwrap().is_whole);
    estate.restart();
    estate.contact(1, 1, on(102, 9));
    estate.commit(false);
    estate.check();
    let kept = estate.store.kept().unwrap();
    assert!(kept.is_whole);
    assert_eq!(kept.limits, Some(estate.limits));
}
