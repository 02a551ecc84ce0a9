//! Classic pcap files, in micro- and nanoseconds and either byte order.
//!
//! Format: draft-ietf-opsawg-pcap. Frames are given as slices of the buffer, which saves the copy and the call a frame
//! that libpcap costs; a test holds both equal. Files of other versions and of patched formats are libpcap's.

use std::io::Read;

use super::error::Fault;
use super::input::{Captured, Input, Order};
use crate::model::{LinkType, SECOND, Timestamp};

/// Octets of the file's header.
pub(super) const FILE_HEADER: usize = 24;
/// Octets of a frame's header.
const FRAME_HEADER: usize = 16;
/// The longest frame that libpcap accepts, and what it takes for a snap length that was not given.
pub(super) const LONGEST: usize = 262_144;

/// What the header of a classic file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The link type's number.
    pub link: i32,
    order: Order,
    /// Nanoseconds in the unit of the fraction.
    unit: i64,
    snap: usize,
}

impl Header {
    /// Reads the header of a classic file of version 2.4; `None` if it is anything else.
    pub(super) fn parse(octets: &[u8; FILE_HEADER]) -> Option<Self> {
        let [magic @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *octets;
        let (order, unit) = match u32::from_be_bytes(magic) {
            0xa1b2_c3d4 => (Order::Big, 1000),
            0xd4c3_b2a1 => (Order::Little, 1000),
            0xa1b2_3c4d => (Order::Big, 1),
            0x4d3c_b2a1 => (Order::Little, 1),
            _ => return None,
        };
        let [_, _, _, _, a, b, c, d, _, _, _, _, _, _, _, _, s, t, u, v, l, m, n, o] = *octets;
        let version = (order.half([a, b]), order.half([c, d]));
        let snap = match order.word([s, t, u, v]) {
            0 | 0x8000_0000.. => LONGEST,
            snap => usize::try_from(snap).unwrap_or(LONGEST),
        };
        // The upper bits tell whether and how long a frame check sequence is; it stands behind every length field.
        let link = order.word([l, m, n, o]) & 0x03ff_ffff;
        (version == (2, 4)).then_some(Self {
            link: i32::try_from(link).unwrap_or(i32::MAX),
            order,
            unit,
            snap,
        })
    }
}

/// A classic file behind its header.
pub(super) struct Classic<R> {
    /// What is left of the file.
    pub input: Input<R>,
    header: Header,
    link: LinkType,
}

impl<R: Read> Classic<R> {
    /// Returns a reader of the frames that follow the file's header, which is taken.
    pub(super) fn new(mut input: Input<R>, header: Header, link: LinkType) -> Self {
        input.advance(FILE_HEADER);
        Self { input, header, link }
    }

    /// Returns the next frame's time, link type and octets, or `None` at the end of the file.
    ///
    /// Octets beyond the file's snap length are left out, as libpcap does. Seconds count from 1970 to 2106.
    ///
    /// # Errors
    ///
    /// [`Fault`]; after one the file cannot be read on.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Captured<'_>>, Fault> {
        if !self.input.fill(FRAME_HEADER)? {
            return match self.input.is_spent() {
                true => Ok(None),
                false => Err(Fault::Cut),
            };
        }
        let Some(header) = self.input.held().first_chunk::<FRAME_HEADER>() else {
            return Err(Fault::Cut);
        };
        let [s, t, u, v, f, g, h, i, l, m, n, o, _, _, _, _] = *header;
        let order = self.header.order;
        let seconds = i64::from(order.word([s, t, u, v]));
        let fraction = i64::from(order.word([f, g, h, i]));
        let length = usize::try_from(order.word([l, m, n, o])).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(Fault::long(length));
        }
        if !self.input.fill(FRAME_HEADER + length)? {
            return Err(Fault::Cut);
        }
        let whole = self.input.advance(FRAME_HEADER + length);
        let octets = whole.get(FRAME_HEADER..).unwrap_or_default();
        Ok(Some((
            Timestamp(seconds * SECOND + fraction * self.header.unit),
            self.link,
            octets.get(..self.header.snap).unwrap_or(octets),
        )))
    }
}
