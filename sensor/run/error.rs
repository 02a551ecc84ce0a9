//! Why a run fails.

use crate::capture::CaptureError;
use crate::destination::AggregationError;
use crate::model::{LedgerError, SinkError};

/// Why a run fails; the programs exit with 1, or with 2 where a setting or an argument is to blame.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The capture cannot be opened or read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The ledger cannot be opened, read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file of alerts or records cannot be written.
    #[error("cannot write {0}")]
    Output(#[from] SinkError),
    /// The numbers of merged frames cannot be kept until the records are written.
    #[error("cannot keep the numbers of merged frames in {}; TMPDIR names another folder", std::env::temp_dir().display())]
    Numbers(#[source] std::io::Error),
    /// A file to import cannot be opened or read on.
    #[error("{file}: cannot be read")]
    Import {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Rows cannot be put in the order of time.
    #[error("cannot keep rows in {}; TMPDIR names another folder", std::env::temp_dir().display())]
    Rows(#[source] std::io::Error),
    /// The settings for aggregation cannot be used.
    #[error(transparent)]
    Aggregation(AggregationError),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] std::io::Error),
    /// A thread came to an end that nothing accounts for; the panic message stands before this.
    #[error(
        "the {0} thread failed; this is a mistake in firstcontact, please report it with the message before this one"
    )]
    Panicked(&'static str),
}
