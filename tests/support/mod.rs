//! What the tests share: frames, recipes and the programs.

pub mod copies;
pub mod dns;
pub mod engine;
pub mod expected;
pub mod fragments;
pub mod frames;
pub mod programs;
pub mod recipe;
pub mod tunnel;
pub mod words;

pub use frames::{Capture, FileFormat, Link};
pub use programs::{Replay, Seen};

/// Returns a path below the checkout.
pub fn checkout(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
