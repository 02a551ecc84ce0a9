//! Writing evidence into the map.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use dashmap::mapref::one::RefMut;
use smallvec::SmallVec;

use crate::model::{Address, AnswerFacts, NameRecord, NameView, NameWriter};

use super::found::Found;
use super::given::{Given, NAMES_A_CLIENT};
use super::interner::Interner;
use super::map::{Client, Names};
use super::told;

impl Names {
    /// Returns what keeps the copies of a worker's provenances.
    #[must_use]
    pub fn interner(&self) -> Interner {
        Interner::new(Arc::clone(&self.shared), self.hasher.clone())
    }

    /// Adds what responses gave, or merges it with what is known of the same client, name and address. What should go to
    /// the ledger, because it is new or because the stored one is old, goes to `writer` as it stands now. Nothing is left
    /// in `found`.
    pub fn write_found(&self, found: &mut Found, interner: &mut Interner, writer: &mut dyn NameWriter) {
        let mut writing = Writing::new(self, found.len());
        for (group, answers) in found.groups() {
            let Some((provenance, hash)) = interner.with_hash(group.origin) else {
                continue;
            };
            let client = (group.segment, group.client);
            let answers: SmallVec<[(Address, u64, AnswerFacts); 4]> = answers
                .map(|(address, facts)| (address, self.hash_of(address), facts))
                .collect();
            let mut given = self.client(client);
            // All places at once, so that none waits for another.
            let near = answers
                .iter()
                .fold(0, |near, (_, hash, _)| near ^ given.touch_index(*hash));
            black_box(near);
            let place = given.place(provenance, hash);
            for (address, hash, facts) in answers {
                if let Some(facts) = writing.write(client, &mut given, place, (address, hash), &facts) {
                    writer.add(&NameView {
                        segment: group.segment,
                        client: group.client,
                        provenance,
                        origin: group.origin.0,
                        address,
                        facts,
                    });
                }
            }
        }
        writing.finish();
        found.clear();
        interner.purge();
    }

    /// Adds evidence, or merges it with what is known of the same client, name and address. What should go to the ledger,
    /// because it is new or because the stored one is old, is left in `pieces` as it stands now.
    pub fn write(&self, pieces: &mut Vec<NameRecord>) {
        let mut writing = Writing::new(self, pieces.len());
        pieces.retain_mut(|piece| {
            let client = (piece.segment, piece.evidence.client);
            let provenance = &piece.evidence.provenance;
            let mut given = self.client(client);
            let place = given.place(provenance, self.hasher.hash_one(&*provenance.name));
            let address = (piece.address, self.hash_of(piece.address));
            let due = writing.write(client, &mut given, place, address, &piece.evidence.facts);
            if let Some(facts) = due {
                piece.evidence.facts = facts;
            }
            due.is_some()
        });
        writing.finish();
    }

    /// Returns what a client was given; no other may be held at the same time.
    fn client(&self, client: Client) -> RefMut<'_, Client, Given> {
        self.clients.entry(client).or_insert_with(|| {
            let number = self.numbers.write().unwrap_or_else(PoisonError::into_inner).add(client);
            Given::new(number)
        })
    }
}

/// What is noted beside the clients while evidence is written.
struct Writing<'a> {
    names: &'a Names,
    added: usize,
    entries: Vec<u64>,
}

impl<'a> Writing<'a> {
    fn new(names: &'a Names, expected: usize) -> Self {
        Self {
            names,
            added: 0,
            entries: Vec::with_capacity(expected),
        }
    }

    /// Writes one piece of a client's; returns what the ledger should get, if it should.
    fn write(
        &mut self,
        client: Client,
        given: &mut Given,
        place: u32,
        (address, hash): (Address, u64),
        facts: &AnswerFacts,
    ) -> Option<AnswerFacts> {
        let written = given.write(place, address, hash, facts);
        if let Some(names) = written.added {
            self.added += 1;
            if names == 1 {
                self.entries.push(told::entry(hash, given.number));
            } else if names > NAMES_A_CLIENT {
                let overfull = &self.names.overfull;
                let mut overfull = overfull.lock().unwrap_or_else(PoisonError::into_inner);
                overfull.push((client.0, address, client.1));
            }
        }
        written.due
    }

    fn finish(self) {
        self.names.told.extend(&self.entries);
        self.names.len.fetch_add(self.added, Ordering::Relaxed);
    }
}
