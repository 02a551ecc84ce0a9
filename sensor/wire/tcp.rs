//! TCP, RFC 9293 section 3.1.

use super::ip::{Ip, Piece, octets_of};
use crate::model::{Layer, Malformed, TcpFlags};

/// Octets of a header without options.
const LEN: usize = 20;
/// Octets up to and including the control bits: what a snapped header must hold to be of use.
const NEEDED: usize = 14;

/// One TCP header, taken apart.
pub(super) struct Tcp<'a> {
    /// The sender's port.
    pub from_port: u16,
    /// The receiver's port.
    pub to_port: u16,
    /// The sequence number.
    pub sequence: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// Octets of payload by the length fields.
    pub payload_octets: u32,
    /// The payload as far as it was captured.
    pub payload: &'a [u8],
}

/// Reads the TCP header of an IP payload.
///
/// Acknowledgment number, window, checksum, urgent pointer and options are ignored. A snap length, or the end of a
/// first fragment, may have cut anything behind the control bits.
///
/// # Errors
///
/// `Short` when the header was cut before that, or is longer than the IP payload by the length fields;
/// `Field("data offset")` when it points into the fixed header.
#[inline]
pub(super) fn parse<'a>(ip: &Ip<'a>) -> Result<Tcp<'a>, Malformed> {
    let Some(&[a, b, c, d, s, t, u, v, _, _, _, _, offset, flags]) = ip.payload.first_chunk::<NEEDED>() else {
        return Err(Malformed::short(Layer::Tcp, LEN, ip.payload.len()));
    };
    let header = usize::from(offset >> 4) * 4;
    let payload_octets = match (ip.payload_octets.checked_sub(octets_of(header)), ip.piece) {
        _ if header < LEN => return Err(Malformed::field(Layer::Tcp, "data offset")),
        (Some(octets), _) => octets,
        // The rest of the header is in the next fragment.
        (None, Piece::First) => 0,
        (None, _) => return Err(Malformed::short(Layer::Tcp, header, ip.payload.len())),
    };
    Ok(Tcp {
        from_port: u16::from_be_bytes([a, b]),
        to_port: u16::from_be_bytes([c, d]),
        sequence: u32::from_be_bytes([s, t, u, v]),
        flags: TcpFlags(flags),
        payload_octets,
        payload: ip.payload.get(header..).unwrap_or_default(),
    })
}
