//! LLC and SNAP, IEEE 802.2 and RFC 1042: how frames with a length instead of an EtherType carry IP.

use super::ethernet::{IPV4, LONGEST_LENGTH};
use crate::model::{Layer, Malformed};

/// Octets of an LLC header whose control field says "unnumbered information".
const LEN: usize = 3;
/// Octets of SNAP behind it: who assigned the protocol number, and the number.
const SNAP_LEN: usize = 5;
/// EtherTypes in SNAP: RFC 1042, and IEEE 802.1H for what bridges could mistake.
const ETHERTYPES: [[u8; 3]; 2] = [[0, 0, 0], [0, 0, 0xf8]];

/// Reads the headers behind a length; returns the EtherType, or `None` where the frame carries no IP, and what follows.
///
/// Besides SNAP, service access point 6 stands for IPv4 (RFC 948). Spanning tree and the like have points of their own.
/// The length itself is ignored, since IP has lengths too and what stands behind it is padding.
///
/// # Errors
///
/// `Short` when LLC or SNAP was cut.
pub(super) fn parse(octets: &[u8]) -> Result<(Option<u16>, &[u8]), Malformed> {
    let Some((header, rest)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Llc, LEN, octets.len()));
    };
    match header {
        [0xaa, 0xaa, 0x03] => snap(rest),
        [0x06, 0x06, 0x03] => Ok((Some(IPV4), rest)),
        _ => Ok((None, rest)),
    }
}

fn snap(octets: &[u8]) -> Result<(Option<u16>, &[u8]), Malformed> {
    let Some((&[assigned_by @ .., high, low], payload)) = octets.split_first_chunk::<SNAP_LEN>() else {
        return Err(Malformed::short(Layer::Llc, LEN + SNAP_LEN, LEN + octets.len()));
    };
    let ethertype = u16::from_be_bytes([high, low]);
    let is_ethertype = ETHERTYPES.contains(&assigned_by) && ethertype > LONGEST_LENGTH;
    Ok((is_ethertype.then_some(ethertype), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snap_names_an_ethertype() {
        for last in [0, 0xf8] {
            let octets = [0xaa, 0xaa, 3, 0, 0, last, 0x86, 0xdd, 0x60];
            assert_eq!(parse(&octets), Ok((Some(0x86dd), &[0x60][..])));
        }
    }

    #[test]
    fn numbers_of_others_and_lengths_are_no_ethertypes() {
        assert_eq!(parse(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 8, 0]), Ok((None, &[][..])));
        assert_eq!(parse(&[0xaa, 0xaa, 3, 0, 0, 0, 5, 0xff]), Ok((None, &[][..])));
        assert_eq!(parse(&[0x42, 0x42, 3, 0, 0]), Ok((None, &[0, 0][..])), "spanning tree");
    }

    #[test]
    fn point_6_is_ipv4() {
        assert_eq!(parse(&[6, 6, 3, 0x45]), Ok((Some(IPV4), &[0x45][..])));
    }

    #[test]
    fn cut_headers_are_malformed() {
        assert_eq!(parse(&[0xaa, 0xaa]), Err(Malformed::short(Layer::Llc, 3, 2)));
        assert_eq!(
            parse(&[0xaa, 0xaa, 3, 0, 0, 0, 8]),
            Err(Malformed::short(Layer::Llc, 8, 7))
        );
    }
}
