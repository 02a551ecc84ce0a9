//! One piece of evidence as a client keeps it.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use crate::model::{Address, Admission, AnswerFacts, EvidenceKind, Span, Timestamp, kept_until, used_until};

/// Evidence goes to the ledger again once its last answer or use is this much later than the stored one: half of
/// [`crate::model::LIFE_FLOOR`] would do, less keeps more of its life across a restart.
const SAVED_EVERY: Span = Span::minutes(15);

/// One piece of evidence as it lies with its client; 32 octets, since there are millions. Most were answered once, and all
/// else follows from that answer.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub address: Address,
    last: Timestamp,
    /// The time to live of the one answer, or with [`LONG`] the place of the rest.
    ttl: u32,
    /// Where the provenance stands among the client's, with [`HINT`], [`UNSOLICITED`] and [`LONG`].
    place: u32,
}

/// What of a piece of evidence does not follow from its last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    first: Timestamp,
    expires: Timestamp,
    ttl: u32,
    greatest_ttl: u32,
    saved: i32,
}

/// A piece of evidence, and when it was last handed to the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub last: Timestamp,
    pub expires: Timestamp,
    first: Timestamp,
    ttl: u32,
    greatest_ttl: u32,
    /// The minute of the answer or use that the ledger knows of.
    saved: i32,
    /// Where the provenance stands among the client's, with [`HINT`] and [`UNSOLICITED`].
    place: u32,
}

/// Set in a place when the evidence is a hint.
const HINT: u32 = 1 << 31;
/// Set in a place when nobody asked for the evidence.
const UNSOLICITED: u32 = 1 << 30;
/// Set in [`Known::place`] when the evidence has a [`Rest`].
const LONG: u32 = 1 << 29;

impl Known {
    /// Returns how a piece of evidence lies with its client; what does not follow from its last answer goes to `long`, to
    /// where it lies already if it does.
    pub fn pack(address: Address, piece: &Piece, long: &mut Vec<Rest>, lies: Option<u32>) -> Self {
        let rest = piece.rest();
        let at = match lies {
            None if rest == Piece::once(piece.last, piece.ttl, piece.place).rest() => {
                return Self {
                    address,
                    last: piece.last,
                    ttl: piece.ttl,
                    place: piece.place,
                };
            }
            None => {
                long.push(rest);
                long.len() as u32 - 1
            }
            Some(at) => {
                if let Some(place) = long.get_mut(at as usize) {
                    *place = rest;
                }
                at
            }
        };
        Self {
            address,
            last: piece.last,
            ttl: at,
            place: piece.place | LONG,
        }
    }

    /// Returns the whole piece of evidence, and where its rest lies if it has one.
    pub fn unpack(&self, long: &[Rest]) -> (Piece, Option<u32>) {
        let place = self.place & !LONG;
        let lies = (self.place & LONG != 0).then_some(self.ttl);
        let rest = lies.and_then(|at| long.get(at as usize));
        let piece = rest.map_or_else(
            || Piece::once(self.last, self.ttl, place),
            |rest| Piece {
                last: self.last,
                expires: rest.expires,
                first: rest.first,
                ttl: rest.ttl,
                greatest_ttl: rest.greatest_ttl,
                saved: rest.saved,
                place,
            },
        );
        (piece, lies)
    }

    /// Returns where the provenance stands among the client's.
    pub const fn place(&self) -> u32 {
        self.place & !(HINT | UNSOLICITED | LONG)
    }
}

impl Piece {
    pub fn new(place: u32, facts: &AnswerFacts) -> Self {
        Self {
            last: facts.last,
            expires: facts.expires,
            first: facts.first,
            ttl: facts.ttl,
            greatest_ttl: facts.greatest_ttl,
            saved: minute(facts.last),
            place: marked(place, facts.kind, facts.admission),
        }
    }

    /// Returns the piece that one answer makes.
    fn once(at: Timestamp, ttl: u32, place: u32) -> Self {
        let facts = AnswerFacts::one(EvidenceKind::DnsAddress, ttl, at);
        Self {
            place,
            ..Self::new(0, &facts)
        }
    }

    const fn rest(&self) -> Rest {
        Rest {
            first: self.first,
            expires: self.expires,
            ttl: self.ttl,
            greatest_ttl: self.greatest_ttl,
            saved: self.saved,
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
        self.saved = shifted(self.saved, span);
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

    /// Merges new evidence, whose provenance stands at `place`: least first answer, greatest last answer and expiry, the
    /// rest from the later one. `order` says how its own server and chain stand to the new ones.
    ///
    /// Answers that count and those that nobody asked for are never mixed: one that counts replaces all that do not, and
    /// those neither prolong nor change it.
    pub fn merge(&mut self, place: u32, new: &AnswerFacts, order: impl FnOnce() -> Ordering) {
        match (self.admission(), new.admission) {
            (Admission::Admitted, Admission::Unsolicited) => return,
            (Admission::Unsolicited, Admission::Admitted) => {
                *self = Self {
                    saved: self.saved,
                    ..Self::new(place, new)
                };
                return;
            }
            _ => {}
        }
        if self.is_before(new, order) {
            self.ttl = new.ttl;
            self.place = marked(place, new.kind, new.admission);
        }
        self.first = self.first.min(new.first);
        self.last = self.last.max(new.last);
        self.expires = self.expires.max(new.expires);
        self.greatest_ttl = self.greatest_ttl.max(new.greatest_ttl);
    }

    /// Says whether new evidence is the later one; of two at one time, the greater one.
    fn is_before(&self, new: &AnswerFacts, order: impl FnOnce() -> Ordering) -> bool {
        let by_time = self.last.cmp(&new.last);
        let by_content = || (self.ttl, self.kind()).cmp(&(new.ttl, new.kind)).then_with(order);
        by_time.then_with(by_content).is_lt()
    }

    /// Returns it as everybody else sees it, with this end of its life.
    pub const fn facts(&self, expires: Timestamp) -> AnswerFacts {
        AnswerFacts {
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
    pub fn rank<'a>(&self, name: &'a Arc<str>, address: Address) -> Rank<'a> {
        Rank {
            counts: self.admission() == Admission::Admitted,
            last: self.last,
            name: Reverse(name),
            address,
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
pub(super) fn minute(at: Timestamp) -> i32 {
    i32::try_from(at.minute()).unwrap_or(i32::MAX)
}

/// Moves a minute by `span`.
pub(super) fn shifted(minute: i32, span: Span) -> i32 {
    let minutes = i32::try_from(span.0 / Span::minutes(1).0).unwrap_or(i32::MAX);
    minute.saturating_add(minutes)
}

/// How many minutes later than the stored one an answer or use is when it goes to the ledger again.
pub(super) fn due_after() -> i32 {
    i32::try_from(SAVED_EVERY.0 / Span::minutes(1).0).unwrap_or(i32::MAX)
}

/// A piece of evidence as those who drop some look at it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank<'a> {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_piece_of_evidence_takes_32_octets() {
        assert_eq!(size_of::<Known>(), 32);
    }

    proptest! {
        #[test]
        fn a_piece_comes_back_as_it_was_packed(
            answers in prop::collection::vec((0_i64..1 << 50, any::<u32>(), any::<bool>(), any::<bool>()), 1..5),
        ) {
            let (mut long, mut known) = (Vec::new(), None::<Known>);
            let mut whole = None::<Piece>;
            for (at, ttl, is_hint, counts) in answers {
                let kind = if is_hint { EvidenceKind::DnsHint } else { EvidenceKind::DnsAddress };
                let mut facts = AnswerFacts::one(kind, ttl, Timestamp(at));
                if !counts {
                    facts.admission = Admission::Unsolicited;
                }
                match &mut whole {
                    Some(piece) => piece.merge(7, &facts, || Ordering::Less),
                    None => whole = Some(Piece::new(7, &facts)),
                }
                let piece = whole.unwrap();
                let lies = known.and_then(|known: Known| known.unpack(&long).1);
                let packed = Known::pack(Address::v4([192, 0, 2, 1]), &piece, &mut long, lies);
                let (read, _) = packed.unpack(&long);
                prop_assert_eq!((read.last, read.rest(), read.place), (piece.last, piece.rest(), piece.place));
                prop_assert!(long.len() <= 1);
                known = Some(packed);
            }
        }
    }
}
