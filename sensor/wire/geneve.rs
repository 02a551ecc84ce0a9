//! GENEVE, RFC 8926 section 3.4.

use crate::model::{Layer, Malformed};

/// Octets of the header without options.
const LEN: usize = 8;
/// The O bit: a control packet.
const CONTROL: u8 = 0x80;
/// How many words of four octets the options take.
const OPTION_WORDS: u8 = 0x3f;

/// One GENEVE header, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geneve<'a> {
    /// The virtual network identifier (24 bits).
    pub vni: u32,
    /// The protocol type of what follows, an EtherType.
    pub protocol: u16,
    /// What follows the options.
    pub payload: &'a [u8],
}

/// Reads one GENEVE header; `None` for a control packet, which carries nothing of a workload's.
///
/// Options are skipped by their length, also those that are critical to who the tunnel ends at: what is inside is known
/// without them. Reserved bits are ignored.
///
/// # Errors
///
/// `Short` when header or options were cut; `Field("version")` for another version than 0.
pub(super) fn parse(octets: &[u8]) -> Result<Option<Geneve<'_>>, Malformed> {
    let Some((&[version_and_length, flags, high, low, a, b, c, _], rest)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Geneve, LEN, octets.len()));
    };
    if version_and_length & !OPTION_WORDS != 0 {
        return Err(Malformed::field(Layer::Geneve, "version"));
    }
    let options = usize::from(version_and_length & OPTION_WORDS) * 4;
    let Some(payload) = rest.get(options..) else {
        return Err(Malformed::short(Layer::Geneve, LEN + options, octets.len()));
    };
    Ok((flags & CONTROL == 0).then_some(Geneve {
        vni: u32::from_be_bytes([0, a, b, c]),
        protocol: u16::from_be_bytes([high, low]),
        payload,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_skipped_by_their_length() {
        let octets = [0x02, 0x7f, 0x65, 0x58, 0, 1, 2, 0xff, 1, 2, 0x80, 1, 0, 0, 0, 0, 9];
        let expected = Geneve {
            vni: 0x0102,
            protocol: 0x6558,
            payload: &[9],
        };
        assert_eq!(parse(&octets), Ok(Some(expected)));
    }

    #[test]
    fn control_packets_carry_nothing() {
        assert_eq!(parse(&[0, 0x80, 8, 0, 0, 0, 1, 0, 0x45]), Ok(None));
    }

    #[test]
    fn another_version_and_cut_headers_are_malformed() {
        assert_eq!(
            parse(&[0x40, 0, 8, 0, 0, 0, 1, 0]),
            Err(Malformed::field(Layer::Geneve, "version"))
        );
        assert_eq!(parse(&[0; 7]), Err(Malformed::short(Layer::Geneve, 8, 7)));
        assert_eq!(
            parse(&[1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0]),
            Err(Malformed::short(Layer::Geneve, 12, 11))
        );
    }
}
