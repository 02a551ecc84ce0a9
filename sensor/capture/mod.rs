//! Where frames come from: capture files and interfaces.
//!
//! Everything here gives [`Frame`](crate::model::Frame)s with the time that capture wrote beside them. Nothing is ever
//! sent.

mod classic;
mod content;
mod error;
mod file;
mod input;
mod interface;
mod live;
mod merged;
mod pcapng;
mod savefile;
mod zstd;

pub use error::CaptureError;
pub use file::CaptureFile;
pub use live::{Live, Polled};
pub use merged::{Merged, Place};
