//! ERSPAN, draft-foschiano-erspan-03 sections 4.1 to 4.3: what switches put between GRE and the frames that they mirror.

use crate::model::{Layer, Malformed};

/// Octets of the header of type II.
const LEN_II: usize = 8;
/// Octets of the header of type III, without the platform's own.
const LEN_III: usize = 12;
/// Octets of the platform's own header behind it.
const PLATFORM_LEN: usize = 8;
/// The version in a header of type II.
const VERSION_II: u8 = 1;
/// The version in a header of type III.
const VERSION_III: u8 = 2;
/// A header of the platform's own follows, in the last octet of type III.
const PLATFORM: u8 = 0x01;

/// One ERSPAN header, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Erspan<'a> {
    /// The session (10 bits), which the switch's settings number.
    pub session: u32,
    /// What is mirrored.
    pub mirrored: Mirrored,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// What an ERSPAN session mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mirrored {
    /// Ethernet frames.
    Ethernet,
    /// IP packets.
    Ip,
    /// Frames of a type that is not read, such as 802.11.
    Other,
}

/// Reads one header of type II or III, as its version says; `None` for another version. Type I has no header: there the
/// frame follows GRE, which then has no sequence number.
///
/// VLAN, class, timestamp, index and what the platform adds are ignored: a tag that counts is in the frame as well.
///
/// # Errors
///
/// `Short` when the header was cut.
pub(super) fn parse(octets: &[u8]) -> Result<Option<Erspan<'_>>, Malformed> {
    match octets.first().map(|first| first >> 4) {
        Some(VERSION_II) => type_ii(octets).map(Some),
        Some(VERSION_III) => type_iii(octets).map(Some),
        Some(_) => Ok(None),
        None => Err(Malformed::short(Layer::Erspan, LEN_II, 0)),
    }
}

fn type_ii(octets: &[u8]) -> Result<Erspan<'_>, Malformed> {
    let Some((&[_, _, a, b, _, _, _, _], payload)) = octets.split_first_chunk::<LEN_II>() else {
        return Err(Malformed::short(Layer::Erspan, LEN_II, octets.len()));
    };
    Ok(Erspan {
        session: session(a, b),
        mirrored: Mirrored::Ethernet,
        payload,
    })
}

fn type_iii(octets: &[u8]) -> Result<Erspan<'_>, Malformed> {
    let Some((&[_, _, a, b, _, _, _, _, _, _, kind, last], rest)) = octets.split_first_chunk::<LEN_III>() else {
        return Err(Malformed::short(Layer::Erspan, LEN_III, octets.len()));
    };
    let payload = if last & PLATFORM == 0 {
        rest
    } else {
        rest.get(PLATFORM_LEN..)
            .ok_or(Malformed::short(Layer::Erspan, LEN_III + PLATFORM_LEN, octets.len()))?
    };
    // One bit says that this is a protocol frame, five more of what type it is.
    let mirrored = match kind >> 2 & 0x1f {
        0 => Mirrored::Ethernet,
        2 => Mirrored::Ip,
        _ => Mirrored::Other,
    };
    Ok(Erspan {
        session: session(a, b),
        mirrored,
        payload,
    })
}

fn session(a: u8, b: u8) -> u32 {
    u32::from(u16::from_be_bytes([a, b]) & 0x03ff)
}

#[cfg(test)]
mod tests {
    use super::*;

    const III: [u8; 12] = [0x20, 0x07, 0xfc, 0x2a, 1, 2, 3, 4, 0, 0, 0x80, 0x30];

    fn type_iii_with(kind: u8, last: u8, rest: &[u8]) -> Vec<u8> {
        [&III[..10], &[kind, last], rest].concat()
    }

    #[test]
    fn type_ii_has_eight_octets_and_a_session_of_ten_bits() {
        let octets = [0x10, 0x07, 0xfc, 0x2a, 0, 0, 0, 9, 1];
        let expected = Erspan {
            session: 42,
            mirrored: Mirrored::Ethernet,
            payload: &[1],
        };
        assert_eq!(parse(&octets), Ok(Some(expected)));
    }

    #[test]
    fn type_iii_has_twelve_octets_and_eight_more_of_the_platform() {
        let octets = type_iii_with(0x80, 0x30, &[1]);
        let expected = Erspan {
            session: 42,
            mirrored: Mirrored::Ethernet,
            payload: &[1],
        };
        assert_eq!(parse(&octets), Ok(Some(expected)));
        let octets = type_iii_with(0x80, 0x31, &[0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(parse(&octets), Ok(Some(expected)));
    }

    #[test]
    fn the_frame_type_says_what_is_mirrored() {
        for (kind, mirrored) in [
            (0x00, Mirrored::Ethernet),
            (0x08, Mirrored::Ip),
            (0x88, Mirrored::Ip),
            (0x1c, Mirrored::Other),
            (0x03, Mirrored::Ethernet),
        ] {
            let octets = type_iii_with(kind, 0, &[]);
            assert_eq!(parse(&octets).unwrap().unwrap().mirrored, mirrored, "{kind:#x}");
        }
    }

    #[test]
    fn another_version_is_not_understood() {
        assert_eq!(parse(&[0x00; 16]), Ok(None));
        assert_eq!(parse(&[0x30; 16]), Ok(None));
    }

    #[test]
    fn cut_headers_are_malformed() {
        assert_eq!(parse(&[]), Err(Malformed::short(Layer::Erspan, 8, 0)));
        assert_eq!(parse(&[0x10; 7]), Err(Malformed::short(Layer::Erspan, 8, 7)));
        assert_eq!(parse(&III[..11]), Err(Malformed::short(Layer::Erspan, 12, 11)));
        let cut = type_iii_with(0, 1, &[0; 7]);
        assert_eq!(parse(&cut), Err(Malformed::short(Layer::Erspan, 20, 19)));
    }
}
