//! Rule W2: envelopes in any order, as deep as they may be and one deeper, cut and damaged; and etherparse as the oracle
//! of what it reads too.

use etherparse::{LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::super::build;
use super::*;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [198, 51, 100, 7];

/// An envelope that the tests put around a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    Tag,
    Labels,
    Wire,
    WireWithControlWord,
    Pppoe,
    Ip,
    GreIp,
    GreBridged,
    GreKey,
    GrePpp,
    ErspanI,
    ErspanII,
    ErspanIII,
    ErspanIIIPlatform,
    ErspanIIIIp,
    Vxlan,
    VxlanExtension,
    Geneve,
    GeneveIp,
}

use Around::{
    ErspanI, ErspanII, ErspanIII, ErspanIIIIp, ErspanIIIPlatform, Geneve, GeneveIp, GreBridged, GreIp, GreKey, GrePpp,
    Ip, Labels, Pppoe, Tag, Vxlan, VxlanExtension, Wire, WireWithControlWord,
};

const ALL: [Around; 19] = [
    Tag,
    Labels,
    Wire,
    WireWithControlWord,
    Pppoe,
    Ip,
    GreIp,
    GreBridged,
    GreKey,
    GrePpp,
    ErspanI,
    ErspanII,
    ErspanIII,
    ErspanIIIPlatform,
    ErspanIIIIp,
    Vxlan,
    VxlanExtension,
    Geneve,
    GeneveIp,
];

/// The version of IP that carries an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Four,
    Six,
}

const VERSIONS: [Version; 2] = [Version::Four, Version::Six];

fn ports() -> Ports {
    Ports::new(&[4789, 4790], &[6081], &[53])
}

/// Returns a frame whose packet comes from [`CLIENT`], or from `2001:db8::1`.
fn frame(version: Version) -> Vec<u8> {
    let datagram = build::udp(4000, 53, b"question");
    match version {
        Version::Four => build::ethernet(1, 0x0800, &build::ipv4(CLIENT, SERVER, 17, &datagram)),
        Version::Six => build::ethernet(1, 0x86dd, &build::ipv6(17, &datagram)),
    }
}

/// Returns the frame of an outer packet.
fn carried(version: Version, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match version {
        Version::Four => {
            let packet = build::ipv4([192, 0, 2, 1], [192, 0, 2, 2], protocol, payload);
            build::ethernet(0xee, 0x0800, &packet)
        }
        Version::Six => build::ethernet(0xee, 0x86dd, &build::ipv6(protocol, payload)),
    }
}

/// Puts an envelope around a frame. Those for IP alone are exchanged for bridging where the frame is not plain.
fn put(around: Around, version: Version, n: u8, frame: &[u8]) -> Vec<u8> {
    let (header, packet) = frame.split_at(14);
    let ethertype = u16::from_be_bytes([header[12], header[13]]);
    let is_plain = matches!(ethertype, 0x0800 | 0x86dd);
    let is_for_ip = matches!(
        around,
        Labels | Pppoe | Ip | GreIp | GrePpp | ErspanIIIIp | VxlanExtension | GeneveIp
    );
    let around = if is_for_ip && !is_plain { GreBridged } else { around };
    let is_four = ethertype == 0x0800;
    let ppp = [0, if is_four { 0x21 } else { 0x57 }];
    let gre = |flags: u16, protocol: u16, fields: &[u8], inside: &[u8]| {
        let header = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
        carried(version, 47, &[&header, fields, inside].concat())
    };
    let erspan = |start: &[u8], end: &[u8], inside: &[u8]| {
        let protocol = if start[0] == 0x10 { 0x88be } else { 0x22eb };
        gre(0x1000, protocol, &[&[0, 0, 0, 1], start, &[0, n], end].concat(), inside)
    };
    let in_udp = |port: u16, header: &[u8], inside: &[u8]| {
        carried(version, 17, &build::udp(55555, port, &[header, inside].concat()))
    };
    match around {
        Tag => {
            let tagged = build::tag(u16::from(n), ethertype, packet);
            [&header[..12], &[0x81, 0], &tagged].concat()
        }
        Labels => build::ethernet(0xee, 0x8847, &build::mpls(&[16, 17], packet)),
        Wire => build::ethernet(0xee, 0x8847, &build::mpls(&[16, 17], frame)),
        WireWithControlWord => {
            let wire = [&[0, 0, 0, 1][..], frame].concat();
            build::ethernet(0xee, 0x8848, &build::mpls(&[16], &wire))
        }
        Pppoe => build::ethernet(0xee, 0x8864, &build::pppoe(0, &[&ppp, packet].concat())),
        Ip => carried(version, if is_four { 4 } else { 41 }, packet),
        GreIp => gre(0, ethertype, &[], packet),
        GreBridged => gre(0x8000, 0x6558, &[0; 4], frame),
        GreKey => gre(0x2000, 0x6558, &[0, 0, 0, n], frame),
        GrePpp => {
            let inside = [&ppp, packet].concat();
            let length = u16::try_from(inside.len()).unwrap().to_be_bytes();
            gre(0x3001, 0x880b, &[&length[..], &[0, 5, 0, 0, 0, 1]].concat(), &inside)
        }
        ErspanI => gre(0, 0x88be, &[], frame),
        ErspanII => erspan(&[0x10, 0], &[0; 4], frame),
        ErspanIII => erspan(&[0x20, 0], &[0, 0, 0, 0, 0, 0, 0x80, 0], frame),
        ErspanIIIPlatform => erspan(&[0x20, 0], &[0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0], frame),
        ErspanIIIIp => erspan(&[0x20, 0], &[0, 0, 0, 0, 0, 0, 0x08, 0], packet),
        Vxlan => in_udp(4789, &[8, 0, 0, 0, 0, 0, n, 0], frame),
        VxlanExtension => in_udp(4790, &[0x0c, 0, 0, if is_four { 1 } else { 2 }, 0, 0, n, 0], packet),
        Geneve => in_udp(6081, &[1, 0, 0x65, 0x58, 0, 0, n, 0, 0, 0, 0, 0], frame),
        GeneveIp => in_udp(
            6081,
            &[&[0, 0], &ethertype.to_be_bytes()[..], &[0, 0, n, 0]].concat(),
            packet,
        ),
    }
}

/// Puts envelopes around a frame, the first one innermost; the n-th has n in its tag, key or VNI.
fn put_all(around: &[(Around, Version)], inside: Version) -> Vec<u8> {
    let numbered = (1..).zip(around);
    numbered.fold(frame(inside), |frame, (n, (around, version))| {
        put(*around, *version, n, &frame)
    })
}

/// Says whether a packet is the one of [`frame`].
fn is_inside(read: &Decoded<'_>, version: Version) -> bool {
    let from = match version {
        Version::Four => Address::v4(CLIENT),
        Version::Six => Address::v6(build::address(1)),
    };
    (read.from, read.from_port, read.to_port) == (from, 4000, 53)
}

#[test]
fn rule_w2_every_envelope_in_every_other_gives_the_packet() {
    for inside in VERSIONS {
        for first in ALL {
            for second in ALL {
                for version in VERSIONS {
                    let octets = put_all(&[(first, version), (second, version)], inside);
                    let read = decode(LinkType::Ethernet, &octets, &ports());
                    let read = read.unwrap_or_else(|stop| panic!("{first:?} in {second:?} over {version:?}: {stop:?}"));
                    assert!(is_inside(&read, inside), "{first:?} in {second:?}: {read:?}");
                    assert_eq!(read.payload, b"question");
                }
            }
        }
    }
}

#[test]
fn rule_w2_each_envelope_counts_once() {
    for around in ALL {
        for version in VERSIONS {
            // The innermost is the one in question, since a tag or label may not be around it for all of them.
            let mut envelopes = vec![(around, version)];
            envelopes.resize(8, (Vxlan, version));
            let octets = put_all(&envelopes, Version::Four);
            let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
            assert!(is_inside(&read, Version::Four), "{around:?}");
            envelopes.push((Tag, version));
            let octets = put_all(&envelopes, Version::Four);
            let stop = decode(LinkType::Ethernet, &octets, &ports());
            assert_eq!(stop, Err(Stop::Ignored(Ignored::TooDeep)), "{around:?}");
        }
    }
}

#[test]
fn rule_w2_an_envelope_cut_anywhere_is_no_flow_of_its_own() {
    for around in ALL {
        for version in VERSIONS {
            let octets = put_all(&[(around, version)], Version::Four);
            for kept in 0..octets.len() {
                // Every end is counted: a packet that was snapped, a layer, or a reason.
                if let Ok(read) = decode(LinkType::Ethernet, &octets[..kept], &ports()) {
                    assert!(
                        is_inside(&read, Version::Four) && read.is_snapped(),
                        "{around:?} cut at {kept}"
                    );
                }
            }
        }
    }
}

#[test]
fn rule_w2_a_wire_that_begins_with_any_octet_gives_the_packet() {
    for first in 0..=255 {
        for around in [Wire, WireWithControlWord] {
            for is_tagged in [false, true] {
                let mut inner = frame(Version::Four);
                inner[0] = first;
                if is_tagged {
                    inner = put(Tag, Version::Four, 7, &inner);
                }
                let octets = put(around, Version::Four, 1, &inner);
                let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
                assert!(is_inside(&read, Version::Four), "{first:#x} {around:?}");
            }
        }
    }
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&VERSIONS)
}

fn envelopes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(Around, Version)>> {
    prop::collection::vec((prop::sample::select(&ALL), version()), count)
}

proptest! {
    #[test]
    fn rule_w2_up_to_eight_in_any_order_give_the_packet(around in envelopes(0..9), inside in version()) {
        let octets = put_all(&around, inside);
        let read = decode(LinkType::Ethernet, &octets, &ports());
        prop_assert!(read.is_ok_and(|read| is_inside(&read, inside)), "{read:?}");
    }

    #[test]
    fn rule_w3_the_outermost_of_each_kind_is_kept(around in envelopes(1..9)) {
        let octets = put_all(&around, Version::Four);
        let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap().envelopes;
        let outermost = |is_kind: fn(Around) -> bool| {
            let mut numbered = (1_u32..).zip(&around).collect::<Vec<_>>().into_iter().rev();
            numbered.find(|(_, (around, _))| is_kind(*around)).map(|(n, _)| n)
        };
        // What may have been exchanged for bridging is left out of what is expected.
        let vni = outermost(|around| matches!(around, Vxlan | Geneve));
        prop_assert!(read.vni >= vni, "{read:?}");
        let key = outermost(|around| matches!(around, GreKey | ErspanII | ErspanIII | ErspanIIIPlatform));
        prop_assert!(read.key >= key, "{read:?}");
        let vlan = outermost(|around| around == Tag).map(|n| u16::try_from(n).unwrap());
        prop_assert_eq!(read.vlan, vlan);
        let is_ip = |around| !matches!(around, Tag | Labels | Wire | WireWithControlWord | Pppoe);
        let carriers = carriers(Start::Frame(LinkType::Ethernet, &octets), &ports());
        prop_assert_eq!(carriers.first().map(|carrier| (carrier.from, carrier.to)), read.carried_between());
        prop_assert!(carriers.len() >= around.iter().filter(|(around, _)| is_ip(*around)).count());
        prop_assert_eq!(read.is_carried_twice, carriers.len() > 1);
    }

    #[test]
    fn nine_are_too_deep(around in envelopes(9..12)) {
        let octets = put_all(&around, Version::Four);
        prop_assert_eq!(decode(LinkType::Ethernet, &octets, &ports()), Err(Stop::Ignored(Ignored::TooDeep)));
    }

    #[test]
    fn damaged_envelopes_never_panic(
        around in envelopes(1..5),
        damage in prop::collection::vec((0usize..300, any::<u8>()), 0..8),
        kept in 0usize..400,
    ) {
        let mut octets = put_all(&around, Version::Four);
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

    #[test]
    fn random_octets_behind_an_envelope_never_panic(
        ethertype in prop::sample::select(vec![0x8847_u16, 0x8864, 0x88e5, 0x05dc, 0x8100, 0x0800, 0x86dd]),
        octets in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decode(LinkType::Ethernet, &build::ethernet(1, ethertype, &octets), &ports());
        for port in [4789, 4790, 6081] {
            let datagram = carried(Version::Four, 17, &build::udp(1, port, &octets));
            let _ = decode(LinkType::Ethernet, &datagram, &ports());
        }
        for protocol in [4, 41, 47] {
            let _ = decode(LinkType::Ethernet, &carried(Version::Six, protocol, &octets), &ports());
        }
    }

    #[test]
    fn tags_and_ip_are_read_as_etherparse_reads_them(
        vlans in prop::collection::vec(1_u16..4095, 0..4),
        inside in version(),
        (from_port, to_port) in (any::<u16>(), 1_u16..4000),
        payload in prop::collection::vec(any::<u8>(), 0..40),
        cut in 0usize..100,
    ) {
        let datagram = build::udp(from_port, to_port, &payload);
        let (mut ethertype, mut octets) = match inside {
            Version::Four => (0x0800, build::ipv4(CLIENT, SERVER, 17, &datagram)),
            Version::Six => (0x86dd, build::ipv6(17, &datagram)),
        };
        for vlan in vlans.iter().rev() {
            octets = build::tag(*vlan, ethertype, &octets);
            ethertype = 0x8100;
        }
        let octets = build::ethernet(1, ethertype, &octets);
        let oracle = SlicedPacket::from_ethernet(&octets).unwrap();
        let read = decode(LinkType::Ethernet, &octets, &ports()).unwrap();
        let (from, to) = match oracle.net.as_ref().unwrap() {
            NetSlice::Ipv4(ip) => (Address::v4(ip.header().source()), Address::v4(ip.header().destination())),
            NetSlice::Ipv6(ip) => (Address::v6(ip.header().source()), Address::v6(ip.header().destination())),
            NetSlice::Arp(_) => unreachable!(),
        };
        let Some(TransportSlice::Udp(udp)) = &oracle.transport else { unreachable!() };
        prop_assert_eq!((read.from, read.to), (from, to));
        prop_assert_eq!((read.from_port, read.to_port), (udp.source_port(), udp.destination_port()));
        prop_assert_eq!(read.payload, udp.payload());
        let outermost = oracle.vlan_ids().first().map(|vlan| vlan.value());
        prop_assert_eq!(read.envelopes.vlan, outermost);
        // Where a snap length leaves the ports, both of us find them.
        let kept = &octets[..octets.len().saturating_sub(cut)];
        let snapped = LaxSlicedPacket::from_ethernet(kept).ok().and_then(|packet| packet.transport);
        if let Some(TransportSlice::Udp(udp)) = snapped {
            let read = decode(LinkType::Ethernet, kept, &ports()).unwrap();
            prop_assert_eq!((read.to_port, read.payload), (udp.destination_port(), udp.payload()));
        }
    }
}
