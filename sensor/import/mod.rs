//! Files that others wrote, row by row: exported baselines, and logs of flows and of DNS.
//!
//! Nothing here decides what a row means: rows become the plain values of `model`. What cannot be read is a [`Fault`] with
//! its line, and never ends a file, unless the file goes on in another format.

mod aws;
mod baseline;
mod cells;
mod eve;
mod fault;
mod format;
mod lines;
mod log;
mod name;
mod sorted;
mod time;
mod zeek;

pub use baseline::{BaselineFile, Item};
pub use fault::{Fault, Faults};
pub use format::LogFormat;
pub use lines::{LONGEST_LINE, Line, Lines};
pub use log::LogFile;
pub use sorted::{Sorted, Sorter};
