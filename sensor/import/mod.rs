//! Files that others wrote, row by row: exported baselines, and logs of flows and of DNS.
//!
//! Nothing here decides what a row means: rows become the plain values of `model`. What cannot be read is a [`Fault`] with
//! its line, and never ends a file.

mod baseline;
mod fault;
mod lines;

pub use baseline::{BaselineFile, Item};
pub use fault::{Fault, Faults};
pub use lines::{LONGEST_LINE, Line, Lines};
