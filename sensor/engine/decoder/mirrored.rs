//! What becomes of packets that mirrors show twice (rule W5).
//!
//! A copy goes no further. What it shows beside the packet is told all the same: its source is not blind in the direction
//! that it shows (rules N2 and F3), and a packet that lost hops on its way was sent on by a router (rule N4).

use hashbrown::HashMap;

use crate::model::{Counter, Layer4, Packet, Timestamp};
use crate::wire;
use crate::wire::dns::{self, Role};

use super::super::copies::{Look, Path};
use super::super::report::{Fact, telling};
use super::Decoder;

/// How many facts are remembered to have been told; all are forgotten when it is more, and told again.
const TOLD_LIMIT: usize = 1 << 12;

/// When facts were told that copies show.
pub(super) type Told = HashMap<Fact, i32, foldhash::quality::RandomState>;

impl Decoder {
    /// Says whether the innermost packet of a frame is a copy. What it is known by is put together apart from the way of
    /// packets that are not looked at.
    #[inline(never)]
    pub(super) fn is_again(
        &mut self,
        partition: usize,
        packet: &Packet,
        decoded: &wire::Decoded<'_>,
        needed: &[u8],
    ) -> bool {
        self.is_copy(partition, packet, &Look::at(decoded, packet.source, needed))
    }

    /// Says whether a packet is a copy of one that was handed on.
    pub(super) fn is_copy(&mut self, partition: usize, packet: &Packet, look: &Look<'_>) -> bool {
        let Some(first) = self.copies.look(partition, packet, look) else {
            return false;
        };
        self.report.counters.count(Counter::Duplicates);
        if !packet.segment.is_tunnel() {
            self.tell_of_copy(packet, look, first);
        }
        true
    }

    /// Tells what a copy shows that its first did not.
    fn tell_of_copy(&mut self, packet: &Packet, look: &Look<'_>, first: Path) {
        let own = look.path;
        if own.from_mac != first.from_mac && own.hop_limit != first.hop_limit {
            let behind = if own.hop_limit < first.hop_limit { own } else { first };
            if let Some(mac) = behind.from_mac {
                self.tell_once(Fact::MacRouter(packet.segment, mac), packet.time);
            }
        }
        if own.source == first.source {
            return;
        }
        let outbound = Fact::Outbound(own.source);
        if !self.was_told(outbound, packet.time) && self.carriers.goes_out(packet) {
            self.tell_once(outbound, packet.time);
        }
        let is_query = look.is_dns && dns::peek(look.payload) == Some(Role::Query);
        if is_query && packet.layer4 == Layer4::Udp && self.dns_ports.has(packet.to_port) {
            self.tell_once(Fact::Queries(own.source), packet.time);
        }
    }

    fn was_told(&self, fact: Fact, at: Timestamp) -> bool {
        self.told_of_copies.get(&fact) == Some(&telling(at))
    }

    fn tell_once(&mut self, fact: Fact, at: Timestamp) {
        if self.was_told(fact, at) {
            return;
        }
        if self.told_of_copies.len() >= TOLD_LIMIT {
            self.told_of_copies.clear();
        }
        self.told_of_copies.insert(fact, telling(at));
        self.report.facts.push((fact, at));
    }
}
