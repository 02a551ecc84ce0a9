//! What responses gave, until the end of the epoch.

use crate::model::{Address, AnswerFacts, EvidenceKind, Segment, Timestamp};

use super::interner::Origin;

/// What led to the addresses of a group.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leading {
    /// What stands for it among a worker's copies.
    Origin(Origin),
    /// The name that was asked itself; its copy is looked for at the mark, many at a time.
    Name {
        /// The hash of all that the copy is made from.
        hash: u64,
        server: Address,
        /// Where the name stands among the texts.
        start: usize,
        end: usize,
    },
}

/// Addresses that one client was given at once by one name.
#[derive(Debug)]
pub(super) struct Group {
    pub segment: Segment,
    pub client: Address,
    pub leading: Leading,
    pub at: Timestamp,
    /// How many answers it has.
    pub count: u32,
}

/// One address, until a worker knows who else was told of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub address: Address,
    ttl: u32,
    kind: EvidenceKind,
}

impl Answer {
    /// Returns what one that was given at `at` says.
    pub fn facts(&self, at: Timestamp) -> AnswerFacts {
        AnswerFacts::one(self.kind, self.ttl, at)
    }
}

/// The answers of an epoch that count, as one worker met them.
#[derive(Debug, Default)]
pub struct Found {
    groups: Vec<Group>,
    answers: Vec<Answer>,
    /// The names of groups, one after the other.
    texts: String,
}

impl Found {
    /// Begins with what a client was told by one response and one chain.
    pub fn begin(&mut self, segment: Segment, client: Address, origin: Origin, at: Timestamp) {
        self.begin_group((segment, client), Leading::Origin(origin), at);
    }

    /// Begins with what a server told a client of the name that it asked for; `hash` is [`super::Interner::hash`]'s.
    pub fn begin_asked(&mut self, client: (Segment, Address), name: &str, server: Address, hash: u64, at: Timestamp) {
        let start = self.texts.len();
        self.texts.push_str(name);
        let leading = Leading::Name {
            hash,
            server,
            start,
            end: self.texts.len(),
        };
        self.begin_group(client, leading, at);
    }

    fn begin_group(&mut self, (segment, client): (Segment, Address), leading: Leading, at: Timestamp) {
        self.groups.push(Group {
            segment,
            client,
            leading,
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
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Group, &[Answer])> {
        let mut answers = self.answers.as_slice();
        self.groups.iter().map(move |group| {
            let (own, rest) = answers.split_at_checked(group.count as usize).unwrap_or_default();
            answers = rest;
            (group, own)
        })
    }

    /// Returns the name that stands there.
    pub(super) fn text(&self, start: usize, end: usize) -> &str {
        self.texts.get(start..end).unwrap_or_default()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.answers.clear();
        self.texts.clear();
    }
}
