//! Octets of a file, through a buffer of our own.

use std::io::{self, BufRead, Read};

use crate::model::{LinkType, Timestamp};

/// Octets of the buffer: several times the longest frame, so that moving its rest to the front is rare.
const BUFFER: usize = 1 << 20;

/// A frame's time, link type and octets, as a reader of files gives them.
pub(super) type Captured<'a> = (Timestamp, LinkType, &'a [u8]);

/// The order of the octets in a number, as a file states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The most significant octet comes first.
    Big,
    /// The least significant octet comes first.
    Little,
}

impl Order {
    /// Returns a number of 16 bits.
    pub(super) const fn half(self, octets: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(octets),
            Self::Little => u16::from_le_bytes(octets),
        }
    }

    /// Returns a number of 32 bits.
    pub(super) const fn word(self, octets: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(octets),
            Self::Little => u32::from_le_bytes(octets),
        }
    }

    /// Returns a signed number of 64 bits.
    pub(super) const fn long(self, octets: [u8; 8]) -> i64 {
        match self {
            Self::Big => i64::from_be_bytes(octets),
            Self::Little => i64::from_le_bytes(octets),
        }
    }
}

/// A file that is read from its start to its end, with what was read ahead of it.
pub(super) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_at_end: bool,
    is_cut: bool,
    /// Octets taken.
    pub octets_read: u64,
}

impl<R: Read> Input<R> {
    /// Returns a file of which nothing was read.
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            is_at_end: false,
            is_cut: false,
            octets_read: 0,
        }
    }

    /// Returns the same file with what is not yet read of it read in another way.
    pub(super) fn map<S>(self, way: impl FnOnce(R) -> S) -> Input<S> {
        Input {
            reader: way(self.reader),
            buffer: self.buffer,
            start: self.start,
            end: self.end,
            is_at_end: self.is_at_end,
            is_cut: self.is_cut,
            octets_read: self.octets_read,
        }
    }

    /// Returns what the octets come from.
    pub(super) const fn reader(&self) -> &R {
        &self.reader
    }

    /// Says whether the file is over and all of it was taken; one that is compressed and cut never is.
    pub(super) const fn is_spent(&self) -> bool {
        self.is_at_end && !self.is_cut && self.start == self.end
    }

    /// Returns what was read and not yet taken.
    pub(super) fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes the next octets, fewer if fewer are held.
    #[inline]
    pub(super) fn advance(&mut self, octets: usize) -> &[u8] {
        let at = self.start;
        self.start = self.end.min(at.saturating_add(octets));
        self.octets_read += (self.start - at) as u64;
        self.buffer.get(at..self.start).unwrap_or_default()
    }

    /// Reads until at least `needed` octets are held; `false` if the file ends before.
    ///
    /// The buffer grows to what is needed; the caller bounds that. A compressed file that is cut ends at the cut.
    ///
    /// # Errors
    ///
    /// What reading fails with.
    #[inline]
    pub(super) fn fill(&mut self, needed: usize) -> io::Result<bool> {
        if self.end - self.start >= needed {
            return Ok(true);
        }
        self.read_on(needed)
    }

    #[cold]
    fn read_on(&mut self, needed: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        }
        while self.end < needed && !self.is_at_end {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.reader.read(room) {
                Ok(0) => self.is_at_end = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.is_at_end = true;
                    self.is_cut = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.end >= needed)
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.fill(1)?;
        // A slice is read without fail.
        self.advance(room.len()).read(room)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill(1)?;
        Ok(self.held())
    }

    fn consume(&mut self, octets: usize) {
        self.advance(octets);
    }
}
