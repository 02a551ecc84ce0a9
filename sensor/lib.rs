//! firstcontact: a passive network sensor.

pub mod destination;
pub mod enrichment;
pub mod identity;
pub mod model;
pub mod settings;
