//! UDP, RFC 768.

use super::ip::{Ip, Piece, bounded, octets_of};
use crate::model::{Layer, Malformed};

/// Octets of the header.
const LEN: usize = 8;

/// One UDP header, taken apart.
#[derive(Clone, Copy)]
pub(super) struct Udp<'a> {
    /// The sender's port.
    pub from_port: u16,
    /// The receiver's port.
    pub to_port: u16,
    /// Octets of payload by the length fields; of the whole datagram if this is its first fragment.
    pub payload_octets: u32,
    /// The payload as far as it was captured, without what stands behind the datagram.
    pub payload: &'a [u8],
}

/// Reads the UDP header of an IP payload.
///
/// The checksum is ignored. A length of 0 stands for the rest of the packet (RFC 2675 section 4, and offload); one
/// that goes past the packet is cut down to it, as receivers would drop the datagram and its ports are known all the
/// same. A snap length may have cut anything behind the ports.
///
/// # Errors
///
/// `Short` when the ports were cut, or when what IP carries does not hold the header; `Field("length")` when the length does not even hold the header.
#[inline]
pub(super) fn parse<'a>(ip: &Ip<'a>) -> Result<Udp<'a>, Malformed> {
    let Some((&[a, b, c, d, l, m, _, _], rest)) = ip.payload.split_first_chunk::<LEN>() else {
        return snapped(ip);
    };
    let length = length(ip, u16::from_be_bytes([l, m]))?;
    Ok(Udp {
        from_port: u16::from_be_bytes([a, b]),
        to_port: u16::from_be_bytes([c, d]),
        payload_octets: octets_of(length),
        payload: bounded(rest, length),
    })
}

/// Returns the octets of payload of a datagram with this in its length field.
#[inline]
fn length(ip: &Ip<'_>, field: u16) -> Result<usize, Malformed> {
    let available = usize::try_from(ip.payload_octets)
        .unwrap_or(usize::MAX)
        .saturating_sub(LEN);
    match usize::from(field) {
        0 => Ok(available),
        length => match (length.checked_sub(LEN), ip.piece) {
            (None, _) => Err(Malformed::field(Layer::Udp, "length")),
            (Some(length), Piece::First) => Ok(length),
            (Some(length), _) => Ok(length.min(available)),
        },
    }
}

/// Reads a header that a snap length cut behind the ports.
#[cold]
fn snapped<'a>(ip: &Ip<'a>) -> Result<Udp<'a>, Malformed> {
    let short = Malformed::short(Layer::Udp, LEN, ip.payload.len());
    let Some((&[a, b, c, d], rest)) = ip.payload.split_first_chunk() else {
        return Err(short);
    };
    if ip.payload_octets < octets_of(LEN) {
        return Err(short);
    }
    // Without a length field, IP's length says how much there is.
    let field = rest.first_chunk().map_or(0, |field| u16::from_be_bytes(*field));
    Ok(Udp {
        from_port: u16::from_be_bytes([a, b]),
        to_port: u16::from_be_bytes([c, d]),
        payload_octets: octets_of(length(ip, field)?),
        payload: &[],
    })
}
