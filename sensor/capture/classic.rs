//! Classic pcap files, in micro- and nanoseconds and either byte order, read through a buffer of our own.
//!
//! Format: draft-ietf-opsawg-pcap. Frames are given as slices of the buffer, which saves the copy and the call a frame
//! that libpcap costs; a test holds both equal. Files of other versions and of patched formats are libpcap's.

use std::io::{self, Read};

use crate::model::{LinkType, SECOND, Timestamp};

/// Octets of the file's header.
pub(super) const FILE_HEADER: usize = 24;
/// Octets of a frame's header.
const FRAME_HEADER: usize = 16;
/// Octets of the buffer: several times the longest frame, so that moving its rest to the front is rare.
const BUFFER: usize = 1 << 20;
/// The longest frame that libpcap accepts, and what it takes for a snap length that was not given.
const LONGEST: usize = 262_144;

/// What the header of a classic file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The link type's number.
    pub link: i32,
    is_big_endian: bool,
    /// Nanoseconds in the unit of the fraction.
    unit: i64,
    snap: usize,
}

impl Header {
    /// Reads the header of a classic file of version 2.4; `None` if it is anything else.
    pub(super) fn parse(octets: &[u8; FILE_HEADER]) -> Option<Self> {
        let [magic @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *octets;
        let (is_big_endian, unit) = match u32::from_be_bytes(magic) {
            0xa1b2_c3d4 => (true, 1000),
            0xd4c3_b2a1 => (false, 1000),
            0xa1b2_3c4d => (true, 1),
            0x4d3c_b2a1 => (false, 1),
            _ => return None,
        };
        let [_, _, _, _, a, b, c, d, _, _, _, _, _, _, _, _, s, t, u, v, l, m, n, o] = *octets;
        let version = (half(is_big_endian, [a, b]), half(is_big_endian, [c, d]));
        let snap = match word(is_big_endian, [s, t, u, v]) {
            0 | 0x8000_0000.. => LONGEST,
            snap => usize::try_from(snap).unwrap_or(LONGEST),
        };
        // The upper bits tell whether and how long a frame check sequence is; it stands behind every length field.
        let link = word(is_big_endian, [l, m, n, o]) & 0x03ff_ffff;
        (version == (2, 4)).then_some(Self {
            link: i32::try_from(link).unwrap_or(i32::MAX),
            is_big_endian,
            unit,
            snap,
        })
    }
}

fn half(is_big_endian: bool, octets: [u8; 2]) -> u16 {
    match is_big_endian {
        true => u16::from_be_bytes(octets),
        false => u16::from_le_bytes(octets),
    }
}

fn word(is_big_endian: bool, octets: [u8; 4]) -> u32 {
    match is_big_endian {
        true => u32::from_be_bytes(octets),
        false => u32::from_le_bytes(octets),
    }
}

/// Why no further frame can be given.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file ends within a frame.
    Cut,
    /// A frame claims this many octets.
    Long(usize),
    /// Reading failed.
    Read(io::Error),
}

/// A classic file behind its header.
pub(super) struct Classic<R> {
    input: R,
    header: Header,
    /// The link type, known to be supported.
    pub link: LinkType,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_at_end: bool,
    /// Octets taken, the file's header included.
    pub octets_read: u64,
}

impl<R: Read> Classic<R> {
    /// Returns a reader of the frames that follow the file's header.
    pub(super) fn new(input: R, header: Header, link: LinkType) -> Self {
        Self {
            input,
            header,
            link,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            is_at_end: false,
            octets_read: FILE_HEADER as u64,
        }
    }

    /// Returns the next frame's time and octets, or `None` at the end of the file.
    ///
    /// Octets beyond the file's snap length are left out, as libpcap does. Seconds count from 1970 to 2106.
    ///
    /// # Errors
    ///
    /// [`Fault`]; after one the file cannot be read on.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(Timestamp, &[u8])>, Fault> {
        if !self.fill(FRAME_HEADER)? {
            return match self.end - self.start {
                0 => Ok(None),
                _ => Err(Fault::Cut),
            };
        }
        let Some(header) = self.held().first_chunk::<FRAME_HEADER>() else {
            return Err(Fault::Cut);
        };
        let [s, t, u, v, f, g, h, i, l, m, n, o, _, _, _, _] = *header;
        let order = self.header.is_big_endian;
        let seconds = i64::from(word(order, [s, t, u, v]));
        let fraction = i64::from(word(order, [f, g, h, i]));
        let length = usize::try_from(word(order, [l, m, n, o])).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(Fault::Long(length));
        }
        if !self.fill(FRAME_HEADER + length)? {
            return Err(Fault::Cut);
        }
        let at = self.start + FRAME_HEADER;
        self.start = at + length;
        self.octets_read += (FRAME_HEADER + length) as u64;
        let octets = self
            .buffer
            .get(at..at + length.min(self.header.snap))
            .unwrap_or_default();
        Ok(Some((
            Timestamp(seconds * SECOND + fraction * self.header.unit),
            octets,
        )))
    }

    /// Returns what was read and not yet given.
    fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until at least `needed` octets are held; `false` if the file ends before.
    #[inline]
    fn fill(&mut self, needed: usize) -> Result<bool, Fault> {
        if self.end - self.start >= needed {
            return Ok(true);
        }
        self.read(needed)
    }

    #[cold]
    fn read(&mut self, needed: usize) -> Result<bool, Fault> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < needed && !self.is_at_end {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.input.read(room) {
                Ok(0) => self.is_at_end = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Read(error)),
            }
        }
        Ok(self.end >= needed)
    }
}
