//! The baseline: which workload had contact with which destination, when and how often (rules B1 to B5).
//!
//! Pairs of a workload that is in use are held in memory; the ledger is read once for them and gets every change in the
//! epoch's journal row, later in pages. Nothing here judges a contact.

mod changes;
mod index;
mod loaded;
mod pairs;
mod window;

pub use changes::Folded;
pub use pairs::{Baseline, ContactFacts, PairPlace};
pub use window::{is_forgotten, is_known};
