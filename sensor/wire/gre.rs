//! GRE: version 0 of RFC 2784 and RFC 2890, and version 1, which carries PPP for PPTP (RFC 2637 section 4.1).

use super::ip::bounded;
use crate::model::{Layer, Malformed};

/// Octets of the header without what its bits announce.
const LEN: usize = 4;
/// Octets of each field that a bit announces.
const FIELD: usize = 4;

/// A checksum is there.
const CHECKSUM: u16 = 0x8000;
/// The header holds routes (RFC 1701), which nothing sends any more.
const ROUTING: u16 = 0x4000;
/// A key is there.
const KEY: u16 = 0x2000;
/// A sequence number is there.
const SEQUENCE: u16 = 0x1000;
/// An acknowledgment number is there, in version 1.
const ACKNOWLEDGMENT: u16 = 0x0080;
/// Where the version stands.
const VERSION: u16 = 0x0007;

/// Protocol type of an Ethernet frame, and the name of its EtherType: transparent Ethernet bridging.
pub(super) const BRIDGED: u16 = 0x6558;
/// Protocol type of PPP.
pub(super) const PPP: u16 = 0x880b;
/// Protocol type of ERSPAN, types I and II.
pub(super) const ERSPAN: u16 = 0x88be;
/// Protocol type of ERSPAN, type III.
pub(super) const ERSPAN_III: u16 = 0x22eb;

/// One GRE header, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gre<'a> {
    /// The protocol type of what follows: an EtherType, or one of those above.
    pub protocol: u16,
    /// The key of version 0.
    pub key: Option<u32>,
    /// The sequence number.
    pub sequence: Option<u32>,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// Reads one GRE header; `None` for one that holds routes, has an unknown version, or carries nothing.
///
/// Checksums are not looked at (rule W4). In version 1 the place of the key holds a length and a call; the call is
/// ignored, since each direction has its own.
///
/// # Errors
///
/// `Short` when the header was cut.
pub(super) fn parse(octets: &[u8]) -> Result<Option<Gre<'_>>, Malformed> {
    let Some((&[a, b, high, low], rest)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Gre, LEN, octets.len()));
    };
    let flags = u16::from_be_bytes([a, b]);
    if flags & ROUTING != 0 || flags & VERSION > 1 {
        return Ok(None);
    }
    let is_enhanced = flags & VERSION == 1;
    let (_, rest) = field(flags, CHECKSUM, rest)?;
    let (key, rest) = field(flags, KEY, rest)?;
    let (sequence, rest) = field(flags, SEQUENCE, rest)?;
    let acknowledgment = if is_enhanced { ACKNOWLEDGMENT } else { 0 };
    let (_, rest) = field(flags, acknowledgment, rest)?;
    let read = Gre {
        protocol: u16::from_be_bytes([high, low]),
        key,
        sequence,
        payload: rest,
    };
    if !is_enhanced {
        return Ok(Some(read));
    }
    let length = key.and_then(|length_and_call| usize::try_from(length_and_call >> 16).ok());
    Ok(match (length, sequence) {
        // Without a sequence number it only acknowledges.
        (Some(length), Some(_)) => Some(Gre {
            key: None,
            payload: bounded(rest, length),
            ..read
        }),
        _ => None,
    })
}

/// Takes a field that is there if its bit is set.
fn field(flags: u16, bit: u16, octets: &[u8]) -> Result<(Option<u32>, &[u8]), Malformed> {
    if flags & bit == 0 {
        return Ok((None, octets));
    }
    match octets.split_first_chunk::<FIELD>() {
        Some((field, rest)) => Ok((Some(u32::from_be_bytes(*field)), rest)),
        None => Err(Malformed::short(Layer::Gre, FIELD, octets.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [u8; 13] = [0xab, 0xcd, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0x45];

    fn header(flags: u16, protocol: u16, rest: &[u8]) -> Vec<u8> {
        [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), rest].concat()
    }

    #[test]
    fn the_fields_stand_in_their_order() {
        let octets = header(CHECKSUM | KEY | SEQUENCE, 0x0800, &FIELDS);
        let read = parse(&octets).unwrap().unwrap();
        assert_eq!((read.protocol, read.key, read.sequence), (0x0800, Some(7), Some(9)));
        assert_eq!(read.payload, [0x45]);
        let octets = header(KEY, 0x86dd, &FIELDS[4..]);
        let read = parse(&octets).unwrap().unwrap();
        assert_eq!((read.key, read.sequence, read.payload.len()), (Some(7), None, 5));
    }

    #[test]
    fn reserved_bits_are_ignored() {
        let octets = header(0x0ff8, 0x0800, &[0x45]);
        assert_eq!(parse(&octets).unwrap().unwrap().payload, [0x45]);
    }

    #[test]
    fn routes_and_unknown_versions_are_not_understood() {
        assert_eq!(parse(&header(ROUTING, 0x0800, &FIELDS)), Ok(None));
        assert_eq!(parse(&header(2, 0x0800, &FIELDS)), Ok(None));
    }

    #[test]
    fn version_1_carries_as_much_as_it_says() {
        let call = [0, 2, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0x21, 0x45, 0xff];
        let octets = header(KEY | SEQUENCE | ACKNOWLEDGMENT | 1, PPP, &call);
        let read = parse(&octets).unwrap().unwrap();
        assert_eq!((read.protocol, read.key, read.payload), (PPP, None, &[0x21, 0x45][..]));
        let octets = header(KEY | ACKNOWLEDGMENT | 1, PPP, &call);
        assert_eq!(parse(&octets), Ok(None), "an acknowledgment alone");
    }

    #[test]
    fn a_cut_header_is_malformed() {
        let octets = header(CHECKSUM | KEY | SEQUENCE, 0x0800, &FIELDS);
        for kept in 0..16 {
            let fault = parse(&octets[..kept]).err().unwrap();
            assert_eq!(fault.layer, Layer::Gre, "{kept}");
        }
        assert!(parse(&octets[..16]).is_ok());
    }
}
