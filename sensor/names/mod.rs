//! Names: which address goes by which name, who was told so, and for how long (rules N1 to N5).
//!
//! Nothing here parses a message or judges a contact. Besides `run/`, this is the only folder with interior
//! mutability: the map that workers write and the judge reads.

mod choice;
mod interner;
mod map;
mod queries;
mod renewal;

pub use choice::{Candidate, Choice, choose};
pub use interner::Interner;
pub use map::{KEPT_FOR, LIFE_CAP, LIFE_FLOOR, LONGEST_LIFE, NAMES_A_CLIENT, Names};
pub use queries::{QUERY_LIFE, QueryKey, QueryTable};
pub use renewal::Renewals;
