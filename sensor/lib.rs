//! firstcontact: a passive network sensor.

pub mod alerting;
pub mod baseline;
pub mod capture;
pub mod command;
pub mod destination;
pub mod engine;
pub mod enrichment;
pub mod flow;
pub mod identity;
pub mod model;
pub mod names;
pub mod run;
pub mod settings;
pub mod sinks;
pub mod store;
pub mod views;
pub mod wire;
