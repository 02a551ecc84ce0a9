//! Rows of logs as what workers report: the judge decides on them as on packets.
//!
//! A row of a log is a flow that is over, or a response with all that it gave. So there is nothing to follow: a flow is
//! reported once, in the epoch of its first packet, and once more for each later day on which it lasted (rule B1). Rows of
//! logs that write each direction and each stretch of time for itself are put together first (`parts`). What a log does
//! not say, nothing here makes up: hardware addresses, hints of HTTPS records and loss are absent.

mod parts;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::flow::{FlowKey, FlowUpdate, Opening, Shown, SideReport, Sides};
use crate::identity::{Locality, Network};
use crate::model::{
    Address, AnswerFacts, Arrival, Counter, Day, Evidence, EvidenceKind, FlowEnd, ImportedAnswer, ImportedExtent,
    ImportedFlow, ImportedLookup, ImportedOpening, ImportedPayload, ImportedQuery, ImportedSide, Ledger, NameWriter,
    PortSet, Segment, SegmentDetail, SourceId, TimeSource, Timestamp, Transport,
};
use crate::names::{Found, Interner, Names};

use super::clock::Clock;
use super::limits::Limits;
use super::partition::PARTITIONS;
use super::report::{AnswerSeen, Answered, DecodeReport, Ending, Fact, Mark, Matter, Report, SourceSeen};
use parts::Parts;

/// How many contacts of clients with external DNS servers are remembered; when all are forgotten, each is judged once more
/// that day.
const DNS_CONTACTS: usize = 1 << 20;

/// The source of all rows.
const SOURCE: SourceId = SourceId(0);

/// What rows are taken with.
pub struct ImportSetup {
    /// What is internal.
    pub network: Arc<Network>,
    /// Ports that carry DNS.
    pub dns_ports: PortSet,
    /// Limits of the tables.
    pub limits: Limits,
    /// The names that the judge reads.
    pub names: Arc<Names>,
    /// In whose form names are kept.
    pub ledger: Arc<dyn Ledger + Sync>,
    /// The address space of all rows, as records write it.
    pub segment: Arc<str>,
}

/// Takes rows in the order of time and reports them, epoch by epoch.
pub struct Imported {
    setup: ImportSetup,
    segment: Segment,
    clock: Clock,
    arrivals: u64,
    interner: Interner,
    found: Found,
    writer: Box<dyn NameWriter>,
    report: Report,
    decoded: DecodeReport,
    /// Flows that last until a later day, by the number that the caller gave them.
    going: HashMap<u64, FlowUpdate>,
    parts: Parts,
    /// The day of the latest contact of a client with an external DNS server: one a day is judged.
    dns_contacts: HashMap<(Address, Address), Day, foldhash::quality::RandomState>,
}

/// How long a flow lasts for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// It is over.
    Over,
    /// It goes on under this number on another day.
    GoesOn(u64),
}

impl Imported {
    /// Returns what takes rows, before the first one.
    #[must_use]
    pub fn new(setup: ImportSetup) -> Self {
        let mut decoded = DecodeReport::default();
        let segment = segment_of(&setup.segment).unwrap_or_else(|| {
            let detail = SegmentDetail {
                name: Some(Arc::clone(&setup.segment)),
                ..SegmentDetail::default()
            };
            let segment = Segment::numbered(0);
            decoded.segments.push((segment, detail));
            segment
        });
        let flows = setup.limits.candidates.saturating_mul(PARTITIONS);
        Self {
            segment,
            clock: Clock::new(TimeSource::Captures),
            arrivals: 0,
            interner: setup.names.interner(),
            found: Found::default(),
            writer: setup.ledger.name_writer(),
            report: Report::default(),
            decoded,
            going: HashMap::new(),
            parts: Parts::new(flows),
            dns_contacts: HashMap::default(),
            setup,
        }
    }

    /// Returns the mark of the epoch that ends before a row of this time, if one does; then a report is due.
    #[must_use]
    pub fn ending(&self, at: Timestamp) -> Option<Mark> {
        let (epoch, now) = self.clock.ending(at)?;
        Some(Mark {
            epoch,
            now,
            ending: Ending::Epoch,
        })
    }

    /// Returns the last mark.
    #[must_use]
    pub fn last_mark(&self) -> Mark {
        Mark {
            epoch: self.clock.epoch(),
            now: self.clock.now().unwrap_or_default(),
            ending: Ending::Input,
        }
    }

    /// Writes what the epoch's answers gave and returns what there is to report; `next` is empty memory for the next one.
    /// Only to be called once the judge is done with the epoch before.
    pub fn report(&mut self, mark: &Mark, mut next: Report) -> (DecodeReport, Report) {
        self.parts.report(mark.now, &mut self.report);
        next.spare.drain(..).for_each(|octets| self.writer.reuse(octets));
        self.report.answered.extend(self.found.addresses());
        self.setup
            .names
            .write_found(&mut self.found, &mut self.interner, &mut *self.writer);
        self.report.save = self.writer.take();
        self.clock.next_epoch();
        self.decoded.counters.count(Counter::Epochs);
        (
            std::mem::take(&mut self.decoded),
            std::mem::replace(&mut self.report, next),
        )
    }

    fn begin(&mut self, at: Timestamp) -> Arrival {
        if self.clock.now().is_none() {
            self.decoded.first_frame = Some(at);
            self.decoded.sources.push(SourceSeen {
                source: SOURCE,
                at,
                mirror: None,
            });
        }
        self.clock.advance(at);
        self.arrivals += 1;
        Arrival(self.arrivals)
    }

    /// Takes a flow. One that goes on lasts until the end of its first day for now.
    pub fn flow(&mut self, flow: &ImportedFlow, lasting: Lasting) {
        let arrival = self.begin(flow.first);
        self.report.counters.count(Counter::Flows);
        let locality = |address| self.setup.network.locality(address);
        let ends = (locality(flow.opener.ip), locality(flow.other.ip));
        self.count_opened(flow, ends);
        let is_candidate = match ends {
            (Locality::Internal, Locality::External) => true,
            (Locality::External, Locality::Internal) => flow.opening != ImportedOpening::Syn,
            _ => false,
        };
        if !is_candidate {
            return;
        }
        self.tell(flow, ends);
        let is_dns = self.is_dns(flow);
        if is_dns && flow.transport == Transport::Udp && !self.is_days_first(flow) {
            return;
        }
        let mut update = self.update(flow, arrival, is_dns);
        if flow.extent == ImportedExtent::Part {
            self.parts.take(update, &mut self.report);
            return;
        }
        match lasting {
            // As many as the table of flows would hold; of others the days between their first and last are not counted.
            Lasting::GoesOn(id) if self.going.len() < self.parts.limit() => {
                update.last = end_of_day(flow.first).min(flow.last);
                self.report.flows.candidates.push(update);
                update.is_first = false;
                self.going.insert(id, update);
            }
            Lasting::GoesOn(_) | Lasting::Over => {
                update.end = Some(FlowEnd::Closed);
                self.report.flows.candidates.push(update);
            }
        }
    }

    /// Lets a flow last on from the beginning of another day: until its end, or for now until the end of that day.
    pub fn go_on(&mut self, id: u64, at: Timestamp, last: Timestamp) {
        self.begin(at);
        let end = end_of_day(at);
        let Some(update) = self.going.get_mut(&id) else { return };
        update.last = end.min(last);
        let is_over = last <= end;
        if is_over {
            update.end = Some(FlowEnd::Closed);
        }
        let update = *update;
        self.report.flows.candidates.push(update);
        if is_over {
            self.going.remove(&id);
        }
    }

    /// Takes a response of DNS.
    pub fn lookup(&mut self, lookup: &ImportedLookup) {
        let arrival = self.begin(lookup.at);
        let counters = &mut self.report.counters;
        if !self.setup.dns_ports.has(lookup.server.port) {
            counters.count(Counter::DnsOffPort);
            return;
        }
        counters.count(Counter::DnsResponses);
        counters.add(Counter::Answers, lookup.answers.len() as u64);
        let server = lookup.server.ip;
        if lookup.query == ImportedQuery::Seen {
            counters.count(Counter::DnsQueries);
            counters.count(Counter::DnsMatched);
            let answered = Answered {
                segment: self.segment,
                client: lookup.client,
                server,
                is_recursive: lookup.is_recursive,
            };
            self.report.facts.push((Fact::Queries(SOURCE), lookup.at));
            self.report.facts.push((Fact::Answered(answered), lookup.at));
        } else {
            counters.count(Counter::DnsUnmatched);
        }
        if lookup.answers.is_empty() {
            return;
        }
        let chain: Vec<&[u8]> = lookup.chain.iter().map(String::as_bytes).collect();
        let make_chain = || lookup.chain.iter().map(|name| Arc::from(name.as_str())).collect();
        let origin = self.interner.intern(&lookup.name, server, &chain, make_chain);
        if lookup.query == ImportedQuery::Seen {
            self.found.begin(self.segment, lookup.client, origin, lookup.at);
            for ImportedAnswer { address, ttl } in &lookup.answers {
                self.found.add(*address, *ttl, EvidenceKind::DnsAddress);
            }
            return;
        }
        let Some(provenance) = self.interner.get(origin) else {
            return;
        };
        for (place, ImportedAnswer { address, ttl }) in (0_u16..).zip(&lookup.answers) {
            self.report.answers.push(AnswerSeen {
                segment: self.segment,
                source: SOURCE,
                address: *address,
                evidence: Evidence {
                    provenance: Arc::clone(provenance),
                    client: lookup.client,
                    facts: AnswerFacts::one(EvidenceKind::DnsAddress, *ttl, lookup.at),
                },
                arrival,
                place,
                transport: lookup.transport,
                matter: Matter::Unmatched,
            });
        }
    }

    /// Counts a flow of the segment, and whether both its ends are outside (rule S1).
    fn count_opened(&mut self, flow: &ImportedFlow, ends: (Locality, Locality)) {
        let is_outside = ends == (Locality::External, Locality::External);
        match self.report.opened.first_mut() {
            Some(opened) => {
                opened.1 += 1;
                opened.2 += u64::from(is_outside);
            }
            None => self.report.opened.push((self.segment, 1, u64::from(is_outside))),
        }
        if is_outside && self.report.outside.len() < PARTITIONS {
            let (one, other) = (flow.opener.ip, flow.other.ip);
            self.report.outside.push((self.segment, one, other));
        }
    }

    /// Tells what a flow shows beyond itself (rules F2, F3).
    fn tell(&mut self, flow: &ImportedFlow, ends: (Locality, Locality)) {
        let sent = |side: &ImportedSide| side.spoke || side.reset;
        let is_outbound = match ends {
            (Locality::Internal, _) => sent(&flow.from_opener),
            _ => sent(&flow.from_other),
        };
        if is_outbound {
            self.report.facts.push((Fact::Outbound(SOURCE), flow.first));
        }
        if flow.extent == ImportedExtent::Part {
            // Which side listens, one direction does not tell, unless it is the one that accepts.
            if flow.from_opener.syn_ack {
                let fact = Fact::Listening(self.segment, flow.transport, flow.opener);
                self.report.facts.push((fact, flow.first));
            }
            return;
        }
        let listens = match flow.transport {
            Transport::Udp => flow.from_other.spoke,
            _ => flow.from_other.syn_ack,
        };
        let (port, other_port) = (flow.other.port, flow.opener.port);
        // A well-known port speaks for itself (rule F3), unless both are.
        if listens && (port >= 1024 || other_port < 1024) {
            let fact = Fact::Listening(self.segment, flow.transport, flow.other);
            self.report.facts.push((fact, flow.first));
        }
    }

    /// Says whether a flow carried DNS to a server.
    fn is_dns(&self, flow: &ImportedFlow) -> bool {
        self.setup.dns_ports.has(flow.other.port) && flow.payload != ImportedPayload::Other
    }

    /// Says whether a flow of DNS is the day's first of its client with its server, which alone is judged.
    fn is_days_first(&mut self, flow: &ImportedFlow) -> bool {
        if self.dns_contacts.len() >= DNS_CONTACTS {
            self.dns_contacts.clear();
        }
        let today = flow.first.day();
        let latest = self.dns_contacts.insert((flow.opener.ip, flow.other.ip), today);
        // Parts of one flow are put together, whichever of them is the first.
        latest != Some(today) || flow.extent == ImportedExtent::Part && self.parts.has(self.segment, flow)
    }

    fn update(&self, flow: &ImportedFlow, arrival: Arrival, is_dns: bool) -> FlowUpdate {
        let (key, opener) = FlowKey::between(self.segment, flow.transport, flow.opener, flow.other);
        let mut sides = Sides {
            low: SideReport::default(),
            high: SideReport::default(),
        };
        for (side, seen) in [(opener, &flow.from_opener), (opener.other(), &flow.from_other)] {
            let report = sides.of_mut(side);
            report.octets = seen.octets;
            report.shown.add(bits_of(seen));
        }
        if is_dns {
            sides.of_mut(opener).shown.add(Shown::DNS);
        }
        FlowUpdate {
            flow: arrival,
            key,
            opener,
            opening: match flow.opening {
                ImportedOpening::Syn => Opening::Syn,
                ImportedOpening::SynAck => Opening::SynAck,
                ImportedOpening::Midstream => Opening::Midstream,
                ImportedOpening::Datagram => Opening::Datagram,
            },
            source: SOURCE,
            first: flow.first,
            last: flow.last,
            sides,
            end: None,
            is_tunnel: false,
            is_first: true,
        }
    }
}

fn bits_of(side: &ImportedSide) -> u8 {
    let mut bits = 0;
    let mut add = |is_shown: bool, shown: u8| bits |= if is_shown { shown } else { 0 };
    add(side.spoke || side.reset, Shown::SENT);
    add(side.spoke, Shown::SPOKE);
    add(side.went_on, Shown::WENT_ON);
    add(side.reset, Shown::RESET);
    add(side.syn_ack, Shown::SYN_ACK);
    bits
}

/// Returns the last instant of the day that holds a time.
fn end_of_day(at: Timestamp) -> Timestamp {
    Timestamp(Day(at.day().0.saturating_add(1)).start().0.saturating_sub(1))
}

/// Returns the segment whose text says all about it.
fn segment_of(text: &str) -> Option<Segment> {
    if text == "-" {
        return Some(Segment::NONE);
    }
    let vni: u32 = text.strip_prefix("vni=")?.parse().ok()?;
    Some(Segment::vni(vni)).filter(|segment| segment.detail().is_some_and(|detail| detail.to_string() == text))
}

#[cfg(test)]
mod tests;
