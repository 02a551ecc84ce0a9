//! VXLAN, RFC 7348 section 5.

use crate::model::{Layer, Malformed};

/// Octets of the header.
const LEN: usize = 8;
/// The I flag: the VNI is valid.
const VNI_PRESENT: u8 = 0x08;

/// Reads one VXLAN header; returns its VNI (24 bits) and the inner Ethernet frame.
///
/// Reserved bits are ignored, as section 5 asks of a receiver; so are those that group policy and other drafts use.
///
/// # Errors
///
/// `Short` with under 8 octets; `Field("I")` when the VNI is not valid.
#[inline]
pub(super) fn parse(octets: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let Some((&[flags, _, _, _, a, b, c, _], inner)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Vxlan, LEN, octets.len()));
    };
    if flags & VNI_PRESENT == 0 {
        return Err(Malformed::field(Layer::Vxlan, "I"));
    }
    Ok((u32::from_be_bytes([0, a, b, c]), inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bits_are_ignored() {
        let octets = [0xff, 0xff, 0xff, 0xff, 0, 1, 2, 0xff, 9];
        assert_eq!(parse(&octets), Ok((0x0102, &[9][..])));
    }

    #[test]
    fn a_header_without_a_valid_vni_is_malformed() {
        let octets = [0xf7, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(parse(&octets), Err(Malformed::field(Layer::Vxlan, "I")));
    }
}
