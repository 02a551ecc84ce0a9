//! Frames that come twice, as where both ends of a connection are mirrored (rule W5).

use std::collections::VecDeque;
use std::net::IpAddr;

use super::frames::{self, Frame, SECOND};
use super::words::{Words, number, span};

/// Octets of an Ethernet header without tags.
const ETHERNET: usize = 14;
/// The hardware address of the router behind which a copy with another TTL is taken.
const ROUTER: [u8; 6] = [2, 0xfe, 0, 0, 0, 1];

/// How copies come. All but `Alike` want Ethernet frames, and leave others as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As the first ones came.
    Alike,
    /// With this TTL, from and to other hardware addresses, if they are IP without envelopes.
    Ttl(u8),
    /// Within another tag.
    Vlan(u16),
    /// Delivered by another mirror: frames without any come within GRE.
    Mirror(IpAddr),
    /// With this VNI, by another mirror; frames without VXLAN are put into it.
    Vni(u32),
}

/// Copies of every frame.
#[derive(Debug, Clone, Copy)]
pub struct Copies {
    pub way: Way,
    /// So many nanoseconds later.
    pub after: i64,
}

impl Copies {
    /// Reads what recipes say.
    pub fn named(words: &mut Words<'_>) -> Self {
        let after = span(words.option("after").expect("after"));
        let way = match words.next() {
            "alike" => Way::Alike,
            "ttl" => Way::Ttl(number(words.next())),
            "vlan" => Way::Vlan(number(words.next())),
            "mirror" => Way::Mirror(frames::ip(words.next())),
            "vni" => Way::Vni(number(words.next())),
            other => panic!("no way {other}"),
        };
        Self { way, after }
    }

    /// Returns the copy of a frame.
    pub fn copy(&self, frame: &Frame) -> Frame {
        let octets = self.way.copy(&frame.octets);
        Frame {
            time: frame.time + self.after,
            length: frame.length + octets.len() - frame.octets.len(),
            octets,
        }
    }
}

impl Way {
    /// Returns a copy of an Ethernet frame as it comes this way.
    pub fn copy(self, frame: &[u8]) -> Vec<u8> {
        let mut copy = frame.to_vec();
        match self {
            Self::Alike => {}
            Self::Ttl(ttl) => {
                let place = match frame.get(12..ETHERNET) {
                    Some([0x08, 0x00]) => 22,
                    Some([0x86, 0xdd]) => 21,
                    _ => return copy,
                };
                copy[0..6].copy_from_slice(&[2, 0xfe, 0, 0, 0, 2]);
                copy[6..12].copy_from_slice(&ROUTER);
                if let Some(octet) = copy.get_mut(place) {
                    *octet = ttl;
                }
            }
            Self::Vlan(vlan) => {
                let [a, b] = vlan.to_be_bytes();
                copy.splice(12..12, [0x81, 0x00, a, b]);
            }
            Self::Mirror(mirror) => match carrier(frame) {
                Some(_) => copy[26..30].copy_from_slice(&four(mirror)),
                None => copy = mirrored(mirror, 47, &[&[0, 0, 0x65, 0x58][..], frame].concat()),
            },
            Self::Vni(vni) => {
                let mirror = frames::ip("10.250.0.7");
                let [_, a, b, c] = vni.to_be_bytes();
                if carrier(frame) == Some(17) {
                    copy[26..30].copy_from_slice(&four(mirror));
                    copy[46..49].copy_from_slice(&[a, b, c]);
                } else {
                    let inside = [&[8, 0, 0, 0, a, b, c, 0][..], frame].concat();
                    copy = mirrored(mirror, 17, &frames::udp(55_555, 4789, &inside));
                }
            }
        }
        copy
    }
}

/// Returns frames with a copy of each, all in the order of their times as far as they were before.
pub fn doubled(frames: Vec<Frame>, mut copy: impl FnMut(usize, &Frame) -> Frame) -> Vec<Frame> {
    let mut waiting: VecDeque<Frame> = VecDeque::new();
    let mut all = Vec::with_capacity(frames.len() * 2);
    let mut last = i64::MIN;
    for (n, frame) in frames.into_iter().enumerate() {
        // Where time goes back, what came before goes first.
        let is_back = std::mem::replace(&mut last, frame.time) > frame.time + SECOND;
        while let Some(next) = waiting.pop_front_if(|copy| is_back || copy.time < frame.time) {
            all.push(next);
        }
        let copy = copy(n, &frame);
        let place = waiting.partition_point(|other| other.time <= copy.time);
        waiting.insert(place, copy);
        all.push(frame);
    }
    all.extend(waiting);
    all
}

/// Returns the protocol of what carries a frame to a sensor, if the frame is VXLAN or bridged GRE over plain IPv4.
fn carrier(frame: &[u8]) -> Option<u8> {
    let ip = frame.get(ETHERNET..).filter(|_| frame[12..ETHERNET] == [0x08, 0x00])?;
    match (ip.first(), ip.get(9), ip.get(22..24)) {
        (Some(0x45), Some(17), Some([0x12, 0xb5])) => Some(17),
        (Some(0x45), Some(47), Some([0x65, 0x58])) => Some(47),
        _ => None,
    }
}

fn mirrored(mirror: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let outer = frames::ip_packet(mirror, frames::ip("10.250.0.1"), protocol, payload);
    [&[2, 0, 0, 0, 0, 0xff, 2, 0, 0, 0, 0, 0xed, 0x08, 0x00][..], &outer].concat()
}

fn four(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(four) => four.octets(),
        IpAddr::V6(_) => panic!("{address} is no mirror of these tests"),
    }
}
