//! Where alerts go.

use std::time::Duration;

use super::alert::Alert;

/// Why a sink did not take an alert; the owner waits and tries again.
#[derive(Debug, thiserror::Error)]
#[error("{sink}: {source}")]
pub struct SinkError {
    /// The sink's URL or file.
    pub sink: String,
    /// Why.
    pub source: std::io::Error,
}

/// How far a sink has come, as the ledger keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SinkPosition {
    /// The number of the last line that is delivered; 0 before the first.
    pub line: u64,
    /// For a file that lasts: which one it was, and where that line ended.
    pub file: Option<FilePlace>,
}

impl SinkPosition {
    /// Returns the position behind a line, for a sink that is no file.
    #[must_use]
    pub const fn at(line: u64) -> Self {
        Self { line, file: None }
    }
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlace {
    /// The device that the file is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Octets before the place.
    pub length: u64,
}

/// A receiver of alerts.
///
/// Lines have the numbers of the ledger's outbox, which grow; there may be gaps. The owner hands them over in order, calls
/// [`Sink::turn`] between, and keeps what [`Sink::position`] says. **After an error the sink has forgotten every line
/// behind its position**, and the owner begins there again: so a sink holds no more than what is on its way, and the text
/// of an alert waits in the ledger alone.
pub trait Sink: Send {
    /// Returns the name under which the ledger keeps the sink's position: its URL, or `alerts` for the file or stream of
    /// `--alerts`.
    fn name(&self) -> &str;

    /// Begins where an earlier run stopped; called once, before the first line. The position is then that line's, and for a
    /// file says where it ends.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or cut.
    fn resume(&mut self, position: SinkPosition) -> Result<(), SinkError>;

    /// Says whether a line can be handed over now; else [`Sink::turn`] makes room.
    fn has_room(&self) -> bool;

    /// Takes one line. It may wait in a buffer of bounded size.
    ///
    /// # Errors
    ///
    /// When the receiver cannot be reached or the file cannot be written.
    fn deliver(&mut self, number: u64, alert: &Alert) -> Result<(), SinkError>;

    /// Pushes on what is under way and takes receipts; waits up to `patience` if the receiver has to move first.
    ///
    /// # Errors
    ///
    /// As [`Sink::deliver`], and when the receiver has not moved for too long.
    fn turn(&mut self, patience: Duration) -> Result<(), SinkError>;

    /// Says that the run is over: a receiver that does not move is given up soon.
    fn hurry(&mut self) {}

    /// Says that for now no further line comes, as the run is over: what still waits for more before it is delivered need
    /// not. [`Sink::turn`] is called until the position is that of the last line, or fails.
    fn end(&mut self) {}

    /// Returns how far lines are delivered, in the sense that `docs/delivery.md` gives the word for each sink.
    fn position(&self) -> SinkPosition;
}
