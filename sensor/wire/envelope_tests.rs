//! Rule W2: every envelope around one packet, alone, nested and cut.

use super::super::build;
use super::*;
use crate::model::{Layer, Malformed};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [198, 51, 100, 7];

fn ports() -> Ports {
    Ports::new(&[4789])
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
