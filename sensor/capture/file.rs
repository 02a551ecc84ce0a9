//! Capture files: pcap and pcapng, from a path or from standard input, as they are or compressed (rule W1).

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;

use super::classic::{Classic, FILE_HEADER, Header};
use super::content::{Content, Raw};
use super::error::{CaptureError, Fault};
use super::input::Input;
use super::pcapng::{self, Pcapng};
use super::savefile::Savefile;
use crate::model::{Frame, LinkType, SourceId};

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// A capture file, read frame by frame in the order of the file.
pub struct CaptureFile {
    name: String,
    source: SourceId,
    reader: Reader,
    octets_total: Option<u64>,
    frames: u64,
    is_ended: bool,
}

enum Reader {
    Classic(Box<Classic<Content>>),
    Pcapng(Box<Pcapng<Content>>),
    Savefile(Savefile),
}

impl CaptureFile {
    /// Opens a capture file, whose frames come from `source`; the path `-` is standard input.
    ///
    /// Plain pcap and pcapng are read by ourselves and stream; patched formats of pcap are libpcap's, and what of that
    /// comes from standard input or is compressed is copied to a temporary file first. Pcapng is read on to its first
    /// frame. What is compressed by gzip or zstd is unpacked on the way.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Read`] when the file cannot be read, [`CaptureError::NotACapture`] when it is no capture,
    /// or ends within its header, [`CaptureError::LinkType`] when the sensor does not know the link type of the first
    /// frame, and [`CaptureError::Packed`] when unpacking takes too much.
    pub fn open(path: &Path, source: SourceId) -> Result<Self, CaptureError> {
        let is_input = path.as_os_str() == STANDARD_INPUT;
        let name = match is_input {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let failed = |source| CaptureError::Read {
            file: name.clone(),
            source,
        };
        let (file, octets_total): (Raw, _) = if is_input {
            let input = io::stdin();
            if input.is_terminal() {
                return Err(CaptureError::NotACapture {
                    file: name,
                    reason: "it is a terminal".to_owned(),
                });
            }
            (Box::new(input), None)
        } else {
            let file = File::open(path).map_err(failed)?;
            let about = file.metadata().map_err(failed)?;
            (Box::new(file), about.is_file().then_some(about.len()))
        };
        let fault = |error| Fault::from(error).at_start(&name);
        let mut file = Input::new(file);
        file.fill(FILE_HEADER).map_err(fault)?;
        let mut input = Content::of(file);
        input.fill(FILE_HEADER).map_err(fault)?;
        let classic = input.held().first_chunk().and_then(Header::parse);
        let reader = if let Some(header) = classic {
            let link = LinkType::from_number(header.link).ok_or(Fault::Link(header.link));
            let link = link.map_err(|fault| fault.at_start(&name))?;
            Reader::Classic(Box::new(Classic::new(input, header, link)))
        } else if input.held().starts_with(&pcapng::MAGIC) {
            let pcapng = Pcapng::open(input).map_err(|fault| fault.at_start(&name))?;
            Reader::Pcapng(Box::new(pcapng))
        } else if octets_total.is_some() && matches!(input.reader(), Content::Plain(_)) {
            Reader::Savefile(Savefile::open(path, &name)?)
        } else {
            Reader::Savefile(Savefile::copy(input, &name)?)
        };
        Ok(Self {
            name,
            source,
            reader,
            octets_total,
            frames: 0,
            is_ended: false,
        })
    }

    /// Returns the next frame, or `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Cut`] when the file ends within a frame, [`CaptureError::Damaged`] when the next one cannot be
    /// found, [`CaptureError::LinkType`] when it comes from an interface whose link type the sensor does not know,
    /// [`CaptureError::Packed`] and [`CaptureError::Read`] when unpacking or reading fails. The frames before were given; after an error there are none.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "a frame borrows from its reader")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if self.is_ended {
            return Ok(None);
        }
        let read = match &mut self.reader {
            Reader::Classic(classic) => classic.next(),
            Reader::Pcapng(pcapng) => pcapng.next(),
            Reader::Savefile(savefile) => savefile.next(),
        };
        match read.map_err(|fault| fault.within(&self.name, self.frames + 1)) {
            Ok(Some((time, link, octets))) => {
                self.frames += 1;
                Ok(Some(Frame {
                    time,
                    source: self.source,
                    link,
                    octets,
                }))
            }
            ended => {
                self.is_ended = true;
                ended.map(|_| None)
            }
        }
    }

    /// Returns the file as it was named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how many octets of the file, as it lies on disk, were taken; about as many, where libpcap reads it.
    #[must_use]
    pub fn octets_read(&self) -> u64 {
        let input = match &self.reader {
            Reader::Classic(classic) => &classic.input,
            Reader::Pcapng(pcapng) => &pcapng.input,
            Reader::Savefile(savefile) => return savefile.octets_read,
        };
        input.reader().packed_octets_read().unwrap_or(input.octets_read)
    }

    /// Returns how many octets the file has, or `None` if that cannot be told beforehand.
    #[must_use]
    pub const fn octets_total(&self) -> Option<u64> {
        self.octets_total
    }

    /// Returns how many frames were given.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "packed_tests.rs"]
mod packed_tests;
