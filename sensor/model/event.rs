//! What is odd or worth knowing in the traffic, as named events for the log.

use super::time::Timestamp;

/// A named event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, in packet time.
    pub ts: Timestamp,
    /// Which kind.
    pub kind: EventKind,
    /// One sentence for a person.
    pub text: String,
}

impl Event {
    /// Returns the event that somebody, in words, stopped learning (rule B4).
    #[must_use]
    pub fn learning_ended(ts: Timestamp, who: &str) -> Self {
        Self {
            ts,
            kind: EventKind::LearningEnded,
            text: format!("{who} has learnt; what is new to it is raised from now on"),
        }
    }
}

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A host was found to be a resolver (rule S3).
    ResolverFound,
    /// A segment, workload or group stopped learning (rule B4).
    LearningEnded,
    /// Time went back, or a clock that was set is believed (rule T1).
    ClockBreak,
    /// Over 1 % of a segment's flows have both ends external (rule S1).
    PrefixMissing,
    /// A table was full (rule F6).
    TableFull,
    /// The baseline has no room for more, or nearly none (rule A5).
    BudgetFull,
    /// Several segments look like one address space (rule W3).
    SegmentsAlike,
    /// Envelopes come from or go to an address outside (rule W2).
    TunnelOutside,
}

impl EventKind {
    /// Returns the name that the log uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResolverFound => "resolver_found",
            Self::LearningEnded => "learning_ended",
            Self::ClockBreak => "clock_break",
            Self::PrefixMissing => "prefix_missing",
            Self::TableFull => "table_full",
            Self::BudgetFull => "budget_full",
            Self::SegmentsAlike => "segments_alike",
            Self::TunnelOutside => "tunnel_outside",
        }
    }
}
