//! firstcontact: a passive network sensor.

pub mod alerting;
pub mod model;
pub mod sinks;
pub mod views;
