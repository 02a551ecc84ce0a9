//! firstcontact: a passive network sensor.

pub mod capture;
pub mod model;
pub mod wire;
