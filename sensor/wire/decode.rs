//! The way from a frame to its innermost TCP or UDP packet (rules W1, W2 and W4).

use smallvec::SmallVec;

use super::ip::{Ip, Piece, protocol};
use super::{ethernet, ipv4, ipv6, null, sll, sll2, tcp, udp, vlan, vxlan};
use crate::model::{Address, Ignored, Layer, Layer4, LinkType, MacAddress, Malformed};

/// How deep envelopes may be nested (rule W2); deeper ones are made to waste time, not to mirror traffic.
const DEPTH: u8 = 8;

/// Which UDP ports carry envelopes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports {
    vxlan: SmallVec<[u16; 4]>,
}

impl Ports {
    /// Returns the ports with these destination ports of VXLAN.
    #[must_use]
    pub fn new(vxlan: &[u16]) -> Self {
        Self {
            vxlan: SmallVec::from_slice(vxlan),
        }
    }
}

/// The innermost TCP or UDP packet of a frame, and what its envelopes said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Who sent the packet.
    pub from: Address,
    /// To whom.
    pub to: Address,
    /// The sender's port.
    pub from_port: u16,
    /// The receiver's port.
    pub to_port: u16,
    /// What layer 4 says.
    pub layer4: Layer4,
    /// Octets of layer 4 payload by the length fields, whatever a snap length left of them.
    pub payload_octets: u32,
    /// The payload as far as it was captured.
    pub payload: &'a [u8],
    /// The innermost source hardware address, if the link or the envelope carries one.
    pub from_mac: Option<MacAddress>,
    /// What the envelopes said.
    pub envelopes: Envelopes,
}

impl Decoded<'_> {
    /// Says whether a snap length (or a lost fragment) cut the payload or the layer 4 header.
    #[must_use]
    pub fn is_snapped(&self) -> bool {
        usize::try_from(self.payload_octets).is_ok_and(|octets| self.payload.len() < octets)
    }
}

/// What the envelopes of a frame said, outermost first (rule W3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelopes {
    /// The outermost VNI.
    pub vni: Option<u32>,
    /// The outermost VLAN.
    pub vlan: Option<u16>,
    /// The outermost key of GRE or session of ERSPAN.
    pub key: Option<u32>,
    /// The source of the outermost IP packet that carried an envelope: who mirrored the frame.
    pub mirrored_by: Option<Address>,
}

/// Why a frame gives no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A header could not be read.
    Malformed(Malformed),
    /// All headers could be read and what they carry is of no concern.
    Ignored(Ignored),
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Ignored> for Stop {
    fn from(ignored: Ignored) -> Self {
        Self::Ignored(ignored)
    }
}

/// What comes next on the way inwards: octets that begin as their EtherType says.
struct Inside<'a> {
    ethertype: u16,
    octets: &'a [u8],
}

impl<'a> Inside<'a> {
    #[inline]
    const fn new(ethertype: u16, octets: &'a [u8]) -> Self {
        Self { ethertype, octets }
    }

    /// Returns an IP packet without anything that says which version it has.
    fn ip(octets: &'a [u8]) -> Result<Self, Malformed> {
        match octets.first().map(|first| first >> 4) {
            Some(4) => Ok(Self::new(ethernet::IPV4, octets)),
            Some(6) => Ok(Self::new(ethernet::IPV6, octets)),
            Some(_) => Err(Malformed::field(Layer::Ipv4, "version")),
            None => Err(Malformed::short(Layer::Ipv4, 1, 0)),
        }
    }
}

/// What was gathered on the way inwards.
#[derive(Default)]
struct Way {
    depth: u8,
    from_mac: Option<MacAddress>,
    envelopes: Envelopes,
}

impl Way {
    /// Counts one more envelope.
    #[inline]
    const fn enter(&mut self) -> Result<(), Ignored> {
        self.depth += 1;
        match self.depth {
            ..=DEPTH => Ok(()),
            _ => Err(Ignored::TooDeep),
        }
    }

    /// Takes an Ethernet header.
    #[inline]
    fn ethernet<'a>(&mut self, octets: &'a [u8]) -> Result<Inside<'a>, Malformed> {
        let header = ethernet::parse(octets)?;
        self.from_mac = Some(header.from);
        Ok(Inside::new(header.ethertype, header.payload))
    }

    /// Takes a Linux cooked header.
    fn cooked<'a>(&mut self, header: sll::Cooked<'a>) -> Result<Inside<'a>, Ignored> {
        self.from_mac = header.from;
        match header.ethertype {
            Some(ethertype) => Ok(Inside::new(ethertype, header.payload)),
            None => Err(Ignored::NotIp),
        }
    }

    /// Takes a VLAN tag.
    #[inline]
    fn tag<'a>(&mut self, octets: &'a [u8]) -> Result<Inside<'a>, Stop> {
        self.enter()?;
        let tag = vlan::parse(octets)?;
        self.envelopes.vlan = self.envelopes.vlan.or(tag.vlan);
        Ok(Inside::new(tag.ethertype, tag.payload))
    }

    /// Takes a VXLAN header that `mirror` sent.
    fn vxlan<'a>(&mut self, mirror: Address, octets: &'a [u8]) -> Result<Inside<'a>, Stop> {
        self.enter()?;
        let (vni, frame) = vxlan::parse(octets)?;
        self.envelopes.vni = self.envelopes.vni.or(Some(vni));
        self.envelopes.mirrored_by = self.envelopes.mirrored_by.or(Some(mirror));
        Ok(self.ethernet(frame)?)
    }
}

/// Finds the innermost TCP or UDP packet of a frame.
///
/// Outer headers are not flows: where an envelope's inside cannot be read, the frame gives no packet. VXLAN is
/// recognised by its destination port alone. A first fragment gives the packet whose headers it holds; headers that
/// ICMP quotes are not looked at.
///
/// # Errors
///
/// [`Stop::Malformed`] with the innermost layer that could not be read; [`Stop::Ignored`] for what is neither TCP nor
/// UDP, for later fragments, and for envelopes nested more than eight deep.
pub fn decode<'a>(link: LinkType, octets: &'a [u8], ports: &Ports) -> Result<Decoded<'a>, Stop> {
    let mut way = Way::default();
    let mut inside = match link {
        LinkType::Ethernet => way.ethernet(octets)?,
        LinkType::Raw => Inside::ip(octets)?,
        LinkType::Null | LinkType::Loop => match null::parse(octets)? {
            (Some(ethertype), payload) => Inside::new(ethertype, payload),
            (None, _) => return Err(Ignored::NotIp.into()),
        },
        LinkType::LinuxCooked => way.cooked(sll::parse(octets)?)?,
        LinkType::LinuxCooked2 => way.cooked(sll2::parse(octets)?)?,
    };
    loop {
        let ip = match inside.ethertype {
            ethernet::IPV4 => ipv4::parse(inside.octets)?,
            ethernet::IPV6 => ipv6::parse(inside.octets)?,
            ethertype if vlan::is_tag(ethertype) => {
                inside = way.tag(inside.octets)?;
                continue;
            }
            _ => return Err(Ignored::NotIp.into()),
        };
        if ip.piece == Piece::Later {
            return Err(Ignored::Fragment.into());
        }
        inside = match ip.protocol {
            protocol::TCP => return Ok(way.tcp(&ip)?),
            protocol::UDP => {
                let udp = udp::parse(&ip)?;
                if !ports.vxlan.contains(&udp.to_port) {
                    return Ok(way.udp(&ip, &udp));
                }
                way.vxlan(ip.from, udp.payload)?
            }
            other => return Err(uncarried(other).into()),
        };
    }
}

impl Way {
    /// Ends at a TCP packet.
    #[inline]
    fn tcp<'a>(self, ip: &Ip<'a>) -> Result<Decoded<'a>, Malformed> {
        let tcp = tcp::parse(ip)?;
        let layer4 = Layer4::Tcp {
            flags: tcp.flags,
            sequence: tcp.sequence,
        };
        Ok(Decoded {
            from: ip.from,
            to: ip.to,
            from_port: tcp.from_port,
            to_port: tcp.to_port,
            layer4,
            payload_octets: tcp.payload_octets,
            payload: tcp.payload,
            from_mac: self.from_mac,
            envelopes: self.envelopes,
        })
    }

    /// Ends at a UDP datagram.
    #[inline]
    fn udp<'a>(self, ip: &Ip<'a>, udp: &udp::Udp<'a>) -> Decoded<'a> {
        Decoded {
            from: ip.from,
            to: ip.to,
            from_port: udp.from_port,
            to_port: udp.to_port,
            layer4: Layer4::Udp,
            payload_octets: udp.payload_octets,
            payload: udp.payload,
            from_mac: self.from_mac,
            envelopes: self.envelopes,
        }
    }
}

/// Returns why a protocol gives no packet (rule S2).
#[cold]
fn uncarried(number: u8) -> Ignored {
    match number {
        protocol::ICMP => Ignored::Icmp,
        protocol::ICMPV6 => Ignored::Icmpv6,
        protocol::IGMP => Ignored::Igmp,
        protocol::ESP | protocol::AH => Ignored::Ipsec,
        protocol::SCTP => Ignored::Sctp,
        protocol::GRE => Ignored::Gre,
        _ => Ignored::OtherProtocol,
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
