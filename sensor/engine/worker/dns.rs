//! DNS: queries wait for their responses, responses give evidence (rules N1, N2).

use std::sync::Arc;

use smallvec::SmallVec;

use crate::flow::{Class, Payload};
use crate::identity::Locality;
use crate::model::{Address, AnswerFacts, Counter, Evidence, Malformed, Packet};
use crate::names::{Interner, Origin, QueryKey};
use crate::wire::dns::{self, Role};

use super::super::decoder::OFF_PORTS;
use super::super::report::{AnswerSeen, Answered, Fact, Matter};
use super::part::Part;
use super::{Records, Shared};

/// How many contacts with external DNS servers a partition remembers; when all are forgotten, each is judged once more
/// that day.
const DNS_CONTACTS: usize = 1 << 14;
/// RCODE 0, no error (RFC 1035 section 4.1.1).
const NO_ERROR: u8 = 0;

impl Part {
    /// Takes the payload of a datagram; says whether it was DNS, so that the flow table need not see it.
    pub fn datagram(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) -> bool {
        let ports = &shared.setup.dns_ports;
        let (to_server, from_server) = (ports.has(packet.to_port), ports.has(packet.from_port));
        if !to_server && !from_server {
            if OFF_PORTS.contains(&packet.from_port) {
                off_port(packet, payload, shared);
            }
            return false;
        }
        let read = match dns::peek(payload) {
            Some(Role::Query) if to_server => Some((Payload::Query, self.query(packet, payload, shared))),
            Some(Role::Response) if from_server => Some((Payload::Response, self.response(packet, payload, shared))),
            _ => None,
        };
        match read {
            Some((carried, Ok(()))) => {
                self.dns_flow(packet, carried, shared);
                return true;
            }
            // A packet all the same, so it stands in the sum of all frames and not among the malformed ones.
            Some((_, Err(_))) => shared.report.counters.count(Counter::DnsMalformed),
            None => shared.report.counters.count(Counter::DnsNotDns),
        }
        false
    }

    /// Takes a segment from or to a port of DNS; says whether it begins with a query (RFC 1035 section 4.2.2).
    pub fn segment(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) -> bool {
        let ports = &shared.setup.dns_ports;
        let (to_server, from_server) = (ports.has(packet.to_port), ports.has(packet.from_port));
        if !to_server && !from_server {
            return false;
        }
        let role_of = |octets: &[u8]| {
            let (_, message) = octets.split_first_chunk::<2>()?;
            dns::peek(message).filter(|role| match role {
                Role::Query => to_server,
                Role::Response => from_server,
            })
        };
        let mut streams = std::mem::take(&mut self.streams);
        streams.take(
            packet,
            payload,
            |octets| role_of(octets).is_some(),
            |message| {
                let read = match dns::peek(message) {
                    Some(Role::Query) if to_server => self.query(packet, message, shared),
                    Some(Role::Response) if from_server => self.response(packet, message, shared),
                    _ => {
                        shared.report.counters.count(Counter::DnsNotDns);
                        return;
                    }
                };
                if read.is_err() {
                    shared.report.counters.count(Counter::DnsMalformed);
                }
            },
        );
        self.streams = streams;
        role_of(payload) == Some(Role::Query)
    }

    fn query(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) -> Result<(), Malformed> {
        let query = dns::parse_query(payload)?;
        if packet.segment.is_tunnel() {
            return Ok(());
        }
        shared.report.counters.count(Counter::DnsQueries);
        let key = QueryKey {
            segment: packet.segment,
            client: packet.from,
            client_port: packet.from_port,
            server: packet.to,
            server_port: packet.to_port,
            id: query.id,
            name: query.name.as_bytes(),
        };
        self.queries.ask(&key, packet.source, packet.time);
        shared.tell(Fact::Queries(packet.source), packet);
        if let Some(mac) = packet.from_mac
            && shared.setup.network.locality(packet.from) == Locality::Internal
        {
            shared.tell_mac(mac, packet);
        }
        Ok(())
    }

    fn response(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) -> Result<(), Malformed> {
        let response = dns::parse_response(payload)?;
        if packet.segment.is_tunnel() {
            shared.report.counters.count(Counter::TunnelDns);
            if response.rcode == NO_ERROR && shared.setup.records == Records::Wanted {
                show(&response, packet, Matter::Tunnel, shared);
            }
            return Ok(());
        }
        let counters = &mut shared.report.counters;
        counters.count(Counter::DnsResponses);
        counters.add(Counter::DnsRecordsMalformed, u64::from(response.malformed_records));
        let key = QueryKey {
            segment: packet.segment,
            client: packet.to,
            client_port: packet.to_port,
            server: packet.from,
            server_port: packet.from_port,
            id: response.id,
            name: response.name.as_bytes(),
        };
        let is_matched = self.queries.answer(&key, packet.time);
        if is_matched {
            counters.count(Counter::DnsMatched);
            shared
                .delivered
                .count(packet.source, |delivered| delivered.dns_matched += 1);
        } else {
            counters.count(Counter::DnsUnmatched);
            shared
                .delivered
                .count(packet.source, |delivered| delivered.dns_unmatched += 1);
        }
        let counters = &mut shared.report.counters;
        if response.truncated || response.is_cut {
            counters.count(Counter::DnsTruncated);
            shared.report.truncated.push((packet.segment, packet.to, packet.time));
        }
        if is_matched {
            let answered = Answered {
                segment: packet.segment,
                client: packet.to,
                server: packet.from,
                is_recursive: response.recursion_desired,
            };
            if answered.is_recursive {
                shared.tell_answered(answered, packet);
            } else {
                self.tell_iterator(answered, packet, shared);
            }
        }
        if response.rcode != NO_ERROR {
            return Ok(());
        }
        shared
            .report
            .counters
            .add(Counter::Answers, response.answers.len() as u64);
        if is_matched {
            find(&response, packet, shared);
        }
        if !is_matched || shared.setup.records == Records::Wanted {
            let matter = if is_matched { Matter::Matched } else { Matter::Unmatched };
            show(&response, packet, matter, shared);
        }
        Ok(())
    }

    /// Follows the flow of a DNS packet where that is wanted: once a day for an external server, else for the records.
    fn dns_flow(&mut self, packet: &Packet, carried: Payload, shared: &mut Shared) {
        let network = &shared.setup.network;
        let ends = (network.locality(packet.from), network.locality(packet.to));
        if packet.segment.is_tunnel() {
            // The records are all that it goes to.
        } else if ends == (Locality::Internal, Locality::External) {
            let today = packet.time.day();
            let key = (packet.segment, packet.from, packet.to);
            let latest = self.dns_contacts.get(&key).copied();
            if (carried == Payload::Query && latest != Some(today)) || self.flows.knows(packet) {
                if self.dns_contacts.len() >= DNS_CONTACTS {
                    self.dns_contacts.clear();
                }
                self.dns_contacts.insert(key, today);
                self.flow(packet, carried, shared);
                return;
            }
        } else if ends == (Locality::External, Locality::Internal) && self.flows.knows(packet) {
            self.flow(packet, carried, shared);
            return;
        }
        if let Some(table) = &mut self.dns_flows {
            table.take(packet, carried, || Class::Other);
        }
    }
}

/// The origins of a response's answers: each is worked out once, in whatever order answers of several names stand.
struct Origins<'a> {
    response: &'a dns::Response,
    server: Address,
    /// By the place of the name on the chain.
    known: SmallVec<[Option<Origin>; 4]>,
    /// The names on the chain, once one is wanted.
    texts: Option<SmallVec<[Arc<str>; 2]>>,
}

impl<'a> Origins<'a> {
    fn new(response: &'a dns::Response, server: Address) -> Self {
        Self {
            response,
            server,
            known: SmallVec::new(),
            texts: None,
        }
    }

    /// Returns what stands for what the answers behind a name have in common.
    fn of(&mut self, link: dns::Link, interner: &mut Interner) -> Origin {
        if let Some(known) = self.known.get(link.place()).copied().flatten() {
            return known;
        }
        let Self { response, texts, .. } = self;
        let linked = &response.linked;
        let mut chain: SmallVec<[&[u8]; 4]> = SmallVec::new();
        chain.extend(linked.back_from(link));
        let make_chain = || linked.names_to(link, texts.get_or_insert_with(|| linked.texts()));
        let origin = interner.intern(response.name.as_str(), self.server, &chain, make_chain);
        if self.known.len() <= link.place() {
            self.known.resize(link.place() + 1, None);
        }
        if let Some(known) = self.known.get_mut(link.place()) {
            *known = Some(origin);
        }
        origin
    }
}

/// Keeps what a response gives until the end of the epoch.
fn find(response: &dns::Response, packet: &Packet, shared: &mut Shared) {
    let mut origins = Origins::new(response, packet.from);
    let mut latest = None;
    for answer in &response.answers {
        if latest != Some(answer.link) {
            latest = Some(answer.link);
            if answer.link.is_question() {
                let (name, server) = (response.name.as_str(), packet.from);
                let hash = shared.interner.hash(name, server, &[]);
                let client = (packet.segment, packet.to);
                shared.found.begin_asked(client, name, server, hash, packet.time);
            } else {
                let origin = origins.of(answer.link, &mut shared.interner);
                shared.found.begin(packet.segment, packet.to, origin, packet.time);
            }
        }
        shared.found.add(answer.address, answer.ttl, answer.kind);
    }
}

/// Shows the judge what a response gives.
fn show(response: &dns::Response, packet: &Packet, matter: Matter, shared: &mut Shared) {
    let mut origins = Origins::new(response, packet.from);
    for (place, answer) in (0_u16..).zip(&response.answers) {
        let origin = origins.of(answer.link, &mut shared.interner);
        let Some(provenance) = shared.interner.get(origin) else {
            continue;
        };
        let facts = AnswerFacts::one(answer.kind, answer.ttl, packet.time);
        shared.report.answers.push(AnswerSeen {
            arrival: packet.arrival,
            segment: packet.segment,
            source: packet.source,
            address: answer.address,
            evidence: Evidence {
                provenance: Arc::clone(provenance),
                client: packet.to,
                facts,
            },
            place,
            transport: packet.transport(),
            matter,
        });
    }
}

/// Shows what came on a port that never counts in the records.
fn off_port(packet: &Packet, payload: &[u8], shared: &mut Shared) {
    if dns::peek(payload) != Some(Role::Response) {
        return;
    }
    shared.report.counters.count(Counter::DnsOffPort);
    if shared.setup.records == Records::NotWanted {
        return;
    }
    let Ok(response) = dns::parse_response(payload) else {
        return;
    };
    show(&response, packet, Matter::OffPort, shared);
}
