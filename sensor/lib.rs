//! firstcontact: a passive network sensor.

pub mod model;
