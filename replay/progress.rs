//! The progress of a long replay, on a terminal only.

use std::path::PathBuf;
use std::time::Duration;

use firstcontact::run::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error: octets read, frames a second, time left.
pub struct Bar(ProgressBar);

impl Bar {
    /// Returns a bar as long as the files together; hidden where standard error is no terminal.
    pub fn for_files(files: &[PathBuf]) -> Self {
        let sizes = files
            .iter()
            .map(|file| std::fs::metadata(file).map(|found| found.len()));
        let total: u64 = sizes.sum::<Result<u64, _>>().unwrap_or(0);
        // indicatif draws nothing where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
        let style = ProgressStyle::with_template("{bytes} of {total_bytes}  {msg}  {eta} left  {wide_bar}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// Shows how far the replay is.
    pub fn show(&self, at: Progress) {
        self.0.set_position(at.octets);
        let elapsed = self.0.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        self.0
            .set_message(format!("{:.2} M packets/s", at.frames as f64 / elapsed / 1e6));
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}
