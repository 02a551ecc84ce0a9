//! Rule W2: every envelope around one packet, alone, nested and cut.

use super::super::build;
use super::*;
use crate::model::{Layer, Malformed};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [198, 51, 100, 7];

fn ports() -> Ports {
    Ports::new(&[4789, 4790], &[6081], &[53])
}

fn packet() -> Vec<u8> {
    build::ipv4(CLIENT, SERVER, 17, &build::udp(4000, 53, b"question"))
}

/// Returns what an Ethernet frame gives; panics if that is not the packet of [`packet`].
fn read(octets: &[u8]) -> Decoded<'_> {
    let read = decode(LinkType::Ethernet, octets, &ports()).unwrap_or_else(|stop| panic!("{stop:?}"));
    assert_eq!((read.from, read.to), (Address::v4(CLIENT), Address::v4(SERVER)));
    assert_eq!((read.to_port, read.payload), (53, &b"question"[..]));
    read
}

/// Returns how and between which ports IP carries the envelopes of an Ethernet frame, outermost first.
fn carried_by(octets: &[u8]) -> Vec<(Transport, u16, u16)> {
    let carriers = carriers(Start::Frame(LinkType::Ethernet, octets), &ports());
    let told = carriers
        .iter()
        .map(|carrier| (carrier.transport, carrier.from_port, carrier.to_port));
    told.collect()
}

/// Returns an Ethernet frame of a datagram from 192.0.2.1.
fn datagram(to_port: u16, header: &[u8], inside: &[u8]) -> Vec<u8> {
    let datagram = build::udp(55555, to_port, &[header, inside].concat());
    build::ethernet(9, 0x0800, &build::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 17, &datagram))
}

/// Returns a frame with a hardware address of its own around the packet.
fn frame() -> Vec<u8> {
    build::ethernet(1, 0x0800, &packet())
}

/// The hardware address of [`frame`].
const INNER: Option<MacAddress> = Some(MacAddress([2, 0, 0, 0, 0, 1]));

/// Returns why an Ethernet frame gives no packet.
fn stop(octets: &[u8]) -> Stop {
    decode(LinkType::Ethernet, octets, &ports()).unwrap_err()
}

#[test]
fn rule_w2_a_pppoe_session_is_opened_and_the_rest_of_ppp_counted() {
    let frame = build::ethernet(1, 0x8864, &build::pppoe(0, &[&[0, 0x21][..], &packet()].concat()));
    assert_eq!(
        read(&[&frame[..], &[0; 9]].concat()).from_mac,
        Some(MacAddress([2, 0, 0, 0, 0, 1]))
    );
    let link_control = build::ethernet(1, 0x8864, &build::pppoe(0, &[0xc0, 0x21, 9, 1, 0, 8]));
    assert_eq!(stop(&link_control), Stop::Ignored(Ignored::Ppp));
    let discovery = build::ethernet(1, 0x8863, &build::pppoe(9, &[1, 1, 0, 0]));
    assert_eq!(stop(&discovery), Stop::Ignored(Ignored::Ppp));
    let cut = build::ethernet(1, 0x8864, &build::pppoe(0, &[0]));
    assert_eq!(stop(&cut), Stop::Malformed(Malformed::short(Layer::Ppp, 2, 1)));
}

#[test]
fn ip_is_found_behind_llc_and_snap() {
    let inside = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &packet()].concat();
    read(&build::ethernet(1, 44, &inside));
    read(&build::ethernet(1, 0x8100, &build::tag(7, 44, &inside)));
    let spanning_tree = build::ethernet(1, 38, &[0x42, 0x42, 3, 0, 0, 0, 0]);
    assert_eq!(stop(&spanning_tree), Stop::Ignored(Ignored::NotIp));
    let cut = build::ethernet(1, 44, &inside[..7]);
    assert_eq!(stop(&cut), Stop::Malformed(Malformed::short(Layer::Llc, 8, 7)));
}

#[test]
fn macsec_is_counted() {
    assert_eq!(
        stop(&build::ethernet(1, 0x88e5, &packet())),
        Stop::Ignored(Ignored::Macsec)
    );
}

#[test]
fn rule_w2_labels_carry_ip_and_ethernet() {
    for ethertype in [0x8847, 0x8848] {
        let bare = build::mpls(&[16, 17, 18], &packet());
        assert_eq!(
            read(&build::ethernet(9, ethertype, &bare)).from_mac,
            Some(MacAddress([2, 0, 0, 0, 0, 9]))
        );
        for control_word in [&[][..], &[0, 0, 0, 1]] {
            let wire = [
                control_word,
                &build::ethernet(1, 0x8100, &build::tag(7, 0x0800, &packet())),
            ]
            .concat();
            let octets = build::ethernet(9, ethertype, &build::mpls(&[16, 17], &wire));
            let read = read(&octets);
            assert_eq!(
                (read.envelopes.vlan, read.from_mac),
                (Some(7), Some(MacAddress([2, 0, 0, 0, 0, 1])))
            );
        }
    }
    let channel = build::ethernet(9, 0x8847, &build::mpls(&[16], &[0x10, 0, 0, 0x21]));
    assert_eq!(stop(&channel), Stop::Ignored(Ignored::Mpls));
    let cut = build::ethernet(9, 0x8847, &build::mpls(&[16, 17], &[])[..7]);
    assert_eq!(stop(&cut), Stop::Malformed(Malformed::short(Layer::Mpls, 4, 3)));
}

#[test]
fn rule_w2_ip_within_ip_is_opened_in_every_pairing() {
    let four = |protocol, inside: &[u8]| {
        build::ethernet(
            9,
            0x0800,
            &build::ipv4([192, 0, 2, 1], [192, 0, 2, 2], protocol, inside),
        )
    };
    let six = |next, inside: &[u8]| build::ethernet(9, 0x86dd, &build::ipv6(next, inside));
    let inside = build::ipv6(17, &build::udp(4000, 53, b"question"));
    for octets in [four(4, &packet()), six(4, &packet())] {
        assert_eq!(
            read(&octets).from_mac,
            None,
            "what the outer link says is not the inside's"
        );
    }
    assert_eq!(carried_by(&four(4, &packet())), [(Transport::Ipip, 0, 0)]);
    for octets in [four(41, &inside), six(41, &inside)] {
        let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
        assert_eq!((read.from, read.to_port), (Address::v6(build::address(1)), 53));
        assert_eq!(carried_by(&octets), [(Transport::Ipip, 0, 0)]);
    }
    let limit = six(60, &[&[4, 0, 4, 1, 4, 1, 0, 0][..], &packet()].concat());
    read(&limit);
    let other = four(4, &inside);
    assert_eq!(stop(&other), Stop::Malformed(Malformed::field(Layer::Ipv4, "version")));
}

#[test]
fn rule_w2_gre_carries_ip_frames_and_labels_with_any_fields() {
    let fields = [0xab, 0xcd, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1];
    for (flags, from, to) in [
        (0, 0, 0),
        (0x8000, 0, 4),
        (0x2000, 4, 8),
        (0x3000, 4, 12),
        (0xb000, 0, 12),
    ] {
        let fields = &fields[from..to];
        let key = (flags & 0x2000 != 0).then_some(7);
        let cases = [
            (0x0800, packet(), None),
            (0x6558, frame(), INNER),
            (0x8847, build::mpls(&[16], &packet()), None),
            (0x8100, build::tag(5, 0x0800, &packet()), None),
        ];
        for (protocol, inside, from_mac) in cases {
            let octets = build::gre(flags, fields, protocol, &inside);
            let read = read(&octets);
            assert_eq!(
                (read.envelopes.key, read.from_mac),
                (key, from_mac),
                "{flags:#x} {protocol:#x}"
            );
            assert_eq!(carried_by(&octets), [(Transport::Gre, 0, 0)]);
        }
    }
    assert_eq!(
        stop(&build::gre(0, &[], 0x2001, &packet())),
        Stop::Ignored(Ignored::Gre),
        "NHRP"
    );
    assert_eq!(
        stop(&build::gre(0, &[], 0, &[])),
        Stop::Ignored(Ignored::Gre),
        "a keepalive"
    );
    let cut = build::gre(0x2000, &[0, 0], 0x0800, &[]);
    assert_eq!(stop(&cut), Stop::Malformed(Malformed::short(Layer::Gre, 4, 2)));
}

#[test]
fn pptp_carries_ppp() {
    let fields = [0, 42, 0, 5, 0, 0, 0, 1];
    let inside = [&[0xff, 3, 0x21][..], &packet()].concat();
    let octets = build::gre(0x3001, &fields, 0x880b, &inside);
    assert_eq!(
        read(&octets).envelopes.key,
        None,
        "each direction has a call of its own"
    );
    let acknowledgment = build::gre(0x2081, &[0, 0, 0, 5, 0, 0, 0, 1], 0x880b, &[]);
    assert_eq!(stop(&acknowledgment), Stop::Ignored(Ignored::Gre));
    let encrypted = build::gre(0x3001, &fields, 0x880b, &[&[0xfd][..], &[0; 41]].concat());
    assert_eq!(stop(&encrypted), Stop::Ignored(Ignored::Ppp));
}

#[test]
fn rule_w2_erspan_of_every_type_gives_the_frame_and_its_session() {
    let sequence = [0, 0, 0, 1];
    let two = [&[0x10, 0, 0, 9, 0, 0, 0, 0][..], &frame()].concat();
    let three = |kind, last, inside: &[u8]| [&[0x20, 0, 0, 9, 0, 0, 0, 0, 0, 0, kind, last][..], inside].concat();
    let platform = [&[0; 8][..], &frame()].concat();
    for (octets, key, from_mac) in [
        (build::gre(0, &[], 0x88be, &frame()), None, INNER),
        (build::gre(0x1000, &sequence, 0x88be, &two), Some(9), INNER),
        (
            build::gre(0x1000, &sequence, 0x22eb, &three(0x80, 0, &frame())),
            Some(9),
            INNER,
        ),
        (
            build::gre(0x1000, &sequence, 0x22eb, &three(0x80, 1, &platform)),
            Some(9),
            INNER,
        ),
        (
            build::gre(0x1000, &sequence, 0x22eb, &three(0x08, 0, &packet())),
            Some(9),
            None,
        ),
    ] {
        let read = read(&octets);
        assert_eq!((read.envelopes.key, read.from_mac), (key, from_mac));
        assert_eq!(carried_by(&octets), [(Transport::Gre, 0, 0)]);
    }
    for other in [three(0x1c, 0, &frame()), vec![0x30; 40]] {
        let octets = build::gre(0x1000, &sequence, 0x22eb, &other);
        assert_eq!(stop(&octets), Stop::Ignored(Ignored::Erspan));
    }
    let cut = build::gre(0x1000, &sequence, 0x88be, &two[..5]);
    assert_eq!(stop(&cut), Stop::Malformed(Malformed::short(Layer::Erspan, 8, 5)));
}

#[test]
fn the_outermost_key_is_kept() {
    let inner = build::gre(0x2000, &[0, 0, 0, 2], 0x0800, &packet());
    let octets = build::gre(0x2000, &[0, 0, 0, 1], 0x6558, &inner);
    assert_eq!(read(&octets).envelopes.key, Some(1));
}

#[test]
fn rule_w2_geneve_carries_frames_ip_and_labels_behind_any_options() {
    let bare = [0, 0];
    let with_options = [2, 0x40];
    for (start, options) in [(bare, &[][..]), (with_options, &[1, 2, 0x80, 1, 0, 0, 0, 9])] {
        for (protocol, inside, from_mac) in [
            (0x6558_u16, frame(), INNER),
            (0x0800, packet(), None),
            (0x8847, build::mpls(&[16], &packet()), None),
        ] {
            let header = [&start[..], &protocol.to_be_bytes(), &[0, 0, 42, 0], options].concat();
            let octets = datagram(6081, &header, &inside);
            let read = read(&octets);
            assert_eq!(
                (read.envelopes.vni, read.from_mac),
                (Some(42), from_mac),
                "{protocol:#x}"
            );
            assert_eq!(carried_by(&octets), [(Transport::Udp, 55555, 6081)]);
        }
    }
    let six = build::ipv6(17, &build::udp(4000, 53, b"question"));
    let octets = datagram(6081, &[0, 0, 0x86, 0xdd, 0, 0, 42, 0], &six);
    let inside = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
    assert_eq!(inside.from, Address::v6(build::address(1)));
    let control = datagram(6081, &[0, 0x80, 8, 0, 0, 0, 42, 0], &packet());
    assert_eq!(stop(&control), Stop::Ignored(Ignored::Geneve));
    let other = datagram(6081, &[0, 0, 0x89, 0x4f, 0, 0, 42, 0], &packet());
    assert_eq!(stop(&other), Stop::Ignored(Ignored::Geneve));
    let cut = datagram(6081, &[1, 0, 8, 0, 0, 0, 42, 0, 0], &[]);
    assert_eq!(stop(&cut), Stop::Malformed(Malformed::short(Layer::Geneve, 12, 9)));
}

#[test]
fn the_extension_of_vxlan_carries_ip() {
    let octets = datagram(4790, &[0x0c, 0, 0, 1, 0, 0, 42, 0], &packet());
    let inside = read(&octets);
    assert_eq!((inside.envelopes.vni, inside.from_mac), (Some(42), None));
    read(&datagram(4790, &[0x0c, 0, 0, 3, 0, 0, 42, 0], &frame()));
    read(&datagram(4790, &[0x08, 0, 0, 0, 0, 0, 42, 0], &frame()));
    let service = datagram(4790, &[0x0c, 0, 0, 4, 0, 0, 42, 0], &frame());
    assert_eq!(stop(&service), Stop::Ignored(Ignored::Vxlan));
}

#[test]
fn other_ports_carry_what_the_settings_say() {
    let vxlan = datagram(8472, &[0x08, 0, 0, 0, 0, 0, 42, 0], &frame());
    let geneve = datagram(6082, &[0, 0, 0x65, 0x58, 0, 0, 42, 0], &frame());
    let ports = Ports::new(&[8472], &[6081, 6082], &[53]);
    for octets in [vxlan, geneve] {
        let inside = decode(LinkType::Ethernet, &octets, &ports).unwrap();
        assert_eq!((inside.envelopes.vni, inside.to_port), (Some(42), 53));
    }
}

#[test]
fn an_answer_to_a_client_whose_port_is_that_of_an_envelope_is_an_answer() {
    for port in [4789, 4790, 6081] {
        let octets = build::ethernet(
            1,
            0x0800,
            &build::ipv4([10, 0, 0, 2], [10, 0, 0, 1], 17, &build::udp(53, port, &[7; 20])),
        );
        let answer = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
        assert_eq!((answer.from_port, answer.to_port, answer.payload.len()), (53, port, 20));
    }
}
