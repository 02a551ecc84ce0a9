//! What one client was told: names by address, and when it last used which name.

use std::cmp::{Ordering, Reverse};
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::model::{
    Address, Admission, Chunked, Evidence, EvidenceKind, NameRecord, Places, Provenance, Span, Timestamp,
};

use super::life::{SAVED_EVERY, kept_until, used_until};

/// How many names of one client an address keeps; a further one drops the one answered longest ago.
pub const NAMES_A_CLIENT: usize = 16;

/// The hasher of the tables within a client.
pub(super) type Hasher = foldhash::fast::RandomState;

/// One piece of evidence, and when it was last handed to the ledger; 64 octets, since there are millions.
#[derive(Debug, Clone)]
struct Known {
    address: Address,
    /// Stands at `place` as well; a contact that is explained finds it here without another look.
    provenance: Arc<Provenance>,
    first: Timestamp,
    last: Timestamp,
    expires: Timestamp,
    ttl: u32,
    greatest_ttl: u32,
    /// The minute of the answer or use that the ledger knows of.
    saved: i32,
    /// Where the provenance stands among the client's, with [`HINT`] and [`UNSOLICITED`].
    place: u32,
}

/// Set in [`Known::place`] when the evidence is a hint.
const HINT: u32 = 1 << 31;
/// Set in [`Known::place`] when nobody asked for the evidence.
const UNSOLICITED: u32 = 1 << 30;

impl Known {
    fn new(address: Address, place: u32, evidence: &Evidence) -> Self {
        Self {
            address,
            provenance: Arc::clone(&evidence.provenance),
            first: evidence.first,
            last: evidence.last,
            expires: evidence.expires,
            ttl: evidence.ttl,
            greatest_ttl: evidence.greatest_ttl,
            saved: minute(evidence.last),
            place: marked(place, evidence.kind, evidence.admission),
        }
    }

    const fn place(&self) -> u32 {
        self.place & !(HINT | UNSOLICITED)
    }

    const fn kind(&self) -> EvidenceKind {
        if self.place & HINT == 0 {
            EvidenceKind::DnsAddress
        } else {
            EvidenceKind::DnsHint
        }
    }

    const fn admission(&self) -> Admission {
        if self.place & UNSOLICITED == 0 {
            Admission::Admitted
        } else {
            Admission::Unsolicited
        }
    }

    /// Merges new evidence: least first answer, greatest last answer and expiry, the rest from the later one.
    ///
    /// Answers that count and those that nobody asked for are never mixed: one that counts replaces all that do not, and
    /// those neither prolong nor change it.
    fn merge(&mut self, place: u32, new: &Evidence) {
        match (self.admission(), new.admission) {
            (Admission::Admitted, Admission::Unsolicited) => return,
            (Admission::Unsolicited, Admission::Admitted) => {
                *self = Self {
                    saved: self.saved,
                    ..Self::new(self.address, place, new)
                };
                return;
            }
            _ => {}
        }
        if self.is_before(new) {
            self.ttl = new.ttl;
            if self.place() != place {
                self.provenance = Arc::clone(&new.provenance);
            }
            self.place = marked(place, new.kind, new.admission);
        }
        self.first = self.first.min(new.first);
        self.last = self.last.max(new.last);
        self.expires = self.expires.max(new.expires);
        self.greatest_ttl = self.greatest_ttl.max(new.greatest_ttl);
    }

    /// Says whether new evidence is the later one; of two at one time, the greater one.
    fn is_before(&self, new: &Evidence) -> bool {
        let content = |ttl, kind, provenance: &Provenance| (ttl, kind, provenance.server, provenance.chain.clone());
        match self.last.cmp(&new.last) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                content(self.ttl, self.kind(), &self.provenance) < content(new.ttl, new.kind, &new.provenance)
            }
        }
    }

    fn evidence(&self, client: Address, expires: Timestamp) -> Evidence {
        Evidence {
            provenance: Arc::clone(&self.provenance),
            client,
            kind: self.kind(),
            admission: self.admission(),
            ttl: self.ttl,
            greatest_ttl: self.greatest_ttl,
            first: self.first,
            last: self.last,
            expires,
        }
    }

    fn piece(&self) -> Piece<'_> {
        Piece {
            counts: self.admission() == Admission::Admitted,
            last: self.last,
            name: Reverse(&self.provenance.name),
            address: self.address,
            kept_until: kept_until(self.last, self.greatest_ttl, self.expires),
        }
    }
}

const fn marked(place: u32, kind: EvidenceKind, admission: Admission) -> u32 {
    let hint = match kind {
        EvidenceKind::DnsAddress => 0,
        EvidenceKind::DnsHint => HINT,
    };
    let unsolicited = match admission {
        Admission::Admitted => 0,
        Admission::Unsolicited => UNSOLICITED,
    };
    place | hint | unsolicited
}

/// Returns the minute of an instant; every instant that can be written has one.
fn minute(at: Timestamp) -> i32 {
    i32::try_from(at.minute()).unwrap_or(i32::MAX)
}

/// How many minutes later than the stored one an answer or use is when it goes to the ledger again.
fn due_after() -> i32 {
    i32::try_from(SAVED_EVERY.0 / Span::minutes(1).0).unwrap_or(i32::MAX)
}

/// A piece of evidence as those who drop some look at it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece<'a> {
    /// Whether a query was seen for it, or could not have been.
    pub counts: bool,
    /// The last answer.
    pub last: Timestamp,
    /// The name; of two, the smaller one is kept.
    pub name: Reverse<&'a Arc<str>>,
    /// The address.
    pub address: Address,
    /// Until when it is kept at all.
    pub kept_until: Timestamp,
}

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
                let now = minute(known.last);
                let is_due = now.saturating_sub(known.saved) >= due_after();
                if is_due {
                    known.saved = now;
                    if let Some(known) = self.known.get(at) {
                        *evidence = known.evidence(evidence.client, self.lives_until(known));
                    }
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
            .first_of(known.place)
            .and_then(|first| self.named.get(first as usize));
        let used = first.and_then(|named| named.used);
        let used = used.map(|used| used_until(used.last, known.ttl, known.last, known.greatest_ttl));
        used.map_or(known.expires, |used| used.max(known.expires))
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
                known.place = marked(place, known.kind(), known.admission());
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
            for time in [&mut known.first, &mut known.last, &mut known.expires] {
                *time = time.plus(span);
            }
            let saved = i64::from(known.saved) + span.0 / Span::minutes(1).0;
            known.saved = i32::try_from(saved).unwrap_or(i32::MAX);
        }
        for used in self.named.iter_mut().filter_map(|named| named.used.as_mut()) {
            used.last = used.last.plus(span);
            used.saved = used.saved.plus(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_evidence_takes_64_octets() {
        assert_eq!(size_of::<Known>(), 64);
    }
}
