//! How the `memory` setting is split into fixed limits, once, at start (ARCHITECTURE.md).

use super::partition::PARTITIONS;

/// Limits of every table. They follow from one number and never from what is measured, so that the same packets give
/// the same evictions everywhere (rule T2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Flows of a partition that may be contacts.
    pub candidates: usize,
    /// Other flows of a partition.
    pub others: usize,
    /// Queries of a partition that wait.
    pub queries: usize,
    /// Octets of DNS over TCP that a partition keeps until messages are whole.
    pub streams: usize,
    /// Octets of datagrams whose fragments are being joined.
    pub fragments: usize,
    /// Packets that a partition remembers, to know copies of them.
    pub copies: usize,
    /// Octets of evidence, all partitions together ([`crate::names::Names::octets`]).
    pub names: usize,
    /// Contacts that wait to be judged, and judged ones whose flow is open.
    pub open: usize,
    /// Endpoints that are known to listen.
    pub listening: usize,
    /// Pairs in memory.
    pub pairs: usize,
}

/// Octets that one entry takes, its share of hash tables and timers included, rounded up.
mod octets {
    pub const FLOW: u64 = 320;
    pub const QUERY: u64 = 48;
    pub const COPY: u64 = 64;
    pub const OPEN: u64 = 128;
    pub const LISTENING: u64 = 64;
    pub const PAIR: u64 = 112;
}

/// Two messages of the greatest length.
const LEAST_STREAMS: usize = 1 << 17;
/// Some datagrams of the greatest length, or one in the most fragments that it can have.
const LEAST_FRAGMENTS: usize = 5 << 17;

impl Limits {
    /// Splits `memory` octets: an eighth is left for the ledger's cache and what passes between threads; of the rest about
    /// a fifth is for flows that may be contacts, two fifths for names, what is left for pairs in memory, other flows and
    /// what waits.
    #[must_use]
    pub fn of(memory: u64) -> Self {
        let tables = memory - memory / 8;
        let share = |percent: u64, each: u64, among: usize| {
            let entries = tables / 100 * percent / each / among as u64;
            usize::try_from(entries).unwrap_or(usize::MAX).max(64)
        };
        Self {
            candidates: share(21, octets::FLOW, PARTITIONS),
            others: share(6, octets::FLOW, PARTITIONS),
            queries: share(3, octets::QUERY, PARTITIONS),
            streams: share(2, 1, PARTITIONS).max(LEAST_STREAMS),
            fragments: share(2, 1, 1).max(LEAST_FRAGMENTS),
            copies: share(1, octets::COPY, PARTITIONS),
            names: share(40, 1, 1),
            open: share(6, octets::OPEN, 1),
            listening: share(2, octets::LISTENING, 1),
            pairs: share(17, octets::PAIR, 1),
        }
    }
}
