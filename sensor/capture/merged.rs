//! Several capture files as one stream by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::error::CaptureError;
use super::file::CaptureFile;
use crate::model::{Frame, LinkType, SourceId, Timestamp};

/// Capture files that are read side by side: of their next frames the earliest comes first.
///
/// Frames of one file keep its order, whatever their times. Those of one time come in the order of the files. One frame of
/// each file is held beside what reading it takes.
pub struct Merged {
    files: Vec<CaptureFile>,
    /// The next frame of each file, if it has one that was read.
    heads: Vec<Head>,
    /// Files whose next frame was read, the earliest first.
    order: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Files whose next frame is yet to be read.
    behind: Vec<usize>,
}

/// A frame that was read and not yet given.
#[derive(Clone)]
struct Head {
    source: SourceId,
    link: LinkType,
    number: u64,
    octets: Vec<u8>,
}

impl Head {
    /// What stands for a file of which nothing was read.
    const EMPTY: Self = Self {
        source: SourceId(0),
        link: LinkType::Ethernet,
        number: 0,
        octets: Vec::new(),
    };
}

/// Where a frame comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which of the files, from 0, in the order they were given.
    pub file: usize,
    /// The frame's number within that file, from 1.
    pub frame: u64,
}

impl Merged {
    /// Returns the stream of some files, of which nothing was given yet.
    #[must_use]
    pub fn new(files: Vec<CaptureFile>) -> Self {
        Self {
            heads: vec![Head::EMPTY; files.len()],
            order: BinaryHeap::with_capacity(files.len()),
            behind: (0..files.len()).rev().collect(),
            files,
        }
    }

    /// Returns the next frame and where it comes from, or `None` at the end of all files.
    ///
    /// # Errors
    ///
    /// Those of [`CaptureFile::next`], once for a file; the frames of the others follow.
    #[allow(clippy::should_implement_trait, reason = "a frame borrows from its reader")]
    pub fn next(&mut self) -> Result<Option<(Frame<'_>, Place)>, CaptureError> {
        while let Some(file) = self.behind.pop() {
            self.advance(file)?;
        }
        let Some(Reverse((time, file))) = self.order.pop() else {
            return Ok(None);
        };
        self.behind.push(file);
        Ok(self.heads.get(file).map(|head| {
            let frame = Frame {
                time,
                source: head.source,
                link: head.link,
                octets: &head.octets,
            };
            let place = Place {
                file,
                frame: head.number,
            };
            (frame, place)
        }))
    }

    /// Reads the next frame of a file.
    fn advance(&mut self, place: usize) -> Result<(), CaptureError> {
        let (Some(file), Some(head)) = (self.files.get_mut(place), self.heads.get_mut(place)) else {
            return Ok(());
        };
        let number = file.frames() + 1;
        if let Some(frame) = file.next()? {
            head.source = frame.source;
            head.link = frame.link;
            head.number = number;
            head.octets.clear();
            head.octets.extend_from_slice(frame.octets);
            self.order.push(Reverse((frame.time, place)));
        }
        Ok(())
    }

    /// Returns how many octets of all files, as they lie on disk, were taken.
    #[must_use]
    pub fn octets_read(&self) -> u64 {
        self.files.iter().map(CaptureFile::octets_read).sum()
    }
}

#[cfg(test)]
#[path = "merged_tests.rs"]
mod tests;
