//! How the programs end: one clear line, and 0, 1 or 2.

use std::process::{ExitCode, Termination};

use crate::capture::CaptureError;
use crate::model::LedgerError;
use crate::run::RunError;
use crate::settings::Refused;

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done: 0.
    Done,
    /// Something failed: 1.
    Failed,
    /// Arguments or settings were refused: 2.
    Refused,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
        })
    }
}

/// Why a command ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Settings(#[from] Refused),
    #[error("{0}")]
    Argument(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot write to standard output")]
    Output(#[from] std::io::Error),
    #[error("{0}")]
    Undelivered(String),
    /// What failed, and why if that is another's error.
    #[error("{0}")]
    Failed(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::Run(error.into())
    }
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Argument(_) | Self::Run(RunError::Aggregation(_)) => Exit::Refused,
            Self::Run(RunError::Capture(error)) => match error {
                CaptureError::NotACapture { .. } | CaptureError::LinkType { .. } | CaptureError::Packed { .. } => {
                    Exit::Refused
                }
                _ => Exit::Failed,
            },
            Self::Run(RunError::Ledger(error)) => match error {
                LedgerError::OtherVersion { .. } | LedgerError::NotALedger { .. } => Exit::Refused,
                _ => Exit::Failed,
            },
            Self::Run(_) | Self::Output(_) | Self::Undelivered(_) | Self::Failed(..) => Exit::Failed,
        }
    }
}

/// Says on standard error why a command ends, in one line with all causes, and returns its exit status.
pub(super) fn of(result: Result<(), Error>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        // Whoever read standard output has seen enough, as with `head`.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            error.exit()
        }
    }
}

/// Returns an error with its causes, each once.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text.replace('\n', " ")
}
