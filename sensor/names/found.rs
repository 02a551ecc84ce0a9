//! What responses gave, until the end of the epoch.

use crate::model::{Address, AnswerFacts, EvidenceKind, Segment, Timestamp};

use super::interner::Origin;

/// Addresses that one client was given at once by one name.
#[derive(Debug)]
pub(super) struct Group {
    pub segment: Segment,
    pub client: Address,
    pub origin: Origin,
    pub at: Timestamp,
    /// How many answers it has.
    pub count: u32,
}

/// One address, until a worker knows who else was told of it.
#[derive(Debug)]
struct Answer {
    address: Address,
    ttl: u32,
    kind: EvidenceKind,
}

/// The answers of an epoch that count, as one worker met them.
#[derive(Debug, Default)]
pub struct Found {
    groups: Vec<Group>,
    answers: Vec<Answer>,
}

impl Found {
    /// Begins with what a client was told by one response and one chain.
    pub fn begin(&mut self, segment: Segment, client: Address, origin: Origin, at: Timestamp) {
        self.groups.push(Group {
            segment,
            client,
            origin,
            at,
            count: 0,
        });
    }

    /// Adds an address to what was begun, with its time to live in seconds.
    pub fn add(&mut self, address: Address, ttl: u32, kind: EvidenceKind) {
        if let Some(group) = self.groups.last_mut() {
            group.count += 1;
            self.answers.push(Answer { address, ttl, kind });
        }
    }

    /// Returns the addresses.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = Address> {
        self.answers.iter().map(|answer| answer.address)
    }

    /// Returns how many addresses there are.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Returns each group with its addresses.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Group, impl Iterator<Item = (Address, AnswerFacts)>)> {
        let mut answers = self.answers.as_slice();
        self.groups.iter().map(move |group| {
            let (own, rest) = answers.split_at_checked(group.count as usize).unwrap_or_default();
            answers = rest;
            let facts = |answer: &Answer| AnswerFacts::one(answer.kind, answer.ttl, group.at);
            (group, own.iter().map(move |answer| (answer.address, facts(answer))))
        })
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.answers.clear();
    }
}
