//! Zstandard, RFC 8878: frames one after the other, those to be skipped among them, as one stream of octets.

use std::error::Error;
use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::input::Input;

/// The widest window that is unpacked: what zstd itself unpacks unless it is told to take more.
const WIDEST_WINDOW: u64 = 128 << 20;
/// An empty last block, section 3.1.1.2, and room for the checksum that may follow.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Says whether a file begins with a frame, section 3.1.1, or with one to be skipped, section 3.1.2.
pub(super) fn is_zstd(octets: &[u8]) -> bool {
    matches!(
        octets,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

/// A file of zstd frames, unpacked.
pub(super) struct Zstd<R> {
    /// What is left of the file.
    pub input: Input<R>,
    decoder: FrameDecoder,
    state: State,
}

/// What comes next.
enum State {
    /// A frame, or the end of the file.
    Between,
    /// A block of the frame that was begun.
    Within,
    /// Nothing; this is still to be said.
    Ended(Option<io::Error>),
}

impl<R: Read> Zstd<R> {
    /// Returns a file of which nothing is unpacked.
    pub(super) fn new(input: Input<R>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WIDEST_WINDOW);
        Self {
            input,
            decoder,
            state: State::Between,
        }
    }

    /// Begins the next frame, if there is one.
    fn begin(&mut self) -> io::Result<State> {
        while self.input.fill(1)? {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(State::Within),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    self.skip(length)?;
                }
                Err(error) => return Err(fault(&error)),
            }
        }
        Ok(State::Ended(None))
    }

    /// Takes the content of a frame that is to be skipped.
    fn skip(&mut self, octets: u32) -> io::Result<()> {
        let mut left = usize::try_from(octets).unwrap_or(usize::MAX);
        while left > 0 {
            if !self.input.fill(1)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= self.input.advance(left).len();
        }
        Ok(())
    }

    /// Unpacks the next block.
    fn unpack(&mut self) -> io::Result<State> {
        let by_block = || BlockDecodingStrategy::UptoBlocks(1);
        if let Err(error) = self.decoder.decode_blocks(&mut self.input, by_block()) {
            // Up to a window of what was unpacked waits for a last block.
            let _ = self.decoder.decode_blocks(LAST_BLOCK.as_slice(), by_block());
            return Err(fault(&error));
        }
        Ok(match self.decoder.is_finished() {
            true => State::Between,
            false => State::Within,
        })
    }

    /// Compares a frame, once all of it was given, with its checksum, if it has one.
    fn check(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(sum) if self.decoder.get_calculated_checksum() != Some(sum) => {
                Err(damaged("its zstd checksum does not match"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns what a failure says about the file.
fn fault(error: &FrameDecoderError) -> io::Error {
    // The file that cannot be read, or ends here, is at the bottom.
    let mut causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |cause| (*cause).source());
    if let Some(cause) = causes.find_map(|cause| cause.downcast_ref::<io::Error>()) {
        return match cause.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => cause.kind().into(),
        };
    }
    match error {
        FrameDecoderError::WindowSizeTooBig { requested: window, .. }
        | FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { got: window }) => refused(&format!(
            "its zstd window has {} MiB, more than {} MiB",
            window >> 20,
            WIDEST_WINDOW >> 20
        )),
        FrameDecoderError::DictNotProvided { dict_id } => refused(&format!("it needs zstd dictionary {dict_id}")),
        FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_)) => {
            damaged("what follows a zstd frame is none")
        }
        _ => damaged("its zstd frame cannot be unpacked"),
    }
}

/// Returns what is whole and not unpacked here.
fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl<R: Read> Read for Zstd<R> {
    /// Gives all that could be unpacked before it says why there is no more.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(room);
            }
            let next = match &mut self.state {
                State::Within => self.unpack(),
                State::Between => self.check().and_then(|()| self.begin()),
                State::Ended(fault) => return fault.take().map_or(Ok(0), Err),
            };
            self.state = next.unwrap_or_else(|fault| State::Ended(Some(fault)));
        }
    }
}
