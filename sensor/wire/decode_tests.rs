use proptest::prelude::*;

use super::super::build;
use super::*;
use crate::model::{Layer, TcpFlags};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [198, 51, 100, 7];

fn ports() -> Ports {
    Ports::new(&[4789, 4790], &[6081], &[53])
}

fn datagram() -> Vec<u8> {
    build::ipv4(CLIENT, SERVER, 17, &build::udp(4000, 53, b"question"))
}

fn frame() -> Vec<u8> {
    build::ethernet(1, 0x0800, &datagram())
}

fn expected() -> Decoded<'static> {
    Decoded {
        from: Address::v4(CLIENT),
        to: Address::v4(SERVER),
        from_port: 4000,
        to_port: 53,
        layer4: Layer4::Udp,
        payload_octets: 8,
        payload: b"question",
        from_mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
        identification: 1,
        hop_limit: 64,
        envelopes: Envelopes::default(),
    }
}

#[test]
fn a_datagram_is_read_behind_ethernet() {
    assert_eq!(decode(LinkType::Ethernet, &frame(), &ports()), Ok(expected()));
}

#[test]
fn every_link_type_gives_the_same_packet() {
    let packet = datagram();
    let cases = [
        (LinkType::Raw, vec![]),
        (LinkType::Null, vec![2, 0, 0, 0]),
        (LinkType::Loop, vec![0, 0, 0, 2]),
        (
            LinkType::LinuxCooked,
            vec![0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0],
        ),
        (
            LinkType::LinuxCooked2,
            vec![8, 0, 0, 0, 0, 0, 0, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        (LinkType::Ppp, vec![0xff, 3, 0, 0x21]),
        (LinkType::Ppp, vec![0x21]),
        (LinkType::PppSerial, vec![0xff, 3, 0, 0x21]),
        (LinkType::PppSerial, vec![0x0f, 0, 8, 0]),
        (LinkType::PppEther, vec![0x11, 0, 0, 1, 0, 0xff, 0, 0x21]),
    ];
    for (link, start) in cases {
        let octets = [start, packet.clone()].concat();
        let bare = Decoded {
            from_mac: None,
            ..expected()
        };
        assert_eq!(decode(link, &octets, &ports()), Ok(bare), "{link:?}");
    }
}

#[test]
fn a_segment_is_read_behind_ipv6() {
    let packet = build::ipv6(6, &build::tcp(1000, 443, 7, TcpFlags::SYN, b"hello"));
    let octets = build::ethernet(1, 0x86dd, &packet);
    let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
    assert_eq!(read.from, Address::v6(build::address(1)));
    assert_eq!((read.from_port, read.to_port), (1000, 443));
    assert_eq!(
        read.layer4,
        Layer4::Tcp {
            flags: TcpFlags(TcpFlags::SYN),
            sequence: 7
        }
    );
    assert_eq!((read.payload_octets, read.payload), (5, &b"hello"[..]));
}

#[test]
fn rule_w2_the_outermost_vlan_is_kept() {
    let inner = build::tag(9, 0x0800, &datagram());
    let octets = build::ethernet(1, 0x88a8, &build::tag(0x6007, 0x8100, &inner));
    let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
    assert_eq!(read.envelopes.vlan, Some(7));
    assert_eq!(read.payload, b"question");
}

#[test]
fn rule_w2_vxlan_gives_the_inner_packet_and_who_mirrored_it() {
    let octets = build::vxlan(42, &build::ethernet(1, 0x9100, &build::tag(3, 0x0800, &datagram())));
    let mirrored = Decoded {
        envelopes: Envelopes {
            vni: Some(42),
            vlan: Some(3),
            key: None,
            carrier: Some(&octets[14..]),
            is_carried_twice: false,
        },
        ..expected()
    };
    assert_eq!(decode(LinkType::Ethernet, &octets, &ports()), Ok(mirrored));
    let expected = Carrier {
        transport: Transport::Udp,
        from: Address::v4([192, 0, 2, 1]),
        to: Address::v4([192, 0, 2, 2]),
        from_port: 55555,
        to_port: 4789,
        payload_octets: octets.len() as u32 - 14 - 20 - 8,
        payload: &octets[14 + 20 + 8..],
        from_mac: Some(MacAddress([
            octets[6], octets[7], octets[8], octets[9], octets[10], octets[11],
        ])),
        identification: 1,
        hop_limit: 64,
        envelopes: Envelopes::default(),
    };
    assert_eq!(
        carriers(Start::Frame(LinkType::Ethernet, &octets), &ports())[..],
        [expected]
    );
    assert_eq!(mirrored.envelopes.mirrored_by(), Some(expected.from));
    assert_eq!(mirrored.envelopes.carried_between(), Some((expected.from, expected.to)));
}

#[test]
fn vxlan_from_its_port_to_another_is_a_datagram() {
    let packet = build::ipv4(SERVER, CLIENT, 17, &build::udp(4789, 4000, b"question"));
    let read = decode(LinkType::Raw, &packet, &ports()).unwrap();
    assert_eq!((read.from_port, read.payload), (4789, &b"question"[..]));
}

#[test]
fn an_outer_header_is_no_flow_when_the_inside_cannot_be_read() {
    let cut = build::vxlan(42, &build::ethernet(1, 0x0800, &datagram()[..10]));
    let stop = Stop::Malformed(Malformed::short(Layer::Ipv4, 20, 10));
    assert_eq!(decode(LinkType::Ethernet, &cut, &ports()), Err(stop));
    let other = build::ipv4(CLIENT, SERVER, 17, &build::udp(4000, 4789, b"question"));
    let stop = Stop::Malformed(Malformed::field(Layer::Vxlan, "I"));
    assert_eq!(
        decode(LinkType::Raw, &[&other[..28], &[0; 8]].concat(), &ports()),
        Err(stop)
    );
}

#[test]
fn rule_w2_eight_envelopes_are_read_and_nine_are_too_deep() {
    let mut octets = frame();
    for vni in 0..8 {
        octets = build::vxlan(vni, &octets);
    }
    let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
    assert_eq!((read.envelopes.vni, read.payload), (Some(7), &b"question"[..]));
    let stop = Stop::Ignored(Ignored::TooDeep);
    assert_eq!(
        decode(LinkType::Ethernet, &build::vxlan(8, &octets), &ports()),
        Err(stop)
    );
}

#[test]
fn padding_is_no_payload() {
    let padded = [frame(), vec![0; 20]].concat();
    assert_eq!(decode(LinkType::Ethernet, &padded, &ports()), Ok(expected()));
    let segment = build::ipv4(CLIENT, SERVER, 6, &build::tcp(1000, 443, 7, TcpFlags::ACK, b""));
    let padded = [build::ethernet(1, 0x0800, &segment), vec![0; 6]].concat();
    let read = decode(LinkType::Ethernet, &padded, &ports()).unwrap();
    assert_eq!((read.payload_octets, read.payload), (0, &[][..]));
}

#[test]
fn a_total_length_of_zero_takes_what_was_captured() {
    let mut packet = build::ipv4(CLIENT, SERVER, 6, &build::tcp(1000, 443, 7, TcpFlags::ACK, b"much"));
    packet[2] = 0;
    packet[3] = 0;
    let read = decode(LinkType::Raw, &packet, &ports()).unwrap();
    assert_eq!((read.payload_octets, read.payload), (4, &b"much"[..]));
    assert!(!read.is_snapped());
}

#[test]
fn rule_w4_a_snapped_packet_gives_what_it_holds() {
    let packet = build::ipv4(CLIENT, SERVER, 6, &build::tcp(1000, 443, 7, TcpFlags::ACK, &[1; 100]));
    for kept in [34, 40, 41, 139] {
        let read = decode(LinkType::Raw, &packet[..kept], &ports()).unwrap();
        assert_eq!(
            (read.payload_octets, read.payload.len()),
            (100, kept.saturating_sub(40))
        );
        assert!(read.is_snapped());
    }
    let stop = Stop::Malformed(Malformed::short(Layer::Tcp, 20, 13));
    assert_eq!(decode(LinkType::Raw, &packet[..33], &ports()), Err(stop));
}

#[test]
fn rule_w4_a_datagram_that_was_cut_behind_its_ports_gives_them() {
    let packet = build::ipv4(CLIENT, SERVER, 17, &build::udp(1000, 443, &[1; 100]));
    for kept in 24..=30 {
        let read = decode(LinkType::Raw, &packet[..kept], &ports()).unwrap();
        assert_eq!((read.from_port, read.to_port), (1000, 443), "{kept}");
        assert_eq!(
            (read.payload_octets, read.payload.len()),
            (100, kept.saturating_sub(28))
        );
        assert!(read.is_snapped());
    }
    let stop = Stop::Malformed(Malformed::short(Layer::Udp, 8, 3));
    assert_eq!(decode(LinkType::Raw, &packet[..23], &ports()), Err(stop));
    // What its sender cut is no datagram.
    let short = build::ipv4(CLIENT, SERVER, 17, &build::udp(1000, 443, &[])[..7]);
    let stop = Stop::Malformed(Malformed::short(Layer::Udp, 8, 7));
    assert_eq!(decode(LinkType::Raw, &short, &ports()), Err(stop));
}

#[test]
fn options_are_walked() {
    let mut packet = build::ipv4(
        CLIENT,
        SERVER,
        17,
        &[&[1, 1, 1, 1][..], &build::udp(4000, 53, b"question")].concat(),
    );
    packet[0] = 0x46;
    let bare = Decoded {
        from_mac: None,
        ..expected()
    };
    assert_eq!(decode(LinkType::Raw, &packet, &ports()), Ok(bare));
}

#[test]
fn rule_w4_extension_headers_are_walked() {
    let udp = build::udp(4000, 53, b"question");
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp].concat();
    let routing = [&[60, 0, 0, 0, 0, 0, 0, 0][..], &options].concat();
    let atomic = [&[43, 0, 0, 0, 0, 0, 0, 9][..], &routing].concat();
    let authentication = [&[44, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..], &atomic].concat();
    let hop_by_hop = [&[51, 0, 1, 4, 0, 0, 0, 0][..], &authentication].concat();
    let packet = build::ipv6(0, &hop_by_hop);
    let read = decode(LinkType::Raw, &packet, &ports()).unwrap();
    assert_eq!(
        (read.to_port, read.payload_octets, read.payload),
        (53, 8, &b"question"[..])
    );
}

#[test]
fn rule_w4_headers_of_mobility_hip_and_shim6_are_walked() {
    let udp = build::udp(4000, 53, b"question");
    let behind = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp].concat();
    for number in [135, 139, 140] {
        let packet = build::ipv6(number, &[&[60, 1], &[0; 14][..], &behind].concat());
        let read = decode(LinkType::Raw, &packet, &ports()).unwrap();
        assert_eq!((read.payload_octets, read.payload), (8, &b"question"[..]), "{number}");
        let stop = Stop::Malformed(Malformed::short(Layer::Ipv6, 16, 15));
        assert_eq!(decode(LinkType::Raw, &packet[..55], &ports()), Err(stop));
    }
    let encrypted = build::ipv6(135, &[&[50, 0, 0, 0, 0, 0, 0, 0][..], &udp].concat());
    let stop = Stop::Ignored(Ignored::Ipsec);
    assert_eq!(decode(LinkType::Raw, &encrypted, &ports()), Err(stop));
}

#[test]
fn rule_w4_a_routing_header_of_any_type_is_walked() {
    for kind in 0..=255 {
        let routing = [17, 2, kind, 1, 0, 0, 0, 0].into_iter().chain([0x20; 16]);
        let inside: Vec<u8> = routing.chain(build::udp(4000, 53, b"question")).collect();
        let packet = build::ipv6(43, &inside);
        let read = decode(LinkType::Raw, &packet, &ports()).unwrap();
        assert_eq!(
            (read.to, read.payload),
            (Address::v6(build::address(2)), &b"question"[..])
        );
    }
}

#[test]
fn rule_w4_a_jumbogram_is_as_long_as_its_option_says() {
    let inside = |next, layer4: &[u8], length: u32| {
        let [a, b, c, d] = length.to_be_bytes();
        let options = [next, 1, 1, 0, 0, 5, 2, 0, 0, 0xc2, 4, a, b, c, d, 0];
        let mut packet = build::ipv6(0, &[&options[..], layer4].concat());
        packet[4..6].fill(0);
        packet
    };
    let mut udp = build::udp(4000, 53, b"question");
    udp[4..6].fill(0);
    let read = |packet: &[u8]| {
        let read = decode(LinkType::Raw, packet, &ports()).unwrap();
        (read.payload_octets, read.payload.len())
    };
    assert_eq!(read(&inside(17, &udp, 100_024)), (100_000, 8));
    let segment = build::tcp(1000, 443, 7, TcpFlags::ACK, b"much");
    assert_eq!(read(&inside(6, &segment, 70_036)), (70_000, 4));
    // What a plain length could have said is no jumbogram's: what was captured counts.
    assert_eq!(read(&inside(17, &udp, 30)), (8, 8));
}

#[test]
fn rule_w4_options_that_cannot_be_lose_no_packet() {
    for option in [[7, 0, 0, 0], [0x83, 40, 4, 1], [1, 1, 1, 0x44], [0xff, 1, 0xff, 2]] {
        let udp = build::udp(4000, 53, b"question");
        let mut packet = build::ipv4(CLIENT, SERVER, 17, &[&option[..], &udp].concat());
        packet[0] = 0x46;
        let read = decode(LinkType::Raw, &packet, &ports()).unwrap();
        assert_eq!(read.payload, b"question");
        packet[0] = 0x44;
        let stop = Stop::Malformed(Malformed::field(Layer::Ipv4, "header length"));
        assert_eq!(decode(LinkType::Raw, &packet, &ports()), Err(stop));
    }
}

#[test]
fn rule_w4_wrong_checksums_are_accepted() {
    for wrong in [[0, 0], [0xff, 0xff], [0xde, 0xad]] {
        let mut octets = frame();
        octets[24..26].copy_from_slice(&wrong);
        octets[40..42].copy_from_slice(&wrong);
        assert_eq!(decode(LinkType::Ethernet, &octets, &ports()), Ok(expected()));
    }
}

#[test]
fn a_cut_or_misplaced_extension_header_is_malformed() {
    let cut = build::ipv6(0, &[17, 9, 0, 0, 0, 0, 0, 0]);
    let stop = Stop::Malformed(Malformed::short(Layer::Ipv6, 80, 8));
    assert_eq!(decode(LinkType::Raw, &cut, &ports()), Err(stop));
    let late = [&[0, 0, 1, 4, 0, 0, 0, 0][..], &[17, 0, 1, 4, 0, 0, 0, 0]].concat();
    let stop = Stop::Malformed(Malformed::field(Layer::Ipv6, "extension header"));
    assert_eq!(decode(LinkType::Raw, &build::ipv6(60, &late), &ports()), Err(stop));
}

#[test]
fn rule_s2_other_protocols_are_ignored_by_name() {
    let cases = [
        (1, Ignored::Icmp),
        (2, Ignored::Igmp),
        (50, Ignored::Ipsec),
        (58, Ignored::Icmpv6),
        (132, Ignored::Sctp),
        (89, Ignored::OtherProtocol),
    ];
    for (number, reason) in cases {
        let packet = build::ipv4(CLIENT, SERVER, number, &datagram());
        assert_eq!(decode(LinkType::Raw, &packet, &ports()), Err(Stop::Ignored(reason)));
    }
    let arp = build::ethernet(1, 0x0806, &[0; 46]);
    assert_eq!(
        decode(LinkType::Ethernet, &arp, &ports()),
        Err(Stop::Ignored(Ignored::NotIp))
    );
}

#[test]
fn lengths_that_cannot_be_are_malformed() {
    let mut packet = datagram();
    packet[3] = 19;
    let stop = Stop::Malformed(Malformed::field(Layer::Ipv4, "total length"));
    assert_eq!(decode(LinkType::Raw, &packet, &ports()), Err(stop));
    let mut packet = datagram();
    packet[25] = 7;
    let stop = Stop::Malformed(Malformed::field(Layer::Udp, "length"));
    assert_eq!(decode(LinkType::Raw, &packet, &ports()), Err(stop));
    let mut packet = build::ipv4(CLIENT, SERVER, 6, &build::tcp(1, 2, 3, 0, b""));
    packet[32] = 0x40;
    let stop = Stop::Malformed(Malformed::field(Layer::Tcp, "data offset"));
    assert_eq!(decode(LinkType::Raw, &packet, &ports()), Err(stop));
    packet[32] = 0x60;
    let stop = Stop::Malformed(Malformed::short(Layer::Tcp, 24, 20));
    assert_eq!(decode(LinkType::Raw, &packet, &ports()), Err(stop));
}

fn link() -> impl Strategy<Value = LinkType> {
    prop::sample::select(LinkType::ALL.to_vec())
}

proptest! {
    #[test]
    fn decoding_never_panics(link in link(), octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(link, &octets, &ports());
    }

    #[test]
    fn decoding_a_damaged_frame_never_panics(
        damage in prop::collection::vec((0usize..120, any::<u8>()), 0..6),
        kept in 0usize..140,
        next in prop::sample::select(vec![0u8, 6, 17, 43, 44, 51, 60, 135, 140]),
    ) {
        let inside = build::ipv6(next, &[next, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 1, 0, 0, 0, 0]);
        let mut octets = build::vxlan(1, &build::ethernet(1, 0x86dd, &inside));
        for (at, octet) in damage {
            if let Some(place) = octets.get_mut(at) {
                *place = octet;
            }
        }
        octets.truncate(kept);
        if let Ok(read) = decode(LinkType::Ethernet, &octets, &ports()) {
            prop_assert!(read.payload.len() <= usize::try_from(read.payload_octets).unwrap());
        }
    }
}
