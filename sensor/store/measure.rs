//! What a pair costs: `cargo test --release --lib store::measure -- --ignored --nocapture`.

use std::sync::Arc;

use crate::model::*;

use super::tests::pairs_of;
use super::{Store, samples, v1};

const WORKLOADS: u32 = 2000;
/// Contacts, each with a domain and an address that are new.
const CONTACTS: u32 = 640_000;
const PAIRS: u32 = 2 * CONTACTS;
const A_BATCH: usize = 2000;

/// CPU time of all threads of this process, in nanoseconds.
fn cpu() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    });
    spent.sum()
}

/// Returns the pairs of a contact: a domain and an address, with one name.
fn changes_of(contact: u32) -> [PairChange; 2] {
    let nth = contact / WORKLOADS;
    let at = Timestamp(1_700_000_000 * SECOND + i64::from(contact) * 50_000);
    let domain = nth * 31 % 50_000;
    let name = format!("host{}.example{domain}.com", contact % 97).into();
    let server = Address::v4([10, 0, 0, 2]);
    let name = Arc::new(Provenance::new(name, server, Box::default()));
    let keys = [
        PairKey::Domain(format!("example{domain}.com").into()),
        PairKey::Address(Address::v4((0x2d00_0000 + nth * 7919).to_be_bytes())),
    ];
    let mut slot = 2 * nth;
    keys.map(|key| {
        let mut pair = Pair::new(at);
        pair.extend(at.plus(Span::millis(40)));
        (pair.count, pair.octets_out, pair.octets_in) = (1, 517, 14_000);
        pair.add_port(443);
        pair.add_name(&name);
        if matches!(key, PairKey::Domain(_)) {
            let fate = Fate::Learned;
            pair.set_novelty(Novelty { at, fate });
        }
        slot += 1;
        let slot = slot - 1;
        PairChange {
            workload: WorkloadId(contact % WORKLOADS * 7919 % WORKLOADS),
            stored: StoredPair { slot, key, pair },
        }
    })
}

fn changes(contacts: u32) -> Vec<PairChange> {
    (0..contacts).flat_map(changes_of).collect()
}

fn report(what: &str, from: f64, pairs: u32) {
    println!(
        "{what}: {:.3} µs of CPU a pair",
        (cpu() - from) / 1e3 / f64::from(pairs)
    );
}

#[test]
#[ignore = "measures"]
fn encoding_and_decoding() {
    let changes: Vec<PairChange> = changes(32_000);
    let from = cpu();
    let rows: Vec<Vec<u8>> = changes.chunks(A_BATCH).map(samples::journal_row).collect();
    report("encoding", from, 64_000);
    println!("{} octets a pair", rows.iter().map(Vec::len).sum::<usize>() / 64_000);
    let from = cpu();
    let decoded: usize = rows.iter().map(|row| v1::decode_journal(row).unwrap().len()).sum();
    report("decoding", from, 64_000);
    assert_eq!(decoded, 64_000);
}

#[test]
#[ignore = "measures"]
fn a_million_pairs() {
    let changes = changes(CONTACTS);
    for folds in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 64 << 20, Span::days(180)).unwrap();
        let mut sequence = 0;
        let from = cpu();
        for changed in changes.chunks(A_BATCH) {
            sequence += 1;
            let batch = Batch {
                journal: samples::journal_row(changed),
                ..Batch::empty(sequence, Timestamp(0))
            };
            store.commit(&batch).unwrap();
        }
        report("writing the journal", from, PAIRS);
        let all = changes.iter().map(holder).collect();
        let sorted = pages(&changes);
        if folds {
            let from = cpu();
            sequence += 1;
            let mut batch = Batch::empty(sequence, Timestamp(0));
            batch.holders = Arc::new(vec![samples::in_order(all)]);
            store.commit(&batch).unwrap();
            report("writing the index", from, PAIRS);
            let from = cpu();
            for some in sorted.chunks(256) {
                sequence += 1;
                let batch = Batch {
                    pages: some
                        .iter()
                        .map(|(workload, number, pairs)| samples::page_with(*workload, *number, sequence, pairs))
                        .collect(),
                    folded_through: Some(sequence - 1),
                    ..Batch::empty(sequence, Timestamp(0))
                };
                store.commit(&batch).unwrap();
            }
            report("writing pages", from, PAIRS);
        }
        let from = cpu();
        store.sync().unwrap();
        drop(store);
        report("closing", from, PAIRS);
        let from = cpu();
        let store = Store::open(folder.path(), 64 << 20, Span::days(180)).unwrap();
        store.opening().unwrap();
        let mut journaled = 0;
        store.journal(&mut |_, changes| journaled += changes.len()).unwrap();
        assert_eq!(journaled == 0, folds);
        println!("opening: {:.1} ms of CPU", (cpu() - from) / 1e6);
        if !folds {
            continue;
        }
        let from = cpu();
        let pages = (0..WORKLOADS).flat_map(|w| store.pages(WorkloadId(w)).unwrap());
        let read: usize = pages.map(|page| pairs_of(&store, &page).len()).sum();
        report("reading pages", from, read as u32);
        println!("{read} pairs read");
        let from = cpu();
        let found: usize = (0..1000)
            .map(|n| store.holders(holder(&changes[n * 1250]).destination).unwrap().len())
            .sum();
        println!("reading the index: {:.1} µs each, {found} found", (cpu() - from) / 1e6);
    }
}

#[test]
#[ignore = "measures"]
fn opening_with_a_hundred_thousand_workloads() {
    let store = Store::temporary(64 << 20, Span::days(180)).unwrap();
    let mut batch = Batch::empty(1, Timestamp(0));
    batch.workloads = (0..100_000_u32)
        .map(|n| {
            let address = Address::v4((0x0a00_0000 + n).to_be_bytes());
            let record = WorkloadRecord {
                key: WorkloadKey::Address(Arc::from("vni=42"), address),
                segment: Arc::from("vni=42"),
                group: None,
                since: Timestamp(0),
                learns_until: Timestamp(0),
                last: Timestamp(0),
            };
            (WorkloadId(n), record)
        })
        .collect();
    store.commit(&batch).unwrap();
    let from = cpu();
    assert_eq!(store.opening().unwrap().workloads.len(), 100_000);
    println!("opening: {:.1} ms of CPU", (cpu() - from) / 1e6);
}

fn holder(change: &PairChange) -> Holder {
    Holder {
        destination: change.stored.key.index_hash(),
        workload: change.workload,
        day: change.stored.pair.last().day().0,
    }
}

/// Returns changed pairs by page.
fn pages(changes: &[PairChange]) -> Vec<(WorkloadId, u32, Vec<StoredPair>)> {
    let mut sorted: Vec<&PairChange> = changes.iter().collect();
    let place = |change: &PairChange| (change.workload, change.stored.slot / StoredPair::A_PAGE);
    sorted.sort_by_key(|change| (change.workload, change.stored.slot));
    let pages = sorted.chunk_by(|a, b| place(a) == place(b));
    pages
        .map(|page| {
            let (workload, number) = place(page[0]);
            (
                workload,
                number,
                page.iter().map(|change| change.stored.clone()).collect(),
            )
        })
        .collect()
}
