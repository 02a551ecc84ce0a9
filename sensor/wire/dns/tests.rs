use std::collections::BTreeSet;

use domain::base::iana::{Class, Rtype};
use domain::base::message_builder::TreeCompressor;
use domain::base::name::ToLabelIter;
use domain::base::{Message, MessageBuilder, Name as DomainName, ParsedName, Record as DomainRecord, ToName, Ttl};
use domain::rdata::{A, Aaaa, AllRecordData, Cname, Dname};
use proptest::prelude::*;

use super::name::{Labels, Work};
use super::*;

const FOUR: [u8; 4] = [198, 51, 100, 7];

/// Writes a name without compression.
fn wire(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// Writes a record of class IN and a time to live of 60 s.
fn record(owner: &[u8], number: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &number.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, data].concat()
}

/// Writes a response to a question for the address of `name`, with these records as its answer section.
fn response(name: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let header = [0x12, 0x34, 0x81, 0x80, 0, 1, count[0], count[1], 0, 0, 0, 0];
    [&header[..], &wire(name), &[0, 1, 0, 1], &records.concat()].concat()
}

/// Returns the addresses given, each with its chain joined by spaces.
fn given(message: &[u8]) -> Vec<(String, String)> {
    let response = parse_response(message).unwrap();
    let texts = response.linked.texts();
    response
        .answers
        .iter()
        .map(|answer| {
            (
                answer.address.to_string(),
                response.linked.names_to(answer.link, &texts).join(" "),
            )
        })
        .collect()
}

fn pair(address: &str, chain: &str) -> (String, String) {
    (address.to_owned(), chain.to_owned())
}

#[test]
fn a_query_is_read() {
    let message = [
        &[0x12, 0x34, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1][..],
        &wire("WWW.Example.com"),
        &[0, 28, 0, 1],
    ]
    .concat();
    assert_eq!(peek(&message), Some(Role::Query));
    let query = parse_query(&message).unwrap();
    assert_eq!((query.id, query.recursion_desired, query.qtype), (0x1234, true, 28));
    assert_eq!(query.name.as_str(), "www.example.com");
    assert_eq!(parse_response(&message), Err(Malformed::field(Layer::Dns, "QR")));
}

#[test]
fn a_response_gives_its_address_and_flags() {
    let message = response("example.com", &[record(&[0xc0, 12], 1, &FOUR)]);
    assert_eq!(peek(&message), Some(Role::Response));
    let response = parse_response(&message).unwrap();
    assert_eq!((response.id, response.rcode, response.qtype), (0x1234, 0, 1));
    assert!(response.recursion_desired && response.recursion_available && !response.truncated && !response.is_cut);
    let expected = Answer {
        address: Address::v4(FOUR),
        ttl: 60,
        kind: EvidenceKind::DnsAddress,
        link: Link::QUESTION,
    };
    assert_eq!(response.answers.to_vec(), [expected]);
}

#[test]
fn other_messages_are_told_apart() {
    let mut message = response("example.com", &[]);
    message[2] |= 0x28;
    assert_eq!(peek(&message), None);
    assert_eq!(parse_response(&message), Err(Malformed::field(Layer::Dns, "OPCODE")));
    let mut message = response("example.com", &[]);
    message[5] = 2;
    assert_eq!(parse_response(&message), Err(Malformed::field(Layer::Dns, "QDCOUNT")));
    assert_eq!(
        parse_response(&message[..11]),
        Err(Malformed::short(Layer::Dns, 12, 11))
    );
    assert_eq!(peek(&message[..11]), None);
}

#[test]
fn the_reserved_bit_costs_nothing() {
    let mut message = response("example.com", &[record(&[0xc0, 12], 1, &FOUR)]);
    message[3] |= 0x40;
    assert_eq!(given(&message), [pair("198.51.100.7", "")]);
}

#[test]
fn rule_n1_a_response_code_other_than_0_gives_nothing() {
    let mut message = response("example.com", &[record(&[0xc0, 12], 1, &FOUR)]);
    message[3] |= 3;
    assert_eq!(given(&message), []);
}

#[test]
fn rule_n1_the_chain_is_followed_in_any_order() {
    let mut records = [
        record(&wire("example.com"), 5, &wire("a.example.net")),
        record(&wire("a.example.net"), 5, &wire("B.example.org")),
        record(&wire("b.EXAMPLE.org"), 1, &FOUR),
    ];
    for _ in 0..records.len() {
        let expected = [pair("198.51.100.7", "a.example.net b.example.org")];
        assert_eq!(given(&response("example.com", &records)), expected);
        records.rotate_left(1);
    }
    records.reverse();
    assert_eq!(given(&response("example.com", &records)).len(), 1);
}

#[test]
fn rule_n1_records_off_the_chain_are_ignored() {
    let records = [
        record(&wire("other.example"), 1, &[1, 1, 1, 1]),
        record(&[0xc0, 12], 5, &wire("a.example.net")),
        record(&wire("b.example.net"), 1, &[2, 2, 2, 2]),
        record(&wire("a.example.net"), 1, &FOUR),
    ];
    assert_eq!(
        given(&response("example.com", &records)),
        [pair("198.51.100.7", "a.example.net")]
    );
}

#[test]
fn a_circle_of_names_ends() {
    let records = [
        record(&[0xc0, 12], 5, &wire("a.example.net")),
        record(&wire("a.example.net"), 5, &wire("example.com")),
        record(&wire("a.example.net"), 1, &FOUR),
        record(&wire("net"), 39, &wire("x.net")),
    ];
    let message = response("example.com", &records);
    assert_eq!(given(&message), [pair("198.51.100.7", "a.example.net")]);
}

#[test]
fn rule_n1_a_dname_record_stands_for_what_is_below_its_owner() {
    let records = [
        record(&wire("b.www.example.net"), 1, &FOUR),
        record(&wire("example.com"), 39, &wire("example.net")),
        record(&wire("www.example.com"), 39, &wire("www.elsewhere.net")),
        record(&wire("ample.com"), 39, &wire("wrong.net")),
    ];
    let message = response("b.www.example.com", &records);
    assert_eq!(given(&message), [pair("198.51.100.7", "b.www.example.net")]);
    assert_eq!(given(&response("example.com", &records)), []);
}

#[test]
fn rule_n1_hints_of_services_are_answers() {
    let hints = [
        &[0, 1, 0][..],
        &[0, 1, 0, 3, 2, b'h', b'2'],
        &[0, 4, 0, 4],
        &FOUR,
        &[0, 6, 0, 16],
        &[0x20; 16],
    ]
    .concat();
    let alias = [&[0, 0][..], &wire("svc.example.net")].concat();
    let records = [
        record(&[0xc0, 12], 65, &alias),
        record(&wire("svc.example.net"), 65, &hints),
        record(&wire("svc.example.net"), 1, &[1, 1, 1, 1]),
    ];
    let message = response("example.com", &records);
    let read = parse_response(&message).unwrap();
    assert!(read.answers.iter().all(|answer| answer.kind == EvidenceKind::DnsHint));
    let expected = [
        pair("198.51.100.7", "svc.example.net"),
        pair("2020:2020:2020:2020:2020:2020:2020:2020", "svc.example.net"),
    ];
    assert_eq!(given(&message), expected);
}

#[test]
fn rule_n1_a_name_that_an_alias_of_a_service_leads_to_as_well_is_reached_by_its_cname_record() {
    let mut records = [
        record(&[0xc0, 12], 65, &[&[0, 0][..], &wire("a.example.net")].concat()),
        record(&[0xc0, 12], 5, &wire("a.example.net")),
        record(&wire("a.example.net"), 1, &FOUR),
    ];
    for _ in 0..records.len() {
        let expected = [pair("198.51.100.7", "a.example.net")];
        assert_eq!(given(&response("example.com", &records)), expected);
        records.rotate_left(1);
    }
}

#[test]
fn rule_n1_a_dname_record_holds_for_other_names_than_one_that_gets_too_long() {
    let long = format!("{0}.{0}.{0}.example.com", "a".repeat(60));
    let records = [
        record(&wire(&long), 5, &wire("b.example.com")),
        record(
            &wire("example.com"),
            39,
            &wire(&format!("{}.example.net", "c".repeat(60))),
        ),
        record(&wire(&format!("b.{}.example.net", "c".repeat(60))), 1, &FOUR),
    ];
    let message = response(&long, &records);
    assert_eq!(given(&message).len(), 1);
    assert_eq!(parse_response(&message).unwrap().malformed_records, 0);
}

#[test]
fn rule_n1_a_record_that_cannot_be_read_costs_itself() {
    let records = [
        record(&[0xc0, 12], 1, &[1, 2, 3]),
        record(&[0xc0, 0xff], 1, &[1, 1, 1, 1]),
        record(&[0xc0, 12], 5, &[3, b'a']),
        record(&[0xc0, 12], 65, &[0, 1, 0, 0, 4, 0, 9, 1]),
        record(&[0xc0, 12], 46, &[9; 30]),
        record(&[0xc0, 12], 1, &FOUR),
    ];
    let message = response("example.com", &records);
    assert_eq!(given(&message), [pair("198.51.100.7", "")]);
    assert_eq!(parse_response(&message).unwrap().malformed_records, 4);
}

#[test]
fn rule_n1_a_message_cut_short_gives_the_records_before_the_cut() {
    let records = [record(&[0xc0, 12], 1, &FOUR), record(&[0xc0, 12], 1, &[1, 1, 1, 1])];
    let message = response("example.com", &records);
    for kept in message.len() - 15..message.len() {
        let read = parse_response(&message[..kept]).unwrap();
        assert_eq!((read.answers.len(), read.is_cut), (1, true));
    }
    assert!(parse_response(&message[..20]).is_err());
}

#[test]
fn another_class_does_not_count() {
    let mut other = record(&[0xc0, 12], 1, &FOUR);
    other[5] = 3;
    assert_eq!(given(&response("example.com", &[other])), []);
}

#[test]
fn names_are_written_unambiguously() {
    let labels = [&[5, b'a', b'.', b'\\', b' ', 0xc3, 3][..], b"COM"].concat();
    assert_eq!(Name::from_labels(&labels).as_str(), "a\\046\\092\\032\\195.COM");
    assert_eq!(Name::from_labels(&[]).as_str(), ".");
    assert_eq!(
        parse_response(&response("EXAMPLE.com", &[])).unwrap().name.as_str(),
        "example.com"
    );
}

#[test]
fn a_name_of_more_than_255_octets_is_refused() {
    let read = |octets: &[u8]| Labels::new().read(octets, 0, &mut Work::new(octets.len()));
    let label = [&[49][..], &[b'a'; 49]].concat();
    let whole = [label.repeat(5), vec![3, b'a', b'a', b'a', 0]].concat();
    assert_eq!(read(&whole), Ok(255));
    let whole = [label.repeat(5), vec![4, b'a', b'a', b'a', b'a', 0]].concat();
    assert_eq!(read(&whole), Err(Malformed::field(Layer::Dns, "name")));
}

#[test]
fn a_pointer_must_lead_further_back() {
    let read = |octets: &[u8], at| Labels::new().read(octets, at, &mut Work::new(octets.len()));
    let refused = Err(Malformed::field(Layer::Dns, "name"));
    assert_eq!(read(&[0xc0, 0], 0), refused);
    assert_eq!(read(&[0xc0, 2, 0], 0), refused);
    assert_eq!(read(&[1, b'a', 0xc0, 0], 0), refused);
    assert_eq!(read(&[1, b'a', 0, 1, b'b', 0xc0, 0], 3), Ok(7));
    assert_eq!(read(&[0x40, 0], 0), refused);
    assert_eq!(read(&[0xc0], 0), Err(Malformed::short(Layer::Dns, 1, 1)));
}

/// Returns a response whose records' owners all hang on one long run of pointers, each to the one before it.
fn pointers(octets: usize) -> Vec<u8> {
    let mut run = Vec::new();
    let data = response("a", &[]).len() + 12 + 10;
    for n in 0..octets / 4 {
        let target = if n == 0 { 12 } else { data + 2 * (n - 1) };
        run.extend_from_slice(&u16::try_from(0xc000 | target & 0x3fff).unwrap().to_be_bytes());
    }
    let last = u16::try_from(0xc000 | (data + run.len() - 2) & 0x3fff)
        .unwrap()
        .to_be_bytes();
    let mut records = vec![record(&[0; 1], 16, &run)];
    records.extend((0..octets / 32).map(|_| record(&last, 1, &FOUR)));
    response("a", &records)
}

#[test]
fn a_response_made_of_pointers_costs_a_few_steps_an_octet() {
    for octets in [1472, 24_000, 65_000] {
        let message = pointers(octets);
        let question = response("a", &[]).len();
        let mut answers = SmallVec::new();
        let mut walk = Walk {
            message: &message,
            work: Work::new(message.len()),
            chain: Chain::new(&[1, b'a'], HEADER),
            waiting: SmallVec::new(),
            aliases: SmallVec::new(),
            answers: &mut answers,
            malformed: 0,
        };
        let before = walk.work.left();
        assert_eq!(
            walk.records(question, 1 + u32::try_from(octets / 32).unwrap()),
            Some(())
        );
        walk.settle();
        assert!(before - walk.work.left() <= Work::MOST);
        assert!(answers.is_empty());
        let mut one = Work::new(message.len());
        let full = one.left();
        let owner = question + 11 + octets / 4 * 2;
        assert!(Labels::new().read(&message, owner, &mut one).is_err());
        assert!(full - one.left() <= 4 * 128);
    }
}

/// A record that the oracle test writes with `domain`.
#[derive(Debug, Clone)]
enum Written {
    Four([u8; 4]),
    Six([u8; 16]),
    Alias(usize),
    Below(usize),
}

const NAMES: [&str; 7] = [
    "a.test",
    "b.a.test",
    "C.b.a.test",
    "www.example",
    "x.www.example",
    "b.a.www.example",
    "test",
];

fn name(at: usize) -> DomainName<Vec<u8>> {
    NAMES[at % NAMES.len()].parse().unwrap()
}

fn written() -> impl Strategy<Value = (usize, Written, u32)> {
    let what = prop_oneof![
        any::<[u8; 4]>().prop_map(Written::Four),
        any::<[u8; 16]>().prop_map(Written::Six),
        (0usize..7).prop_map(Written::Alias),
        (0usize..7).prop_map(Written::Alias),
        (0usize..7).prop_map(Written::Below),
    ];
    (0usize..7, what, any::<u32>())
}

type Read<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;

/// Returns what the records lead to from the question, read by `domain` and followed without any order; `None` where
/// DNAME records make names without end.
fn by_domain(message: &[u8]) -> Option<BTreeSet<(Address, u32)>> {
    let message = Message::from_octets(message).unwrap();
    let records: Vec<DomainRecord<ParsedName<&[u8]>, Read<'_>>> = message
        .answer()
        .unwrap()
        .map(|record| record.unwrap().into_record().unwrap().unwrap())
        .collect();
    let mut reached: BTreeSet<DomainName<Vec<u8>>> = BTreeSet::new();
    reached.insert(message.sole_question().unwrap().qname().to_name());
    loop {
        let mut found = reached.clone();
        for name in &reached {
            for record in &records {
                match record.data() {
                    AllRecordData::Cname(to) if record.owner() == name => {
                        found.insert(to.cname().to_name());
                    }
                    AllRecordData::Dname(to) if name.ends_with(record.owner()) && record.owner() != name => {
                        let kept = name.iter_labels().count() - record.owner().iter_labels().count();
                        let kept: Vec<u8> = name
                            .iter_labels()
                            .take(kept)
                            .flat_map(|l| [&[l.len() as u8][..], l.as_slice()].concat())
                            .collect();
                        let to: DomainName<Vec<u8>> = to.dname().to_name();
                        if let Ok(whole) = DomainName::from_octets([kept, to.as_slice().to_vec()].concat()) {
                            found.insert(whole);
                        }
                    }
                    _ => {}
                }
            }
        }
        if found.len() > 40 {
            return None;
        }
        if found.len() == reached.len() {
            break;
        }
        reached = found;
    }
    let given = |record: &DomainRecord<ParsedName<&[u8]>, Read<'_>>| match record.data() {
        AllRecordData::A(a) => Some((Address::v4(a.addr().octets()), record.ttl().as_secs())),
        AllRecordData::Aaaa(a) => Some((Address::v6(a.addr().octets()), record.ttl().as_secs())),
        _ => None,
    };
    let on_chain = records
        .iter()
        .filter(|record| reached.iter().any(|name| name == record.owner()));
    Some(on_chain.filter_map(given).collect())
}

proptest! {
    #[test]
    fn a_message_that_domain_wrote_gives_what_domain_reads(
        asked in 0usize..7,
        records in prop::collection::vec(written(), 0..12),
    ) {
        let mut builder = MessageBuilder::from_target(TreeCompressor::new(Vec::new())).unwrap().question();
        builder.header_mut().set_qr(true);
        builder.push((name(asked), Rtype::A)).unwrap();
        let mut builder = builder.answer();
        for (owner, what, ttl) in &records {
            let (owner, ttl) = (name(*owner), Ttl::from_secs(*ttl));
            match what {
                Written::Four(octets) => builder.push((owner, Class::IN, ttl, A::new((*octets).into()))).unwrap(),
                Written::Six(octets) => builder.push((owner, Class::IN, ttl, Aaaa::new((*octets).into()))).unwrap(),
                Written::Alias(to) => builder.push((owner, Class::IN, ttl, Cname::new(name(*to)))).unwrap(),
                Written::Below(to) => builder.push((owner, Class::IN, ttl, Dname::new(name(*to)))).unwrap(),
            }
        }
        let message = builder.finish().into_target();
        let read = parse_response(&message).unwrap();
        let ours: BTreeSet<_> = read.answers.iter().map(|answer| (answer.address, answer.ttl)).collect();
        if let Some(theirs) = by_domain(&message) {
            prop_assert_eq!(ours, theirs);
        }
        prop_assert_eq!(read.name.as_str(), name(asked).to_string().to_ascii_lowercase());
    }

    #[test]
    fn reading_never_panics(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (peek(&payload), parse_query(&payload), parse_response(&payload));
    }

    #[test]
    fn reading_a_damaged_response_never_panics(
        damage in prop::collection::vec((0usize..200, any::<u8>()), 0..8),
        kept in 0usize..200,
    ) {
        let records = [
            record(&[0xc0, 12], 5, &wire("a.example.net")),
            record(&wire("net"), 39, &wire("x.net")),
            record(&[0xc0, 12], 65, &[&[0, 1, 0][..], &[0, 4, 0, 4], &FOUR, &[0, 6, 0, 16], &[0x20; 16]].concat()),
            record(&wire("a.example.net"), 1, &FOUR),
        ];
        let mut message = response("example.com", &records);
        for (at, octet) in damage {
            if let Some(place) = message.get_mut(at) {
                *place = octet;
            }
        }
        message.truncate(kept);
        let _ = (parse_query(&message), parse_response(&message));
    }
}
