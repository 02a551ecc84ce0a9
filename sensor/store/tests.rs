//! What the ledger promises, as sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::model::*;

use super::table::Table;
use super::{Store, samples, v1};

pub const MEMORY: u64 = 8 << 20;
pub const RETENTION: Span = Span::days(180);

pub fn open(dir: &std::path::Path) -> Store {
    Store::open(dir, MEMORY, RETENTION).unwrap()
}

/// Returns the pairs of a page.
pub fn pairs_of(store: &Store, page: &StoredPage) -> Vec<StoredPair> {
    let mut pairs = Vec::new();
    store.pairs(page, None, &mut |stored| pairs.push(stored)).unwrap();
    pairs
}

/// Returns counts of which some are replaced.
fn put<K: Ord + Copy, V: Copy>(all: &[(K, V)], changed: Vec<(K, V)>) -> Vec<(K, V)> {
    let mut all: BTreeMap<K, V> = all.iter().copied().collect();
    all.extend(changed);
    all.into_iter().collect()
}

/// The ledger as plain maps.
#[derive(Default)]
pub struct Plain {
    sequence: u64,
    at: Option<Timestamp>,
    workloads: BTreeMap<WorkloadId, WorkloadRecord>,
    journal: BTreeMap<u64, Vec<PairChange>>,
    pages: BTreeMap<(WorkloadId, u32), StoredPage>,
    holders: BTreeMap<u64, BTreeSet<WorkloadId>>,
    alerts: BTreeMap<AlertId, AlertRecord>,
    outbox: Vec<Alert>,
    pending: Vec<(u64, Vec<Arrival>, Vec<PendingContact>)>,
    open: BTreeMap<AlertId, OpenAlert>,
    state: JudgeState,
    counted: Vec<(u64, BudgetCounts)>,
    kept: KeptCounts,
    recent: RecentEpochs,
}

impl Plain {
    pub fn commit(&mut self, batch: &Batch) {
        let batch = batch.clone();
        self.sequence = batch.sequence;
        self.at = Some(batch.at);
        self.recent.put(RecentEpochs::place(batch.sequence), batch.at);
        self.workloads.extend(batch.workloads);
        self.workloads.retain(|id, _| !batch.forgotten.contains(id));
        let KeptCounts {
            limits,
            is_whole,
            pairs,
            alerts,
            unrecorded,
        } = batch.kept;
        self.kept.limits = limits.or(self.kept.limits);
        self.kept.is_whole |= is_whole || limits.is_some();
        for (all, changed) in [(&mut self.kept.pairs, pairs), (&mut self.kept.alerts, alerts)] {
            *all = put(all, changed).into_iter().filter(|(_, count)| *count > 0).collect();
        }
        self.kept.unrecorded = put(&self.kept.unrecorded, unrecorded);
        self.kept.unrecorded.retain(|(id, _)| !batch.forgotten.contains(id));
        if let Some(changes) = v1::decode_journal(&batch.journal) {
            self.journal.insert(batch.sequence, changes);
        }
        for page in batch.pages {
            // A page without a pair is none.
            let key = (page.workload, page.number);
            let page = v1::decode_page(page.number, page.row.into()).unwrap();
            self.pages.insert(key, page);
        }
        if let Some(through) = batch.folded_through {
            self.journal.retain(|&sequence, _| sequence > through);
        }
        for holder in batch.holders.iter().flatten() {
            self.holders
                .entry(holder.destination)
                .or_default()
                .insert(holder.workload);
        }
        self.alerts
            .extend(batch.alerts.into_iter().map(|record| (record.alert.id, record)));
        self.outbox.extend(batch.deliver);
        self.pending.push((batch.sequence, batch.judged, batch.pending));
        let from = batch.waits_from.unwrap_or(0);
        self.pending.retain(|(sequence, ..)| *sequence >= from);
        self.counted.push((batch.sequence, batch.counted));
        let from = batch.counted_from.unwrap_or(0);
        self.counted
            .retain(|(sequence, counts)| *sequence >= from && !counts.is_empty());
        self.open.extend(batch.opened.into_iter().map(|open| (open.id, open)));
        for id in batch.closed {
            self.open.remove(&id);
        }
        self.state = batch.state.unwrap_or(std::mem::take(&mut self.state));
    }

    fn waiting(&self) -> Vec<PendingContact> {
        let mut waiting = BTreeMap::new();
        for (_, judged, pending) in self.pending.clone() {
            waiting.retain(|arrival, _| !judged.contains(arrival));
            waiting.extend(pending.into_iter().map(|contact| (contact.arrival, contact)));
        }
        waiting.into_values().collect()
    }

    pub fn check(&self, store: &Store) {
        let opening = Opening {
            next_sequence: self.sequence + 1,
            at: self.at,
            workloads: self.workloads.clone().into_iter().collect(),
            pending: self.waiting(),
            open: self.open.values().cloned().collect(),
            state: self.state.clone(),
            counted: self.counted.iter().map(|(_, counts)| counts.clone()).collect(),
            kept: self.kept.clone(),
            recent: self.recent.clone(),
        };
        assert_eq!(store.opening().unwrap(), opening);
        let mut journal = BTreeMap::new();
        store
            .journal(&mut |row, changes| assert!(journal.insert(row, changes).is_none()))
            .unwrap();
        assert_eq!(journal, self.journal);
        for workload in (0..5).map(WorkloadId) {
            let pages = self.pages.iter().filter(|((of, _), _)| *of == workload);
            let paged: Vec<StoredPage> = pages.map(|(_, page)| page.clone()).collect();
            assert_eq!(store.pages(workload).unwrap(), paged);
            let stand = paged.iter().flat_map(|page| pairs_of(store, page));
            let mut by_slot: BTreeMap<u32, StoredPair> = stand.map(|stored| (stored.slot, stored)).collect();
            for (row, changes) in &self.journal {
                for change in changes.iter().filter(|change| change.workload == workload) {
                    let slot = change.stored.slot;
                    let is_newer = |page: &StoredPage| page.batch >= *row && page.number == slot / StoredPair::A_PAGE;
                    if !paged.iter().any(is_newer) {
                        by_slot.insert(slot, change.stored.clone());
                    }
                }
            }
            assert!(
                store
                    .all_pairs()
                    .unwrap()
                    .of(workload)
                    .unwrap()
                    .iter()
                    .eq(by_slot.values())
            );
        }
        for destination in 0..5 {
            let expected: Vec<WorkloadId> = self.holders.get(&destination).into_iter().flatten().copied().collect();
            assert_eq!(store.holders(destination).unwrap(), expected);
        }
        let mut alerts: Vec<&AlertRecord> = self.alerts.values().collect();
        alerts.sort_by_key(|record| (record.alert.ts, record.alert.id));
        assert!(
            store
                .alerts()
                .unwrap()
                .map(Result::unwrap)
                .eq(alerts.into_iter().cloned())
        );
        for (id, record) in &self.alerts {
            assert_eq!(store.alert(*id).unwrap().as_ref(), Some(record));
        }
        assert_eq!(store.outbox_end(), self.outbox.len() as u64);
        let lines = store.outbox_after(0, usize::MAX).unwrap();
        assert!(lines.into_iter().eq((1..).zip(self.outbox.iter().cloned())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn reopening_gives_back_exactly_what_was_committed(
        batches in prop::collection::vec((samples::batch(), 0..8_u64, 0..20_u64, any::<bool>()), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut plain = Plain::default();
        let mut store = open(folder.path());
        plain.check(&store);
        for (sequence, (batch, folds, waits, reopens)) in (1..).zip(batches) {
            let folded_through = (folds > 4).then(|| folds.min(sequence));
            let waits_from = (waits < 4).then(|| sequence.saturating_sub(waits));
            let counted_from = waits_from.filter(|_| folds % 2 == 0);
            let batch = Batch { sequence, folded_through, waits_from, counted_from, ..batch };
            store.commit(&batch).unwrap();
            plain.commit(&batch);
            if reopens {
                drop(store);
                store = open(folder.path());
            }
        }
        plain.check(&store);
        plain.check(&Store::open_read_only(folder.path()).unwrap());
        store.rows.flush().unwrap();
        for table in Table::ALL {
            store.rows.compact(table).unwrap();
        }
        plain.check(&store);
    }
}

#[test]
fn a_batch_that_is_not_after_the_last_one_is_refused_whole() {
    let store = Store::temporary(MEMORY, RETENTION).unwrap();
    store.commit(&Batch::empty(7, Timestamp(1))).unwrap();
    for sequence in [0, 6, 7] {
        let mut batch = Batch::empty(sequence, Timestamp(2));
        batch.state = Some(JudgeState::default());
        assert!(matches!(store.commit(&batch), Err(LedgerError::Failed { .. })));
    }
    assert_eq!(store.opening().unwrap().at, Some(Timestamp(1)));
}

#[test]
fn another_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("FORMAT"), "firstcontact ledger 2\n").unwrap();
    for result in [
        Store::open(folder.path(), MEMORY, RETENTION),
        Store::open_read_only(folder.path()),
    ] {
        assert!(matches!(result, Err(LedgerError::OtherVersion { found, expected: 1, .. }) if found == "2"));
    }
}

#[test]
fn a_folder_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("thesis.txt");
    std::fs::write(&file, "chapter 1").unwrap();
    for dir in [folder.path(), file.as_path()] {
        let result = Store::open(dir, MEMORY, RETENTION);
        assert!(matches!(result, Err(LedgerError::NotALedger { .. })), "{result:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::write(folder.path().join("FORMAT"), "pcapng 1\n").unwrap();
    let result = Store::open(folder.path(), MEMORY, RETENTION);
    assert!(matches!(result, Err(LedgerError::NotALedger { .. })));
}

#[test]
fn a_claim_that_was_cut_short_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("FORMAT.tmp"), "first").unwrap();
    std::fs::create_dir(folder.path().join("lost+found")).unwrap();
    drop(open(folder.path()));
    drop(open(folder.path()));
}

#[test]
fn a_ledger_in_use_is_refused_and_can_still_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.commit(&Batch::empty(1, Timestamp(5))).unwrap();
    let second = Store::open(folder.path(), MEMORY, RETENTION);
    assert!(matches!(second, Err(LedgerError::Locked { .. })), "{second:?}");
    let reader = Store::open_read_only(folder.path()).unwrap();
    assert_eq!(reader.opening().unwrap().at, Some(Timestamp(5)));
    assert!(reader.commit(&Batch::empty(2, Timestamp(6))).is_err());
    store.commit(&Batch::empty(2, Timestamp(6))).unwrap();
}

#[test]
fn reading_what_is_not_there_fails_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    assert!(matches!(
        Store::open_read_only(&absent),
        Err(LedgerError::Failed { .. })
    ));
    assert!(!absent.exists());
}

#[test]
fn a_temporary_ledger_leaves_nothing_behind() {
    let store = Store::temporary(MEMORY, RETENTION).unwrap();
    let folder = store.own_folder.as_ref().unwrap().path().to_owned();
    store.commit(&Batch::empty(1, Timestamp(5))).unwrap();
    assert!(folder.exists());
    drop(store);
    assert!(!folder.exists());
}

#[test]
fn rule_a4_lines_go_from_the_oldest_on_and_what_a_sink_had_not_taken_is_counted() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let line = samples::alert().new_tree(&mut runner).unwrap().current();
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let numbers = |store: &Store| -> Vec<u64> {
        let lines = store.outbox_after(0, 100).unwrap();
        lines.into_iter().map(|(number, _)| number).collect()
    };
    let mut batch = Batch::empty(1, Timestamp(1));
    batch.deliver = vec![line; 10];
    store.commit(&batch).unwrap();
    assert_eq!(store.position("syslog").unwrap(), None);
    let file = Some(FilePlace {
        device: 1,
        inode: 2,
        length: 3,
    });
    let alerts = SinkPosition { line: 9, file };
    store.set_position("syslog", SinkPosition::at(3)).unwrap();
    store.set_position("alerts", alerts).unwrap();
    assert_eq!(
        store.positions().unwrap(),
        [
            ("alerts".to_owned(), alerts),
            ("syslog".to_owned(), SinkPosition::at(3))
        ]
    );
    assert_eq!(store.trim_outbox(3, 3).unwrap(), 0);
    assert_eq!(numbers(&store), [4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(store.trim_outbox(3, 3).unwrap(), 0);
    assert_eq!(store.trim_outbox(6, 4).unwrap(), 2);
    assert_eq!(numbers(&store), [7, 8, 9, 10]);
    assert_eq!(store.trim_outbox(99, 99).unwrap(), 0);
    drop(store);
    let store = open(folder.path());
    assert_eq!(numbers(&store), [0; 0]);
    assert_eq!(store.position("syslog").unwrap(), Some(SinkPosition::at(3)));
    batch.sequence = 2;
    store.commit(&batch).unwrap();
    assert_eq!(numbers(&store), (11..=20).collect::<Vec<_>>());
    assert_eq!(store.trim_outbox(16, 3).unwrap(), 6);
    store.forget_position("alerts").unwrap();
    assert_eq!(store.positions().unwrap().len(), 1);
}

pub fn name(last: Timestamp, ttl: u32, server: u8) -> SavedNames {
    let server = Address::v4([10, 0, 0, server]);
    let record = NameRecord {
        segment: Segment::numbered(0),
        address: Address::v4([192, 0, 2, 1]),
        evidence: Evidence {
            provenance: Arc::new(Provenance::new("a.example".into(), server, Box::default())),
            client: Address::v4([10, 0, 0, 1]),
            facts: AnswerFacts {
                kind: EvidenceKind::DnsAddress,
                admission: Admission::Admitted,
                ttl,
                greatest_ttl: ttl,
                first: last,
                last,
                expires: last.plus(Span::seconds(i64::from(ttl))),
            },
        },
    };
    SavedNames {
        segments: vec![(record.segment, "-".into())],
        records: vec![record],
        rows: Vec::new(),
    }
}

#[test]
fn rule_n3_names_are_merged_and_later_answers_are_as_if_not_written() {
    let store = Store::temporary(MEMORY, RETENTION).unwrap();
    let hour = |n: i64| Timestamp(0).plus(Span::hours(n));
    for (sequence, names) in (1..).zip([name(hour(1), 7200, 1), name(hour(2), 60, 2), name(hour(9), 60, 3)]) {
        let mut batch = Batch::empty(sequence, names.records[0].evidence.facts.last);
        batch.names = names;
        store.commit(&batch).unwrap();
    }
    let mut merged = name(hour(2), 60, 2);
    let evidence = &mut merged.records[0].evidence;
    evidence.facts.first = hour(1);
    evidence.facts.expires = hour(3);
    evidence.facts.greatest_ttl = 7200;
    assert_eq!(store.names(hour(9), hour(9)).unwrap(), merged);
    assert_eq!(store.names(hour(1), hour(1)).unwrap().records, []);
    assert_eq!(store.names(hour(25), hour(25)).unwrap().records.len(), 1);
    assert_eq!(
        store.names(hour(26), hour(26)).unwrap().records[0].evidence.facts.first,
        hour(2)
    );
    assert_eq!(store.names(hour(34), hour(34)).unwrap().records, []);
}

#[test]
fn entries_of_the_index_are_found_before_and_after_they_are_folded() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let holder = |workload| Holder {
        destination: u64::from(workload % 10_000).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        workload: WorkloadId(workload),
        day: 1,
    };
    for (sequence, start) in (1..).zip((0..150_000).step_by(30_000)) {
        let mut batch = Batch::empty(sequence, Timestamp(1));
        batch.holders = Arc::new(vec![samples::in_order((start..start + 30_000).map(holder).collect())]);
        store.commit(&batch).unwrap();
        let found = store.holders(holder(7).destination).unwrap();
        let expected: Vec<WorkloadId> = (7..start + 30_000).step_by(10_000).map(WorkloadId).collect();
        assert_eq!(found, expected);
        if sequence == 3 {
            drop(store);
            store = open(folder.path());
        }
    }
}
