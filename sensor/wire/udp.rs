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
/// same.
///
/// # Errors
///
/// `Short` with under 8 octets; `Field("length")` when the length does not even hold the header.
#[inline]
pub(super) fn parse<'a>(ip: &Ip<'a>) -> Result<Udp<'a>, Malformed> {
    let Some((&[a, b, c, d, l, m, _, _], rest)) = ip.payload.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::Udp, LEN, ip.payload.len()));
    };
    let available = usize::try_from(ip.payload_octets)
        .unwrap_or(usize::MAX)
        .saturating_sub(LEN);
    let length = match usize::from(u16::from_be_bytes([l, m])) {
        0 => available,
        length => match (length.checked_sub(LEN), ip.piece) {
            (None, _) => return Err(Malformed::field(Layer::Udp, "length")),
            (Some(length), Piece::First) => length,
            (Some(length), _) => length.min(available),
        },
    };
    Ok(Udp {
        from_port: u16::from_be_bytes([a, b]),
        to_port: u16::from_be_bytes([c, d]),
        payload_octets: octets_of(length),
        payload: bounded(rest, length),
    })
}
