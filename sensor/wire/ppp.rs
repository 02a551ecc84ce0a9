//! PPP: RFC 1661 section 2, in frames of its own as in RFC 1662 section 3.1, and over HDLC as Cisco writes it.

use super::ethernet::{IPV4, IPV6, MPLS, MPLS_MULTICAST};
use crate::model::{Layer, Malformed};

/// Octets of a protocol number that is not compressed.
const LEN: usize = 2;
/// Octets of Cisco's header: address, control, EtherType.
const CISCO_LEN: usize = 4;
/// Addresses of Cisco's header, unicast and broadcast (RFC 1547 section 4.3.1).
const CISCO: [u8; 2] = [0x0f, 0x8f];

/// Reads one PPP header; returns the EtherType that says the same as its protocol, or `None` if what follows is not IP,
/// and what follows.
///
/// Address and control octets may be left out (RFC 1661 section 6.6), and so may the first octet of the protocol where
/// it is zero (section 6.5): the last octet of a protocol is odd and all others are even, which tells the two apart.
/// Link control, authentication and whatever is compressed, encrypted or cut into pieces (RFC 1990) is not IP here.
///
/// # Errors
///
/// `Short` when the protocol was cut.
pub(super) fn parse(octets: &[u8]) -> Result<(Option<u16>, &[u8]), Malformed> {
    let octets = match octets {
        [0xff, 0x03, rest @ ..] => rest,
        _ => octets,
    };
    let (protocol, payload) = match octets {
        [last, payload @ ..] if last & 1 == 1 => (u16::from(*last), payload),
        [first, last, payload @ ..] => (u16::from_be_bytes([*first, *last]), payload),
        _ => return Err(Malformed::short(Layer::Ppp, LEN, octets.len())),
    };
    let ethertype = match protocol {
        0x0021 => Some(IPV4),
        0x0057 => Some(IPV6),
        0x0281 => Some(MPLS),
        0x0283 => Some(MPLS_MULTICAST),
        _ => None,
    };
    Ok((ethertype, payload))
}

/// Reads one frame of a serial line, LINKTYPE_PPP_HDLC of tcpdump's registry: PPP, or Cisco's header with an EtherType.
///
/// # Errors
///
/// `Short` when the header was cut.
pub(super) fn serial(octets: &[u8]) -> Result<(Option<u16>, &[u8]), Malformed> {
    match octets.split_first_chunk::<CISCO_LEN>() {
        Some((&[address, _, high, low], payload)) if CISCO.contains(&address) => {
            Ok((Some(u16::from_be_bytes([high, low])), payload))
        }
        None if octets.first().is_some_and(|address| CISCO.contains(address)) => {
            Err(Malformed::short(Layer::Ppp, CISCO_LEN, octets.len()))
        }
        _ => parse(octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_control_and_the_first_octet_of_the_protocol_may_be_left_out() {
        for start in [&[0xff, 3, 0, 0x21][..], &[0xff, 3, 0x21], &[0, 0x21], &[0x21]] {
            let octets = [start, &[0x45]].concat();
            assert_eq!(parse(&octets), Ok((Some(IPV4), &[0x45][..])), "{start:?}");
        }
        assert_eq!(parse(&[0, 0x57, 0x60]), Ok((Some(IPV6), &[0x60][..])));
    }

    #[test]
    fn labels_are_carried_too() {
        assert_eq!(parse(&[2, 0x81, 0]), Ok((Some(MPLS), &[0][..])));
        assert_eq!(parse(&[2, 0x83, 0]), Ok((Some(MPLS_MULTICAST), &[0][..])));
    }

    #[test]
    fn link_control_and_compressed_packets_are_not_ip() {
        for start in [[0xc0, 0x21], [0x80, 0x21], [0x00, 0xfd], [0x00, 0x3d]] {
            assert_eq!(parse(&start), Ok((None, &[][..])), "{start:?}");
        }
    }

    #[test]
    fn a_cut_protocol_is_malformed() {
        for octets in [&[][..], &[0], &[0xff, 3], &[0xff, 3, 0]] {
            let fault = parse(octets).err().unwrap();
            assert_eq!(fault.layer, Layer::Ppp, "{octets:?}");
        }
    }

    #[test]
    fn a_serial_line_may_speak_ciscos_way() {
        assert_eq!(serial(&[0x0f, 0, 8, 0, 0x45]), Ok((Some(IPV4), &[0x45][..])));
        assert_eq!(serial(&[0x8f, 0, 0x20, 0, 1]), Ok((Some(0x2000), &[1][..])));
        assert_eq!(serial(&[0xff, 3, 0, 0x21, 0x45]), Ok((Some(IPV4), &[0x45][..])));
        assert_eq!(serial(&[0x0f, 0, 8]), Err(Malformed::short(Layer::Ppp, 4, 3)));
    }
}
