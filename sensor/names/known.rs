//! One piece of evidence as a client keeps it.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use crate::model::{Address, Admission, Evidence, EvidenceKind, Provenance, Span, Timestamp, kept_until, used_until};

/// Evidence goes to the ledger again once its last answer or use is this much later than the stored one: half of
/// [`crate::model::LIFE_FLOOR`] would do, less keeps more of its life across a restart.
pub(super) const SAVED_EVERY: Span = Span::minutes(15);

/// One piece of evidence, and when it was last handed to the ledger; 64 octets, since there are millions.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub address: Address,
    /// Stands at `place` as well; a contact that is explained finds it here without another look.
    pub provenance: Arc<Provenance>,
    first: Timestamp,
    last: Timestamp,
    pub expires: Timestamp,
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
    pub fn new(address: Address, place: u32, evidence: &Evidence) -> Self {
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

    /// Returns where the provenance stands among the client's.
    pub const fn place(&self) -> u32 {
        self.place & !(HINT | UNSOLICITED)
    }

    /// Takes another place for the same provenance.
    pub const fn move_to(&mut self, place: u32) {
        self.place = marked(place, self.kind(), self.admission());
    }

    /// Says whether the ledger should get the evidence since the stored one is old; it is taken for stored then.
    pub fn take_due(&mut self) -> bool {
        let now = minute(self.last);
        let is_due = now.saturating_sub(self.saved) >= due_after();
        if is_due {
            self.saved = now;
        }
        is_due
    }

    /// Returns until when it lives by a use of its name.
    pub fn used_until(&self, used: Timestamp) -> Timestamp {
        used_until(used, self.ttl, self.last, self.greatest_ttl)
    }

    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        for time in [&mut self.first, &mut self.last, &mut self.expires] {
            *time = time.plus(span);
        }
        let saved = i64::from(self.saved) + span.0 / Span::minutes(1).0;
        self.saved = i32::try_from(saved).unwrap_or(i32::MAX);
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
    pub fn merge(&mut self, place: u32, new: &Evidence) {
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
        let (own, other) = (&self.provenance, &new.provenance);
        match self.last.cmp(&new.last) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                (self.ttl, self.kind(), own.server, &own.chain) < (new.ttl, new.kind, other.server, &other.chain)
            }
        }
    }

    /// Returns it as everybody else sees it, with this end of its life.
    pub fn evidence(&self, client: Address, expires: Timestamp) -> Evidence {
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

    /// Returns it as those who drop some look at it.
    pub fn piece(&self) -> Piece<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_evidence_takes_64_octets() {
        assert_eq!(size_of::<Known>(), 64);
    }
}
