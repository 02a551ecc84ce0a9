use super::super::{Met, Ports, Start, Stop, build, carriers, decode, meet, resume};
use super::*;
use crate::model::{Ignored, LinkType};

const FROM: [u8; 4] = [10, 0, 0, 1];
const TO: [u8; 4] = [198, 51, 100, 7];

fn ports() -> Ports {
    Ports::new(&[4789], &[6081], &[53])
}

/// Returns a fragment of IPv4 with this offset in units of eight octets.
fn four(protocol: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = build::ipv4(FROM, TO, protocol, payload);
    let field = offset | if more { 0x2000 } else { 0 };
    packet[4..8].copy_from_slice(&[&[0x12, 0x34][..], &field.to_be_bytes()].concat());
    packet
}

/// Returns a fragment of IPv6 behind extension headers that begin with `next`.
fn six(next: u8, extensions: &[u8], offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    build::ipv6(
        next,
        &[extensions, &[17, 0, high, low, 0, 0, 0x12, 0x34], payload].concat(),
    )
}

fn read(packet: &[u8]) -> Fragment<'_> {
    assert_eq!(decode(LinkType::Raw, packet, &ports()), Err(Stop::Fragment));
    match meet(LinkType::Raw, packet, &ports()) {
        Ok(Met::Fragment(fragment)) => fragment,
        other => panic!("{other:?}"),
    }
}

fn refused(packet: &[u8]) -> Stop {
    let stop = meet(LinkType::Raw, packet, &ports()).unwrap_err();
    assert_eq!(decode(LinkType::Raw, packet, &ports()), Err(Stop::Fragment));
    stop
}

#[test]
fn rule_w4_a_fragment_of_ipv4_says_where_it_belongs() {
    let packet = four(17, 3, true, &[7; 24]);
    let fragment = read(&packet);
    assert_eq!((fragment.from, fragment.to), (Address::v4(FROM), Address::v4(TO)));
    assert_eq!((fragment.protocol, fragment.identification), (Some(17), 0x1234));
    assert_eq!((fragment.offset, fragment.length, fragment.is_last), (24, 24, false));
    assert_eq!((fragment.octets, fragment.headers), (&packet[20..], &packet[..20]));
    assert!(read(&four(17, 3, false, &[7; 5])).is_last);
}

#[test]
fn rule_w4_a_fragment_of_ipv6_says_where_it_belongs() {
    let hop_by_hop_and_authentication = [[51, 0, 1, 4, 0, 0, 0, 0], [44, 1, 0, 0, 0, 0, 0, 1], [0; 8]].concat();
    let packet = six(0, &hop_by_hop_and_authentication[..20], 3, false, &[7; 5]);
    let fragment = read(&packet);
    assert_eq!(fragment.to, Address::v6(build::address(2)));
    assert_eq!((fragment.protocol, fragment.identification), (None, 0x1234));
    assert_eq!((fragment.offset, fragment.length, fragment.is_last), (24, 5, true));
    assert_eq!((fragment.octets, fragment.headers), (&packet[68..], &packet[..68]));
}

#[test]
fn rule_w4_the_second_of_two_fragment_headers_counts_if_the_first_is_atomic() {
    let packet = six(44, &[44, 0, 0, 6, 0, 0, 0, 9], 1, false, &[7; 5]);
    assert_eq!(read(&packet).identification, 0x1234);
    assert_eq!(read(&packet).headers.len(), 56);
}

#[test]
fn fragments_that_cannot_be_are_malformed() {
    let field = |layer, field| Stop::Malformed(Malformed::field(layer, field));
    let (long, far) = ("fragment length", "fragment offset");
    assert_eq!(refused(&four(17, 0, true, &[])), field(Layer::Ipv4, long));
    assert_eq!(refused(&four(17, 0, true, &[1; 7])), field(Layer::Ipv4, long));
    assert_eq!(refused(&six(44, &[], 0, true, &[1; 9])), field(Layer::Ipv6, long));
    assert_eq!(refused(&six(44, &[], 1, false, &[])), field(Layer::Ipv6, long));
    // The ping of death: 65,535 octets at most, headers included.
    assert_eq!(read(&four(17, 8189, false, &[1; 3])).end(), 65_515);
    assert_eq!(refused(&four(17, 8189, false, &[1; 4])), field(Layer::Ipv4, far));
    assert_eq!(read(&six(44, &[], 8190, false, &[1; 7])).end(), 65_527);
    assert_eq!(refused(&six(44, &[], 8190, false, &[1; 8])), field(Layer::Ipv6, far));
}

#[test]
fn octets_of_ipv4_beyond_the_last_multiple_of_eight_are_cut_off() {
    let packet = four(6, 0, true, &[1; 23]);
    assert_eq!((read(&packet).length, read(&packet).octets.len()), (16, 16));
}

#[test]
fn a_fragment_that_was_snapped_keeps_its_length() {
    let packet = four(6, 0, true, &[1; 64]);
    let fragment = read(&packet[..50]);
    assert_eq!((fragment.length, fragment.octets.len()), (64, 30));
}

#[test]
fn rule_s2_fragments_of_other_protocols_are_ignored_by_name() {
    let later = |protocol| refused(&four(protocol, 9, false, &[1; 8]));
    assert_eq!(later(1), Stop::Ignored(Ignored::Icmp));
    assert_eq!(later(50), Stop::Ignored(Ignored::Ipsec));
    assert_eq!(later(132), Stop::Ignored(Ignored::Sctp));
}

#[test]
fn rule_w4_joined_datagrams_are_read_as_if_they_had_never_been_cut() {
    let datagram = build::udp(4000, 53, b"question");
    for first in [four(17, 0, true, &datagram[..8]), six(44, &[], 0, true, &datagram[..8])] {
        let fragment = read(&first);
        let gathered = fragment.gathered();
        let mut whole = headers(fragment.headers, 16, Extent::Whole).unwrap();
        whole.extend_from_slice(&datagram);
        let Ok(Met::Packet(packet)) = resume(&gathered, &whole, &ports()) else {
            panic!("no packet");
        };
        assert_eq!(
            (packet.to_port, packet.payload, packet.is_snapped()),
            (53, &b"question"[..], false)
        );
        let mut beginning = headers(fragment.headers, 16, Extent::Beginning).unwrap();
        beginning.extend_from_slice(&datagram[..12]);
        let Ok(Met::Packet(packet)) = resume(&gathered, &beginning, &ports()) else {
            panic!("no packet");
        };
        assert_eq!((packet.payload_octets, packet.payload), (8, &b"ques"[..]));
    }
}

#[test]
fn a_beginning_that_ends_within_the_header_gives_its_packet() {
    let first = four(6, 0, true, &build::tcp(1000, 443, 7, 2, b"")[..16]);
    let fragment = read(&first);
    let mut beginning = headers(fragment.headers, 16, Extent::Beginning).unwrap();
    beginning.extend_from_slice(fragment.octets);
    let gathered = fragment.gathered();
    let Ok(Met::Packet(packet)) = resume(&gathered, &beginning, &ports()) else {
        panic!("no packet");
    };
    assert_eq!((packet.to_port, packet.payload_octets), (443, 0));
}

#[test]
fn what_envelopes_said_goes_along() {
    let frame = build::vxlan(
        42,
        &build::ethernet(1, 0x0800, &four(17, 0, true, &build::udp(1, 53, b""))),
    );
    let Ok(Met::Fragment(fragment)) = meet(LinkType::Ethernet, &frame, &ports()) else {
        panic!("no fragment");
    };
    assert_eq!(fragment.envelopes().vni, Some(42));
    let gathered = fragment.gathered();
    let whole = [
        headers(fragment.headers, 8, Extent::Whole).unwrap(),
        fragment.octets.to_vec(),
    ]
    .concat();
    let Ok(Met::Packet(packet)) = resume(&gathered, &whole, &ports()) else {
        panic!("no packet");
    };
    assert_eq!(
        (packet.envelopes.vni, packet.from_mac),
        (Some(42), Some(MacAddress([2, 0, 0, 0, 0, 1])))
    );
    assert_eq!(packet.envelopes.mirrored_by(), Some(Address::v4([192, 0, 2, 1])));
    let beyond = carriers(Start::Datagram(&gathered, &whole), &ports());
    assert!(beyond.is_empty(), "the one around the fragments is told with them");
}

#[test]
fn headers_of_a_first_fragment_that_are_too_long_are_malformed() {
    let too_long = Err(Malformed::field(Layer::Ipv4, "datagram length"));
    let with_options = [&[0x46][..], &[0; 23]].concat();
    assert_eq!(headers(&with_options, 65_512, Extent::Whole), too_long);
    assert!(headers(&with_options, 65_511, Extent::Whole).is_ok());
}
