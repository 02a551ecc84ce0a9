//! PPP over Ethernet, RFC 2516 section 4.

use super::ip::bounded;
use crate::model::{Layer, Malformed};

/// Octets of the header.
const LEN: usize = 6;
/// Version 1 and type 1, the only ones there are.
const VERSION_AND_TYPE: u8 = 0x11;
/// The code of the session stage (section 6).
const SESSION: u8 = 0;

/// Reads one PPPoE header; returns the PPP frame as far as it was captured, or `None` for a packet of discovery.
///
/// The session number is ignored: it says which line of an access concentrator this is, and both ends of a flow know
/// it as their own. What stands behind the length is padding.
///
/// # Errors
///
/// `Short` with under 6 octets; `Field("version")` for any other version or type than 1.
pub(super) fn parse(octets: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some((&[version_and_type, code, _, _, l, m], payload)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Pppoe, LEN, octets.len()));
    };
    if version_and_type != VERSION_AND_TYPE {
        return Err(Malformed::field(Layer::Pppoe, "version"));
    }
    let length = usize::from(u16::from_be_bytes([l, m]));
    Ok((code == SESSION).then(|| bounded(payload, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_left_out_and_a_snapped_frame_gives_what_it_holds() {
        let octets = [0x11, 0, 0, 7, 0, 2, 1, 2, 3];
        assert_eq!(parse(&octets), Ok(Some(&[1, 2][..])));
        assert_eq!(parse(&octets[..7]), Ok(Some(&[1][..])));
    }

    #[test]
    fn discovery_carries_no_ppp() {
        assert_eq!(parse(&[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0]), Ok(None));
    }

    #[test]
    fn another_version_and_a_short_header_are_malformed() {
        let another = [0x21, 0, 0, 7, 0, 0];
        assert_eq!(parse(&another), Err(Malformed::field(Layer::Pppoe, "version")));
        assert_eq!(parse(&another[..5]), Err(Malformed::short(Layer::Pppoe, LEN, 5)));
    }
}
