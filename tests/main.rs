//! The one test binary: what the programs promise, by rule (DESIGN, section 2). Tests of single parts stand beside them.

#![expect(
    clippy::disallowed_methods,
    reason = "tests play receivers and run captures side by side, in threads of their own"
)]

mod architecture;
mod baseline;
mod budgets;
mod copies;
mod crash;
mod determinism;
mod envelopes;
mod estate;
mod fragments;
mod fuzz;
mod inputs;
mod lab;
mod listen;
mod midstream;
mod model;
mod properties;
mod refusals;
mod scenarios;
mod sinks;
mod support;
mod sweep;
