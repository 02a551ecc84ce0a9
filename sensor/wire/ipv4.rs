//! IPv4, RFC 791 section 3.1.

use super::extended;
use super::ip::{Ip, Piece, bounded, octets_of, protocol};
use crate::model::{Address, Layer, Malformed};

/// Octets of a header without options.
const LEN: usize = 20;
/// The first octet of a header without options: version 4, five words.
const PLAIN: u8 = 0x45;

/// Reads one IPv4 header.
///
/// A header without options, which nearly every packet has, is read here; options and authentication headers go
/// through [`extended`], and a test holds both equal. A total length of 0 stands for all that was captured: with
/// segmentation offload the capturing host had not filled it in. Checksums are not looked at (rule W4).
///
/// # Errors
///
/// `Short` when the header was cut; `Field` for a version, header length or total length that cannot be.
#[inline]
pub(super) fn parse(octets: &[u8]) -> Result<Ip<'_>, Malformed> {
    match plain(octets) {
        Some(read) => read,
        None => extended::ipv4(octets),
    }
}

/// Reads a header without options; `None` if it is anything else.
#[inline]
fn plain(octets: &[u8]) -> Option<Result<Ip<'_>, Malformed>> {
    let (
        &[
            PLAIN,
            _,
            l,
            m,
            i,
            j,
            f,
            g,
            hop_limit,
            number,
            _,
            _,
            a,
            b,
            c,
            d,
            w,
            x,
            y,
            z,
        ],
        rest,
    ) = octets.split_first_chunk::<LEN>()?
    else {
        return None;
    };
    if number == protocol::AH {
        return None;
    }
    let length = match usize::from(u16::from_be_bytes([l, m])) {
        0 => rest.len(),
        total => match total.checked_sub(LEN) {
            Some(length) => length,
            None => return Some(Err(Malformed::field(Layer::Ipv4, "total length"))),
        },
    };
    let fragment = u16::from_be_bytes([f, g]);
    Some(Ok(Ip {
        from: Address::v4([a, b, c, d]),
        to: Address::v4([w, x, y, z]),
        protocol: number,
        piece: Piece::new(fragment & 0x1fff, fragment & 0x2000 != 0),
        identification: u16::from_be_bytes([i, j]),
        hop_limit,
        payload_octets: octets_of(length),
        payload: bounded(rest, length),
    }))
}

/// Says whether octets begin with a header whose checksum is right.
///
/// It is asked where nothing says that this is IPv4; a packet that is known to be one may have any checksum.
pub(super) fn has_right_checksum(octets: &[u8]) -> bool {
    let Some(header) = octets
        .first()
        .and_then(|first| octets.get(..usize::from(first & 0x0f) * 4))
    else {
        return false;
    };
    let (words, _) = header.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    // The sum of at most thirty words; one's complement adds what is carried beyond sixteen bits, twice at most.
    let folded = (sum & 0xffff) + (sum >> 16);
    header.len() >= LEN && (folded & 0xffff) + (folded >> 16) == 0xffff
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::build;
    use super::*;

    #[test]
    fn a_right_checksum_is_told_from_a_wrong_one() {
        let header = [
            0x45, 0, 0, 20, 0, 1, 0, 0, 64, 17, 0x66, 0xce, 10, 0, 0, 1, 10, 0, 0, 10,
        ];
        let mut packet = build::ipv4([10, 0, 0, 1], [10, 0, 0, 10], 17, &[]);
        build::checksum(&mut packet);
        assert_eq!(packet, header);
        assert!(has_right_checksum(&packet));
        packet[8] = 63;
        assert!(!has_right_checksum(&packet) && !has_right_checksum(&packet[..19]) && !has_right_checksum(&[]));
        assert!(!has_right_checksum(&[0x40; 20]), "a header of no words");
    }

    proptest! {
        #[test]
        fn the_fast_path_and_etherparse_read_the_same(
            start in prop::sample::select(vec![0x45u8, 0x45, 0x45, 0x46, 0x4f, 0x44, 0x65]),
            total in prop_oneof![Just(0u16), 0u16..80, any::<u16>()],
            number in prop_oneof![Just(6u8), Just(17), Just(51), any::<u8>()],
            mut octets in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let [high, low] = total.to_be_bytes();
            for (at, octet) in [(0, start), (2, high), (3, low), (9, number)] {
                if let Some(place) = octets.get_mut(at) {
                    *place = octet;
                }
            }
            if let Some(read) = plain(&octets) {
                prop_assert_eq!(read, extended::ipv4(&octets));
            }
        }
    }
}
