//! VXLAN, RFC 7348 section 5, and its generic protocol extension, draft-ietf-nvo3-vxlan-gpe-12 section 3.

use super::ethernet;
use crate::model::{Layer, Malformed};

/// Octets of the header.
const LEN: usize = 8;
/// The I flag: the VNI is valid.
const VNI_PRESENT: u8 = 0x08;
/// The P flag of the extension: the fourth octet says what follows.
const PROTOCOL_PRESENT: u8 = 0x04;
/// The G flag of draft-smith-vxlan-group-policy-05: the third and fourth octet are a group.
const GROUP_POLICY: u8 = 0x80;
/// The port of the extension in the IANA registry.
const EXTENSION_PORT: u16 = 4790;

/// One VXLAN header, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vxlan<'a> {
    /// The VXLAN network identifier (24 bits).
    pub vni: u32,
    /// What the envelope carries.
    pub carried: Carried,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// What a VXLAN header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// An Ethernet frame.
    Ethernet,
    /// An IP packet.
    Ip,
    /// A protocol that is not read.
    Other,
}

/// Reads one VXLAN header that came to this port.
///
/// Reserved bits are ignored, as section 5 asks of a receiver; so are those that group policy and other drafts use. On
/// the extension's own port the bits of the extension are taken at their word, and a protocol without its flag too if
/// what follows is no frame. On other ports a sender may have set them by accident: there a packet is IP only if it
/// also begins as the protocol says.
///
/// # Errors
///
/// `Short` with under 8 octets; `Field("I")` when the VNI is not valid.
#[inline]
pub(super) fn parse(to_port: u16, octets: &[u8]) -> Result<Vxlan<'_>, Malformed> {
    let Some((&[flags, _, _, protocol, a, b, c, _], payload)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Vxlan, LEN, octets.len()));
    };
    if flags & VNI_PRESENT == 0 {
        return Err(Malformed::field(Layer::Vxlan, "I"));
    }
    let carried = match flags & (PROTOCOL_PRESENT | GROUP_POLICY) {
        PROTOCOL_PRESENT => extended(to_port, protocol, payload),
        0 if to_port == EXTENSION_PORT => unflagged(protocol, payload),
        _ => Carried::Ethernet,
    };
    Ok(Vxlan {
        vni: u32::from_be_bytes([0, a, b, c]),
        carried,
        payload,
    })
}

/// Returns what the extension announces.
#[cold]
fn extended(to_port: u16, protocol: u8, payload: &[u8]) -> Carried {
    let version = payload.first().map(|first| first >> 4);
    match (protocol, version) {
        (3, _) => Carried::Ethernet,
        (1, Some(4)) | (2, Some(6)) => Carried::Ip,
        (1 | 2, _) if to_port == EXTENSION_PORT => Carried::Ip,
        _ if to_port == EXTENSION_PORT => Carried::Other,
        _ => Carried::Ethernet,
    }
}

/// Returns what follows where the extension's flag is not set and its port says that it should be.
#[cold]
fn unflagged(protocol: u8, payload: &[u8]) -> Carried {
    match (protocol, payload.first().map(|first| first >> 4)) {
        (1, Some(4)) | (2, Some(6)) if !ethernet::is_plausible(payload) => Carried::Ip,
        _ => Carried::Ethernet,
    }
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::*;

    fn carried(to_port: u16, flags: u8, protocol: u8, first: u8) -> Carried {
        let octets = [flags, 0, 0, protocol, 0, 0, 1, 0, first];
        parse(to_port, &octets).unwrap().carried
    }

    #[test]
    fn reserved_bits_are_ignored() {
        let octets = [0xff, 0xff, 0xff, 0xff, 0, 1, 2, 0xff, 9];
        let expected = Vxlan {
            vni: 0x0102,
            carried: Carried::Ethernet,
            payload: &[9],
        };
        assert_eq!(parse(4789, &octets), Ok(expected));
    }

    #[test]
    fn a_header_without_a_valid_vni_is_malformed() {
        let octets = [0xf7, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(parse(4789, &octets), Err(Malformed::field(Layer::Vxlan, "I")));
        assert_eq!(parse(4789, &octets[..7]), Err(Malformed::short(Layer::Vxlan, 8, 7)));
    }

    #[test]
    fn the_extension_says_what_follows() {
        for to_port in [4789, EXTENSION_PORT] {
            assert_eq!(carried(to_port, 0x0c, 1, 0x45), Carried::Ip);
            assert_eq!(carried(to_port, 0x0c, 2, 0x60), Carried::Ip);
            assert_eq!(carried(to_port, 0x0c, 3, 0x45), Carried::Ethernet);
            assert_eq!(carried(to_port, 0x8c, 1, 0x45), Carried::Ethernet, "a group of policy");
        }
    }

    #[test]
    fn a_protocol_without_its_flag_counts_on_the_extensions_port_alone() {
        assert_eq!(carried(EXTENSION_PORT, 0x08, 1, 0x45), Carried::Ip);
        assert_eq!(carried(4789, 0x08, 1, 0x45), Carried::Ethernet);
        assert_eq!(carried(EXTENSION_PORT, 0x08, 0, 0x45), Carried::Ethernet);
        let mut frame = build::ethernet(1, 0x0800, &[0x45]);
        frame[0] = 0x45;
        let octets = [&[0x08, 0, 0, 1, 0, 0, 1, 0][..], &frame].concat();
        assert_eq!(parse(EXTENSION_PORT, &octets).unwrap().carried, Carried::Ethernet);
    }

    #[test]
    fn reserved_bits_are_no_extension_on_other_ports() {
        for (protocol, first) in [(1, 0x02), (2, 0x45), (4, 0x02), (0, 0x02)] {
            assert_eq!(carried(4789, 0x0c, protocol, first), Carried::Ethernet, "{protocol}");
        }
        assert_eq!(carried(EXTENSION_PORT, 0x0c, 1, 0x02), Carried::Ip, "malformed, then");
        assert_eq!(
            carried(EXTENSION_PORT, 0x0c, 4, 0x02),
            Carried::Other,
            "a service header"
        );
    }
}
