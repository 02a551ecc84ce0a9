//! What a pair costs: `cargo test --release --lib store::measure -- --ignored --nocapture`.

use std::sync::Arc;

use crate::model::*;

use super::{Store, samples, v1};

const WORKLOADS: u32 = 2000;
const PAIRS: u32 = 1_280_000;
const A_BATCH: usize = 2000;
/// Batches between folds: a page of each workload.
const FOLD: usize = 64;

/// CPU time of all threads of this process, in nanoseconds.
fn cpu() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    });
    spent.sum()
}

fn change(n: u32) -> PairChange {
    let slot = n / WORKLOADS;
    let at = Timestamp(1_700_000_000 * SECOND + i64::from(n) * 1_000_000);
    let name: Arc<str> = format!("host{}.example{}.com", n % 97, slot * 31 % 50_000).into();
    let key = match slot % 2 {
        0 => PairKey::Domain(format!("example{}.com", slot * 31 % 50_000).into()),
        _ => PairKey::Address(Address::v4((0x2d00_0000 + slot * 7919).to_be_bytes())),
    };
    let mut pair = Pair::new(at);
    (pair.count, pair.octets_out, pair.octets_in) = (1, 517, 14_000);
    pair.add_port(443);
    let server = Address::v4([10, 0, 0, 2]);
    pair.add_name(&Arc::new(Provenance::new(name, server, Box::default())));
    pair.set_novelty(Novelty {
        at,
        fate: Fate::Learned,
    });
    PairChange {
        workload: WorkloadId(n % WORKLOADS * 7919 % WORKLOADS),
        stored: StoredPair { slot, key, pair },
    }
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
    let changes: Vec<PairChange> = (0..64_000).map(change).collect();
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
    let changes: Vec<PairChange> = (0..PAIRS).map(change).collect();
    for (with_holders, what) in [(false, "journal and pages"), (true, "journal, pages and index")] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 64 << 20, Span::days(180)).unwrap();
        let mut sequence = 0;
        let (mut journal, mut paging) = (0.0, 0.0);
        for part in changes.chunks(A_BATCH * FOLD) {
            let batches: Vec<Batch> = part
                .chunks(A_BATCH)
                .map(|changed| {
                    sequence += 1;
                    Batch {
                        journal: samples::journal_row(changed),
                        holders: if with_holders {
                            changed.iter().map(holder).collect()
                        } else {
                            Vec::new()
                        },
                        ..Batch::empty(sequence, Timestamp(0))
                    }
                })
                .collect();
            let from = cpu();
            for batch in &batches {
                store.commit(batch).unwrap();
            }
            journal += cpu() - from;
            sequence += 1;
            let batch = Batch {
                pages: pages(part),
                folded_through: Some(sequence - 1),
                ..Batch::empty(sequence, Timestamp(0))
            };
            let from = cpu();
            store.commit(&batch).unwrap();
            paging += cpu() - from;
        }
        let from = cpu();
        store.sync().unwrap();
        drop(store);
        let closing = cpu() - from;
        println!(
            "{what}: journal {:.3}, pages {:.3}, closing {:.3} µs of CPU a pair",
            journal / 1e3 / f64::from(PAIRS),
            paging / 1e3 / f64::from(PAIRS),
            closing / 1e3 / f64::from(PAIRS)
        );
        let from = cpu();
        let store = Store::open(folder.path(), 64 << 20, Span::days(180)).unwrap();
        let opening = store.opening().unwrap();
        assert!(opening.journal.is_empty());
        println!("opening: {:.1} ms of CPU", (cpu() - from) / 1e6);
        let from = cpu();
        let read: usize = (0..WORKLOADS).map(|w| store.pairs(WorkloadId(w)).unwrap().len()).sum();
        report("reading pages", from, read as u32);
        println!("{read} pairs read");
        let from = cpu();
        let found: usize = (0..1000)
            .map(|n| store.holders(change(n * 1250).stored.key.index_hash()).unwrap().len())
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

fn pages(changes: &[PairChange]) -> Vec<Page> {
    let mut sorted: Vec<&PairChange> = changes.iter().collect();
    let place = |change: &PairChange| (change.workload, change.stored.slot / StoredPair::A_PAGE);
    sorted.sort_by_key(|change| (change.workload, change.stored.slot));
    sorted
        .chunk_by(|a, b| place(a) == place(b))
        .map(|page| {
            let (workload, number) = place(page[0]);
            let pairs: Vec<StoredPair> = page.iter().map(|change| change.stored.clone()).collect();
            samples::page_with(workload, number, &pairs)
        })
        .collect()
}
