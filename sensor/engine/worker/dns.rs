//! DNS over UDP: queries wait for their responses, responses give evidence (rules N1, N2).

use std::sync::Arc;

use crate::flow::Class;
use crate::identity::Locality;
use crate::model::{Admission, Arrival, Counter, Evidence, Packet, Span};
use crate::names::{LIFE_FLOOR, LONGEST_LIFE, QueryKey};
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
        let is_dns_port = |port: &u16| shared.setup.dns_ports.contains(port);
        let (to_server, from_server) = (is_dns_port(&packet.to_port), is_dns_port(&packet.from_port));
        if !to_server && !from_server {
            if OFF_PORTS.contains(&packet.from_port) {
                off_port(packet, payload, shared);
            }
            return false;
        }
        let is_taken = match dns::peek(payload) {
            Some(Role::Query) if to_server => self.query(packet, payload, shared),
            Some(Role::Response) if from_server => self.response(packet, payload, shared),
            _ => false,
        };
        if !is_taken {
            shared.report.counters.count(Counter::DnsNotDns);
            return false;
        }
        self.dns_flow(packet, shared);
        true
    }

    fn query(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) -> bool {
        let Ok(query) = dns::parse_query(payload) else {
            return false;
        };
        shared.report.counters.count(Counter::DnsQueries);
        let key = QueryKey {
            segment: packet.segment,
            client: packet.from,
            client_port: packet.from_port,
            server: packet.to,
            server_port: packet.to_port,
            id: query.id,
            name: query.name.as_str().as_bytes(),
        };
        self.queries.ask(&key, packet.time);
        self.tell(Fact::Queries(packet.source), packet, shared);
        if let Some(mac) = packet.from_mac
            && shared.setup.network.locality(packet.from) == Locality::Internal
        {
            self.tell(Fact::MacInternal(packet.segment, mac, packet.from), packet, shared);
        }
        true
    }

    fn response(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) -> bool {
        let Ok(response) = dns::parse_response(payload) else {
            return false;
        };
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
            name: response.name.as_str().as_bytes(),
        };
        let is_matched = self.queries.answer(&key, packet.time);
        counters.count(if is_matched {
            Counter::DnsMatched
        } else {
            Counter::DnsUnmatched
        });
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
            self.tell(Fact::Answered(answered), packet, shared);
        }
        if response.rcode != NO_ERROR {
            return true;
        }
        for (place, evidence) in evidence_of(&response, packet, shared) {
            let (address, evidence) = evidence;
            shared.report.counters.count(Counter::Answers);
            let seen = |evidence, matter| AnswerSeen {
                segment: packet.segment,
                source: packet.source,
                address,
                evidence,
                place,
                matter,
            };
            if is_matched {
                if shared.setup.records == Records::Wanted {
                    shared.report.answers.push(seen(evidence.clone(), Matter::Matched));
                }
                shared.found.push((packet.segment, address, evidence));
            } else {
                shared.report.answers.push(seen(evidence, Matter::Unmatched));
            }
        }
        true
    }

    /// Follows the flow of a DNS packet where that is wanted: once a day for an external server, else for the records.
    fn dns_flow(&mut self, packet: &Packet, shared: &mut Shared) {
        let network = &shared.setup.network;
        let ends = (network.locality(packet.from), network.locality(packet.to));
        if ends == (Locality::Internal, Locality::External) {
            let today = packet.time.day();
            let key = (packet.segment, packet.from, packet.to);
            let latest = self.dns_contacts.get(&key).copied();
            let is_query = shared.setup.dns_ports.contains(&packet.to_port);
            if (is_query && latest != Some(today)) || self.flows.knows(packet) {
                if self.dns_contacts.len() >= DNS_CONTACTS {
                    self.dns_contacts.clear();
                }
                self.dns_contacts.insert(key, today);
                self.flow(packet, true, shared);
                return;
            }
        } else if ends == (Locality::External, Locality::Internal) && self.flows.knows(packet) {
            self.flow(packet, true, shared);
            return;
        }
        if let Some(table) = &mut self.dns_flows {
            table.take(packet, true, || Class::Other);
        }
    }
}

/// Returns what a response gives, with the place of each answer.
fn evidence_of(
    response: &dns::Response,
    packet: &Packet,
    shared: &mut Shared,
) -> Vec<(u16, (crate::model::Address, Evidence))> {
    let name = shared.interner.intern(response.name.as_str());
    let answers = response.answers.iter().zip(0_u16..);
    answers
        .map(|(answer, place)| {
            let life = Span::seconds(i64::from(answer.ttl)).max(LIFE_FLOOR).min(LONGEST_LIFE);
            let greatest = u32::try_from(LONGEST_LIFE.0 / crate::model::SECOND).unwrap_or(u32::MAX);
            let evidence = Evidence {
                name: Arc::clone(&name),
                client: packet.to,
                server: packet.from,
                kind: answer.kind,
                admission: Admission::Admitted,
                ttl: answer.ttl,
                first: packet.time,
                last: packet.time,
                arrival: Arrival(packet.arrival.0),
                expires: packet.time.plus(life),
                greatest_ttl: answer.ttl.min(greatest),
                chain: Arc::clone(&answer.chain),
            };
            (place, (answer.address, evidence))
        })
        .collect()
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
    for (place, (address, evidence)) in evidence_of(&response, packet, shared) {
        shared.report.answers.push(AnswerSeen {
            segment: packet.segment,
            source: packet.source,
            address,
            evidence,
            place,
            matter: Matter::OffPort,
        });
    }
}
