//! The sharded map of which address goes by which name, written by workers and read as of an epoch by the judge.
//!
//! The two never meet: workers write what an epoch gave at its mark, once the judge is done with the epoch before; the
//! judge reads, renews and drops while nobody writes. Merging two pieces of evidence is least, greatest, greatest, so
//! the order in which workers write does not matter (rule T2).

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use smallvec::SmallVec;

use crate::model::{Address, Admission, Evidence, Segment, Span, Timestamp};

/// Evidence is of use for at least this long after an answer, whatever its TTL: clients cache longer than they are told.
pub const LIFE_FLOOR: Span = Span::hours(1);
/// Renewal by use ends this long after the last answer, unless the TTL is longer.
pub const LIFE_CAP: Span = Span::hours(24);
/// Expired evidence is kept this long after its last answer, to say `expired`.
pub const KEPT_FOR: Span = Span::hours(24);
/// A longer TTL counts as this, as RFC 8767 section 4 asks of caches.
pub const LONGEST_LIFE: Span = Span::days(7);
/// Evidence goes to the ledger again once its last answer is this much later than the stored one: half the floor would
/// do, less keeps more of its life across a restart.
pub(super) const SAVED_EVERY: Span = Span::minutes(15);
/// How many names of one client an address keeps; a further one drops the one answered longest ago.
pub const NAMES_A_CLIENT: usize = 16;

/// One piece of evidence, and when it was last handed to the ledger.
#[derive(Debug, Clone)]
struct Known {
    evidence: Evidence,
    saved: Timestamp,
}

/// What is known of one address, ordered by client and name; nearly always one or two pieces.
type Answers = SmallVec<[Known; 1]>;

/// Which address goes by which name.
#[derive(Debug, Default)]
pub struct Names {
    map: DashMap<(Segment, Address), Answers, foldhash::quality::RandomState>,
    len: AtomicUsize,
    /// Clients that were given too many names for an address since the last [`Names::bound`].
    overfull: Mutex<Vec<(Segment, Address, Address)>>,
}

impl Names {
    /// Returns an empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece of evidence, or merges it with what is known of the same client, name and address. Returns it if it
    /// should go to the ledger: because it is new, or because the stored one is old.
    pub fn write(&self, segment: Segment, address: Address, evidence: Evidence) -> Option<Evidence> {
        let mut answers = self.map.entry((segment, address)).or_default();
        match answers.binary_search_by(|known| order(&known.evidence, &evidence)) {
            Ok(at) => {
                let known = answers.get_mut(at)?;
                merge(&mut known.evidence, evidence);
                if known.evidence.last.since(known.saved) >= SAVED_EVERY {
                    known.saved = known.evidence.last;
                    return Some(known.evidence.clone());
                }
                None
            }
            Err(at) => {
                let client = evidence.client;
                let saved = evidence.last;
                let new = evidence.clone();
                answers.insert(at, Known { evidence, saved });
                self.len.fetch_add(1, Ordering::Relaxed);
                if range_of(&answers, client).len() > NAMES_A_CLIENT {
                    let mut overfull = self.overfull.lock().unwrap_or_else(PoisonError::into_inner);
                    overfull.push((segment, address, client));
                }
                Some(new)
            }
        }
    }

    /// Keeps at most [`NAMES_A_CLIENT`] names of a client for an address: those that count, answered last, then the
    /// smaller names. Returns how many pieces went. Only the judge calls it, once everybody has written: which go must
    /// not depend on who wrote first (rule T2).
    pub fn bound(&self) -> usize {
        let mut overfull = std::mem::take(&mut *self.overfull.lock().unwrap_or_else(PoisonError::into_inner));
        overfull.sort_unstable();
        overfull.dedup();
        let mut dropped = 0;
        for (segment, address, client) in overfull {
            let Some(mut answers) = self.map.get_mut(&(segment, address)) else {
                continue;
            };
            let own = answers.iter().filter(|known| known.evidence.client == client);
            let mut ranks: Vec<_> = own.map(|known| rank_of(&known.evidence)).collect();
            let surplus = ranks.len().saturating_sub(NAMES_A_CLIENT);
            if surplus == 0 {
                continue;
            }
            ranks.sort_unstable();
            let Some(least) = ranks.get(surplus).cloned() else {
                continue;
            };
            answers.retain(|known| known.evidence.client != client || rank_of(&known.evidence) >= least);
            dropped += surplus;
        }
        self.len.fetch_sub(dropped, Ordering::Relaxed);
        dropped
    }

    /// Copies out what one client was told of an address.
    pub fn of_client(&self, segment: Segment, address: Address, client: Address, out: &mut Vec<Evidence>) {
        if let Some(answers) = self.map.get(&(segment, address)) {
            let range = range_of(&answers, client);
            out.extend(
                answers
                    .get(range)
                    .into_iter()
                    .flatten()
                    .map(|known| known.evidence.clone()),
            );
        }
    }

    /// Copies out what anybody was told of an address, as far as `wanted` says so.
    pub fn of_all(
        &self,
        segment: Segment,
        address: Address,
        mut wanted: impl FnMut(&Evidence) -> bool,
    ) -> Vec<Evidence> {
        let Some(answers) = self.map.get(&(segment, address)) else {
            return Vec::new();
        };
        let all = answers.iter().map(|known| &known.evidence);
        all.filter(|evidence| wanted(evidence)).cloned().collect()
    }

    /// Returns how many pieces of evidence are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Says whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops what is not even kept to say `expired`; returns how much. Only the judge calls it.
    pub fn expire(&self, now: Timestamp) -> usize {
        self.drop_where(|evidence| now > kept_until(evidence))
    }

    /// Drops what was answered longest ago until `limit` pieces are left; returns how much. Only the judge calls it.
    ///
    /// An eighth goes at once, so that sorting pays. Ties go by content, so that every run drops the same (rule T2).
    pub fn evict(&self, limit: usize) -> usize {
        if self.len() <= limit {
            return 0;
        }
        let surplus = self.len() - limit + limit / 8;
        let mut ages: Vec<_> = self
            .map
            .iter()
            .flat_map(|answers| ages_of(*answers.key(), answers.value()))
            .collect();
        if surplus == 0 || ages.is_empty() {
            return 0;
        }
        let last = surplus.min(ages.len()) - 1;
        let (_, threshold, _) = ages.select_nth_unstable(last);
        let threshold = threshold.clone();
        let mut dropped = 0;
        self.map.retain(|key, answers| {
            let before = answers.len();
            answers.retain(|known| age_of(*key, &known.evidence) > threshold);
            dropped += before - answers.len();
            !answers.is_empty()
        });
        self.len.fetch_sub(dropped, Ordering::Relaxed);
        dropped
    }

    /// Moves every time by `span`: the clock started anew and names keep their remaining life (rule T1).
    pub fn shift(&self, span: Span) {
        for mut answers in self.map.iter_mut() {
            for known in answers.iter_mut() {
                let evidence = &mut known.evidence;
                for time in [
                    &mut evidence.first,
                    &mut evidence.last,
                    &mut evidence.expires,
                    &mut known.saved,
                ] {
                    *time = time.plus(span);
                }
            }
        }
    }

    fn drop_where(&self, mut is_over: impl FnMut(&Evidence) -> bool) -> usize {
        let mut dropped = 0;
        self.map.retain(|_, answers| {
            let before = answers.len();
            answers.retain(|known| !is_over(&known.evidence));
            dropped += before - answers.len();
            !answers.is_empty()
        });
        self.len.fetch_sub(dropped, Ordering::Relaxed);
        dropped
    }
}

/// Returns until when evidence is kept at all.
fn kept_until(evidence: &Evidence) -> Timestamp {
    let by_ttl = evidence.last.plus(Span::seconds(i64::from(evidence.greatest_ttl)));
    evidence.last.plus(KEPT_FOR).max(by_ttl).max(evidence.expires)
}

/// What a client's names are sorted by where there are too many.
fn rank_of(evidence: &Evidence) -> (bool, Timestamp, Reverse<std::sync::Arc<str>>) {
    let counts = evidence.admission == Admission::Admitted;
    (counts, evidence.last, Reverse(evidence.name.clone()))
}

/// What eviction sorts by: answers that nobody asked for first, so that a flood of them drops none that count; then the
/// last answer, then content.
type Age = (bool, Timestamp, Segment, Address, Address, std::sync::Arc<str>);

fn age_of(key: (Segment, Address), evidence: &Evidence) -> Age {
    let counts = evidence.admission == Admission::Admitted;
    (
        counts,
        evidence.last,
        key.0,
        key.1,
        evidence.client,
        evidence.name.clone(),
    )
}

fn ages_of(key: (Segment, Address), answers: &Answers) -> Vec<Age> {
    answers.iter().map(|known| age_of(key, &known.evidence)).collect()
}

fn order(a: &Evidence, b: &Evidence) -> std::cmp::Ordering {
    a.client.cmp(&b.client).then_with(|| a.name.cmp(&b.name))
}

fn range_of(answers: &Answers, client: Address) -> std::ops::Range<usize> {
    let start = answers.partition_point(|known| known.evidence.client < client);
    let end = answers.partition_point(|known| known.evidence.client <= client);
    start..end
}

/// Merges `new` into `old`: least first answer, greatest last answer and expiry, the rest from the later frame.
///
/// Answers that count and those that nobody asked for are never mixed: one that counts replaces all that do not, and
/// those neither prolong nor change it.
fn merge(old: &mut Evidence, new: Evidence) {
    match (old.admission, new.admission) {
        (Admission::Admitted, Admission::Unsolicited) => return,
        (Admission::Unsolicited, Admission::Admitted) => {
            *old = new;
            return;
        }
        _ => {}
    }
    let first = old.first.min(new.first);
    let last = old.last.max(new.last);
    let expires = old.expires.max(new.expires);
    let greatest_ttl = old.greatest_ttl.max(new.greatest_ttl);
    if new.arrival > old.arrival {
        *old = new;
    }
    old.first = first;
    old.last = last;
    old.expires = expires;
    old.greatest_ttl = greatest_ttl;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{Arrival, EvidenceKind};

    fn evidence(client: u8, name: &str, at: i64, ttl: u32) -> Evidence {
        let last = Timestamp(at);
        Evidence {
            name: Arc::from(name),
            client: Address::v4([10, 0, 0, client]),
            server: Address::v4([10, 0, 0, 53]),
            kind: EvidenceKind::DnsAddress,
            admission: Admission::Admitted,
            ttl,
            first: last,
            last,
            arrival: Arrival(at.unsigned_abs()),
            expires: last.plus(LIFE_FLOOR),
            greatest_ttl: ttl,
            chain: Arc::from([]),
        }
    }

    const SERVER: Address = Address::v4([203, 0, 113, 1]);

    fn content(names: &Names) -> Vec<Evidence> {
        names.of_all(Segment::NONE, SERVER, |_| true)
    }

    proptest! {
        #[test]
        fn the_order_of_writing_does_not_matter(
            mut written in prop::collection::vec((0_u8..3, 0_u8..3, 0_i64..50, 0_u32..9, any::<bool>()), 1..30),
            seed in any::<u64>(),
        ) {
            // Two answers never share a frame and an address.
            written.sort_by_key(|w| w.2);
            written.dedup_by_key(|w| w.2);
            let piece = |&(client, name, at, ttl, counts): &(u8, u8, i64, u32, bool)| {
                let mut piece = evidence(client, &format!("n{name}.example"), at, ttl);
                if !counts { piece.admission = Admission::Unsolicited; }
                piece
            };
            let forwards = Names::new();
            for w in &written { forwards.write(Segment::NONE, SERVER, piece(w)); }
            let mut shuffled = written.clone();
            shuffled.sort_by_key(|w| (w.2 as u64).wrapping_mul(seed | 1));
            let other = Names::new();
            for w in &shuffled { other.write(Segment::NONE, SERVER, piece(w)); }
            prop_assert_eq!(content(&forwards), content(&other));
            prop_assert_eq!(forwards.len(), other.len());
        }
    }

    #[test]
    fn eviction_drops_what_was_answered_longest_ago() {
        let names = Names::new();
        for n in 0..100 {
            names.write(Segment::NONE, SERVER, evidence(n, "a.example", i64::from(n), 0));
        }
        assert_eq!(names.evict(80), 30);
        assert_eq!(names.len(), 70);
        assert_eq!(content(&names).iter().map(|e| e.last.0).min(), Some(30));
    }

    #[test]
    fn rule_n2_a_flood_of_answers_that_nobody_asked_for_drops_none_that_count() {
        let names = Names::new();
        names.write(Segment::NONE, SERVER, evidence(1, "asked.example", 0, 0));
        for n in 1..100_i64 {
            let mut flood = evidence(1, &format!("{n}.example"), n, 0);
            flood.admission = Admission::Unsolicited;
            names.write(Segment::NONE, SERVER, flood);
        }
        names.evict(4);
        assert!(content(&names).iter().any(|e| &*e.name == "asked.example"));
    }

    #[test]
    fn a_client_keeps_a_bounded_number_of_names_for_an_address() {
        let names = Names::new();
        for n in 0..40 {
            names.write(Segment::NONE, SERVER, evidence(1, &format!("{n}.example"), n, 0));
        }
        assert_eq!(names.bound(), 24);
        assert_eq!(names.len(), NAMES_A_CLIENT);
        assert_eq!(content(&names).iter().map(|e| e.last.0).min(), Some(24));
    }

    #[test]
    fn rule_t2_which_names_a_client_keeps_does_not_depend_on_who_wrote_first() {
        let round = |at: i64| (0..20_i64).map(move |n| evidence(1, &format!("{n:02}.example"), at + n, 0));
        let both: Vec<Evidence> = round(0).chain(round(100)).collect();
        let (forwards, backwards) = (Names::new(), Names::new());
        for piece in &both {
            forwards.write(Segment::NONE, SERVER, piece.clone());
        }
        for piece in both.iter().rev() {
            backwards.write(Segment::NONE, SERVER, piece.clone());
        }
        assert_eq!((forwards.bound(), backwards.bound()), (4, 4));
        assert_eq!(content(&forwards), content(&backwards));
    }

    #[test]
    fn evidence_goes_to_the_ledger_when_new_and_then_now_and_again() {
        let names = Names::new();
        let at = |minutes: i64| evidence(1, "a.example", Span::minutes(minutes).0, 60);
        assert!(names.write(Segment::NONE, SERVER, at(0)).is_some());
        assert!(names.write(Segment::NONE, SERVER, at(1)).is_none());
        assert!(names.write(Segment::NONE, SERVER, at(15)).is_some());
    }

    #[test]
    fn expired_evidence_is_kept_for_a_day() {
        let names = Names::new();
        names.write(Segment::NONE, SERVER, evidence(1, "a.example", 0, 60));
        assert_eq!(names.expire(Timestamp(0).plus(KEPT_FOR)), 0);
        assert_eq!(names.expire(Timestamp(0).plus(KEPT_FOR).plus(Span(1))), 1);
        assert!(names.is_empty());
    }
}
