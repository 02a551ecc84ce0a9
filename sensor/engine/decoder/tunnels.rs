//! IP packets that carry envelopes: those that mirror, and those that lead outside (rule W2).

use hashbrown::{HashMap, HashSet};

use crate::identity::{Locality, Network};
use crate::model::{Address, Counter, Layer4, Packet, Policy, SourceId};
use crate::wire::{self, Carrier, Start};

use super::super::copies::Look;
use super::super::fragments::{Came, Place};
use super::super::partition::partition;
use super::super::report::TunnelSeen;
use super::{Decoder, Packets};

/// Pairs of addresses that are remembered; all are forgotten when there are more, and looked up again.
const REMEMBERED: usize = 1 << 14;
/// Addresses outside that are told of. Whoever can send envelopes can invent more.
const TOLD: usize = 1 << 8;

/// Who carries envelopes.
#[derive(Debug)]
pub(super) struct Carriers {
    network: Network,
    /// Whether envelopes between two addresses lead outside.
    known: HashMap<(Address, Address), bool, foldhash::fast::RandomState>,
    told: HashSet<Address, foldhash::fast::RandomState>,
    /// Between whom the latest frame was mirrored, and its source: frames of one come in rows.
    latest: Option<((Address, Address), SourceId)>,
}

impl Carriers {
    pub fn new(policy: &Policy) -> Self {
        Self {
            network: Network::new(&policy.network),
            known: HashMap::default(),
            told: HashSet::default(),
            latest: None,
        }
    }

    /// Says whether a packet goes from inside to outside.
    pub fn goes_out(&self, packet: &Packet) -> bool {
        let ends = [packet.from, packet.to].map(|address| self.network.locality(address));
        ends == [Locality::Internal, Locality::External]
    }

    fn leads_outside(&mut self, from: Address, to: Address) -> bool {
        if let Some(known) = self.known.get(&(from, to)) {
            return *known;
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let leads_outside = self.network.leads_outside(from, to);
        self.known.insert((from, to), leads_outside);
        leads_outside
    }
}

impl Decoder {
    /// Says who delivered what envelopes lead to, and where it was met: `place` is where the way began. An envelope that
    /// leads outside is handed on as a packet of its own.
    #[inline]
    pub(super) fn delivered(
        &mut self,
        envelopes: &wire::Envelopes<'_>,
        start: Start<'_>,
        place: Place,
        came: Came,
        out: &mut impl Packets,
    ) -> (SourceId, Place) {
        let Some(ends) = envelopes.carried_between() else {
            return (came.source, place);
        };
        match self.carriers.latest {
            Some((latest, source)) if latest == ends && !envelopes.is_carried_twice => (source, place),
            _ => self.carried(ends, envelopes.is_carried_twice, start, place, came, out),
        }
    }

    fn carried(
        &mut self,
        (from, to): (Address, Address),
        is_twice: bool,
        start: Start<'_>,
        place: Place,
        came: Came,
        out: &mut impl Packets,
    ) -> (SourceId, Place) {
        let leads_outside = self.carriers.leads_outside(from, to);
        // No tunnel mirrors.
        let source = if leads_outside { came.source } else { self.source(from) };
        if place == Place::Plain && (leads_outside || is_twice) {
            return (source, self.leave(start, came, out));
        }
        if !leads_outside && !is_twice {
            self.carriers.latest = Some(((from, to), source));
        }
        (source, place)
    }

    /// Hands on the first envelope of a way that leads outside, if there is one, and says where that puts its inside.
    #[cold]
    #[inline(never)]
    pub(super) fn leave(&mut self, start: Start<'_>, came: Came, out: &mut impl Packets) -> Place {
        let carriers = wire::carriers(start, &self.ports);
        let leads_outside = |carrier: &&Carrier<'_>| self.carriers.leads_outside(carrier.from, carrier.to);
        let Some(tunnel) = carriers.iter().find(leads_outside) else {
            return Place::Plain;
        };
        // What is around the first that leads outside mirrors it.
        let source = match tunnel.envelopes.mirrored_by() {
            Some(mirror) => self.source(mirror),
            None => came.source,
        };
        self.tell_source(source, came.time);
        self.report.counters.count(Counter::Tunnels);
        let packet = Packet {
            time: came.time,
            arrival: came.arrival,
            source,
            segment: self.segments.of(&tunnel.envelopes, &mut self.report.segments),
            from_mac: tunnel.from_mac,
            from: tunnel.from,
            to: tunnel.to,
            from_port: tunnel.from_port,
            to_port: tunnel.to_port,
            layer4: Layer4::Tunnel(tunnel.transport),
            payload_octets: tunnel.payload_octets,
        };
        self.tell_tunnel(&packet);
        let partition = partition(packet.from, packet.to);
        if !self.copies.looks_at(partition, &packet, tunnel.payload, &[])
            || !self.is_copy(partition, &packet, &Look::around(tunnel, source))
        {
            out.packet(partition, &packet, &[]);
        }
        Place::Tunnel
    }

    fn tell_tunnel(&mut self, packet: &Packet) {
        let network = &self.carriers.network;
        let is_internal = network.locality(packet.from) == Locality::Internal;
        let outside = if is_internal { packet.to } else { packet.from };
        if self.carriers.told.len() < TOLD && self.carriers.told.insert(outside) {
            self.report.tunnels.push(TunnelSeen {
                at: packet.time,
                transport: packet.transport(),
                from: packet.from,
                to: packet.to,
            });
        }
    }
}
