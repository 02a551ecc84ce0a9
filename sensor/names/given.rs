//! What one client was told: names by address, and when it last used which name.

use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::model::{Address, AnswerFacts, Chunked, Evidence, Places, Provenance, Span, Timestamp};

use super::known::{Known, Piece, Rank, Rest, due_after, minute, shifted};

/// How many names of one client an address keeps; a further one drops the one answered longest ago.
pub const NAMES_A_CLIENT: usize = 16;

/// The hasher of the tables within a client.
pub(super) type Hasher = foldhash::fast::RandomState;

/// A provenance that a client was given, and the last use of its name, which renews every address of the name (rule N3);
/// 24 octets, since there are millions.
#[derive(Debug)]
struct Named {
    provenance: Arc<Provenance>,
    /// The last use; [`Timestamp::MIN`] if there was none.
    used: Timestamp,
    /// The first place with the same name: uses are noted there.
    first: u32,
    /// The minute of the use, or else the answer, that the ledger knows of.
    saved: i32,
}

/// What writing a piece of evidence did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// How many names the client has for the address, if this is a further one; `None` if it was merged.
    pub added: Option<usize>,
    /// What the ledger should get, if it should: because it is new, or because the stored evidence is old.
    pub due: Option<AnswerFacts>,
}

/// What went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dropped {
    /// Pieces of evidence.
    pub pieces: usize,
    /// Provenances that no other piece of the client has.
    pub provenances: usize,
}

/// What one client was told.
#[derive(Debug)]
pub(super) struct Given {
    /// Stands for the client in the index by address.
    pub number: u32,
    known: Chunked<Known>,
    long: Vec<Rest>,
    by_address: Places,
    named: Chunked<Named>,
    by_name: Places,
}

impl Given {
    pub const fn new(number: u32) -> Self {
        Self {
            number,
            known: Chunked::new(),
            long: Vec::new(),
            by_address: Places::new(),
            named: Chunked::new(),
            by_name: Places::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns how many provenances the client has.
    pub fn provenances(&self) -> usize {
        self.named.len()
    }

    /// Returns every piece of evidence as those who drop some look at it.
    pub fn ranks(&self) -> impl Iterator<Item = Rank<'_>> {
        self.known.iter().filter_map(|known| self.rank(known))
    }

    fn rank(&self, known: &Known) -> Option<Rank<'_>> {
        let named = self.named.get(known.place() as usize)?;
        Some(known.unpack(&self.long).0.rank(&named.provenance.name, known.address))
    }

    /// Returns the place of a provenance, which it gets if it is new to the client; `hash` is that of its name.
    pub fn place(&mut self, provenance: &Arc<Provenance>, hash: u64) -> u32 {
        let mut first = None;
        for at in self.by_name.of(hash) {
            let Some(named) = self.named.get(at as usize) else {
                continue;
            };
            if Arc::ptr_eq(&named.provenance, provenance) || named.provenance == *provenance {
                return at;
            }
            if named.provenance.name == provenance.name {
                first = Some(named.first);
            }
        }
        let place = self.named.len() as u32;
        self.named.push(Named {
            provenance: Arc::clone(provenance),
            used: Timestamp::MIN,
            first: first.unwrap_or(place),
            saved: i32::MIN,
        });
        self.by_name.insert(hash, place);
        place
    }

    fn first_of(&self, place: u32) -> Option<u32> {
        self.named.get(place as usize).map(|named| named.first)
    }

    /// Returns where the evidence for an address by the name of a provenance stands, and how many names the address has if
    /// there is none.
    fn find(&self, address: Address, place: u32, hash: u64) -> Result<usize, usize> {
        let first = self.first_of(place);
        let mut names = 0;
        for at in self.by_address.of(hash) {
            let Some(known) = self.known.get(at as usize).filter(|known| known.address == address) else {
                continue;
            };
            if known.place() == place || self.first_of(known.place()) == first {
                return Ok(at as usize);
            }
            names += 1;
        }
        Err(names)
    }

    /// Adds a piece of evidence with the provenance at `place`, or merges it with what is known of the same name and
    /// address; `hash` is the address's.
    pub fn write(&mut self, place: u32, address: Address, hash: u64, facts: &AnswerFacts) -> Written {
        match self.find(address, place, hash) {
            Ok(at) => Written {
                added: None,
                due: self.merge(at, place, facts),
            },
            Err(names) => {
                let at = self.known.len() as u32;
                let piece = Piece::new(place, facts);
                self.known.push(Known::pack(address, &piece, &mut self.long, None));
                self.by_address.insert(hash, at);
                Written {
                    added: Some(names + 1),
                    due: Some(*facts),
                }
            }
        }
    }

    /// Merges evidence with what stands at `at`; returns what the ledger should get, if it should.
    fn merge(&mut self, at: usize, place: u32, facts: &AnswerFacts) -> Option<AnswerFacts> {
        let known = self.known.get_mut(at)?;
        let (mut piece, lies) = known.unpack(&self.long);
        let own = piece.place();
        piece.merge(place, facts, || {
            let origin = |place: u32| {
                let provenance = &self.named.get(place as usize)?.provenance;
                Some((provenance.server, &provenance.chain))
            };
            origin(own).cmp(&origin(place))
        });
        let is_due = piece.take_due();
        *known = Known::pack(known.address, &piece, &mut self.long, lies);
        is_due.then(|| piece.facts(self.lives_until(&piece)))
    }

    /// Returns what is known of an address. What its answers let end before `at` lives as long as its name is used.
    pub fn of(
        &self,
        address: Address,
        client: Address,
        at: Timestamp,
        hasher: &Hasher,
    ) -> impl Iterator<Item = Evidence> {
        let places = self.by_address.of(hasher.hash_one(address));
        let known = places.filter_map(|at| self.known.get(at as usize));
        known
            .filter(move |known| known.address == address)
            .filter_map(move |known| {
                let (piece, _) = known.unpack(&self.long);
                let expires = if piece.expires < at {
                    self.lives_until(&piece)
                } else {
                    piece.expires
                };
                let named = self.named.get(piece.place() as usize)?;
                let provenance = Arc::clone(&named.provenance);
                Some(Evidence {
                    provenance,
                    client,
                    facts: piece.facts(expires),
                })
            })
    }

    /// Touches where an address is looked for.
    pub fn touch_index(&self, hash: u64) -> u64 {
        self.by_address.touch(hash)
    }

    /// Touches where a name is looked for, and where further names and addresses are added.
    pub fn touch_ends(&self, name_hash: u64) -> u64 {
        let named = self.named.last().map_or(0, |named| u64::from(named.first));
        let known = self.known.last().map_or(0, |known| u64::from(known.place()));
        self.by_name.touch(name_hash) ^ named ^ known
    }

    /// Returns where what is probably known of an address stands, and touches it.
    pub fn touch_known(&self, hash: u64) -> Option<u32> {
        let at = self.by_address.of(hash).next()?;
        self.known.get(at as usize).map(Known::place)
    }

    /// Returns the provenance at a place, untouched.
    pub fn provenance(&self, place: u32) -> Option<&Provenance> {
        self.named.get(place as usize).map(|named| &*named.provenance)
    }

    fn lives_until(&self, piece: &Piece) -> Timestamp {
        let first = self
            .first_of(piece.place())
            .and_then(|first| self.named.get(first as usize));
        let used = first.map(|named| named.used).filter(|used| *used > Timestamp::MIN);
        used.map_or(piece.expires, |used| piece.used_until(used).max(piece.expires))
    }

    /// Notes that a name explained a contact with an address at `at`. Returns the evidence as it stands now if the ledger
    /// should know, so that a restart does not take a name in use for an expired one.
    pub fn renew(&mut self, address: Address, evidence: &Evidence, at: Timestamp, hasher: &Hasher) -> Option<Evidence> {
        let (known, first) = self.by_address.of(hasher.hash_one(address)).find_map(|at| {
            let known = self.known.get(at as usize).filter(|known| known.address == address)?;
            let named = self.named.get(known.place() as usize)?;
            let is_it = Arc::ptr_eq(&named.provenance, &evidence.provenance)
                || named.provenance.name == evidence.provenance.name;
            is_it.then_some((known, named.first))
        })?;
        let named = self.named.get_mut(first as usize)?;
        named.used = at.max(named.used);
        let saved = named.saved.max(minute(evidence.facts.last));
        if minute(named.used).saturating_sub(saved) < due_after() {
            return None;
        }
        named.saved = minute(named.used);
        let (piece, _) = known.unpack(&self.long);
        let facts = piece.facts(self.lives_until(&piece));
        Some(Evidence {
            facts,
            ..evidence.clone()
        })
    }

    /// Keeps at most [`NAMES_A_CLIENT`] names for an address: those that count, answered last, then the smaller names.
    pub fn bound(&mut self, address: Address, hasher: &Hasher) -> Dropped {
        let of_it = self.known.iter().filter(|known| known.address == address);
        let mut ranks: Vec<Rank<'_>> = of_it.filter_map(|known| self.rank(known)).collect();
        let surplus = ranks.len().saturating_sub(NAMES_A_CLIENT);
        ranks.sort_unstable();
        let Some(least) = ranks.get(surplus).filter(|_| surplus > 0) else {
            return Dropped::default();
        };
        let name = Arc::clone(least.name.0);
        let least = Rank {
            name: Reverse(&name),
            ..least.clone()
        };
        self.drop_where(|rank| rank.address == address && *rank < least, hasher)
    }

    /// Drops evidence, and provenances that nothing needs any more.
    pub fn drop_where(&mut self, is_over: impl Fn(&Rank<'_>) -> bool, hasher: &Hasher) -> Dropped {
        if !self.ranks().any(|rank| is_over(&rank)) {
            return Dropped::default();
        }
        let kept: Vec<(Address, Piece)> = self
            .known
            .iter()
            .filter(|known| self.rank(known).is_some_and(|rank| !is_over(&rank)))
            .map(|known| (known.address, known.unpack(&self.long).0))
            .collect();
        let pieces = self.known.len() - kept.len();
        let before = std::mem::replace(self, Self::new(self.number));
        self.by_address = Places::with_capacity(kept.len());
        for (address, mut piece) in kept {
            let Some(moved) = before.named.get(piece.place() as usize) else {
                continue;
            };
            let used = before.named.get(moved.first as usize).unwrap_or(moved);
            let place = self.place(&moved.provenance, hasher.hash_one(&*moved.provenance.name));
            if let Some(first) = self
                .first_of(place)
                .and_then(|first| self.named.get_mut(first as usize))
            {
                (first.used, first.saved) = (used.used, used.saved);
            }
            piece.move_to(place);
            self.by_address
                .insert(hasher.hash_one(address), self.known.len() as u32);
            self.known.push(Known::pack(address, &piece, &mut self.long, None));
        }
        Dropped {
            pieces,
            provenances: before.named.len() - self.named.len(),
        }
    }

    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        for known in self.known.iter_mut() {
            let (mut piece, lies) = known.unpack(&self.long);
            piece.shift(span);
            *known = Known::pack(known.address, &piece, &mut self.long, lies);
        }
        for named in self.named.iter_mut().filter(|named| named.used > Timestamp::MIN) {
            named.used = named.used.plus(span);
            named.saved = shifted(named.saved, span);
        }
    }
}
