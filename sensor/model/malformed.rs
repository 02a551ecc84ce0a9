//! Octets that cannot be read, as values that are counted (never logged per packet, never fatal).

use std::fmt;

/// A layer of headers, as counters name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// Ethernet II and IEEE 802.3.
    Ethernet,
    /// 802.1Q, 802.1ad and 0x9100 tags.
    Vlan,
    /// BSD null and OpenBSD loop.
    Null,
    /// Linux cooked capture, both versions.
    LinuxCooked,
    /// LLC and SNAP behind the length of an 802.3 frame.
    Llc,
    /// PPP, and Cisco's header in its place.
    Ppp,
    /// PPPoE.
    Pppoe,
    /// MPLS label stacks.
    Mpls,
    /// IPv4.
    Ipv4,
    /// IPv6 and its extension headers.
    Ipv6,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// GRE.
    Gre,
    /// ERSPAN.
    Erspan,
    /// VXLAN.
    Vxlan,
    /// GENEVE.
    Geneve,
    /// DNS messages.
    Dns,
}

impl Layer {
    /// Every layer, in the order of the counters.
    pub const ALL: [Self; 17] = [
        Self::Ethernet,
        Self::Vlan,
        Self::Null,
        Self::LinuxCooked,
        Self::Llc,
        Self::Ppp,
        Self::Pppoe,
        Self::Mpls,
        Self::Ipv4,
        Self::Ipv6,
        Self::Tcp,
        Self::Udp,
        Self::Gre,
        Self::Erspan,
        Self::Vxlan,
        Self::Geneve,
        Self::Dns,
    ];

    /// Says whether the layer is one of headers, without which a frame gives no packet. A DNS message is within a packet:
    /// one that cannot be read is counted beside the sum of all frames.
    #[must_use]
    pub const fn is_header(self) -> bool {
        !matches!(self, Self::Dns)
    }

    /// Returns the name that counters use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "ethernet",
            Self::Vlan => "vlan",
            Self::Null => "null",
            Self::LinuxCooked => "linux_cooked",
            Self::Llc => "llc",
            Self::Ppp => "ppp",
            Self::Pppoe => "pppoe",
            Self::Mpls => "mpls",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Dns => "dns",
        }
    }
}

/// Why octets could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Where reading stopped.
    pub layer: Layer,
    /// What was wrong there.
    pub fault: Fault,
}

/// What was wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Fewer octets than the header needs.
    Short {
        /// Octets that the header needs.
        needed: usize,
        /// Octets that were there.
        found: usize,
    },
    /// A field holds what its specification does not allow.
    Field(&'static str),
}

impl Malformed {
    /// Returns the value for a header with fewer octets than it needs.
    #[must_use]
    pub const fn short(layer: Layer, needed: usize, found: usize) -> Self {
        Self {
            layer,
            fault: Fault::Short { needed, found },
        }
    }

    /// Returns the value for a field that holds what it may not.
    #[must_use]
    pub const fn field(layer: Layer, name: &'static str) -> Self {
        Self {
            layer,
            fault: Fault::Field(name),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Short { needed, found } => {
                write!(f, "{}: needs {needed} octets, found {found}", self.layer.name())
            }
            Fault::Field(name) => write!(f, "{}: field {name} holds what it may not", self.layer.name()),
        }
    }
}

/// Why a frame that could be read gives no packet (rule S2 and W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// Neither IPv4 nor IPv6: ARP, LLDP, spanning tree and the like.
    NotIp,
    /// PPP that carries no IP, such as link control and what is compressed or encrypted; PPPoE discovery.
    Ppp,
    /// MACsec.
    Macsec,
    /// What a pseudo-wire over MPLS says of itself.
    Mpls,
    /// ICMP; headers that it quotes are not packets.
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// IGMP.
    Igmp,
    /// IPsec ESP and AH.
    Ipsec,
    /// SCTP.
    Sctp,
    /// GRE whose version or protocol type is not read.
    Gre,
    /// ERSPAN whose version or frame type is not read.
    Erspan,
    /// VXLAN that announces another protocol than Ethernet and IP.
    Vxlan,
    /// GENEVE that announces another protocol, and its control packets.
    Geneve,
    /// Any other protocol than TCP and UDP.
    OtherProtocol,
    /// A fragment that gives nothing: a duplicate, or one of a datagram that stayed incomplete or was dropped.
    Fragment,
    /// Envelopes nested more than eight deep (rule W2).
    TooDeep,
}

impl Ignored {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 16] = [
        Self::NotIp,
        Self::Ppp,
        Self::Macsec,
        Self::Mpls,
        Self::Icmp,
        Self::Icmpv6,
        Self::Igmp,
        Self::Ipsec,
        Self::Sctp,
        Self::Gre,
        Self::Erspan,
        Self::Vxlan,
        Self::Geneve,
        Self::OtherProtocol,
        Self::Fragment,
        Self::TooDeep,
    ];

    /// Returns the name that counters use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Ppp => "ppp",
            Self::Macsec => "macsec",
            Self::Mpls => "mpls",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Igmp => "igmp",
            Self::Ipsec => "ipsec",
            Self::Sctp => "sctp",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::OtherProtocol => "other_protocol",
            Self::Fragment => "fragment",
            Self::TooDeep => "too_deep",
        }
    }
}
