//! Ethernet II, IEEE 802.3 section 3.

use super::{mpls, vlan};
use crate::model::{Layer, MacAddress, Malformed};

/// Octets of a header without tags.
const LEN: usize = 14;

/// The EtherType of IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// The EtherType of ARP.
const ARP: u16 = 0x0806;
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

/// Says whether octets look like a frame, by what stands where the EtherType would be and by what that announces.
///
/// It is asked where nothing says what follows; so it knows only what can be told from other octets, and not every frame.
pub(super) fn is_plausible(octets: &[u8]) -> bool {
    let Ok(Ethernet {
        mut ethertype,
        mut payload,
        ..
    }) = parse(octets)
    else {
        return false;
    };
    while vlan::is_tag(ethertype)
        && let Ok(tag) = vlan::parse(payload)
    {
        (ethertype, payload) = (tag.ethertype, tag.payload);
    }
    match (ethertype, payload) {
        (IPV4, [first, ..]) => (0x45..=0x4f).contains(first),
        (IPV6, [first, ..]) => first >> 4 == 6,
        (ARP, [0, 1, 8, 0, ..]) | (PPPOE, [0x11, 0, ..]) => true,
        (MPLS | MPLS_MULTICAST, stack) => mpls::is_plausible(stack),
        // SNAP, spanning tree, and IP itself (RFC 1042, IEEE 802.2).
        (length, [0xaa, 0xaa, 0x03, ..] | [0x42, 0x42, 0x03, ..] | [0x06, 0x06, 0x03, ..]) => length <= LONGEST_LENGTH,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::*;

    #[test]
    fn what_an_ethertype_announces_has_to_follow() {
        let is_plausible = |ethertype, payload: &[u8]| is_plausible(&build::ethernet(1, ethertype, payload));
        assert!(is_plausible(IPV4, &[0x45]) && !is_plausible(IPV4, &[0x44]) && !is_plausible(IPV4, &[]));
        assert!(is_plausible(IPV6, &[0x6f]) && !is_plausible(IPV6, &[0x45]));
        assert!(is_plausible(ARP, &[0, 1, 8, 0, 6, 4]) && !is_plausible(ARP, &[0, 6]));
        assert!(is_plausible(PPPOE, &[0x11, 0]) && !is_plausible(PPPOE, &[0x11, 9]));
        assert!(is_plausible(MPLS, &build::mpls(&[16, 17], &[0x45])) && !is_plausible(MPLS, &build::mpls(&[16], &[])));
        assert!(is_plausible(40, &[6, 6, 3, 0x45]) && !is_plausible(40, &[6, 7, 3, 0x45]));
        assert!(is_plausible(38, &[0x42, 0x42, 3]) && !is_plausible(0x0600, &[0x42, 0x42, 3]));
        let tagged = build::tag(7, 0x8100, &build::tag(8, IPV4, &[0x45]));
        assert!(is_plausible(0x88a8, &tagged) && !is_plausible(0x88a8, &tagged[..7]));
    }

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
