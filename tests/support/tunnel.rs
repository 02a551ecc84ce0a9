//! Tunnels: what follows carried by IP from one end to the other.

use std::net::IpAddr;

use super::frames::{ip_packet, udp};

/// How a tunnel carries packets.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Gre,
    Ipip,
    /// In VXLAN with VNI 7, in a frame whose hardware addresses say nothing.
    Vxlan,
}

impl Kind {
    /// Returns what recipes call by this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "gre" => Some(Self::Gre),
            "ipip" => Some(Self::Ipip),
            "vxlan" => Some(Self::Vxlan),
            "none" => None,
            other => panic!("no tunnel {other}"),
        }
    }
}

/// A tunnel, in one direction.
#[derive(Debug, Clone, Copy)]
pub struct Tunnel {
    pub kind: Kind,
    pub from: IpAddr,
    pub to: IpAddr,
}

impl Tunnel {
    /// Returns the packet that carries an IP packet.
    pub fn carry(&self, packet: &[u8]) -> Vec<u8> {
        let (protocol, ethertype) = match packet[0] >> 4 {
            4 => (4, 0x0800_u16),
            _ => (41, 0x86dd),
        };
        let ethertype = ethertype.to_be_bytes();
        let (protocol, payload) = match self.kind {
            Kind::Gre => (47, [&[0, 0][..], &ethertype, packet].concat()),
            Kind::Ipip => (protocol, packet.to_vec()),
            Kind::Vxlan => {
                let frame = [&[0; 12][..], &ethertype, packet].concat();
                (17, udp(50_000, 4789, &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat()))
            }
        };
        ip_packet(self.from, self.to, protocol, &payload)
    }
}
