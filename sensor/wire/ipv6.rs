//! IPv6, RFC 8200 section 3.

use super::extended;
use super::ip::{Ip, Piece, bounded, octets_of, protocol};
use crate::model::{Address, Malformed};

/// Octets of the fixed header.
const LEN: usize = 40;

/// Reads one IPv6 header and the extension headers behind it.
///
/// A header without extensions is read here; the others go through [`extended`], and a test holds both equal. A
/// payload length of 0 stands for the length of a jumbogram, or, where nothing names one, for all that was captured
/// (offload fills such lengths in later). The
/// destination is the one of the fixed header, also where a routing header names a further one.
///
/// # Errors
///
/// `Short` when a header was cut; `Field` for a version or an extension header that cannot be.
#[inline]
pub(super) fn parse(octets: &[u8]) -> Result<Ip<'_>, Malformed> {
    match plain(octets) {
        Some(read) => Ok(read),
        None => extended::ipv6(octets),
    }
}

/// Reads a header without extensions; `None` if it is anything else.
#[inline]
fn plain(octets: &[u8]) -> Option<Ip<'_>> {
    let (header, rest) = octets.split_first_chunk::<LEN>()?;
    let (&[version, _, _, _, l, m, next, hop_limit], addresses) = header.split_first_chunk::<8>()?;
    let (from, to) = addresses.split_first_chunk::<16>()?;
    if version >> 4 != 6 || is_extension(next) {
        return None;
    }
    let length = match usize::from(u16::from_be_bytes([l, m])) {
        0 => rest.len(),
        length => length,
    };
    Some(Ip {
        from: Address::v6(*from),
        to: Address::v6(*to.first_chunk::<16>()?),
        protocol: next,
        piece: Piece::Whole,
        identification: 0,
        hop_limit,
        payload_octets: octets_of(length),
        payload: bounded(rest, length),
    })
}

/// Says whether octets begin with a header whose length is that of all that follows it.
///
/// It is asked where nothing says that this is IPv6; a packet that is known to be one may be padded or cut.
pub(super) fn has_exact_length(octets: &[u8]) -> bool {
    matches!(octets, [_, _, _, _, l, m, ..] if LEN + usize::from(u16::from_be_bytes([*l, *m])) == octets.len())
}

/// Says whether another header of IPv6 follows rather than a payload.
#[inline]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AH
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fast_path_and_etherparse_read_the_same(
            start in prop::sample::select(vec![0x60u8, 0x6f, 0x45]),
            length in prop_oneof![Just(0u16), 0u16..80, any::<u16>()],
            next in prop_oneof![Just(6u8), Just(17), Just(59), Just(135), Just(140), any::<u8>()],
            mut octets in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let [high, low] = length.to_be_bytes();
            for (at, octet) in [(0, start), (4, high), (5, low), (6, next)] {
                if let Some(place) = octets.get_mut(at) {
                    *place = octet;
                }
            }
            if let Some(read) = plain(&octets) {
                prop_assert_eq!(Ok(read), extended::ipv6(&octets));
            }
        }
    }
}
