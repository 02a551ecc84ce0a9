//! The words for how flows start, fare and end.

use serde::{Deserialize, Serialize};

/// How many octets of either direction make a contact more severe, once passed (rule A3): more than a handshake, a
/// request and a refusal take.
pub const NOTABLE_OCTETS: u64 = 10_240;

/// How a flow was first seen (rules F1 to F3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowStart {
    /// By a SYN without ACK: its sender is the originator.
    Syn,
    /// By a UDP datagram.
    Datagram,
    /// In the middle: the originator is inferred.
    Midstream,
}

/// What became of a flow (rule F5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// TCP: the responder answered, or the originator went on past its SYN.
    Established,
    /// TCP: the responder reset it.
    Refused,
    /// TCP: nothing came back.
    Attempted,
    /// UDP: the responder sent something.
    Answered,
    /// UDP: the responder sent nothing.
    Unanswered,
}

impl Outcome {
    /// Says whether the flow got no further than an attempt (rule B3).
    #[must_use]
    pub const fn is_attempt(self) -> bool {
        matches!(self, Self::Refused | Self::Attempted)
    }
}

/// Why a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowEnd {
    /// Both sides sent FIN.
    Closed,
    /// A side sent RST.
    Reset,
    /// A SYN with another sequence number took its five-tuple (rule F1).
    Replaced,
    /// No packet for the idle time of its transport.
    Idle,
    /// The table was full (rule F6).
    Evicted,
    /// Time went back by more than 60 s (rule T1).
    TimeStep,
}
