//! The baseline: which workload had contact with which destination, when and how often (rules B1 to B5).
//!
//! Pairs of a workload that is in use are held in memory; the ledger is read once for them and gets every change in the
//! epoch's journal row, later in pages, and entries of the index by destination with these. Nothing here judges a contact.

mod aside;
mod budget;
mod changes;
mod index;
mod join;
mod load;
mod loaded;
mod pairs;
mod part;
mod shared;
mod window;

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;

pub use budget::{Full, KeptPairs, Need};
pub use changes::Folded;
pub use pairs::{Baseline, ContactFacts, PairPlace};
pub use window::{is_forgotten, is_known};
