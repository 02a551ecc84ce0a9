//! Ethernet II, IEEE 802.3 section 3.

use crate::model::{Layer, MacAddress, Malformed};

/// Octets of a header without tags.
const LEN: usize = 14;

/// The EtherType of IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// The EtherType of IPv6.
pub(super) const IPV6: u16 = 0x86dd;
/// The EtherType of MPLS (RFC 3032 section 5).
pub(super) const MPLS: u16 = 0x8847;
/// The EtherType of MPLS whose labels the sender assigned (RFC 5332 section 3), once that of multicast.
pub(super) const MPLS_MULTICAST: u16 = 0x8848;
/// The EtherType of PPPoE's discovery (RFC 2516 section 4).
pub(super) const PPPOE_DISCOVERY: u16 = 0x8863;
/// The EtherType of PPPoE's sessions.
pub(super) const PPPOE: u16 = 0x8864;
/// The EtherType of MACsec (IEEE 802.1AE section 9.8).
pub(super) const MACSEC: u16 = 0x88e5;
/// The largest value in the place of the EtherType that is not one: it is the length of an 802.3 frame, or means nothing.
pub(super) const LONGEST_LENGTH: u16 = 0x05ff;

/// One Ethernet header, taken apart.
pub(super) struct Ethernet<'a> {
    /// The source address.
    pub from: MacAddress,
    /// The EtherType, or a length (see [`LONGEST_LENGTH`]).
    pub ethertype: u16,
    /// What follows the header, padding included.
    pub payload: &'a [u8],
}

/// Reads one Ethernet header.
///
/// The destination is not looked at: a mirror port sees frames to everybody.
///
/// # Errors
///
/// `Short` with under 14 octets.
#[inline]
pub(super) fn parse(octets: &[u8]) -> Result<Ethernet<'_>, Malformed> {
    let Some((header, payload)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Ethernet, LEN, octets.len()));
    };
    let [_, _, _, _, _, _, from @ .., high, low] = *header;
    Ok(Ethernet {
        from: MacAddress(from),
        ethertype: u16::from_be_bytes([high, low]),
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_and_the_type_are_read() {
        let octets = [1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 0x08, 0x00, 0x45];
        let header = parse(&octets).unwrap();
        assert_eq!(header.from, MacAddress([2, 3, 4, 5, 6, 7]));
        assert_eq!(header.ethertype, IPV4);
        assert_eq!(header.payload, [0x45]);
    }

    #[test]
    fn a_short_header_is_malformed() {
        assert_eq!(parse(&[0; 13]).err(), Some(Malformed::short(Layer::Ethernet, LEN, 13)));
    }
}
