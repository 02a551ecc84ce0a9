//! What a file holds: its own octets or, if they are compressed, those that they unpack to.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::input::Input;
use super::zstd::{self, Zstd};

/// Anything that octets are read from.
pub(super) type Raw = Box<dyn Read + Send>;

/// How gzip begins: the magic octets and the only method, RFC 1952 section 2.3.1.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// Octets that are unpacked in one go: what of them comes before damage is lost with it.
const STEP: usize = 64 << 10;

/// The content of a file.
pub(super) enum Content {
    /// The file itself.
    Plain(Raw),
    /// What members of gzip unpack to, RFC 1952, one after the other.
    Gzip(Box<MultiGzDecoder<Input<Raw>>>),
    /// What frames of zstd unpack to.
    Zstd(Box<Zstd<Raw>>),
}

/// Opens a file that is no capture: its content, unpacked if its first octets are those of gzip or zstd.
///
/// # Errors
///
/// When it cannot be opened or its first octets cannot be read. Reading fails with `UnexpectedEof` where a compressed file
/// is cut, with `InvalidData` where it is damaged, and with `Unsupported` where it takes what we have not.
pub fn open_content(path: &Path) -> io::Result<impl BufRead + Send + use<>> {
    let mut file = Input::new(Box::new(File::open(path)?) as Raw);
    // Four octets tell; a file may have fewer.
    file.fill(4)?;
    Ok(Whole(Content::of(file)))
}

/// A file of which it matters that it is whole: [`Input`] takes the place where a compressed file is cut for its end.
struct Whole(Input<Content>);

impl Read for Whole {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let held = self.fill_buf()?;
        let count = held.len().min(room.len());
        let (Some(to), Some(from)) = (room.get_mut(..count), held.get(..count)) else {
            return Ok(0);
        };
        to.copy_from_slice(from);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Whole {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.0.fill(1)? && !self.0.is_spent() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it is compressed and ends before its end",
            ));
        }
        Ok(self.0.held())
    }

    fn consume(&mut self, octets: usize) {
        self.0.advance(octets);
    }
}

impl Content {
    /// Returns the content of a file whose first octets are held; they tell how it is compressed, its name does not.
    pub(super) fn of(file: Input<Raw>) -> Input<Self> {
        if file.held().starts_with(&GZIP) {
            Input::new(Self::Gzip(Box::new(MultiGzDecoder::new(file))))
        } else if zstd::is_zstd(file.held()) {
            Input::new(Self::Zstd(Box::new(Zstd::new(file))))
        } else {
            file.map(Self::Plain)
        }
    }

    /// Returns how many octets of a compressed file were taken, `None` of a plain one.
    pub(super) fn packed_octets_read(&self) -> Option<u64> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(gzip) => Some(gzip.get_ref().octets_read),
            Self::Zstd(zstd) => Some(zstd.input.octets_read),
        }
    }
}

impl Read for Content {
    /// Fails with `UnexpectedEof` where a compressed file is cut, with `InvalidData` where it is damaged, and with
    /// `Unsupported` where it takes what we have not, each after all that comes before.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let step = room.len().min(STEP);
        let in_steps = room.get_mut(..step).unwrap_or_default();
        match self {
            Self::Plain(file) => file.read(room),
            Self::Gzip(gzip) => gzip.read(in_steps).map_err(gzip_fault),
            Self::Zstd(zstd) => zstd.read(in_steps),
        }
    }
}

/// Returns what a failure says about the file.
fn gzip_fault(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if error.raw_os_error().is_none() => {
            io::Error::new(io::ErrorKind::InvalidData, "its gzip data cannot be unpacked")
        }
        _ => error,
    }
}
