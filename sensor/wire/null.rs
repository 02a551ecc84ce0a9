//! BSD null and OpenBSD loop, LINKTYPE_NULL and LINKTYPE_LOOP of tcpdump's registry.

use super::ethernet::{IPV4, IPV6};
use crate::model::{Layer, Malformed};

/// Octets of the header.
const LEN: usize = 4;

/// Reads the protocol family; returns the EtherType that says the same, or `None` if it is not IP, and what follows.
///
/// A family is a small number, so the byte order of the machine that captured shows in which half is zero. AF_INET is
/// 2 everywhere; AF_INET6 is 10 on Linux, 23 on Windows, 24 on NetBSD and OpenBSD, 28 on FreeBSD and 30 on Darwin.
///
/// # Errors
///
/// `Short` with under 4 octets.
pub(super) fn parse(octets: &[u8]) -> Result<(Option<u16>, &[u8]), Malformed> {
    let Some((family, payload)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Null, LEN, octets.len()));
    };
    let family = match u32::from_be_bytes(*family) {
        small @ ..=0xffff => small,
        large => large.swap_bytes(),
    };
    let ethertype = match family {
        2 => Some(IPV4),
        10 | 23 | 24 | 28 | 30 => Some(IPV6),
        _ => None,
    };
    Ok((ethertype, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_name_the_same_family() {
        assert_eq!(parse(&[0, 0, 0, 2, 0x45]), Ok((Some(IPV4), &[0x45][..])));
        assert_eq!(parse(&[2, 0, 0, 0, 0x45]), Ok((Some(IPV4), &[0x45][..])));
        assert_eq!(parse(&[0, 0, 0, 30]), Ok((Some(IPV6), &[][..])));
        assert_eq!(parse(&[30, 0, 0, 0]), Ok((Some(IPV6), &[][..])));
    }

    #[test]
    fn another_family_is_not_ip() {
        assert_eq!(parse(&[0, 0, 0, 7]), Ok((None, &[][..])));
    }
}
