//! DNS over UDP: queries wait for their responses, responses give evidence (rules N1, N2).

use std::sync::Arc;

use smallvec::SmallVec;

use crate::flow::Class;
use crate::identity::Locality;
use crate::model::{
    Address, Admission, Counter, Evidence, Malformed, NameRecord, Packet, Provenance, answered_until, counted_ttl,
};
use crate::names::{Interner, QueryKey, SharedNames};
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
        let read = match dns::peek(payload) {
            Some(Role::Query) if to_server => Some(self.query(packet, payload, shared)),
            Some(Role::Response) if from_server => Some(self.response(packet, payload, shared)),
            _ => None,
        };
        match read {
            Some(Ok(())) => {
                self.dns_flow(packet, shared);
                return true;
            }
            // A packet all the same, so it stands in the sum of all frames and not among the malformed ones.
            Some(Err(_)) => shared.report.counters.count(Counter::DnsMalformed),
            None => shared.report.counters.count(Counter::DnsNotDns),
        }
        false
    }

    fn query(&mut self, packet: &Packet, payload: &[u8], shared: &mut Shared) -> Result<(), Malformed> {
        let query = dns::parse_query(payload)?;
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
        self.queries.ask(&key, packet.time);
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
            if answered.is_recursive {
                shared.tell_answered(answered, packet);
            } else {
                self.tell_iterator(answered, packet, shared);
            }
        }
        if response.rcode != NO_ERROR {
            return Ok(());
        }
        let Shared {
            setup,
            interner,
            found,
            report,
            ..
        } = shared;
        report.counters.add(Counter::Answers, response.answers.len() as u64);
        for (place, (address, evidence)) in (0_u16..).zip(evidence_of(&response, packet, interner, &setup.shared_names))
        {
            let matter = if is_matched { Matter::Matched } else { Matter::Unmatched };
            if !is_matched || setup.records == Records::Wanted {
                report.answers.push(AnswerSeen {
                    arrival: packet.arrival,
                    segment: packet.segment,
                    source: packet.source,
                    address,
                    evidence: evidence.clone(),
                    place,
                    matter,
                });
            }
            if is_matched {
                found.push(NameRecord {
                    segment: packet.segment,
                    address,
                    evidence,
                });
            }
        }
        Ok(())
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

/// Returns what a response gives.
fn evidence_of<'a>(
    response: &'a dns::Response,
    packet: &'a Packet,
    interner: &'a mut Interner,
    names: &'a SharedNames,
) -> impl Iterator<Item = (Address, Evidence)> + 'a {
    let mut latest: Option<(dns::Link, Arc<Provenance>)> = None;
    response.answers.iter().map(move |answer| {
        let provenance = match &latest {
            Some((link, provenance)) if *link == answer.link => Arc::clone(provenance),
            _ => {
                let provenance = provenance_of(response, answer.link, packet.from, interner, names);
                let (_, latest) = latest.insert((answer.link, provenance));
                Arc::clone(latest)
            }
        };
        let evidence = Evidence {
            provenance,
            client: packet.to,
            kind: answer.kind,
            admission: Admission::Admitted,
            ttl: answer.ttl,
            greatest_ttl: counted_ttl(answer.ttl),
            first: packet.time,
            last: packet.time,
            expires: answered_until(packet.time, answer.ttl),
        };
        (answer.address, evidence)
    })
}

/// Returns what the answers behind a name have in common.
fn provenance_of(
    response: &dns::Response,
    link: dns::Link,
    server: Address,
    interner: &mut Interner,
    names: &SharedNames,
) -> Arc<Provenance> {
    let mut chain: SmallVec<[&[u8]; 4]> = SmallVec::new();
    chain.extend(response.linked.back_from(link));
    interner.intern((response.name.as_bytes(), server, chain.as_slice()), || {
        let name = names.share(response.name.as_str());
        Provenance::of(name, server, response.linked.names_to(link))
    })
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
    let Shared {
        setup,
        interner,
        report,
        ..
    } = shared;
    for (place, (address, evidence)) in (0_u16..).zip(evidence_of(&response, packet, interner, &setup.shared_names)) {
        report.answers.push(AnswerSeen {
            arrival: packet.arrival,
            segment: packet.segment,
            source: packet.source,
            address,
            evidence,
            place,
            matter: Matter::OffPort,
        });
    }
}
