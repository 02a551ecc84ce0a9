//! Who is who on the wire: addresses, ports, segments and sources.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address in 16 octets; IPv4 stands in its mapped form (RFC 4291 section 2.5.5.2).
///
/// One layout for both keeps flow keys free of branches. An IPv6 packet that carries a mapped address counts as
/// the IPv4 address it names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    high: u64,
    low: u64,
}

const MAPPED: u64 = 0xffff_0000_0000;

impl Address {
    /// Returns the address with these four octets.
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self {
            high: 0,
            low: MAPPED | u32::from_be_bytes(octets) as u64,
        }
    }

    /// Returns the address with these sixteen octets.
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(octets);
        Self {
            high: (whole >> 64) as u64,
            low: whole as u64,
        }
    }

    /// Returns the sixteen octets in network order.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        (((self.high as u128) << 64) | self.low as u128).to_be_bytes()
    }

    /// Returns the IPv4 octets, or `None` for an IPv6 address.
    #[must_use]
    pub const fn as_v4(self) -> Option<[u8; 4]> {
        if self.high == 0 && self.low >> 32 == MAPPED >> 32 {
            Some((self.low as u32).to_be_bytes())
        } else {
            None
        }
    }

    /// Returns the address as the standard library writes and compares it.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        match self.as_v4() {
            Some(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
            None => IpAddr::V6(Ipv6Addr::from(self.octets())),
        }
    }

    /// Returns the two halves, high first, for hashing.
    #[must_use]
    pub const fn halves(self) -> (u64, u64) {
        (self.high, self.low)
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

/// RFC 5952 for IPv6, dotted decimal for IPv4.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IpAddr::deserialize(deserializer).map(Self::from)
    }
}

/// An address and a port of one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Endpoint {
    /// The address.
    pub ip: Address,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip.ip() {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// A transport whose flows are followed (rule S2), or what carries envelopes to the outside (rule W2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 2784; only as a tunnel that leads outside.
    Gre,
    /// RFC 2003 and RFC 4213; only as a tunnel that leads outside.
    Ipip,
}

impl Transport {
    /// Returns the protocol number of IPv4 and IPv6; of IP within IP, the number of IPv4.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ipip => 4,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Gre => 47,
        }
    }

    /// Says whether its endpoints have ports; those of others are 0 and written as `null`.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }

    /// Returns the name that records use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Gre => "gre",
            Self::Ipip => "ipip",
        }
    }
}

/// A hardware address of Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

/// The address space that a frame belongs to (rule W3), as a small number that is only meaningful within one run.
///
/// No envelope, and a VNI by itself, are written into the number; every other combination is numbered by the
/// decoder, which hands on a [`SegmentDetail`] for each number it gives out. What is inside a tunnel that leads outside
/// (rule W2) has an address space of its own beside each of these, and the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Segment(u32);

impl Segment {
    /// The segment of frames without any envelope that counts.
    pub const NONE: Self = Self(0);
    const FIRST_NUMBERED: u32 = 1 << 25;
    const TUNNEL: u32 = 1 << 31;

    /// Returns the segment of a VNI (24 bits; higher bits are ignored).
    #[must_use]
    pub const fn vni(vni: u32) -> Self {
        Self(1 + (vni & 0x00ff_ffff))
    }

    /// Returns the `n`-th segment that the decoder numbered itself.
    #[must_use]
    pub const fn numbered(n: u32) -> Self {
        let number = Self::FIRST_NUMBERED.saturating_add(n);
        Self(if number < Self::TUNNEL {
            number
        } else {
            Self::TUNNEL - 1
        })
    }

    /// Returns the address space inside a tunnel that leads outside. What is in it goes to the records and nowhere else:
    /// who is outside writes it.
    #[must_use]
    pub const fn tunnel(self) -> Self {
        Self(self.0 | Self::TUNNEL)
    }

    /// Says whether this is the inside of a tunnel that leads outside.
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        self.0 & Self::TUNNEL != 0
    }

    /// Returns the segment that has the text of this one.
    #[must_use]
    pub const fn plain(self) -> Self {
        Self(self.0 & !Self::TUNNEL)
    }

    /// Returns what the number itself says, or `None` for one that the decoder gave out.
    #[must_use]
    pub fn detail(self) -> Option<SegmentDetail> {
        match self.0 {
            0 => Some(SegmentDetail::default()),
            n if n < Self::FIRST_NUMBERED => Some(SegmentDetail {
                vni: Some(n - 1),
                ..SegmentDetail::default()
            }),
            _ => None,
        }
    }

    /// Returns the bare number, for hashing.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What a segment is made of; absent parts are not in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentDetail {
    /// The name that `[[segment]]` gives; then nothing else is set.
    pub name: Option<std::sync::Arc<str>>,
    /// The outermost VNI of VXLAN or GENEVE.
    pub vni: Option<u32>,
    /// The outermost VLAN.
    pub vlan: Option<u16>,
    /// The key of GRE or the session of ERSPAN.
    pub key: Option<u32>,
    /// Who mirrored the frame.
    pub source: Option<Address>,
}

/// A name, `vni=42,vlan=7` and so on, or `-`, as records write segments.
impl fmt::Display for SegmentDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            return f.write_str(name);
        }
        let mut separator = "";
        let mut part = |f: &mut fmt::Formatter<'_>, key: &str, value: Option<&dyn fmt::Display>| {
            let Some(value) = value else { return Ok(()) };
            write!(f, "{separator}{key}={value}")?;
            separator = ",";
            Ok(())
        };
        part(f, "vni", self.vni.as_ref().map(|v| v as _))?;
        part(f, "vlan", self.vlan.as_ref().map(|v| v as _))?;
        part(f, "key", self.key.as_ref().map(|v| v as _))?;
        part(f, "source", self.source.as_ref().map(|v| v as _))?;
        if separator.is_empty() { f.write_str("-") } else { Ok(()) }
    }
}

/// Who delivered a frame, as a number within one run: the outer address that mirrored it, else the interface or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceId(pub u16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_family() {
        let four: IpAddr = "192.0.2.1".parse().unwrap();
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Address::from(four).ip(), four);
        assert_eq!(Address::from(six).ip(), six);
        assert_eq!(Address::from(six).as_v4(), None);
    }

    #[test]
    fn a_segment_is_written_by_its_parts() {
        assert_eq!(Segment::NONE.detail().unwrap().to_string(), "-");
        assert_eq!(Segment::vni(42).detail().unwrap().to_string(), "vni=42");
        let both = SegmentDetail {
            vni: Some(1),
            vlan: Some(7),
            ..SegmentDetail::default()
        };
        assert_eq!(both.to_string(), "vni=1,vlan=7");
    }
}
