//! Tables that had to let go of something because they were full are told of (rule F6).
//!
//! What was evicted is counted over all partitions within an epoch, and so is the same at any number of threads (rule
//! T2).

use std::collections::BTreeMap;

use crate::model::{Counter, EventKind, Span, Timestamp};

use super::super::limits::Limits;
use super::super::partition::PARTITIONS;
use super::Judge;

/// A table that stays full is told of this often: a person acts on it once.
const TOLD_EVERY: Span = Span::hours(1);

/// A table that the `memory` setting limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// Flows that may be contacts.
    Candidates,
    /// All other flows.
    OtherFlows,
    /// Queries that wait for their answers.
    Queries,
    /// Octets of DNS over TCP.
    Streams,
    /// Octets of datagrams in fragments.
    Fragments,
    /// Contacts that wait for their names.
    Waiting,
    /// Evidence.
    Names,
    /// Pairs in memory.
    Pairs,
    /// Facts of this kind, across partitions.
    Facts(&'static str),
}

impl Table {
    fn text(self, limits: &Limits) -> String {
        let per_partition = format!(" in each of {PARTITIONS} partitions");
        let (what, limit, of, so) = match self {
            Self::Candidates => (
                "flows that may be contacts",
                limits.candidates,
                &*per_partition,
                "flows end early and their contacts are judged at once",
            ),
            Self::OtherFlows => ("other flows", limits.others, &*per_partition, "flows end early"),
            Self::Queries => (
                "queries",
                limits.queries,
                &*per_partition,
                "the oldest are forgotten and their answers come unasked",
            ),
            Self::Streams => (
                "octets of DNS over TCP",
                limits.streams,
                &*per_partition,
                "the oldest streams are forgotten and their answers lost",
            ),
            Self::Fragments => (
                "octets of datagrams in fragments",
                limits.fragments,
                "",
                "the oldest are given up",
            ),
            Self::Waiting => (
                "waiting contacts",
                limits.open,
                "",
                "contacts are judged before their names may have come",
            ),
            Self::Names => (
                "octets of names",
                limits.names,
                "",
                "the oldest are forgotten and contacts may go unexplained",
            ),
            Self::Pairs => (
                "pairs in memory",
                limits.pairs,
                "",
                "workloads that come back are read from the ledger again",
            ),
            Self::Facts(what) => (what, limits.listening, "", "the oldest are forgotten"),
        };
        format!("the table of {what} is full at {limit}{of}: {so}; raise `memory` in the settings")
    }
}

/// When which full table was told of.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<Table, Timestamp>);

impl Told {
    /// Says whether a full table is to be told of now, and notes that it is.
    fn is_due(&mut self, table: Table, now: Timestamp) -> bool {
        let is_due = self.0.get(&table).is_none_or(|told| now.since(*told) >= TOLD_EVERY);
        if is_due {
            self.0.insert(table, now);
        }
        is_due
    }

    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        for told in self.0.values_mut() {
            *told = told.plus(span);
        }
    }
}

/// How many flows were evicted within an epoch, all partitions together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evicted {
    pub candidates: u64,
    pub others: u64,
}

impl Judge {
    /// Tells of a table that was full, unless that was told a short while ago.
    pub(super) fn tell_full(&mut self, table: Table, now: Timestamp) {
        if self.full.is_due(table, now) {
            let text = table.text(&self.limits);
            self.tell(now, EventKind::TableFull, text);
        }
    }

    /// Tells of the partitions' and the decoder's tables that were full in this epoch.
    pub(super) fn tell_full_partitions(&mut self, evicted: Evicted, now: Timestamp) {
        let queries = self.out.counters.get(Counter::DnsQueriesEvicted);
        let tables = [
            (Table::Candidates, evicted.candidates),
            (Table::OtherFlows, evicted.others),
            (Table::Queries, queries),
            (Table::Streams, self.out.counters.get(Counter::DnsStreamsEvicted)),
            (Table::Fragments, self.out.counters.get(Counter::FragmentsEvicted)),
        ];
        for (table, n) in tables {
            if n > 0 {
                self.tell_full(table, now);
            }
        }
    }
}
