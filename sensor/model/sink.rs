//! Where alerts go.

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

/// A receiver of alerts.
pub trait Sink: Send {
    /// Returns the name under which the ledger keeps the sink's position: its URL, or `alerts` for the file or stream of
    /// `--alerts`.
    fn name(&self) -> &str;

    /// Hands one alert over. It may sit in a buffer until [`Sink::flush`].
    ///
    /// # Errors
    ///
    /// When the receiver cannot be reached or the file cannot be written; the alert is then given again later.
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError>;

    /// Pushes out what sits in buffers; after it the position may move.
    ///
    /// # Errors
    ///
    /// As [`Sink::deliver`].
    fn flush(&mut self) -> Result<(), SinkError>;
}
