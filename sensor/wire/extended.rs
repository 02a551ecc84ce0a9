//! IP headers with options or extension headers, read by etherparse.
//!
//! Its lax slicing gives what a snapped packet holds. What is ours is the meaning: which piece of a packet this is,
//! and how long the payload was on the wire.

use etherparse::err::{ip_auth, ipv4 as err_ipv4, ipv6 as err_ipv6, ipv6_exts};
use etherparse::{Ipv6ExtensionSlice, Ipv6ExtensionsSlice, LaxIpv4Slice, LaxIpv6Slice};

use super::ip::{Ip, Piece, octets_of};
use crate::model::{Address, Layer, Malformed};

/// Octets of the fixed header of IPv6.
const IPV6_LEN: usize = 40;

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
        payload_octets: octets_of(total.saturating_sub(header.slice().len() + authentication)),
        payload: payload.payload,
    })
}

/// Reads an IPv6 header with its hop-by-hop, routing, destination options, fragment and authentication headers.
///
/// # Errors
///
/// `Short` when a header was cut; `Field` for a version or an extension header that cannot be.
pub(super) fn ipv6(octets: &[u8]) -> Result<Ip<'_>, Malformed> {
    let (slice, stop) = LaxIpv6Slice::from_slice(octets).map_err(|fault| match fault {
        err_ipv6::HeaderSliceError::Len(fault) => Malformed::short(Layer::Ipv6, fault.required_len, fault.len),
        err_ipv6::HeaderSliceError::Content(_) => Malformed::field(Layer::Ipv6, "version"),
    })?;
    let header = slice.header();
    let total = match usize::from(header.payload_length()) {
        0 => octets.len(),
        length => IPV6_LEN + length,
    };
    let piece = piece_of(slice.extensions());
    if let (Some((stop, _)), Piece::Whole) = (stop, piece) {
        return Err(match stop {
            ipv6_exts::HeaderSliceError::Len(fault) => Malformed::short(Layer::Ipv6, fault.required_len, fault.len),
            ipv6_exts::HeaderSliceError::Content(_) => Malformed::field(Layer::Ipv6, "extension header"),
        });
    }
    let payload = slice.payload();
    Ok(Ip {
        from: Address::v6(header.source()),
        to: Address::v6(header.destination()),
        protocol: payload.ip_number.0,
        piece,
        payload_octets: octets_of(total.saturating_sub(IPV6_LEN + slice.extensions().slice().len())),
        payload: payload.payload,
    })
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
