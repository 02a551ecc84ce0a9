//! The one test binary: what the programs promise, by rule (DESIGN, section 2). Tests of single parts stand beside them.

mod scenarios;
mod support;
