//! Names: which address goes by which name, who was told so, and for how long (rules N1 to N5).
//!
//! Nothing here parses a message or judges a contact. Besides `run/`, this is the only folder with interior
//! mutability: the map that workers write and the judge reads.

mod choice;
pub mod encrypted;
mod found;
mod given;
mod interner;
mod known;
mod map;
mod near;
mod others;
mod queries;
mod streams;
mod told;
mod write;

pub use choice::{Candidate, Candidates, choose};
pub use found::Found;
pub use given::NAMES_A_CLIENT;
pub use interner::{Interner, Origin};
pub use map::Names;
pub use near::AHEAD;
pub use others::{Asked, ENOUGH, EVERYBODY, around};
pub use queries::{QUERY_LIFE, QueryKey, QueryTable};
pub use streams::Streams;
