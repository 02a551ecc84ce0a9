//! What the tests share: frames, recipes and the programs.

pub mod chance;
pub mod copies;
pub mod dns;
pub mod engine;
pub mod expected;
pub mod fragments;
pub mod frames;
pub mod logs;
pub mod programs;
pub mod recipe;
pub mod size;
pub mod tunnel;
pub mod words;

pub use frames::{Capture, FileFormat, Link};
pub use programs::{Replay, Seen};

/// Returns a path below the checkout. Tests run in the package's folder; the path that the compiler saw may be that of
/// another checkout, where two share a target folder.
pub fn checkout(path: &str) -> std::path::PathBuf {
    std::path::absolute(path).expect("a folder to run in")
}
