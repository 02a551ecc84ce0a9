//! Flows with both ends outside: a prefix of the estate that the settings lack (rule S1).

use hashbrown::HashMap;

use crate::model::{EventKind, Segment, Timestamp};

use super::super::report::{Report, TunnelSeen};
use super::Judge;

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
    /// Tells of envelopes that lead outside (rule W2): the settings may lack a mirror, or a tunnel of the estate's own.
    pub(super) fn tell_tunnel(&mut self, tunnel: &TunnelSeen) {
        let outside = if self.is_internal(tunnel.from) {
            tunnel.to
        } else {
            tunnel.from
        };
        let text = format!(
            "envelopes in {} from {} to {}: what is inside goes to the records only; if {outside} mirrors traffic to here or is the far \
             end of a tunnel of yours, add it to [wire] tunnels",
            tunnel.transport.name(),
            tunnel.from,
            tunnel.to
        );
        self.tell(tunnel.at, EventKind::TunnelOutside, text);
    }

    /// Counts an epoch's flows with both ends outside, and tells which prefix seems to be missing.
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
}
