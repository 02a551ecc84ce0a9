//! One partition: its flows, its queries, and the facts that it told.

use hashbrown::HashMap;

use crate::flow::{Class, FlowReport, FlowTable, Payload, Taken};
use crate::identity::Locality;
use crate::model::{
    Address, BySource, Counter, Counters, Day, Endpoint, Layer4, Packet, Segment, Span, TcpFlags, Timestamp,
};
use crate::names::{QueryTable, Streams, encrypted};

use super::super::report::{Answered, Fact, Mark};
use super::{Records, Shared, WorkerSetup, count_flow, end_flows};

/// Who answers a host that asks name servers itself is told this often: five servers within ten minutes make it a
/// resolver (rule S3).
const ITERATOR_TOLD_FOR: Span = Span::minutes(1);
/// How many such answers a partition remembers to have told; all are forgotten when it is more, and told again.
const TOLD_LIMIT: usize = 1 << 12;

/// How many flows with both ends outside a partition shows the judge in an epoch.
const OUTSIDE_SHOWN: usize = 4;

/// One partition.
#[derive(Debug)]
pub(super) struct Part {
    pub flows: FlowTable,
    pub queries: QueryTable,
    /// DNS over TCP.
    pub streams: Streams,
    /// Flows of DNS over UDP, kept only for the records.
    pub dns_flows: Option<FlowTable>,
    /// The day of the latest contact of a client with an external DNS server: one a day is judged.
    pub dns_contacts: HashMap<(Segment, Address, Address), Day, foldhash::fast::RandomState>,
    /// When answers to hosts that ask name servers themselves were told.
    told: HashMap<Answered, Timestamp, foldhash::quality::RandomState>,
    /// How many flows with both ends outside were shown to the judge in this epoch.
    outside_shown: usize,
}

impl Part {
    pub fn new(setup: &WorkerSetup) -> Self {
        let limits = setup.limits;
        let dns_flows = (setup.records == Records::Wanted).then(|| FlowTable::new(1, limits.others, setup.settle));
        Self {
            flows: FlowTable::new(limits.candidates, limits.others, setup.settle),
            queries: QueryTable::new(limits.queries),
            streams: Streams::new(limits.streams),
            dns_flows,
            dns_contacts: HashMap::default(),
            told: HashMap::default(),
            outside_shown: 0,
        }
    }

    /// Takes a packet.
    pub fn packet(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) {
        let mut carried = Payload::Other;
        match packet.layer4 {
            Layer4::Udp if payload.is_empty() => {}
            Layer4::Udp => {
                if self.datagram(packet, payload, shared) {
                    return;
                }
            }
            Layer4::Tcp { .. } if self.segment(packet, payload, shared) => carried = Payload::Query,
            Layer4::Tcp { .. } => {}
            Layer4::Tunnel(_) => {}
        }
        self.flow(packet, carried, shared);
    }

    /// Takes a packet into the flow table.
    pub fn flow(&mut self, packet: &Packet, carried: Payload, shared: &mut Shared) {
        let network = &shared.setup.network;
        let mut ends = None;
        let taken = self.flows.take(packet, carried, || {
            let found = (network.locality(packet.from), network.locality(packet.to));
            ends = Some(found);
            class_of(packet, found)
        });
        if packet.segment.is_tunnel() {
            // The records are all that it goes to.
            let opened = u64::from(taken == Taken::Opened);
            shared.report.counters.add(Counter::TunnelFlows, opened);
            return;
        }
        match taken {
            Taken::Continued => {}
            Taken::Opened => {
                let ends = ends.unwrap_or((Locality::Neither, Locality::Neither));
                count_flow(&mut shared.report.counters, counter_of(packet, ends));
                let is_outside = ends == (Locality::External, Locality::External);
                shared.count_opened(packet.segment, is_outside);
                if is_outside && self.outside_shown < OUTSIDE_SHOWN {
                    self.outside_shown += 1;
                    shared.report.outside.push((packet.segment, packet.from, packet.to));
                }
                tell_sender(packet, ends, shared);
                tell_encrypted(packet, shared);
            }
            Taken::Answered { listens } => {
                let ends = (network.locality(packet.from), network.locality(packet.to));
                // A well-known port speaks for itself (rule F3), unless both are.
                if listens && (packet.from_port >= 1024 || packet.to_port < 1024) {
                    let endpoint = Endpoint {
                        ip: packet.from,
                        port: packet.from_port,
                    };
                    shared.tell(Fact::Listening(packet.segment, packet.transport(), endpoint), packet);
                }
                tell_sender(packet, ends, shared);
            }
        }
    }

    /// Tells that a server answered a host that asks name servers itself, unless it was told a short while ago.
    pub fn tell_iterator(&mut self, answered: Answered, packet: &Packet, shared: &mut Shared) {
        if let Some(told) = self.told.get_mut(&answered) {
            if packet.time.since(*told) < ITERATOR_TOLD_FOR {
                return;
            }
            *told = packet.time;
        } else {
            if self.told.len() >= TOLD_LIMIT {
                self.told.clear();
            }
            self.told.insert(answered, packet.time);
        }
        shared.report.facts.push((Fact::Answered(answered), packet.time));
    }

    /// Ends an epoch; what changed is added to `flows`.
    pub fn end_epoch(
        &mut self,
        mark: &Mark,
        flows: &mut FlowReport,
        counters: &mut Counters,
        delivered: &mut BySource,
    ) {
        self.outside_shown = 0;
        end_flows(&mut self.flows, mark, flows);
        if let Some(table) = &mut self.dns_flows {
            end_flows(table, mark, flows);
        }
        if matches!(mark.ending, super::Ending::Stretch(_)) {
            self.queries.clear();
            self.streams.clear();
            self.told.clear();
            self.dns_contacts.clear();
        }
        let evicted = self.queries.mark(mark.now, |source| {
            counters.count(Counter::DnsUnanswered);
            delivered.count(source, |delivered| delivered.dns_unanswered += 1);
        });
        counters.add(Counter::DnsQueriesEvicted, evicted);
        counters.add(Counter::DnsStreamsEvicted, self.streams.mark(mark.now));
    }
}

/// Says which table a flow belongs to that this packet opens.
fn class_of(packet: &Packet, ends: (Locality, Locality)) -> Class {
    match ends {
        _ if packet.segment.is_tunnel() => Class::Other,
        (Locality::Internal, Locality::External) => Class::Candidate,
        (Locality::External, Locality::Internal) if !is_syn(packet) => Class::Candidate,
        _ => Class::Other,
    }
}

fn counter_of(packet: &Packet, ends: (Locality, Locality)) -> Counter {
    match ends {
        (Locality::Internal, Locality::Internal) => Counter::FlowsInternal,
        (Locality::External, Locality::External) => Counter::FlowsExternal,
        (Locality::External, Locality::Internal) if is_syn(packet) => Counter::FlowsInbound,
        (Locality::Neither, _) | (_, Locality::Neither) => Counter::FlowsNeither,
        _ => Counter::FlowsCandidates,
    }
}

fn is_syn(packet: &Packet) -> bool {
    match packet.layer4 {
        Layer4::Tcp { flags, .. } => flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK),
        Layer4::Udp | Layer4::Tunnel(_) => false,
    }
}

/// Tells of a flow that carries encrypted DNS, whichever way its first packet went.
fn tell_encrypted(packet: &Packet, shared: &mut Shared) {
    let client = if encrypted::is_server(packet.to, packet.to_port) {
        packet.from
    } else if encrypted::is_server(packet.from, packet.from_port) {
        packet.to
    } else {
        return;
    };
    shared.tell(Fact::Encrypted(packet.segment, client), packet);
}

/// Tells what the first packet of a side of a flow shows about its sender.
fn tell_sender(packet: &Packet, ends: (Locality, Locality), shared: &mut Shared) {
    if ends == (Locality::Internal, Locality::External) {
        shared.tell(Fact::Outbound(packet.source), packet);
    }
    let Some(mac) = packet.from_mac else { return };
    match ends.0 {
        Locality::Internal => shared.tell_mac(mac, packet),
        Locality::External => shared.tell(Fact::MacRouter(packet.segment, mac), packet),
        Locality::Neither => {}
    }
}
