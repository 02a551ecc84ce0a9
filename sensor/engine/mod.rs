//! The stages joined: epochs, partitions, workers and the judge. No threads and no input or output here.

mod clock;
mod copies;
mod decoder;
mod fragments;
mod imported;
mod judge;
mod limits;
mod partition;
mod report;
mod segments;
mod worker;

pub use clock::{EPOCH, EPOCH_FRAMES};
pub use decoder::{Decoder, Packets};
pub use imported::{ImportSetup, Imported, Lasting};
pub use judge::{Judge, Outcome as Judged, Setup, UNCOMMITTED};
pub use limits::Limits;
pub use partition::{PARTITIONS, partition};
pub use report::{DecodeReport, Ending, Mark, Report};
pub use worker::{Records, Worker, WorkerSetup};
