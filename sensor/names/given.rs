//! What one client was told: names by address, and when it last used which name.

use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::model::{Address, Chunked, Evidence, NameRecord, Places, Provenance, Span, Timestamp};

use super::known::{Known, Piece, SAVED_EVERY};

/// How many names of one client an address keeps; a further one drops the one answered longest ago.
pub const NAMES_A_CLIENT: usize = 16;

/// The hasher of the tables within a client.
pub(super) type Hasher = foldhash::fast::RandomState;

/// A provenance that a client was given, and the last use of its name, which renews every address of the name (rule N3).
#[derive(Debug)]
struct Named {
    provenance: Arc<Provenance>,
    /// The first place with the same name: uses are noted there.
    first: u32,
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
    by_address: Places,
    named: Chunked<Named>,
    by_name: Places,
}

impl Given {
    pub const fn new(number: u32) -> Self {
        Self {
            number,
            known: Chunked::new(),
            by_address: Places::new(),
            named: Chunked::new(),
            by_name: Places::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns every piece of evidence.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.known.iter().map(Known::piece)
    }

    /// Returns the place of a provenance, which it gets if it is new to the client.
    pub fn place(&mut self, provenance: &Arc<Provenance>, hasher: &Hasher) -> u32 {
        let hash = hasher.hash_one(&*provenance.name);
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
            first: first.unwrap_or(place),
            used: None,
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
    /// address. If the ledger should get what was merged, the piece becomes that.
    pub fn write(&mut self, place: u32, piece: &mut NameRecord, hasher: &Hasher) -> Written {
        let (address, evidence) = (piece.address, &mut piece.evidence);
        let hash = hasher.hash_one(address);
        match self.find(address, place, hash) {
            Ok(at) => {
                let Some(known) = self.known.get_mut(at) else {
                    return Written {
                        added: None,
                        is_due: false,
                    };
                };
                known.merge(place, evidence);
                let is_due = known.take_due();
                if is_due && let Some(known) = self.known.get(at) {
                    *evidence = known.evidence(evidence.client, self.lives_until(known));
                }
                Written { added: None, is_due }
            }
            Err(names) => {
                let at = self.known.len() as u32;
                self.known.push(Known::new(address, place, evidence));
                self.by_address.insert(hash, at);
                Written {
                    added: Some(names + 1),
                    is_due: true,
                }
            }
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
        let places = self.by_address.of(hasher.hash_one(address));
        let known = places.filter_map(|at| self.known.get(at as usize));
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
        let first = self
            .first_of(known.place())
            .and_then(|first| self.named.get(first as usize));
        let used = first.and_then(|named| named.used);
        used.map_or(known.expires, |used| known.used_until(used.last).max(known.expires))
    }

    /// Notes that a name explained a contact with an address at `at`. Returns the evidence as it stands now if the ledger
    /// should know, so that a restart does not take a name in use for an expired one.
    pub fn renew(&mut self, address: Address, evidence: &Evidence, at: Timestamp, hasher: &Hasher) -> Option<Evidence> {
        let known = self.by_address.of(hasher.hash_one(address)).find_map(|at| {
            let known = self.known.get(at as usize).filter(|known| known.address == address)?;
            (known.provenance.name == evidence.provenance.name).then_some(known)
        })?;
        let first = self.first_of(known.place())?;
        let used = &mut self.named.get_mut(first as usize)?.used;
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

    /// Keeps at most [`NAMES_A_CLIENT`] names for an address: those that count, answered last, then the smaller names.
    /// Returns how many went.
    pub fn bound(&mut self, address: Address, hasher: &Hasher) -> usize {
        let mut pieces: Vec<Piece<'_>> = self.pieces().filter(|piece| piece.address == address).collect();
        let surplus = pieces.len().saturating_sub(NAMES_A_CLIENT);
        pieces.sort_unstable();
        let Some(least) = pieces.get(surplus).filter(|_| surplus > 0) else {
            return 0;
        };
        let name = Arc::clone(least.name.0);
        let least = Piece {
            name: Reverse(&name),
            ..least.clone()
        };
        self.drop_where(|piece| piece.address == address && *piece < least, hasher)
    }

    /// Drops evidence, and provenances that nothing needs any more; returns how much evidence went.
    pub fn drop_where(&mut self, mut is_over: impl FnMut(&Piece<'_>) -> bool, hasher: &Hasher) -> usize {
        let before = self.known.len();
        let named = std::mem::take(&mut self.named);
        self.known.retain(|known| !is_over(&known.piece()));
        let dropped = before - self.known.len();
        if dropped == 0 {
            self.named = named;
            return 0;
        }
        self.by_name = Places::new();
        self.by_address = Places::with_capacity(self.known.len());
        for at in 0..self.known.len() {
            let Some((address, old)) = self.known.get(at).map(|known| (known.address, known.place())) else {
                continue;
            };
            self.by_address.insert(hasher.hash_one(address), at as u32);
            let Some(moved) = named.get(old as usize) else { continue };
            let used = named.get(moved.first as usize).and_then(|first| first.used);
            let place = self.place(&moved.provenance, hasher);
            if let Some(known) = self.known.get_mut(at) {
                known.move_to(place);
            }
            if let Some(first) = self
                .first_of(place)
                .and_then(|first| self.named.get_mut(first as usize))
            {
                first.used = used;
            }
        }
        dropped
    }

    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        for known in self.known.iter_mut() {
            known.shift(span);
        }
        for used in self.named.iter_mut().filter_map(|named| named.used.as_mut()) {
            used.last = used.last.plus(span);
            used.saved = used.saved.plus(span);
        }
    }
}
