//! What sources delivered, and what was missing in it (rule N5).

use serde::Serialize;

use super::address::{Address, SourceId};
use super::time::Timestamp;

/// What a source delivered within some time, and what of it did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Delivered {
    /// Packets.
    pub packets: u64,
    /// IP packets in fragments of which some did not come.
    pub incomplete: u64,
    /// Octets of TCP payload, each copy of them.
    pub tcp_octets: u64,
    /// Octets of TCP payload between others that did not come, not even late.
    pub tcp_missing: u64,
    /// DNS responses to a query that was seen.
    pub dns_matched: u64,
    /// DNS responses without one.
    pub dns_unmatched: u64,
    /// DNS queries without a response.
    pub dns_unanswered: u64,
}

impl Delivered {
    /// Adds what was delivered beside it.
    pub const fn add(&mut self, more: &Self) {
        self.packets += more.packets;
        self.incomplete += more.incomplete;
        self.tcp_octets += more.tcp_octets;
        self.tcp_missing += more.tcp_missing;
        self.dns_matched += more.dns_matched;
        self.dns_unmatched += more.dns_unmatched;
        self.dns_unanswered += more.dns_unanswered;
    }

    /// Returns the share of TCP payload, or of packets in fragments, that did not come: the greater one, 0 to 1. DNS is not
    /// in it: a server that is down and a mirror that shows one direction leave queries without responses too.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let share = |missing: u64, came: u64| match missing {
            0 => 0.0,
            missing => missing as f64 / (missing + came) as f64,
        };
        share(self.tcp_missing, self.tcp_octets).max(share(self.incomplete, self.packets))
    }
}

/// What one source delivered in all, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceReport {
    /// Who mirrored; `null` for a file or an interface itself.
    pub source: Option<Address>,
    /// The number of the file or the interface, from 1; `null` for who mirrored.
    pub input: Option<u32>,
    /// Everything.
    #[serde(flatten)]
    pub all: Delivered,
    /// The share that was lost, 0 to 1, as [`Delivered::loss`] has it.
    pub loss: f64,
    /// The minute with the greatest share, if any of it was lost.
    pub worst_minute: Option<Minute>,
}

/// What a source delivered within a minute of packet time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Minute {
    /// When it began.
    pub ts: Timestamp,
    /// What was delivered.
    #[serde(flatten)]
    pub all: Delivered,
    /// The share that was lost.
    pub loss: f64,
}

/// What is counted for each of many sources.
#[derive(Debug, Default)]
pub struct BySource {
    /// By number, since numbers are given in order; and whether anything was counted.
    counts: Vec<(bool, Delivered)>,
    counted: Vec<SourceId>,
}

impl BySource {
    /// Counts something for a source.
    #[inline]
    pub fn count(&mut self, source: SourceId, count: impl FnOnce(&mut Delivered)) {
        let at = usize::from(source.0);
        if self.counts.len() <= at {
            self.counts.resize_with(at + 1, Default::default);
        }
        if let Some((is_counted, counts)) = self.counts.get_mut(at) {
            if !std::mem::replace(is_counted, true) {
                self.counted.push(source);
            }
            count(counts);
        }
    }

    /// Moves what was counted, by source, to the end of a list.
    pub fn hand_over(&mut self, to: &mut Vec<(SourceId, Delivered)>) {
        for source in self.counted.drain(..) {
            if let Some(place) = self.counts.get_mut(usize::from(source.0)) {
                to.push((source, std::mem::take(place).1));
            }
        }
    }
}
