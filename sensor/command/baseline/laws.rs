//! What merging promises, of whole ledgers: neither order nor grouping nor repetition matters.

use std::sync::Arc;

use proptest::prelude::*;

use crate::import::{BaselineFile, Faults};
use crate::model::{BaselineHeader, BaselineLine, Fate, NameLine, Novelty, PairKind, PairLine, SECOND, Timestamp};
use crate::model::{ResolverState, SegmentLine, Span, WorkloadLine};
use crate::run::Merging;
use crate::store::Store;

use super::export;

fn time() -> impl Strategy<Value = Timestamp> {
    (0..300_i64).prop_map(|day| Timestamp(day * 86_400 * SECOND))
}

fn pair() -> impl Strategy<Value = PairLine> {
    let named = ("[abc]", 0..6_usize, time(), time());
    let counts = (1..9_u32, 0..99_u64, 0..u64::MAX, any::<u128>());
    let ports = prop::collection::vec(0..12_u16, 0..6);
    let names = prop::collection::btree_set("[a-f]", 0..4);
    let novelty = prop::option::of((time(), 1..5_u8));
    (named, counts, ports, names, novelty).prop_map(|(named, counts, ports, names, novelty)| {
        let (name, kind, a, b) = named;
        let kind = PairKind::ALL[kind];
        let is_address = matches!(kind, PairKind::Address | PairKind::AttemptedAddress);
        let server = crate::model::Address::v4([10, 0, 0, 2]);
        PairLine {
            kind,
            destination: if is_address { format!("2001:db8::{name}") } else { name },
            first: a.min(b),
            last: a.max(b),
            count: counts.0,
            octets_out: counts.1,
            octets_in: counts.2,
            days: format!("{:x}", counts.3 | 1),
            ports,
            names: names
                .into_iter()
                .map(|name| NameLine {
                    name: name.into(),
                    server,
                })
                .collect(),
            novelty: novelty.map(|(at, fate)| Novelty {
                at,
                fate: Fate::from_number(fate).unwrap(),
            }),
        }
    })
}

fn later(since: Timestamp, until: Option<Timestamp>) -> Option<Timestamp> {
    until.filter(|until| *until > since)
}

/// An export; lines of one workload may come twice, as in files that were joined.
fn exported() -> impl Strategy<Value = String> {
    let workload = (
        "[xyz]",
        prop::option::of("[gh]"),
        time(),
        prop::option::of(time()),
        prop::collection::vec(pair(), 0..5),
    );
    let segment = prop::option::of((time(), prop::option::of(time()), any::<bool>()));
    let resolver = prop::option::of(time());
    let parts = (time(), segment, resolver, prop::collection::vec(workload, 0..5));
    parts.prop_map(|(at, segment, resolver, workloads)| {
        let mut lines = vec![BaselineLine::Baseline(BaselineHeader::new(Some(at)))];
        lines.extend(segment.map(|(since, until, has_learnt)| {
            BaselineLine::Segment(SegmentLine {
                segment: "-".into(),
                since,
                learns_until: later(since, until),
                has_learnt,
            })
        }));
        lines.extend(resolver.map(|since| {
            BaselineLine::Resolver(ResolverState {
                segment: "-".into(),
                address: crate::model::Address::v4([10, 0, 0, 2]),
                since,
            })
        }));
        for (name, group, since, until, pairs) in workloads {
            lines.push(BaselineLine::Workload(WorkloadLine {
                name: Some(name.into()),
                address: None,
                segment: "-".into(),
                group: group.map(Into::into),
                since,
                learns_until: later(since, until),
            }));
            lines.extend(pairs.into_iter().map(BaselineLine::Pair));
        }
        let lines = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n");
        lines.collect()
    })
}

/// Merges exports, one after the other, each by a merge of its own, and exports what that gives.
fn merged(exports: &[&str]) -> String {
    let store = Arc::new(Store::temporary(8 << 20, Span(i64::MAX)).unwrap());
    let mut faults = Faults::default();
    for text in exports {
        let mut merging = Merging::open(Arc::clone(&store), 64 << 20).unwrap();
        let mut file = BaselineFile::open(text.as_bytes()).unwrap();
        merging.take_file("export", &mut file, &mut faults).unwrap();
        merging.finish().unwrap();
    }
    assert_eq!(faults.count(), 0, "{:?}", faults.lines());
    let mut out = Vec::new();
    export::write_all(&store, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn ledgers_merge_in_any_order_and_grouping_and_any_number_of_times(a in exported(), b in exported(), c in exported()) {
        let all = merged(&[&a, &b, &c]);
        prop_assert_eq!(&merged(&[&c, &a, &b]), &all);
        prop_assert_eq!(&merged(&[&a, &merged(&[&b, &c])]), &all);
        prop_assert_eq!(&merged(&[&a, &b, &a, &c, &b]), &all);
        prop_assert_eq!(&merged(&[&all]), &all);
    }
}
