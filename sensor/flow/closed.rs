//! Five-tuples whose TCP flow ended a short while ago: what still trickles in is no news and opens no midstream flow.

use std::hash::BuildHasher;

use hashbrown::HashMap;

use crate::model::{Layer4, Packet, Timestamp};

use super::TCP_LINGER;
use super::key::FlowKey;
use super::state::is_syn;

/// A flow that ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    /// The sequence number of the SYN that opened it, if that was seen.
    syn: u32,
    has_syn: bool,
    /// In which turn it was last heard of.
    turn: u8,
}

/// Flows that ended, kept for [`TCP_LINGER`] to twice that after the last that was heard of them.
///
/// A five-tuple is kept as a seeded 64-bit hash: two that share one are as likely as a disk's undetected read error, and
/// nobody outside can make them.
#[derive(Debug)]
pub(super) struct Closed {
    flows: HashMap<u64, Ended, foldhash::fast::RandomState>,
    turn: u8,
    /// How many were heard of in this turn.
    fresh: usize,
    /// How many times [`TCP_LINGER`] fits into packet time, when this turn began.
    period: i64,
    hasher: foldhash::quality::RandomState,
    limit: usize,
}

impl Closed {
    /// Returns an empty set of at most `limit` flows a turn, of which two are kept; one more ends the turn early.
    pub fn new(limit: usize) -> Self {
        Self {
            flows: HashMap::default(),
            turn: 0,
            fresh: 0,
            period: i64::MIN,
            hasher: foldhash::quality::RandomState::default(),
            limit: limit.max(1),
        }
    }

    /// Adds a flow that ended.
    pub fn add(&mut self, key: &FlowKey, syn: Option<u32>) {
        let hash = self.hasher.hash_one(key.words());
        self.begin();
        let ended = Ended {
            syn: syn.unwrap_or_default(),
            has_syn: syn.is_some(),
            turn: self.turn,
        };
        self.flows.insert(hash, ended);
    }

    /// Says whether a flow of this five-tuple is kept.
    pub fn has(&self, key: &FlowKey) -> bool {
        !self.flows.is_empty() && self.flows.contains_key(&self.hasher.hash_one(key.words()))
    }

    /// Says whether a packet belongs to a flow that ended: it is on its five-tuple and no SYN of another flow.
    pub fn holds(&mut self, key: &FlowKey, packet: &Packet) -> bool {
        let Layer4::Tcp { flags, sequence } = packet.layer4 else {
            return false;
        };
        if self.flows.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one(key.words());
        let Some(ended) = self.flows.get_mut(&hash) else {
            return false;
        };
        if is_syn(flags) && !(ended.has_syn && ended.syn == sequence) {
            return false;
        }
        let is_older = ended.turn != self.turn;
        ended.turn = self.turn;
        if is_older {
            self.begin();
        }
        true
    }

    /// Counts one more of this turn.
    fn begin(&mut self) {
        if self.fresh >= self.limit {
            self.take_turns();
        }
        self.fresh += 1;
    }

    /// Forgets what has been silent for long enough at the end of an epoch.
    pub fn mark(&mut self, now: Timestamp) {
        let period = now.0.div_euclid(TCP_LINGER.0);
        if period == self.period {
            return;
        }
        if self.period.checked_add(1) != Some(period) {
            self.flows.clear();
        }
        self.period = period;
        self.take_turns();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.flows.clear();
        self.fresh = 0;
    }

    /// Forgets what was not heard of in this turn, and begins the next.
    fn take_turns(&mut self) {
        let turn = self.turn;
        self.flows.retain(|_, ended| ended.turn == turn);
        self.turn = turn.wrapping_add(1);
        self.fresh = 0;
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
