//! Five-tuples whose TCP flow ended a short while ago: what still trickles in is no news and opens no midstream flow.

use std::hash::BuildHasher;

use hashbrown::HashMap;

use crate::model::{Layer4, Packet, Timestamp};

use super::TCP_LINGER;
use super::key::FlowKey;
use super::state::is_syn;

/// The sequence number of the SYN that opened a flow, if it was seen.
type Syn = Option<u32>;
type Generation = HashMap<u64, Syn, foldhash::fast::RandomState>;

/// Flows that ended, kept for [`TCP_LINGER`] to twice that after the last that was heard of them.
///
/// A five-tuple is kept as a seeded 64-bit hash: two that share one are as likely as a disk's undetected read error, and
/// nobody outside can make them. Two generations take turns, so that nothing has to be taken out one by one.
#[derive(Debug)]
pub(super) struct Closed {
    latest: Generation,
    before: Generation,
    /// How many times [`TCP_LINGER`] fits into packet time, when generations last took turns.
    period: i64,
    hasher: foldhash::quality::RandomState,
    limit: usize,
}

impl Closed {
    /// Returns an empty set of at most `limit` flows a generation; one more ends the generation early.
    pub fn new(limit: usize) -> Self {
        Self {
            latest: Generation::default(),
            before: Generation::default(),
            period: i64::MIN,
            hasher: foldhash::quality::RandomState::default(),
            limit: limit.max(1),
        }
    }

    /// Adds a flow that ended.
    pub fn add(&mut self, key: &FlowKey, syn: Syn) {
        let hash = self.hasher.hash_one(key.words());
        self.put(hash, syn);
    }

    fn put(&mut self, hash: u64, syn: Syn) {
        if self.latest.len() >= self.limit {
            self.turn();
        }
        self.latest.insert(hash, syn);
    }

    /// Says whether a packet belongs to a flow that ended: it is on its five-tuple and no SYN of another flow.
    pub fn holds(&mut self, key: &FlowKey, packet: &Packet) -> bool {
        let Layer4::Tcp { flags, sequence } = packet.layer4 else {
            return false;
        };
        if self.latest.is_empty() && self.before.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one(key.words());
        let belongs = |syn: Syn| !is_syn(flags) || syn == Some(sequence);
        if let Some(syn) = self.latest.get(&hash) {
            return belongs(*syn);
        }
        let Some(syn) = self.before.get(&hash).copied() else {
            return false;
        };
        if belongs(syn) {
            self.put(hash, syn);
            return true;
        }
        false
    }

    /// Forgets what has been silent for long enough at the end of an epoch.
    pub fn mark(&mut self, now: Timestamp) {
        let period = now.0.div_euclid(TCP_LINGER.0);
        if period == self.period {
            return;
        }
        if self.period.checked_add(1) != Some(period) {
            self.latest.clear();
        }
        self.period = period;
        self.turn();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.latest.clear();
        self.before.clear();
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.latest, &mut self.before);
        self.latest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, Arrival, Segment, SourceId, Span, TcpFlags};

    fn packet(flags: u8, sequence: u32) -> Packet {
        Packet {
            time: Timestamp(0),
            arrival: Arrival(1),
            source: SourceId(0),
            segment: Segment::NONE,
            from: Address::v4([10, 0, 0, 1]),
            to: Address::v4([203, 0, 113, 1]),
            from_port: 40_000,
            to_port: 443,
            from_mac: None,
            payload_octets: 0,
            layer4: Layer4::Tcp {
                flags: TcpFlags(flags),
                sequence,
            },
        }
    }

    #[test]
    fn a_closed_flow_is_held_for_at_least_the_linger_and_longer_while_it_trickles() {
        let (key, _) = FlowKey::of(&packet(TcpFlags::ACK, 0));
        let at = |seconds| Timestamp(0).plus(Span::seconds(seconds));
        let mut closed = Closed::new(8);
        closed.mark(at(1));
        closed.add(&key, Some(7));
        closed.mark(at(31));
        assert!(closed.holds(&key, &packet(TcpFlags::ACK, 9)));
        closed.mark(at(61));
        assert!(closed.holds(&key, &packet(TcpFlags::SYN, 7)));
        assert!(!closed.holds(&key, &packet(TcpFlags::SYN, 8)));
        closed.mark(at(91));
        closed.mark(at(121));
        assert!(!closed.holds(&key, &packet(TcpFlags::ACK, 9)));
    }

    #[test]
    fn a_full_generation_gives_way() {
        let mut closed = Closed::new(2);
        let key = |port| {
            let packet = Packet {
                from_port: port,
                ..packet(TcpFlags::ACK, 0)
            };
            (FlowKey::of(&packet).0, packet)
        };
        for port in 1..=5 {
            closed.add(&key(port).0, None);
        }
        let held = (1..=5)
            .filter(|port| closed.holds(&key(*port).0, &key(*port).1))
            .count();
        assert_eq!(held, 3);
    }
}
