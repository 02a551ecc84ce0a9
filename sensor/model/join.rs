//! Joining what two ledgers remember of the same workload, pair, segment or resolver, so that two baselines make one.
//!
//! Every join is associative, commutative and idempotent: it does not matter in which order ledgers are merged, nor how
//! often. So each field is joined by an order of its own, and nothing is added up: a contact that both saw is one.

use std::cmp::Reverse;
use std::sync::Arc;

use super::evidence::Provenance;
use super::ledger::{ResolverState, SegmentState};
use super::pair::{Fate, Novelty, Pair};
use super::time::Timestamp;
use super::workload::WorkloadRecord;

impl Pair {
    /// Joins two pairs of the same workload and destination: the earlier first and the later last contact, the days of
    /// both, the greater count and octets, the least ports and names of both, as many as a pair keeps, and the latest
    /// novelty that raised an alert, else the latest.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let days = self.days().join(other.days());
        let first = self.first().min(other.first());
        let mut joined = Self::restored(first, self.last().max(other.last()), days.bits);
        joined.count = self.count.max(other.count);
        joined.octets_out = self.octets_out.max(other.octets_out);
        joined.octets_in = self.octets_in.max(other.octets_in);
        let mut ports: Vec<u16> = self.ports().chain(other.ports()).collect();
        ports.sort_unstable();
        // A pair leaves out what it has already, and what is too much.
        ports.into_iter().for_each(|port| {
            joined.add_port(port);
        });
        let mut names: Vec<&Arc<Provenance>> = self.names().chain(other.names()).collect();
        names.sort_by(|a, b| (&a.name, a.server).cmp(&(&b.name, b.server)));
        names.into_iter().for_each(|name| {
            joined.add_name(name);
        });
        // An alert is found by it; what was learnt meanwhile elsewhere, or from logs, must not hide that.
        let order = |novelty: &Novelty| (novelty.fate == Fate::Raised, novelty.at, Reverse(novelty.fate));
        if let Some(novelty) = self.novelty().into_iter().chain(other.novelty()).max_by_key(order) {
            joined.set_novelty(novelty);
        }
        joined
    }
}

impl WorkloadRecord {
    /// Joins two records of the same workload: the earlier beginning with its segment, the group that one of them has
    /// (of two the smaller name), and the later end of learning.
    ///
    /// Learning ends with the one that learns longest: somebody waits for it, and a merge, as of the logs of one day,
    /// must not turn all that is still to be learnt into alerts. Who never learnt says nothing of its end.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let (since, segment) = (self.since, &self.segment).min((other.since, &other.segment));
        let groups = self.group.iter().chain(&other.group);
        Self {
            key: self.key.clone(),
            segment: Arc::clone(segment),
            group: groups.min().cloned(),
            since,
            learns_until: learns_until(
                since,
                (self.since, self.learns_until),
                (other.since, other.learns_until),
            ),
            last: self.last.max(other.last),
        }
    }
}

impl SegmentState {
    /// Joins two states of the same segment, as [`WorkloadRecord::joined`] does. The end of learning was told if that of
    /// the later one was.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let order = |state: &Self| {
            let end = (state.learns_until > state.since).then_some(state.learns_until);
            (end, state.has_learnt)
        };
        let since = self.since.min(other.since);
        let (end, has_learnt) = order(self).max(order(other));
        Self {
            segment: Arc::clone(&self.segment),
            since,
            learns_until: end.unwrap_or(since),
            has_learnt,
        }
    }
}

impl ResolverState {
    /// Joins two states of the same resolver: when it was found first.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        Self {
            since: self.since.min(other.since),
            ..self.clone()
        }
    }
}

/// Returns the later end of learning; the beginning itself if neither ever learnt.
fn learns_until(
    since: Timestamp,
    (own_since, own): (Timestamp, Timestamp),
    (others_since, others): (Timestamp, Timestamp),
) -> Timestamp {
    let own = (own > own_since).then_some(own);
    let others = (others > others_since).then_some(others);
    own.max(others).unwrap_or(since)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::*;

    fn time() -> impl Strategy<Value = Timestamp> {
        // Few, so that they meet; days apart, so that day bits move.
        (0..400_i64, 0..3_i64).prop_map(|(day, rest)| Timestamp(day * 86_400 * SECOND + rest))
    }

    fn name() -> impl Strategy<Value = std::sync::Arc<Provenance>> {
        ("[a-g]", 0..2_u8).prop_map(|(name, server)| {
            std::sync::Arc::new(Provenance::new(name.into(), Address::v4([10, 0, 0, server]), [].into()))
        })
    }

    fn pair() -> impl Strategy<Value = Pair> {
        let counts = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u128>());
        let ports = prop::collection::vec(0..20_u16, 0..=Pair::PORTS);
        let names = prop::collection::vec(name(), 0..=Pair::NAMES);
        let novelty = prop::option::of((time(), 1..5_u8));
        (time(), time(), counts, ports, names, novelty).prop_map(|(a, b, counts, ports, names, novelty)| {
            let mut pair = Pair::restored(a.min(b), a.max(b), counts.3 | 1);
            (pair.count, pair.octets_out, pair.octets_in) = (counts.0, counts.1, counts.2);
            for port in ports {
                pair.add_port(port);
            }
            for name in names {
                pair.add_name(&name);
            }
            if let Some((at, fate)) = novelty {
                let fate = Fate::from_number(fate).unwrap();
                pair.set_novelty(Novelty { at, fate });
            }
            pair
        })
    }

    fn workload() -> impl Strategy<Value = WorkloadRecord> {
        (time(), time(), prop::option::of("[ab]"), "[xy]").prop_map(|(since, learns_until, group, segment)| {
            WorkloadRecord {
                key: WorkloadKey::Named("web".into()),
                segment: segment.into(),
                group: group.map(Into::into),
                since,
                learns_until: learns_until.max(since),
                last: since,
            }
        })
    }

    fn segment() -> impl Strategy<Value = SegmentState> {
        (time(), time(), any::<bool>()).prop_map(|(since, learns_until, has_learnt)| SegmentState {
            segment: "-".into(),
            since,
            learns_until: learns_until.max(since),
            has_learnt,
        })
    }

    /// A pair as lines tell it: the order in which ports and names came does not matter.
    fn line(pair: &Pair) -> PairLine {
        PairLine::of(&PairKey::Domain("example.com".into()), pair)
    }

    proptest! {
        #[test]
        fn pairs_join_in_any_order_and_any_number_of_times(a in pair(), b in pair(), c in pair()) {
            prop_assert_eq!(line(&a.joined(&b)), line(&b.joined(&a)));
            prop_assert_eq!(line(&a.joined(&b).joined(&c)), line(&a.joined(&b.joined(&c))));
            prop_assert_eq!(line(&a.joined(&a)), line(&a));
            prop_assert_eq!(line(&a.joined(&b).joined(&b)), line(&a.joined(&b)));
        }

        #[test]
        fn workloads_join_in_any_order_and_any_number_of_times(a in workload(), b in workload(), c in workload()) {
            prop_assert_eq!(a.joined(&b), b.joined(&a));
            prop_assert_eq!(a.joined(&b).joined(&c), a.joined(&b.joined(&c)));
            prop_assert_eq!(a.joined(&a), a.clone());
        }

        #[test]
        fn segments_join_in_any_order_and_any_number_of_times(a in segment(), b in segment(), c in segment()) {
            prop_assert_eq!(a.joined(&b), b.joined(&a));
            prop_assert_eq!(a.joined(&b).joined(&c), a.joined(&b.joined(&c)));
            prop_assert_eq!(a.joined(&a), a.clone());
        }

        #[test]
        fn a_pair_comes_back_from_its_line(pair in pair()) {
            let text = serde_json::to_string(&BaselineLine::Pair(line(&pair))).unwrap();
            let BaselineLine::Pair(read) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            let (key, again) = read.to_pair().unwrap();
            prop_assert_eq!(PairLine::of(&key, &again), line(&pair));
        }

        #[test]
        fn a_workload_comes_back_from_its_line(record in workload()) {
            prop_assert_eq!(WorkloadLine::from(&record).to_record(), Ok(record));
        }
    }

    #[test]
    fn who_never_learnt_does_not_say_when_learning_ends() {
        let record = |since, learns_until| WorkloadRecord {
            key: WorkloadKey::Named("web".into()),
            segment: "-".into(),
            group: None,
            since: Timestamp(since),
            learns_until: Timestamp(learns_until),
            last: Timestamp(since),
        };
        let joined = record(90, 90).joined(&record(10, 40));
        assert_eq!((joined.since.0, joined.learns_until.0), (10, 40));
        let joined = record(90, 90).joined(&record(10, 10));
        assert_eq!((joined.since.0, joined.learns_until.0), (10, 10));
    }
}
