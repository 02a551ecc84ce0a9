//! IP headers with options or extension headers, read by etherparse.
//!
//! Its lax slicing gives what a snapped packet holds. What is ours is the meaning: which piece of a packet this is,
//! and how long the payload was on the wire.

use etherparse::err::{ip_auth, ipv4 as err_ipv4, ipv6 as err_ipv6, ipv6_exts};
use etherparse::{IpNumber, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, LaxIpv4Slice, LaxIpv6Slice};

use super::ip::{Ip, Piece, bounded, octets_of, protocol};
use crate::model::{Address, Layer, Malformed};

/// Octets of the fixed header of IPv6.
const IPV6_LEN: usize = 40;
/// The greatest length that the length field of IPv6 can hold.
const LONGEST: u32 = 65_535;
/// The hop-by-hop option that is one octet of padding, without a length.
const PAD: u8 = 0;
/// The jumbo payload option, RFC 2675 section 2.
const JUMBO: u8 = 0xc2;

/// Reads an IPv4 header with its options and an authentication header (RFC 4302) behind it.
///
/// # Errors
///
/// `Short` when a header was cut; `Field` for a version, header length or total length that cannot be.
pub(super) fn ipv4(octets: &[u8]) -> Result<Ip<'_>, Malformed> {
    let (slice, stop) = LaxIpv4Slice::from_slice(octets).map_err(|fault| match fault {
        err_ipv4::HeaderSliceError::Len(fault) => Malformed::short(Layer::Ipv4, fault.required_len, fault.len),
        err_ipv4::HeaderSliceError::Content(err_ipv4::HeaderError::UnexpectedVersion { .. }) => {
            Malformed::field(Layer::Ipv4, "version")
        }
        err_ipv4::HeaderSliceError::Content(_) => Malformed::field(Layer::Ipv4, "header length"),
    })?;
    let header = slice.header();
    let total = match usize::from(header.total_len()) {
        0 => octets.len(),
        total if total < header.slice().len() => return Err(Malformed::field(Layer::Ipv4, "total length")),
        total => total,
    };
    let piece = Piece::new(header.fragments_offset().value(), header.more_fragments());
    if let (Some(stop), Piece::Whole) = (stop, piece) {
        return Err(match stop {
            ip_auth::HeaderSliceError::Len(fault) => Malformed::short(Layer::Ipv4, fault.required_len, fault.len),
            ip_auth::HeaderSliceError::Content(_) => Malformed::field(Layer::Ipv4, "authentication header"),
        });
    }
    let payload = slice.payload();
    let authentication = slice.extensions().auth.map_or(0, |header| header.slice().len());
    Ok(Ip {
        from: Address::v4(header.source()),
        to: Address::v4(header.destination()),
        protocol: payload.ip_number.0,
        piece,
        identification: header.identification(),
        hop_limit: header.ttl(),
        payload_octets: octets_of(total.saturating_sub(header.slice().len() + authentication)),
        payload: payload.payload,
    })
}

/// Reads an IPv6 header with all headers that may stand behind it: hop-by-hop, routing, destination options, fragment and
/// authentication headers, and those of mobility, HIP and shim6. ESP ends the walk: what it carries is encrypted.
///
/// The length of a jumbogram is that of its option (RFC 2675 section 2).
///
/// # Errors
///
/// `Short` when a header was cut; `Field` for a version or an extension header that cannot be.
pub(super) fn ipv6(octets: &[u8]) -> Result<Ip<'_>, Malformed> {
    let (slice, mut stop) = LaxIpv6Slice::from_slice(octets).map_err(|fault| match fault {
        err_ipv6::HeaderSliceError::Len(fault) => Malformed::short(Layer::Ipv6, fault.required_len, fault.len),
        err_ipv6::HeaderSliceError::Content(_) => Malformed::field(Layer::Ipv6, "version"),
    })?;
    let header = slice.header();
    let total = match usize::from(header.payload_length()) {
        0 => match jumbo_length(header.next_header(), slice.extensions().slice()) {
            Some(length) => IPV6_LEN.saturating_add(length),
            None => octets.len(),
        },
        length => IPV6_LEN + length,
    };
    let mut piece = piece_of(slice.extensions());
    let mut walked = slice.extensions().slice().len();
    let (mut number, mut payload) = (slice.payload().ip_number, slice.payload().payload);
    while stop.is_none() && piece != Piece::Later && is_further(number.0) {
        let (next, behind) = further(payload)?;
        walked += payload.len() - behind.len();
        let (extensions, last, rest, fault) = Ipv6ExtensionsSlice::from_slice_lax(next, behind);
        if piece == Piece::Whole {
            piece = piece_of(&extensions);
        }
        walked += extensions.slice().len();
        (number, payload, stop) = (last, rest, fault);
    }
    if let (Some((stop, _)), Piece::Whole) = (stop, piece) {
        return Err(match stop {
            ipv6_exts::HeaderSliceError::Len(fault) => Malformed::short(Layer::Ipv6, fault.required_len, fault.len),
            ipv6_exts::HeaderSliceError::Content(_) => Malformed::field(Layer::Ipv6, "extension header"),
        });
    }
    let length = total.saturating_sub(IPV6_LEN + walked);
    Ok(Ip {
        from: Address::v6(header.source()),
        to: Address::v6(header.destination()),
        protocol: number.0,
        piece,
        identification: 0,
        hop_limit: header.hop_limit(),
        payload_octets: octets_of(length),
        payload: bounded(payload, length),
    })
}

/// Says whether this is an extension header that etherparse takes for a payload.
const fn is_further(number: u8) -> bool {
    matches!(number, protocol::MOBILITY | protocol::HIP | protocol::SHIM6)
}

/// Steps over such a header; returns what comes next, and the octets behind it.
///
/// RFC 6275 section 6.1.1, RFC 7401 section 5.1, RFC 5533 section 5.1: all of them begin as other extension headers do.
fn further(octets: &[u8]) -> Result<(IpNumber, &[u8]), Malformed> {
    let Some(&[next, length]) = octets.first_chunk() else {
        return Err(Malformed::short(Layer::Ipv6, 8, octets.len()));
    };
    let length = (usize::from(length) + 1) * 8;
    match octets.get(length..) {
        Some(behind) => Ok((IpNumber(next), behind)),
        None => Err(Malformed::short(Layer::Ipv6, length, octets.len())),
    }
}

/// Returns the length that a jumbo payload option names, if there is one among the hop-by-hop options that these headers
/// begin with. One that a plain length field could have held is no jumbogram's.
fn jumbo_length(first: IpNumber, headers: &[u8]) -> Option<usize> {
    let &[_, length, ..] = headers else { return None };
    let mut options = headers.get(2..(usize::from(length) + 1) * 8)?;
    while first.0 == protocol::HOP_BY_HOP
        && let [kind, rest @ ..] = options
    {
        options = match (*kind, rest) {
            (PAD, rest) => rest,
            (JUMBO, [4, a, b, c, d, ..]) => {
                let length = u32::from_be_bytes([*a, *b, *c, *d]);
                return (length > LONGEST).then(|| usize::try_from(length).unwrap_or(usize::MAX));
            }
            (_, [length, rest @ ..]) => rest.get(usize::from(*length)..)?,
            (_, []) => return None,
        };
    }
    None
}

/// Returns which piece of a packet these extension headers announce.
///
/// etherparse's iterator trusts that a header follows whenever the last one says so, and after a stop none does: it
/// would read past the slice. So the octets are counted and the iterator is left before that.
fn piece_of(extensions: &Ipv6ExtensionsSlice<'_>) -> Piece {
    let mut left = extensions.slice().len();
    let mut headers = extensions.clone().into_iter();
    while left > 0
        && let Some(header) = headers.next()
    {
        left = left.saturating_sub(match &header {
            Ipv6ExtensionSlice::HopByHop(header)
            | Ipv6ExtensionSlice::Routing(header)
            | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice().len(),
            Ipv6ExtensionSlice::Authentication(header) => header.slice().len(),
            Ipv6ExtensionSlice::Fragment(header) => {
                match Piece::new(header.fragment_offset().value(), header.more_fragments()) {
                    Piece::Whole => header.slice().len(),
                    piece => return piece,
                }
            }
        });
    }
    Piece::Whole
}
