//! What IPv4 and IPv6 have in common once their headers are read.

use crate::model::Address;

/// Protocol numbers of the IANA registry that decoding tells apart.
pub(super) mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const IPV4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const ESP: u8 = 50;
    pub const AH: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const MOBILITY: u8 = 135;
    pub const HIP: u8 = 139;
    pub const SHIM6: u8 = 140;
}

/// Which piece of its packet an IP header carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// All of it.
    Whole,
    /// The first fragment, or, where a datagram stays incomplete, all that there is of its beginning.
    First,
    /// A later fragment.
    Later,
}

impl Piece {
    /// Returns the piece with this offset and this "more fragments" bit.
    #[inline]
    pub(super) const fn new(offset: u16, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First,
            _ => Self::Later,
        }
    }
}

/// One IP header with its options and extension headers, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ip<'a> {
    /// The source.
    pub from: Address,
    /// The destination, as the fixed header names it.
    pub to: Address,
    /// The protocol of the payload.
    pub protocol: u8,
    /// Which piece of its packet the payload is.
    pub piece: Piece,
    /// What tells the sender's packets apart (RFC 791 section 3.2); 0 in IPv6.
    pub identification: u16,
    /// How many more routers may hand the packet on: the TTL of IPv4.
    pub hop_limit: u8,
    /// Octets of payload by the length fields.
    pub payload_octets: u32,
    /// The payload as far as it was captured, without padding.
    pub payload: &'a [u8],
}

/// Returns source and destination of an IP packet of either version, which stand in the fixed header.
#[inline]
pub(super) fn ends(octets: &[u8]) -> Option<(Address, Address)> {
    match octets.first()? >> 4 {
        4 => {
            let (from, to) = octets.get(12..20)?.split_first_chunk()?;
            Some((Address::v4(*from), Address::v4(*to.first_chunk()?)))
        }
        6 => {
            let (from, to) = octets.get(8..40)?.split_first_chunk()?;
            Some((Address::v6(*from), Address::v6(*to.first_chunk()?)))
        }
        _ => None,
    }
}

/// Returns the first `length` octets, or all that were captured of them.
#[inline]
pub(super) fn bounded(octets: &[u8], length: usize) -> &[u8] {
    octets.get(..length).unwrap_or(octets)
}

/// Returns a number of octets in the width that packets use; frames are far shorter.
#[inline]
pub(super) fn octets_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
