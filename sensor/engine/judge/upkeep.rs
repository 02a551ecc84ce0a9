//! What the judge tells and tidies at the end of an epoch: events, sweeps, and time that went back (rules T1, S1, S3, B4).

use hashbrown::HashMap;

use crate::model::{Counter, Event, EventKind, ResolverState, Segment, Span, Timestamp};

use super::super::report::Report;
use super::Judge;
use super::facts::Host;
use super::registry::Learnt;

/// How often in packet time tables are swept for what is too old.
const SWEEP: Span = Span::minutes(10);
/// Above this share of a segment's flows with both ends outside, a prefix seems to be missing (rule S1).
const OUTSIDE_SHARE: u64 = 100;
/// Fewer flows of a segment say nothing.
const OUTSIDE_LEAST: u64 = 1000;
/// Segments beyond this many are not looked at for missing prefixes: their numbers come from the network.
const OUTSIDE_SEGMENTS: usize = 1 << 14;

/// Flows of a segment with both ends outside.
#[derive(Debug, Default)]
pub(super) struct Outside {
    opened: u64,
    outside: u64,
    prefixes: HashMap<ipnet::IpNet, u64>,
    is_told: bool,
}

impl Judge {
    pub(super) fn tell_resolver(&mut self, host: Host, now: Timestamp) {
        let (segment, address) = host;
        let segment = self.text_of(segment);
        self.tell(
            now,
            EventKind::ResolverFound,
            format!(
                "{address} in segment {segment} answers DNS queries of other internal hosts and is taken for a resolver"
            ),
        );
        self.detected.push(ResolverState {
            segment,
            address,
            since: now,
        });
        self.out.batch.state = Some(self.state());
    }

    pub(super) fn count_outside(&mut self, all: &mut Report, now: Timestamp) {
        for (segment, opened, outside) in all.opened.drain(..) {
            if self.outside.len() >= OUTSIDE_SEGMENTS && !self.outside.contains_key(&segment) {
                continue;
            }
            let counts = self.outside.entry(segment).or_default();
            counts.opened += opened;
            counts.outside += outside;
        }
        for (segment, one, other) in all.outside.drain(..) {
            let Some(counts) = self.outside.get_mut(&segment) else {
                continue;
            };
            for address in [one, other] {
                let length = if address.as_v4().is_some() { 16 } else { 48 };
                if let Ok(prefix) = ipnet::IpNet::new(address.ip(), length)
                    && (counts.prefixes.len() < 1024 || counts.prefixes.contains_key(&prefix.trunc()))
                {
                    *counts.prefixes.entry(prefix.trunc()).or_default() += 1;
                }
            }
        }
        let missing = self.outside.iter_mut().filter(|(_, counts)| {
            !counts.is_told && counts.opened >= OUTSIDE_LEAST && counts.outside * OUTSIDE_SHARE > counts.opened
        });
        let mut missing: Vec<(Segment, Option<ipnet::IpNet>, u64, u64)> = missing
            .map(|(segment, counts)| {
                counts.is_told = true;
                let most = counts
                    .prefixes
                    .iter()
                    .max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)));
                (*segment, most.map(|(prefix, _)| *prefix), counts.outside, counts.opened)
            })
            .collect();
        missing.sort_unstable();
        for (segment, prefix, outside, opened) in missing {
            let prefix = prefix.map_or_else(|| "a prefix".to_owned(), |prefix| prefix.to_string());
            let text = format!(
                "{outside} of {opened} flows in segment {} have both ends outside; add {prefix} to [network] internal if it is yours",
                self.text_of(segment)
            );
            self.tell(now, EventKind::PrefixMissing, text);
        }
    }

    pub(super) fn tell_learnt(&mut self, now: Timestamp) {
        for learnt in self.registry.take_learnt(now) {
            let what = match learnt {
                Learnt::Segment(segment) => format!("segment {segment}"),
                Learnt::Workload(key) => format!("workload {key}"),
            };
            self.tell(
                now,
                EventKind::LearningEnded,
                format!("{what} has learnt; what is new to it is raised from now on"),
            );
        }
        if self.registry.take_segments().is_some() {
            self.out.batch.state = Some(self.state());
        }
    }

    pub(super) fn tell(&mut self, ts: Timestamp, kind: EventKind, text: String) {
        self.out.events.push(Event { ts, kind, text });
    }

    /// Drops what is too old, now and again, and what is too much.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let evicted = (self.names.bound() + self.names.evict(self.limits.names)) as u64;
        self.out.counters.add(Counter::NamesEvicted, evicted);
        self.open.expire(self.next_sequence, now);
        self.renewals.evict(self.limits.names);
        self.facts.bound();
        if self.last_expiry.is_none() {
            self.expire_left(now);
        }
        let last = *self.last_expiry.get_or_insert(now);
        if now.since(last) < SWEEP {
            return;
        }
        self.last_expiry = Some(now);
        self.expire_left(now);
        self.out
            .counters
            .add(Counter::NamesExpired, self.names.expire(now) as u64);
        self.renewals.expire(now);
        self.facts.expire(now);
    }

    /// Time went back: what is remembered keeps its age (rule T1).
    pub(super) fn shift(&mut self, by: Span, now: Timestamp) {
        self.names.shift(by);
        self.renewals.shift(by);
        self.facts.shift(by);
        self.open.clear_late();
        self.drop_left();
        self.contacts.judged.clear();
        self.last_expiry = None;
        let text = format!(
            "packet time went back by {} s; flows ended and waiting contacts were judged",
            -by.as_seconds()
        );
        self.tell(now, EventKind::ClockBreak, text);
    }
}
