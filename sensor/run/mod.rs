//! Runs: the only place that starts threads (ARCHITECTURE.md).
//!
//! A live run and a replay differ in values only: where frames come from, which ledger, and what a full queue means.

mod change;
mod deliver;
mod error;
mod files;
mod import;
mod live;
mod merge;
mod outbox;
mod pipeline;
mod places;
mod queue;
mod replay;

pub use change::{Learner, forget, is_pair_with, learn};
pub use deliver::OpenSink;
pub use error::RunError;
pub use import::{Import, ImportTally};
pub use live::LiveRun;
pub use merge::{Merged, Merging};
pub use pipeline::Tally;
pub use replay::{FileOrder, Progress, Replay};
