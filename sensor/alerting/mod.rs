//! What an alert says: how bad it is, what it is called, and in which words (rules A1 to A5).
//!
//! Facts and alerts in, values out. Nothing here decides whether there is an alert, reads a clock or writes anywhere.
//! Order: [`admit`](Budget::admit) says whether a novelty is raised by itself, [`alert_id`] names it, [`assess`] weighs
//! it, [`links`] and [`summary`] dress it.

mod budget;
mod id;
mod links;
mod severity;
mod summary;
mod words;

pub use budget::*;
pub use id::*;
pub use links::*;
pub use severity::*;
pub use summary::*;
pub use words::*;
