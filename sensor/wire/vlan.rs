//! VLAN tags: IEEE 802.1Q, 802.1ad, and 0x9100 as switches stacked them before.

use crate::model::{Layer, Malformed};

/// Octets of a tag after its EtherType.
const LEN: usize = 4;

/// One tag, taken apart.
pub(super) struct Tag<'a> {
    /// The VLAN, or `None` for identifier 0, which carries a priority only (802.1Q section 9.6).
    pub vlan: Option<u16>,
    /// The EtherType of what follows.
    pub ethertype: u16,
    /// What follows the tag.
    pub payload: &'a [u8],
}

/// Says whether the EtherType announces a tag.
#[inline]
pub(super) const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Reads one tag, which follows its EtherType.
///
/// Priority and drop eligibility are ignored.
///
/// # Errors
///
/// `Short` with under 4 octets.
#[inline]
pub(super) fn parse(octets: &[u8]) -> Result<Tag<'_>, Malformed> {
    let Some((&[a, b, high, low], payload)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Vlan, LEN, octets.len()));
    };
    let vlan = u16::from_be_bytes([a, b]) & 0x0fff;
    Ok(Tag {
        vlan: (vlan != 0).then_some(vlan),
        ethertype: u16::from_be_bytes([high, low]),
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_is_no_part_of_the_vlan() {
        let tag = parse(&[0xe0, 0x07, 0x86, 0xdd]).unwrap();
        assert_eq!((tag.vlan, tag.ethertype), (Some(7), 0x86dd));
    }

    #[test]
    fn a_priority_tag_names_no_vlan() {
        assert_eq!(parse(&[0xe0, 0x00, 0x08, 0x00]).unwrap().vlan, None);
    }
}
