//! Where frames come from: capture files, interfaces, and UDP sockets that a mirror sends to.
//!
//! Everything here gives [`Frame`](crate::model::Frame)s with the time that capture wrote beside them. Nothing is ever
//! sent.

mod classic;
mod content;
mod device;
mod error;
mod file;
mod input;
mod interface;
mod live;
mod merged;
mod outer;
mod pcapng;
mod savefile;
mod socket;
mod sockets;
mod steering;
mod zstd;

pub use content::open_content;
pub use error::CaptureError;
pub use file::CaptureFile;
pub use live::{Live, LiveFrom, Polled};
pub use merged::{Merged, Place};
