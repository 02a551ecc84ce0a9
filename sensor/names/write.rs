//! Writing evidence into the map.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use dashmap::mapref::one::RefMut;
use smallvec::SmallVec;

use crate::model::{Address, AnswerFacts, NameRecord, NameView, NameWriter, Provenance};

use super::found::{Answer, Found, Group, Leading};
use super::given::{Given, NAMES_A_CLIENT};
use super::interner::{Interner, Origin};
use super::map::{Client, Names};
use super::near::AHEAD;
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
        let mut groups = found.groups();
        loop {
            let some: SmallVec<[(&Group, &[Answer]); AHEAD]> = groups.by_ref().take(AHEAD).collect();
            if some.is_empty() {
                break;
            }
            let origins = origins(found, &some, interner);
            let hashes: SmallVec<[u64; 4 * AHEAD]> = some
                .iter()
                .flat_map(|(_, answers)| answers.iter().map(|answer| self.hash_of(answer.address)))
                .collect();
            self.look_ahead_to_write(&some, &origins, &hashes, interner);
            let mut hashes = hashes.into_iter();
            for ((group, answers), origin) in some.iter().zip(&origins) {
                let Some((provenance, hash)) = interner.with_hash(*origin) else {
                    continue;
                };
                let client = (group.segment, group.client);
                let mut given = self.client(client);
                let place = writing.place(&mut given, provenance, hash);
                for (answer, hash) in answers.iter().zip(&mut hashes) {
                    let address = (answer.address, hash);
                    let facts = answer.facts(group.at);
                    if let Some(facts) = writing.write(client, &mut given, place, address, &facts) {
                        writer.add(&NameView {
                            segment: group.segment,
                            client: group.client,
                            provenance,
                            origin: origin.0,
                            address: answer.address,
                            facts,
                        });
                    }
                }
            }
        }
        drop(groups);
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
            let place = writing.place(&mut given, provenance, self.hasher.hash_one(&*provenance.name));
            let address = (piece.address, self.hash_of(piece.address));
            let due = writing.write(client, &mut given, place, address, &piece.evidence.facts);
            if let Some(facts) = due {
                piece.evidence.facts = facts;
            }
            due.is_some()
        });
        writing.finish();
    }

    /// Brings near what a few groups will be written to. Other threads write as well, so nothing here waits for a lock.
    fn look_ahead_to_write(
        &self,
        groups: &[(&Group, &[Answer])],
        origins: &[Origin],
        hashes: &[u64],
        interner: &Interner,
    ) {
        let given: SmallVec<[_; AHEAD]> = groups
            .iter()
            .map(|(group, _)| self.clients.try_get(&(group.segment, group.client)).try_unwrap())
            .collect();
        let (mut near, mut hashes) = (0, hashes);
        for (((_, answers), given), origin) in groups.iter().zip(&given).zip(origins) {
            let (own, rest) = hashes.split_at_checked(answers.len()).unwrap_or_default();
            hashes = rest;
            if let Some(given) = given
                && let Some((provenance, name_hash)) = interner.with_hash(*origin)
            {
                near ^= provenance.chain.len() as u64;
                near ^= own.iter().fold(given.touch_ends(name_hash), |near, hash| {
                    near ^ given.touch_index(*hash)
                });
            }
        }
        // The names themselves go to the ledger with what is new.
        for origin in origins {
            let name = interner
                .get(*origin)
                .and_then(|provenance| provenance.name.bytes().next());
            near ^= u64::from(name.unwrap_or_default());
        }
        black_box(near);
    }

    /// Returns what a client was given; no other may be held at the same time.
    fn client(&self, client: Client) -> RefMut<'_, Client, Given> {
        self.clients.entry(client).or_insert_with(|| {
            let number = self.numbers.write().unwrap_or_else(PoisonError::into_inner).add(client);
            Given::new(number)
        })
    }
}

/// Returns what stands for what led to the addresses of a few groups, in steps in which none waits for another.
fn origins(found: &Found, groups: &[(&Group, &[Answer])], interner: &mut Interner) -> SmallVec<[Origin; AHEAD]> {
    let hashes = groups.iter().filter_map(|(group, _)| match group.leading {
        Leading::Origin(_) => None,
        Leading::Name { hash, .. } => Some(hash),
    });
    black_box(hashes.clone().fold(0, |near, hash| near ^ interner.touch_index(hash)));
    black_box(hashes.fold(0, |near, hash| near ^ interner.touch_copy(hash)));
    let origin = |(group, _): &(&Group, _)| match group.leading {
        Leading::Origin(origin) => origin,
        Leading::Name {
            hash,
            server,
            start,
            end,
        } => interner.intern_hashed(hash, found.text(start, end), server, Box::default),
    };
    groups.iter().map(origin).collect()
}

/// What is noted beside the clients while evidence is written.
struct Writing<'a> {
    names: &'a Names,
    added: usize,
    provenances: usize,
    entries: Vec<u64>,
}

impl<'a> Writing<'a> {
    fn new(names: &'a Names, expected: usize) -> Self {
        Self {
            names,
            added: 0,
            provenances: 0,
            entries: Vec::with_capacity(expected),
        }
    }

    /// Returns the place of a provenance of a client.
    fn place(&mut self, given: &mut Given, provenance: &Arc<Provenance>, hash: u64) -> u32 {
        let before = given.provenances();
        let place = given.place(provenance, hash);
        self.provenances += given.provenances() - before;
        place
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
        self.names.provenances.fetch_add(self.provenances, Ordering::Relaxed);
    }
}
