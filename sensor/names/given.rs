//! What one client was told: names by address, and when it last used which name.

use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use crate::model::{Address, Admission, Arrival, Evidence, EvidenceKind, Provenance, Span, Timestamp};

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
    fn new(address: Address, evidence: Evidence) -> Self {
        Self {
            address,
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
                    ..Self::new(self.address, new.clone())
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

/// The last use of a name by a client: it renews every address that the client was given for the name (rule N3).
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
    known: Vec<Known>,
    index: HashTable<u32>,
    uses: HashMap<Arc<str>, Use, Hasher>,
}

impl Given {
    pub fn new(number: u32, hasher: &Hasher) -> Self {
        Self {
            number,
            known: Vec::new(),
            index: HashTable::new(),
            uses: HashMap::with_hasher(hasher.clone()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// Adds a piece of evidence, or merges it with what is known of the same name and address.
    pub fn write(&mut self, address: Address, evidence: &Evidence, hasher: &Hasher) -> Written {
        let hash = hasher.hash_one(address);
        let mut names = 0;
        let mut same = None;
        for &slot in self.index.iter_hash(hash) {
            let Some(known) = self.known.get(slot as usize) else {
                continue;
            };
            if known.address != address {
                continue;
            }
            names += 1;
            if Arc::ptr_eq(&known.provenance, &evidence.provenance) || known.name() == evidence.name() {
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
        self.known.push(Known::new(address, evidence.clone()));
        let known = &self.known;
        self.index
            .insert_unique(hash, slot, |&slot| hash_in(known, slot, hasher));
        Written {
            added: Some(names + 1),
            is_due: true,
        }
    }

    /// Returns what is known of an address, each with its life by answers and by use.
    pub fn of(&self, address: Address, client: Address, hasher: &Hasher) -> impl Iterator<Item = Evidence> {
        let slots = self.index.iter_hash(hasher.hash_one(address));
        let known = slots.filter_map(|&slot| self.known.get(slot as usize));
        known
            .filter(move |known| known.address == address)
            .map(move |known| known.evidence(client, self.lives_until(known)))
    }

    /// Returns the evidence of a name for an address as it stands.
    pub fn one(&self, address: Address, name: &str, client: Address, hasher: &Hasher) -> Option<Evidence> {
        let mut all = self.of(address, client, hasher);
        all.find(|evidence| **evidence.name() == *name)
    }

    fn lives_until(&self, known: &Known) -> Timestamp {
        let used = self.uses.get(known.name());
        let used = used.map(|used| used_until(used.last, known.ttl, known.last, known.greatest_ttl));
        used.map_or(known.expires, |used| used.max(known.expires))
    }

    /// Notes that a name explained a contact at `at`; says whether the ledger should know, so that a restart does not
    /// take a name in use for an expired one.
    pub fn renew(&mut self, evidence: &Evidence, at: Timestamp) -> bool {
        let fresh = Use {
            last: at,
            saved: evidence.last,
        };
        let used = match self.uses.get_mut(evidence.name()) {
            Some(used) => used,
            None => self.uses.entry(Arc::clone(evidence.name())).or_insert(fresh),
        };
        used.last = at.max(used.last);
        let is_due = used.last.since(used.saved.max(evidence.last)) >= SAVED_EVERY;
        if is_due {
            used.saved = used.last;
        }
        is_due
    }

    /// Keeps at most [`NAMES_A_CLIENT`] names for an address: those that count, answered last, then the smaller names.
    pub fn bound(&mut self, address: Address, hasher: &Hasher) -> Vec<Known> {
        let of_address = self.known.iter().filter(|known| known.address == address);
        let mut ranks: Vec<_> = of_address.map(Known::rank).collect();
        let surplus = ranks.len().saturating_sub(NAMES_A_CLIENT);
        if surplus == 0 {
            return Vec::new();
        }
        ranks.sort_unstable();
        let Some((counts, last, Reverse(name))) = ranks.get(surplus).copied() else {
            return Vec::new();
        };
        let name = Arc::clone(name);
        let least = (counts, last, Reverse(&name));
        self.drop_where(|known| known.address == address && known.rank() < least, hasher)
    }

    /// Drops evidence, and uses of names that are not known any more; returns what went.
    pub fn drop_where(&mut self, mut is_over: impl FnMut(&Known) -> bool, hasher: &Hasher) -> Vec<Known> {
        let dropped: Vec<Known> = self.known.extract_if(.., |known| is_over(known)).collect();
        if dropped.is_empty() {
            return dropped;
        }
        self.known.shrink_to(self.known.len() * 2);
        self.index = HashTable::with_capacity(self.known.len());
        let known = &self.known;
        for (slot, own) in (0_u32..).zip(known) {
            let hash = hasher.hash_one(own.address);
            self.index
                .insert_unique(hash, slot, |&slot| hash_in(known, slot, hasher));
        }
        let names: hashbrown::HashSet<&Arc<str>, Hasher> = self.known.iter().map(Known::name).collect();
        self.uses.retain(|name, _| names.contains(name));
        dropped
    }

    /// Says whether anything is known of an address.
    pub fn knows(&self, address: Address, hasher: &Hasher) -> bool {
        let is_it = |&slot: &u32| {
            self.known
                .get(slot as usize)
                .is_some_and(|known| known.address == address)
        };
        self.index.find(hasher.hash_one(address), is_it).is_some()
    }

    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        for known in &mut self.known {
            for time in [&mut known.first, &mut known.last, &mut known.expires, &mut known.saved] {
                *time = time.plus(span);
            }
        }
        for used in self.uses.values_mut() {
            used.last = used.last.plus(span);
            used.saved = used.saved.plus(span);
        }
    }
}

fn hash_in(known: &[Known], slot: u32, hasher: &Hasher) -> u64 {
    known
        .get(slot as usize)
        .map_or(0, |known| hasher.hash_one(known.address))
}
