//! What capture hands over, and what decoding makes of it.

use super::address::{Address, MacAddress, Segment, SourceId, Transport};
use super::time::{Arrival, Timestamp};

/// Octets that capture hands over (rule W1).
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// When the frame was captured, before any shift or clamping.
    pub time: Timestamp,
    /// Who delivered it, as far as capture can tell: an interface or a file.
    pub source: SourceId,
    /// How the octets begin.
    pub link: LinkType,
    /// The octets that were captured; fewer than were on the wire if the capture was snapped.
    pub octets: &'a [u8],
}

/// How a frame begins (rule W1); the numbers are the LINKTYPE registry's of tcpdump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// LINKTYPE_ETHERNET, 1.
    Ethernet,
    /// LINKTYPE_RAW and its platform forms 12, 14, 101, 228 and 229: an IP header comes first.
    Raw,
    /// LINKTYPE_NULL, 0: a protocol family in the byte order of the machine that captured.
    Null,
    /// LINKTYPE_LOOP, 108: a protocol family in network order.
    Loop,
    /// LINKTYPE_LINUX_SLL, 113.
    LinuxCooked,
    /// LINKTYPE_LINUX_SLL2, 276.
    LinuxCooked2,
    /// LINKTYPE_PPP, 9.
    Ppp,
    /// LINKTYPE_PPP_HDLC, 50: PPP, or Cisco's header, on a serial line.
    PppSerial,
    /// LINKTYPE_PPP_ETHER, 51: a PPPoE header comes first.
    PppEther,
}

impl LinkType {
    /// Every link type that is read.
    pub const ALL: [Self; 9] = [
        Self::Ethernet,
        Self::Raw,
        Self::Null,
        Self::Loop,
        Self::LinuxCooked,
        Self::LinuxCooked2,
        Self::Ppp,
        Self::PppSerial,
        Self::PppEther,
    ];

    /// Returns the link type with this LINKTYPE or DLT number, or `None` if the sensor cannot read it.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            0 => Self::Null,
            108 => Self::Loop,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            9 => Self::Ppp,
            50 => Self::PppSerial,
            51 => Self::PppEther,
            _ => return None,
        })
    }
}

/// The innermost TCP or UDP packet of a frame, as plain facts; its payload travels beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The frame's time after shifting and clamping.
    pub time: Timestamp,
    /// The frame's number in the order of arrival.
    pub arrival: Arrival,
    /// Who delivered the frame: the outer address that mirrored it, else the interface or file.
    pub source: SourceId,
    /// The address space that the addresses belong to.
    pub segment: Segment,
    /// The innermost source hardware address, if the link or the envelope carries one.
    pub from_mac: Option<MacAddress>,
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
    /// Octets of layer 4 payload by the length fields of the headers, whatever a snap length left of them.
    pub payload_octets: u32,
}

impl Packet {
    /// Returns which transport carries the packet.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self.layer4 {
            Layer4::Tcp { .. } => Transport::Tcp,
            Layer4::Udp => Transport::Udp,
            Layer4::Tunnel(transport) => transport,
        }
    }
}

/// What a packet's layer 4 header says beside ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer4 {
    /// RFC 9293 section 3.1.
    Tcp {
        /// The control bits.
        flags: TcpFlags,
        /// The sequence number of the first octet of payload, or of the SYN.
        sequence: u32,
    },
    /// RFC 768.
    Udp,
    /// An envelope that leads outside (rule W2), in UDP, GRE or IP.
    Tunnel(Transport),
}

/// The control bits of a TCP header, RFC 9293 section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 0x10;

    /// Says whether the bit is set.
    #[must_use]
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}
