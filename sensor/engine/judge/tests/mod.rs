//! The judge over crafted frames: a bug that was fixed leaves its test here.

mod lab;

mod attempts;
mod bursts;
mod clock;
mod contacts;
mod flood;
mod full;
mod names;
mod restart;
mod segments;
