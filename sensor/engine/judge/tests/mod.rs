//! The judge over crafted frames: a bug that was fixed leaves its test here.

mod lab;

mod attempts;
mod bursts;
mod clock;
mod contacts;
mod flood;
mod full;
mod kept;
mod names;
mod restart;
mod room;
mod segments;
