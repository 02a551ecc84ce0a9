//! firstcontact: a passive network sensor that says when a workload contacts an external destination for the first time in
//! 90 days.
//!
//! ```text
//! capture ──Frame──► decode ──Packet──► partitions ──Report per epoch──► judge ──Batch──► commit ──► deliver ──► sinks
//! live, udp, file    wire::*            flow, query tables               names → destination  store     syslog, files
//!                    pure               answers ─► names                 workload → baseline
//! ```
//!
//! Work per packet is done in parallel; what needs order is done by one judge, an epoch (100 ms of packet time) at a time.
//!
//! # The import rule
//!
//! Imports go down this table, never sideways or up:
//!
//! | level | modules |
//! | --- | --- |
//! | 0 | [`model`] |
//! | 1 | [`wire`] |
//! | 2 | [`flow`], [`names`], [`identity`], [`destination`], [`baseline`], [`alerting`], [`enrichment`]: one concern each; they never import each other |
//! | 3 | [`engine`] (0 to 2), [`views`] (0 and 2) |
//! | 4 | [`capture`], [`import`], [`settings`], [`store`], [`sinks`]: the outside world (0; `settings` also 2) |
//! | 6 | [`run`] |
//! | 7 | [`command`] |
//!
//! # The time rule
//!
//! Time enters as data: the timestamp of a frame, or the mark that live capture makes on a quiet link (rule T1). Nothing in
//! levels 0 to 3 reads a clock, so the same packets give the same alerts (rule T2) and tests are exact. `clippy.toml` bans
//! the calls; what is allowed to make them says so below.
//!
//! # The modules, in the order of a packet's way
//!
//! - [`capture`] hands over frames, from an interface, UDP sockets or a file.
//! - [`wire`] finds the innermost TCP or UDP packet of a frame, and reads DNS messages.
//! - [`engine`] joins the stages: decoder, workers with their partitions, and the judge.
//! - [`flow`] follows flows; [`names`] remembers which address goes by which name.
//! - [`identity`] says what is internal and which workload an address belongs to.
//! - [`destination`] says which domain and tenant a name stands for.
//! - [`baseline`] knows which workload had contact with what, and when.
//! - [`alerting`] says how bad a novelty is, and in which words; [`enrichment`] adds what helps to find it elsewhere.
//! - [`store`] is the ledger on disk, [`sinks`] are the receivers of alerts.
//! - [`import`] reads exported baselines, and logs of others.
//! - [`views`] shows alerts and the baseline to people.
//! - [`settings`] reads the settings file; [`run`] starts the threads and stops them in order; [`command`] holds the
//!   programs' commands.
//! - [`model`] has the words that all of them share.
//!
//! `ARCHITECTURE.md` tells the same as a story, from start-up to shutdown.

#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

pub mod alerting;
pub mod baseline;
#[expect(
    clippy::disallowed_methods,
    reason = "the mark on a quiet link, and what came until now, go by the system's time, as frames do"
)]
pub mod capture;
#[cfg(feature = "ledger")]
pub mod command;
pub mod destination;
pub mod engine;
pub mod enrichment;
pub mod flow;
pub mod identity;
pub mod import;
pub mod model;
pub mod names;
#[cfg(feature = "ledger")]
#[expect(
    clippy::disallowed_methods,
    reason = "it starts threads, and waits for files and sinks"
)]
pub mod run;
pub mod settings;
#[expect(clippy::disallowed_methods, reason = "it waits for receivers, and not for ever")]
pub mod sinks;
#[cfg(feature = "ledger")]
pub mod store;
pub mod views;
pub mod wire;
