//! What one client was told: names by address, and when it last used which name.

use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::model::{Address, Admission, Arrival, Chunked, Evidence, EvidenceKind, Provenance, Span, Timestamp};

use super::life::{SAVED_EVERY, kept_until, used_until};

/// How many names of one client an address keeps; a further one drops the one answered longest ago.
pub const NAMES_A_CLIENT: usize = 16;

/// The hasher of the tables within a client.
pub(super) type Hasher = foldhash::fast::RandomState;

/// One piece of evidence, and when it was last handed to the ledger.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub address: Address,
    provenance: Arc<Provenance>,
    /// The name's place among the names of the client.
    place: u32,
    pub first: Timestamp,
    pub last: Timestamp,
    expires: Timestamp,
    arrival: Arrival,
    saved: Timestamp,
    ttl: u32,
    greatest_ttl: u32,
    kind: EvidenceKind,
    admission: Admission,
}

impl Known {
    fn new(address: Address, place: u32, evidence: Evidence) -> Self {
        Self {
            address,
            place,
            provenance: evidence.provenance,
            first: evidence.first,
            last: evidence.last,
            expires: evidence.expires,
            arrival: evidence.arrival,
            saved: evidence.last,
            ttl: evidence.ttl,
            greatest_ttl: evidence.greatest_ttl,
            kind: evidence.kind,
            admission: evidence.admission,
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.provenance.name
    }

    /// Says whether a query was seen for it, or could not have been.
    pub fn counts(&self) -> bool {
        self.admission == Admission::Admitted
    }

    /// Returns until when it is kept at all.
    pub fn kept_until(&self) -> Timestamp {
        kept_until(self.last, self.greatest_ttl, self.expires)
    }

    /// What a client's names are sorted by where there are too many.
    fn rank(&self) -> (bool, Timestamp, Reverse<&Arc<str>>) {
        (self.counts(), self.last, Reverse(self.name()))
    }

    fn evidence(&self, client: Address, expires: Timestamp) -> Evidence {
        Evidence {
            provenance: Arc::clone(&self.provenance),
            client,
            kind: self.kind,
            admission: self.admission,
            ttl: self.ttl,
            greatest_ttl: self.greatest_ttl,
            first: self.first,
            last: self.last,
            expires,
            arrival: self.arrival,
        }
    }

    /// Merges new evidence: least first answer, greatest last answer and expiry, the rest from the later frame.
    ///
    /// Answers that count and those that nobody asked for are never mixed: one that counts replaces all that do not, and
    /// those neither prolong nor change it.
    fn merge(&mut self, new: &Evidence) {
        match (self.admission, new.admission) {
            (Admission::Admitted, Admission::Unsolicited) => return,
            (Admission::Unsolicited, Admission::Admitted) => {
                *self = Self {
                    saved: self.saved,
                    ..Self::new(self.address, self.place, new.clone())
                };
                return;
            }
            _ => {}
        }
        self.first = self.first.min(new.first);
        self.last = self.last.max(new.last);
        self.expires = self.expires.max(new.expires);
        self.greatest_ttl = self.greatest_ttl.max(new.greatest_ttl);
        if new.arrival > self.arrival {
            self.arrival = new.arrival;
            self.ttl = new.ttl;
            self.kind = new.kind;
            if !Arc::ptr_eq(&self.provenance, &new.provenance) {
                self.provenance = Arc::clone(&new.provenance);
            }
        }
    }
}

/// A name that a client was given, and its last use, which renews every address of the name (rule N3).
#[derive(Debug)]
struct Name {
    /// Whose name it is.
    provenance: Arc<Provenance>,
    used: Option<Use>,
}

/// The last use of a name by a client.
#[derive(Debug, Clone, Copy)]
struct Use {
    last: Timestamp,
    /// The use, or else the answer, that the ledger knows of.
    saved: Timestamp,
}

/// What writing a piece of evidence did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// How many names the client has for the address, if this is a further one; `None` if it was merged.
    pub added: Option<usize>,
    /// Whether the ledger should get the evidence: because it is new, or because the stored one is old.
    pub is_due: bool,
}

/// What one client was told.
#[derive(Debug)]
pub(super) struct Given {
    /// Stands for the client in the index by address.
    pub number: u32,
    known: Chunked<Known>,
    by_address: HashTable<u32>,
    names: Vec<Name>,
    by_name: HashTable<u32>,
}

impl Given {
    pub const fn new(number: u32) -> Self {
        Self {
            number,
            known: Chunked::new(),
            by_address: HashTable::new(),
            names: Vec::new(),
            by_name: HashTable::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn known(&self) -> impl Iterator<Item = &Known> {
        self.known.iter()
    }

    /// Returns the place of the name that evidence is for.
    pub fn name(&mut self, provenance: &Arc<Provenance>, hasher: &Hasher) -> u32 {
        let hash = hasher.hash_one(&*provenance.name);
        if let Some(place) = self.place_of(provenance, hash) {
            return place;
        }
        let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(Name {
            provenance: Arc::clone(provenance),
            used: None,
        });
        let names = &self.names;
        self.by_name
            .insert_unique(hash, place, |&place| hash_of_name(names, place, hasher));
        place
    }

    fn place_of(&self, provenance: &Arc<Provenance>, hash: u64) -> Option<u32> {
        let is_it = |&place: &u32| {
            self.names.get(place as usize).is_some_and(|name| {
                Arc::ptr_eq(&name.provenance, provenance) || name.provenance.name == provenance.name
            })
        };
        self.by_name.find(hash, is_it).copied()
    }

    /// Adds a piece of evidence for the name at `place`, or merges it with what is known of the same name and address.
    pub fn write(&mut self, address: Address, place: u32, evidence: &Evidence, hasher: &Hasher) -> Written {
        let hash = hasher.hash_one(address);
        let mut names = 0;
        let mut same = None;
        for &slot in self.by_address.iter_hash(hash) {
            let known = self.known.get(slot as usize).filter(|known| known.address == address);
            let Some(known) = known else { continue };
            names += 1;
            if known.place == place {
                same = Some(slot);
                break;
            }
        }
        if let Some(known) = same.and_then(|slot| self.known.get_mut(slot as usize)) {
            known.merge(evidence);
            let is_due = known.last.since(known.saved) >= SAVED_EVERY;
            if is_due {
                known.saved = known.last;
            }
            return Written { added: None, is_due };
        }
        let slot = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.push(Known::new(address, place, evidence.clone()));
        let known = &self.known;
        self.by_address
            .insert_unique(hash, slot, |&slot| hash_in(known, slot, hasher));
        Written {
            added: Some(names + 1),
            is_due: true,
        }
    }

    /// Returns what is known of an address. What its answers let end before `at` lives as long as its name is used.
    pub fn of(
        &self,
        address: Address,
        client: Address,
        at: Timestamp,
        hasher: &Hasher,
    ) -> impl Iterator<Item = Evidence> {
        let slots = self.by_address.iter_hash(hasher.hash_one(address));
        let known = slots.filter_map(|&slot| self.known.get(slot as usize));
        known.filter(move |known| known.address == address).map(move |known| {
            let expires = if known.expires < at {
                self.lives_until(known)
            } else {
                known.expires
            };
            known.evidence(client, expires)
        })
    }

    fn lives_until(&self, known: &Known) -> Timestamp {
        let used = self.names.get(known.place as usize).and_then(|name| name.used);
        let used = used.map(|used| used_until(used.last, known.ttl, known.last, known.greatest_ttl));
        used.map_or(known.expires, |used| used.max(known.expires))
    }

    /// Notes that a name explained a contact with an address at `at`. Returns the evidence as it stands now if the ledger
    /// should know, so that a restart does not take a name in use for an expired one.
    pub fn renew(&mut self, address: Address, evidence: &Evidence, at: Timestamp, hasher: &Hasher) -> Option<Evidence> {
        let is_it = |&&slot: &&u32| {
            let known = self.known.get(slot as usize);
            known.is_some_and(|known| known.address == address && known.name() == evidence.name())
        };
        let slot = *self.by_address.iter_hash(hasher.hash_one(address)).find(is_it)?;
        let known = self.known.get(slot as usize)?;
        let used = &mut self.names.get_mut(known.place as usize)?.used;
        let used = used.get_or_insert(Use {
            last: at,
            saved: evidence.last,
        });
        used.last = at.max(used.last);
        if used.last.since(used.saved.max(evidence.last)) < SAVED_EVERY {
            return None;
        }
        used.saved = used.last;
        Some(known.evidence(evidence.client, self.lives_until(known)))
    }

    /// Returns the evidence of the name at `place` for an address, as the ledger keeps it.
    pub fn saved(&self, address: Address, place: u32, client: Address, hasher: &Hasher) -> Option<Evidence> {
        let slots = self.by_address.iter_hash(hasher.hash_one(address));
        let mut known = slots.filter_map(|&slot| self.known.get(slot as usize));
        let known = known.find(|known| known.address == address && known.place == place)?;
        Some(known.evidence(client, self.lives_until(known)))
    }

    /// Keeps at most [`NAMES_A_CLIENT`] names for an address: those that count, answered last, then the smaller names.
    /// Returns how many went.
    pub fn bound(&mut self, address: Address, hasher: &Hasher) -> usize {
        let of_address = self.known.iter().filter(|known| known.address == address);
        let mut ranks: Vec<_> = of_address.map(Known::rank).collect();
        let surplus = ranks.len().saturating_sub(NAMES_A_CLIENT);
        if surplus == 0 {
            return 0;
        }
        ranks.sort_unstable();
        let Some((counts, last, Reverse(name))) = ranks.get(surplus).copied() else {
            return 0;
        };
        let name = Arc::clone(name);
        let least = (counts, last, Reverse(&name));
        self.drop_where(|known| known.address == address && known.rank() < least, hasher)
    }

    /// Drops evidence, and uses of names that are not known any more; returns how much went.
    pub fn drop_where(&mut self, mut is_over: impl FnMut(&Known) -> bool, hasher: &Hasher) -> usize {
        let before = self.known.len();
        self.known.retain(|known| !is_over(known));
        let dropped = before - self.known.len();
        if dropped == 0 {
            return dropped;
        }
        let names = std::mem::take(&mut self.names);
        self.by_name = HashTable::new();
        for slot in 0..self.known.len() {
            let Some(provenance) = self.known.get(slot).map(|known| Arc::clone(&known.provenance)) else {
                continue;
            };
            let place = self.name(&provenance, hasher);
            let Some(known) = self.known.get_mut(slot) else {
                continue;
            };
            let used = names.get(known.place as usize).and_then(|name| name.used);
            known.place = place;
            if let Some(name) = self.names.get_mut(place as usize) {
                name.used = used;
            }
        }
        self.by_address = HashTable::with_capacity(self.known.len());
        let known = &self.known;
        for (slot, own) in (0_u32..).zip(known.iter()) {
            let hash = hasher.hash_one(own.address);
            self.by_address
                .insert_unique(hash, slot, |&slot| hash_in(known, slot, hasher));
        }
        dropped
    }

    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        for known in self.known.iter_mut() {
            for time in [&mut known.first, &mut known.last, &mut known.expires, &mut known.saved] {
                *time = time.plus(span);
            }
        }
        for used in self.names.iter_mut().filter_map(|name| name.used.as_mut()) {
            used.last = used.last.plus(span);
            used.saved = used.saved.plus(span);
        }
    }
}

fn hash_in(known: &Chunked<Known>, slot: u32, hasher: &Hasher) -> u64 {
    known
        .get(slot as usize)
        .map_or(0, |known| hasher.hash_one(known.address))
}

fn hash_of_name(names: &[Name], place: u32, hasher: &Hasher) -> u64 {
    names
        .get(place as usize)
        .map_or(0, |name| hasher.hash_one(&*name.provenance.name))
}
