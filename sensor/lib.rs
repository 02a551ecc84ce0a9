//! firstcontact: a passive network sensor.

pub mod baseline;
pub mod engine;
pub mod flow;
pub mod model;
pub mod names;
pub mod wire;
