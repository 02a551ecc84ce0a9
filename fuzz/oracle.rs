//! What other decoders make of the same octets: `domain` of DNS messages, etherparse of frames.
//!
//! Where one of them reads an input wholly, we read the same, or the reason why not is named here.

use std::collections::BTreeSet;

use domain::base::iana::{Class, Opcode};
use domain::base::{Message, Name, ParsedName, ParsedRecord, Rtype, ToName, UnknownRecordData};
use domain::rdata::AllRecordData;
use domain::rdata::svcb::{SvcParams, value};
use etherparse::{LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};
use firstcontact::model::{Address, EvidenceKind, Ignored, Layer, Layer4, LinkType};
use firstcontact::wire::{self, Ports, Stop, dns};

/// How many names an oracle follows; our chains hold 64.
const NAMES: usize = 40;

/// A name in lower case, in wire form.
type Labels = Vec<u8>;

/// A record that counts, as `domain` read it.
struct Record {
    owner: Labels,
    ttl: u32,
    data: Data,
}

enum Data {
    Address(Address),
    Cname(Labels),
    Dname(Labels),
    Alias(Labels),
    Hints(Vec<Address>),
}

/// An answer of either decoder.
type Given = BTreeSet<(Address, u32, bool)>;

/// Holds what we read from a message against what follows from `domain`'s records by rule N1.
pub fn dns_message(message: &[u8]) {
    let ours = dns::parse_response(message);
    let Ok(theirs) = Message::from_octets(message) else {
        assert!(ours.is_err(), "a header that domain does not see");
        return;
    };
    let header = theirs.header();
    let is_response = header.qr() && header.opcode() == Opcode::QUERY && theirs.header_counts().qdcount() == 1;
    let Some(names) = strict_names(message) else {
        // A pointer into the name that it stands in leads to no prior name (RFC 1035 section 4.1.4), and so many of them
        // in a row name nothing: `domain` follows both. A name whose prior part goes on through itself we read, and
        // `domain` only where that does not leave the record.
        return;
    };
    let Ok(question) = theirs.sole_question() else {
        assert!(ours.is_err(), "a question that domain cannot read");
        return;
    };
    assert_eq!(ours.is_ok(), is_response, "{ours:?}");
    let Ok(ours) = ours else { return };
    assert_eq!(ours.id, header.id());
    assert_eq!(ours.truncated, header.tc());
    assert_eq!(ours.qtype, question.qtype().to_int());
    assert_eq!(ours.rcode, header.rcode().to_int());
    if ours.rcode != 0 {
        assert!(ours.answers.is_empty());
        return;
    }
    let Some((records, unreadable)) = records(&theirs) else {
        return;
    };
    assert!(!ours.is_cut, "domain finds all records");
    let Some((given, reached)) = followed(&labels(question.qname()), &records) else {
        return;
    };
    let answers = ours.answers.iter();
    let own: Given = answers
        .map(|answer| (answer.address, answer.ttl, answer.kind == EvidenceKind::DnsHint))
        .collect();
    assert!(own.is_subset(&given), "{own:?} but {given:?}");
    // A message that is made to cost much is not read to its end. At most: each name is read twice, each record is held
    // against each name on the chain, and DNAME records make names that are as long as can be.
    let redirects = records
        .iter()
        .filter(|record| matches!(record.data, Data::Dname(_)))
        .count();
    let names_made = redirects * reached * (2 * 255 + 20 * reached);
    let steps = 2 * names + 20 * (records.len() + 1) * (reached + 1) + names_made;
    if steps < 4096 {
        assert_eq!(own, given);
        // What is off the chain is not looked into.
        assert!(ours.malformed_records <= unreadable);
    }
}

/// Returns the records that count and how many of such could not be read; `None` if `domain` cannot find them all.
fn records(message: &Message<&[u8]>) -> Option<(Vec<Record>, u32)> {
    let (_, answer, authority, additional) = message.sections().ok()?;
    let mut records = Vec::new();
    let mut unreadable = 0;
    let sections = answer.chain(authority).chain(additional);
    for record in sections {
        let record = record.ok()?;
        let is_counted = matches!(
            record.rtype(),
            Rtype::A | Rtype::AAAA | Rtype::CNAME | Rtype::DNAME | Rtype::SVCB | Rtype::HTTPS
        );
        if record.class() != Class::IN || !is_counted {
            continue;
        }
        let (owner, ttl) = (labels(&record.owner()), record.ttl().as_secs());
        let data = record.to_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>();
        match data.ok().flatten().and_then(|record| read(record.data())) {
            Some(data) => records.push(Record { owner, ttl, data }),
            None if is_alias(&record) => {
                // Parameters of an alias form are to be ignored (RFC 9460 section 2.4.2), and `domain` reads them.
                return None;
            }
            None => unreadable += 1,
        }
    }
    Some((records, unreadable))
}

/// Says whether a record is the alias form of a service.
fn is_alias<'a>(record: &ParsedRecord<'a, &[u8]>) -> bool {
    let data = record.to_record::<UnknownRecordData<&'a [u8]>>();
    matches!(record.rtype(), Rtype::SVCB | Rtype::HTTPS)
        && data.is_ok_and(|record| record.is_some_and(|record| record.data().data().starts_with(&[0, 0])))
}

/// Returns what a record holds.
fn read(data: &AllRecordData<&[u8], ParsedName<&[u8]>>) -> Option<Data> {
    let service = |priority: u16, target: &ParsedName<&[u8]>, parameters: &SvcParams<&[u8]>| match priority {
        0 => Some(Data::Alias(labels(target))),
        _ => hints(parameters).map(Data::Hints),
    };
    match data {
        AllRecordData::A(a) => Some(Data::Address(Address::v4(a.addr().octets()))),
        AllRecordData::Aaaa(a) => Some(Data::Address(Address::v6(a.addr().octets()))),
        AllRecordData::Cname(to) => Some(Data::Cname(labels(to.cname()))),
        AllRecordData::Dname(to) => Some(Data::Dname(labels(to.dname()))),
        AllRecordData::Svcb(svcb) => service(svcb.priority(), svcb.target(), svcb.params()),
        AllRecordData::Https(https) => service(https.priority(), https.target(), https.params()),
        _ => None,
    }
}

/// Returns the addresses of both hints, of which an empty one cannot be (RFC 9460 section 7.3).
fn hints(parameters: &SvcParams<&[u8]>) -> Option<Vec<Address>> {
    let mut found = Vec::new();
    if let Some(hint) = parameters.first::<value::Ipv4Hint<&[u8]>>() {
        found.extend(hint.iter().map(|ip| Address::v4(ip.octets())));
    }
    if let Some(hint) = parameters.first::<value::Ipv6Hint<&[u8]>>() {
        found.extend(hint.iter().map(|ip| Address::v6(ip.octets())));
    }
    // `first` passes over a value that it cannot read: by its key alone it is there.
    let mut octets = parameters.as_slice();
    let mut listed = 0;
    while let Some((&[k, l, m, n], rest)) = octets.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([m, n]));
        let each = match u16::from_be_bytes([k, l]) {
            4 => Some(4),
            6 => Some(16),
            _ => None,
        };
        if let Some(each) = each {
            if length == 0 || length % each != 0 {
                return None;
            }
            listed += length / each;
        }
        octets = rest.get(length..)?;
    }
    assert_eq!(listed, found.len());
    Some(found)
}

/// Follows the records from the question, without any order; returns the answers and how many names were reached, or
/// `None` for too many names.
fn followed(question: &Labels, records: &[Record]) -> Option<(Given, usize)> {
    let named = closure(BTreeSet::from([question.clone()]), records)?;
    let mut all = named.clone();
    loop {
        let alias = |record: &Record| match &record.data {
            // The root as target says that there is no service.
            Data::Alias(to) if all.contains(&record.owner) && to.len() > 1 => Some(to.clone()),
            _ => None,
        };
        let mut more = all.clone();
        more.extend(records.iter().filter_map(alias));
        let more = closure(more, records)?;
        if more == all {
            break;
        }
        all = more;
    }
    let mut given = Given::new();
    for record in records {
        match &record.data {
            Data::Address(address) if named.contains(&record.owner) => {
                given.insert((*address, record.ttl, false));
            }
            Data::Hints(hints) if all.contains(&record.owner) => {
                given.extend(hints.iter().map(|address| (*address, record.ttl, true)));
            }
            _ => {}
        }
    }
    Some((given, all.len()))
}

/// Adds what CNAME and DNAME records lead to.
fn closure(mut names: BTreeSet<Labels>, records: &[Record]) -> Option<BTreeSet<Labels>> {
    loop {
        let mut found = names.clone();
        for (name, record) in names
            .iter()
            .flat_map(|name| records.iter().map(move |record| (name, record)))
        {
            match &record.data {
                Data::Cname(to) if record.owner == *name => {
                    found.insert(to.clone());
                }
                Data::Dname(to) => {
                    if let Some(kept) = kept_above(name, &record.owner) {
                        let whole = [&name[..kept], to].concat();
                        if whole.len() <= 255 {
                            found.insert(whole);
                        }
                    }
                }
                _ => {}
            }
        }
        if found.len() > NAMES {
            return None;
        }
        if found.len() == names.len() {
            return Some(found);
        }
        names = found;
    }
}

/// Returns how many octets of a name stand above (left of) its ancestor; `None` if that is none.
fn kept_above(name: &[u8], ancestor: &[u8]) -> Option<usize> {
    let mut at = 0;
    while name.len() - at > ancestor.len() {
        at += 1 + usize::from(name[at]);
        if name.get(at..) == Some(ancestor) {
            return Some(at);
        }
    }
    None
}

fn labels(name: &impl ToName) -> Labels {
    let mut all = Labels::new();
    for label in name.iter_labels() {
        all.push(label.len() as u8);
        all.extend(label.as_slice().iter().map(u8::to_ascii_lowercase));
    }
    let _: &Name<[u8]> = Name::from_slice(&all).expect("a name that domain read");
    all
}

/// Says whether all pointers of the names that we read lead further back than the name, or the part of it, that they end,
/// to what is over before that begins, and no name has over 127 of them; if so, returns what reading each once costs. Where a name or record ends too early
/// nothing more is asked: `domain` finds that itself.
fn strict_names(message: &[u8]) -> Option<usize> {
    let count = |at: usize| {
        message
            .get(at..at + 2)
            .map_or(0, |n| usize::from(n[0]) << 8 | usize::from(n[1]))
    };
    let records = count(6) + count(8) + count(10);
    let mut cost = 0;
    let Some(mut at) = name(message, 12, &mut cost)? else {
        return Some(cost);
    };
    at += 4;
    for _ in 0..records {
        let Some(end) = name(message, at, &mut cost)? else {
            return Some(cost);
        };
        let (kind, length) = (count(end), count(end + 8));
        let target = match kind {
            5 | 39 => Some(end + 10),
            64 | 65 => Some(end + 12),
            _ => None,
        };
        if let Some(target) = target {
            name(message, target, &mut cost)?;
        }
        at = end + 10 + length;
    }
    Some(cost)
}

/// Returns where a name ends, `Some(None)` where it does not, and `None` if a pointer is not strict.
fn name(message: &[u8], start: usize, cost: &mut usize) -> Option<Option<usize>> {
    let (mut at, mut limit, mut end, mut pointers) = (start, start, None, 0);
    loop {
        match message.get(at) {
            Some(0) => return Some(Some(end.unwrap_or(at + 1))),
            Some(&length @ 1..=63) => {
                at += 1 + usize::from(length);
                *cost += usize::from(length);
                if end.is_some() && at >= start {
                    return None;
                }
            }
            Some(&high @ 0xc0..) => {
                let Some(&low) = message.get(at + 1) else {
                    return Some(None);
                };
                let target = usize::from(high & 0x3f) << 8 | usize::from(low);
                pointers += 1;
                if target >= limit || pointers > 127 {
                    return None;
                }
                *cost += 4;
                end = end.or(Some(at + 2));
                (at, limit) = (target, target);
            }
            _ => return Some(None),
        }
    }
}

/// What both decoders say of a packet.
#[derive(Debug, PartialEq, Eq)]
struct Headers {
    from: Address,
    to: Address,
    ports: (u16, u16),
    /// Control bits and sequence number.
    tcp: Option<(u8, u32)>,
    vlan: Option<u16>,
}

/// Holds what we read from an Ethernet frame against etherparse, which is strict first, and then takes what was cut.
pub fn frame(octets: &[u8]) {
    let ports = Ports::new(&[4789, 4790], &[6081], &[53]);
    let ours = wire::decode(LinkType::Ethernet, octets, &ports);
    let strict = SlicedPacket::from_ethernet(octets).ok().and_then(|packet| {
        let (from, to) = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) => (
                Address::v4(ip.header().source()),
                Address::v4(ip.header().destination()),
            ),
            NetSlice::Ipv6(ip) => (
                Address::v6(ip.header().source()),
                Address::v6(ip.header().destination()),
            ),
            NetSlice::Arp(_) => return None,
        };
        let vlan = packet
            .vlan_ids()
            .iter()
            .map(|vlan| vlan.value())
            .find(|vlan| *vlan != 0);
        headers(from, to, vlan, packet.transport.as_ref()?)
    });
    let lax = LaxSlicedPacket::from_ethernet(octets).ok().and_then(|packet| {
        let (from, to) = match packet.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => (
                Address::v4(ip.header().source()),
                Address::v4(ip.header().destination()),
            ),
            LaxNetSlice::Ipv6(ip) => (
                Address::v6(ip.header().source()),
                Address::v6(ip.header().destination()),
            ),
            LaxNetSlice::Arp(_) => return None,
        };
        let vlan = packet
            .vlan_ids()
            .iter()
            .map(|vlan| vlan.value())
            .find(|vlan| *vlan != 0);
        headers(from, to, vlan, packet.transport.as_ref()?)
    });
    if matches!(ours, Err(Stop::Ignored(Ignored::Macsec))) {
        // etherparse goes on inside where MACsec does not encrypt. A mirror port never carries it: it is a link's own.
        return;
    }
    let Some((expected, payload)) = strict.as_ref().or(lax.as_ref()) else {
        return;
    };
    let is_envelope = expected.tcp.is_none() && matches!(expected.ports, (from, 4789 | 4790 | 6081) if from != 53);
    if is_envelope {
        // What it carries is ours to read alone.
        return;
    }
    match ours {
        Ok(read) => {
            let tcp = match read.layer4 {
                Layer4::Tcp { flags, sequence } => Some((flags.0, sequence)),
                Layer4::Udp => None,
                Layer4::Tunnel(_) => panic!("the innermost packet is no tunnel"),
            };
            let own = Headers {
                from: read.from,
                to: read.to,
                ports: (read.from_port, read.to_port),
                tcp,
                vlan: read.envelopes.vlan,
            };
            assert_eq!(&own, expected);
            assert!(read.envelopes.carrier.is_none());
            if strict.is_some() {
                assert_eq!(read.payload, *payload);
                // etherparse takes what was captured for the length of a jumbogram (RFC 2675), which no capture holds whole.
                let is_jumbogram = read.payload_octets > u32::from(u16::MAX);
                assert!(is_jumbogram || read.payload_octets as usize == payload.len());
            } else {
                // Where lengths contradict each other we take what all of them allow.
                assert!(payload.starts_with(read.payload) || read.payload.starts_with(payload));
            }
        }
        Err(stop) => {
            assert!(strict.is_none(), "{stop:?} but {expected:?}");
            let is_known = match stop {
                Stop::Malformed(malformed) => {
                    matches!(malformed.layer, Layer::Ipv4 | Layer::Ipv6 | Layer::Udp | Layer::Tcp)
                }
                _ => false,
            };
            assert!(is_known, "{stop:?} but {expected:?}");
        }
    }
}

/// Returns what a slice of etherparse says, and its payload.
fn headers<'a>(
    from: Address,
    to: Address,
    vlan: Option<u16>,
    transport: &TransportSlice<'a>,
) -> Option<(Headers, &'a [u8])> {
    let (ports, tcp, payload) = match transport {
        TransportSlice::Udp(udp) => ((udp.source_port(), udp.destination_port()), None, udp.payload()),
        TransportSlice::Tcp(tcp) => {
            let flags = tcp.slice()[13];
            let ports = (tcp.source_port(), tcp.destination_port());
            (ports, Some((flags, tcp.sequence_number())), tcp.payload())
        }
        _ => return None,
    };
    Some((
        Headers {
            from,
            to,
            ports,
            tcp,
            vlan,
        },
        payload,
    ))
}
