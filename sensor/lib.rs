//! firstcontact: a passive network sensor.

pub mod model;
pub mod store;
