//! What a pair costs in memory: `cargo test --release --lib baseline::measure -- --ignored --nocapture`.

use std::sync::Arc;

use crate::model::*;

use super::tests::Paper;
use super::{Baseline, ContactFacts};

const WORKLOADS: u32 = 4000;
const CONTACTS: u32 = 640_000;
const AN_EPOCH: u32 = 2000;

/// CPU time of this thread, in nanoseconds.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Memory of this process, in octets.
fn memory() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

#[test]
#[ignore = "measures"]
fn a_million_pairs() {
    let ledger = Paper::default();
    let mut baseline = Baseline::new(Span::days(90), Span::days(180));
    let names: Vec<Arc<Provenance>> = (0..5000)
        .map(|n| {
            let name = format!("host.example{n}.com").into();
            Arc::new(Provenance::new(name, Address::v4([10, 0, 0, 2]), Box::default()))
        })
        .collect();
    let domains: Vec<PairKey> = (0..5000)
        .map(|n| PairKey::Domain(format!("example{n}.com").into()))
        .collect();
    let (from, before) = (cpu(), memory());
    for contact in 0..CONTACTS {
        let workload = WorkloadId(contact.wrapping_mul(2_654_435_769) % WORKLOADS);
        let nth = (contact / WORKLOADS * 31 + workload.0 * 7) as usize % 5000;
        let at = Timestamp(1_700_000_000 * SECOND + i64::from(contact) * 50_000);
        let facts = ContactFacts {
            first: at,
            last: at,
            octets_out: 517,
            octets_in: 14_000,
            port: Some(443),
            name: Some(&names[nth]),
        };
        let address = PairKey::Address(Address::v4((0x2d00_0000 + nth as u32).to_be_bytes()));
        let fate = Fate::Learned;
        if !baseline.is_known(&ledger, workload, &domains[nth], at).unwrap() {
            let novelty = Some(Novelty { at, fate });
            baseline
                .record(&ledger, workload, &domains[nth], &facts, novelty)
                .unwrap();
        }
        baseline.record(&ledger, workload, &address, &facts, None).unwrap();
        if contact % AN_EPOCH == 0 {
            drop(baseline.take_journal());
            baseline.begin(u64::from(contact / AN_EPOCH) + 2, Timestamp::MIN);
        }
    }
    let pairs = baseline.loaded_pairs as f64;
    println!(
        "{pairs} pairs in memory: {:.3} µs of CPU and {:.0} octets each",
        (cpu() - from) / 1e3 / pairs,
        (memory() - before) / pairs
    );
}
