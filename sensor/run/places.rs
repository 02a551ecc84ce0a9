//! Where the frames of a merged replay come from, one entry a frame.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crate::capture::Place;

/// Octets of an entry: the file in the upper 16 bits, the frame's number within it in the lower 48.
const ENTRY: usize = 8;
/// Bits of a frame's number.
const NUMBER: u32 = 48;
/// How many entries are held in memory.
const HELD: usize = 1 << 16;

/// Files and numbers of all frames, by arrival: a flow may be told of long after its first frame, so none can be
/// forgotten, and all but the latest lie in a temporary file that vanishes with the process.
#[derive(Debug)]
pub(super) struct Places {
    aside: File,
    /// Octets aside.
    written: u64,
    held: Vec<u8>,
}

impl Places {
    /// Returns a list without entries.
    ///
    /// # Errors
    ///
    /// When there can be no temporary file.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            aside: tempfile::tempfile()?,
            written: 0,
            held: Vec::with_capacity(HELD * ENTRY),
        })
    }

    /// Adds the place of the next frame.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be written, as on a full disk.
    pub fn push(&mut self, place: Place) -> io::Result<()> {
        if self.held.len() == HELD * ENTRY {
            self.aside.write_all(&self.held)?;
            self.written += self.held.len() as u64;
            self.held.clear();
        }
        let entry = (place.file as u64) << NUMBER | place.frame;
        self.held.extend_from_slice(&entry.to_le_bytes());
        Ok(())
    }

    /// Returns the place of the frame that came as number `arrival`, counted from 1.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub fn get(&self, arrival: u64) -> io::Result<Option<Place>> {
        let Some(at) = arrival
            .checked_sub(1)
            .and_then(|before| before.checked_mul(ENTRY as u64))
        else {
            return Ok(None);
        };
        let mut entry = [0; ENTRY];
        match at.checked_sub(self.written) {
            None => self.aside.read_exact_at(&mut entry, at)?,
            Some(at) => {
                let held = usize::try_from(at).ok().and_then(|at| self.held.get(at..));
                let Some(found) = held.and_then(<[u8]>::first_chunk) else {
                    return Ok(None);
                };
                entry = *found;
            }
        }
        let entry = u64::from_le_bytes(entry);
        Ok(Some(Place {
            file: usize::try_from(entry >> NUMBER).unwrap_or(usize::MAX),
            frame: entry & ((1 << NUMBER) - 1),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_found_in_memory_and_aside() {
        let frames = 3 * HELD as u64 + 5;
        let place = |arrival: u64| Place {
            file: usize::try_from(arrival % 7).unwrap(),
            frame: arrival / 3,
        };
        let mut places = Places::new().unwrap();
        for arrival in 1..=frames {
            places.push(place(arrival)).unwrap();
        }
        assert_eq!(places.written, (3 * HELD * ENTRY) as u64);
        for arrival in (1..=frames).step_by(11).chain([frames]) {
            assert_eq!(places.get(arrival).unwrap(), Some(place(arrival)));
        }
        assert_eq!(places.get(0).unwrap(), None);
        assert_eq!(places.get(frames + 1).unwrap(), None);
    }

    #[test]
    fn the_last_file_and_a_large_number_are_kept() {
        let mut places = Places::new().unwrap();
        let place = Place {
            file: usize::from(u16::MAX),
            frame: (1 << NUMBER) - 1,
        };
        places.push(place).unwrap();
        assert_eq!(places.get(1).unwrap(), Some(place));
    }
}
