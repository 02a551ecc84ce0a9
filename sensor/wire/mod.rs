//! Octets to headers: one file a header, pure functions, and [`Malformed`](crate::model::Malformed) as a value.
//!
//! [`decode`] walks a frame from its link header through every envelope to the innermost TCP or UDP packet (rules W1,
//! W2, W4); [`dns`] reads the messages that such packets carry (rule N1). Nothing here keeps state, reads a clock or
//! logs, and nothing on the way of a packet allocates.

mod decode;
pub mod dns;
mod erspan;
mod ethernet;
mod extended;
mod fragment;
mod geneve;
mod gre;
mod ip;
mod ipv4;
mod ipv6;
mod llc;
mod mpls;
mod null;
mod ppp;
mod pppoe;
mod sll;
mod sll2;
mod tcp;
mod udp;
mod vlan;
mod vxlan;
mod way;

#[cfg(test)]
pub(crate) mod build;

pub use decode::{Carrier, Decoded, Envelopes, Met, Ports, Start, Stop, carriers, decode, meet, resume};
pub use fragment::{Extent, Fragment, Gathered, headers};
