//! Who is who: what is internal, and which workload an address belongs to (rules S1, N4, B4).
//!
//! Pure functions of addresses and the settings. It remembers nothing that it saw.

mod network;
mod workloads;

pub use network::{Locality, Network};
pub use workloads::{Identity, Workloads, scopes};
