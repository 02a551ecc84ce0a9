//! The sharded map of which address goes by which name, written by workers and read as of an epoch by the judge.
//!
//! The two never meet: workers write what an epoch gave at its mark, once the judge is done with the epoch before; the
//! judge reads, renews and drops while nobody writes. Merging two pieces of evidence is least, greatest, greatest, so
//! the order in which workers write does not matter (rule T2).
//!
//! Evidence lies with the client that was told, so that a response locks one entry and a contact looks into one. Who
//! else was told of an address is asked seldom; an index beside it answers that.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::model::{Address, AnswerFacts, Evidence, NameRecord, NameView, NameWriter, Segment, Span, Timestamp};
use dashmap::DashMap;
use dashmap::mapref::one::RefMut;

use super::found::Found;
use super::given::{Given, Hasher, NAMES_A_CLIENT};
use super::interner::{Interner, SharedNames};
use super::known::Rank;
use super::told::{self, Told};

/// Parts of the map, each with a lock of its own: many, so that threads seldom take the same one after each other.
const SHARDS: usize = 256;

/// Stale entries of the index that are not worth writing it anew.
const LEAST_STALE: usize = 1 << 16;

/// A host that asks, in its segment.
type Client = (Segment, Address);

/// Which address goes by which name.
#[derive(Debug)]
pub struct Names {
    clients: DashMap<Client, Given, foldhash::quality::RandomState>,
    told: Told,
    numbers: RwLock<Numbers>,
    shared: Arc<SharedNames>,
    /// For the tables within a client, and for the entries of `told`.
    hasher: Hasher,
    len: AtomicUsize,
    /// Clients that were given too many names for an address since the last [`Names::bound`].
    overfull: Mutex<Vec<(Segment, Address, Address)>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// Clients by number.
#[derive(Debug, Default)]
struct Numbers {
    clients: Vec<Client>,
    free: Vec<u32>,
}

impl Numbers {
    fn add(&mut self, client: Client) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(place) = self.clients.get_mut(number as usize) {
                *place = client;
            }
            return number;
        }
        self.clients.push(client);
        u32::try_from(self.clients.len() - 1).unwrap_or(u32::MAX)
    }
}

impl Names {
    /// Returns an empty map.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clients: DashMap::with_hasher_and_shard_amount(foldhash::quality::RandomState::default(), SHARDS),
            told: Told::default(),
            numbers: RwLock::default(),
            shared: Arc::default(),
            hasher: Hasher::default(),
            len: AtomicUsize::new(0),
            overfull: Mutex::default(),
        }
    }

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
            let mut given = self.client(client);
            let place = given.place(provenance, hash);
            for (address, facts) in answers {
                if let Some(facts) = writing.write(client, &mut given, place, address, &facts) {
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
            let provenance = Arc::clone(&piece.evidence.provenance);
            let mut given = self.client(client);
            let place = given.place(&provenance, self.hasher.hash_one(&*provenance.name));
            let due = writing.write(client, &mut given, place, piece.address, &piece.evidence.facts());
            if let Some(facts) = due {
                piece.evidence = Evidence::new(provenance, client.1, facts);
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

    /// Keeps at most [`NAMES_A_CLIENT`] names of a client for an address: those that count, answered last, then the
    /// smaller names. Returns how many pieces went. Only the judge calls it, once everybody has written: which go must
    /// not depend on who wrote first (rule T2).
    pub fn bound(&self) -> usize {
        let mut overfull = std::mem::take(&mut *self.overfull.lock().unwrap_or_else(PoisonError::into_inner));
        overfull.sort_unstable();
        overfull.dedup();
        let mut dropped = 0;
        for (segment, address, client) in overfull {
            if let Some(mut given) = self.clients.get_mut(&(segment, client)) {
                dropped += given.bound(address, &self.hasher);
            }
        }
        self.len.fetch_sub(dropped, Ordering::Relaxed);
        dropped
    }

    /// Hands what one client was told of an address to `take`. What answers let end before `at` lives as long as its name is
    /// used (rule N3).
    pub fn of_client(
        &self,
        segment: Segment,
        address: Address,
        client: Address,
        at: Timestamp,
        take: impl FnMut(Evidence),
    ) {
        if let Some(given) = self.clients.get(&(segment, client)) {
            given.of(address, client, at, &self.hasher).for_each(take);
        }
    }

    /// Returns what anybody was told of an address, as far as `wanted` says so, in the order of clients and names.
    pub fn of_all(
        &self,
        segment: Segment,
        address: Address,
        at: Timestamp,
        mut wanted: impl FnMut(&Evidence) -> bool,
    ) -> Vec<Evidence> {
        let mut found = Vec::new();
        for (_, client) in self.told(address).into_iter().filter(|client| client.0 == segment) {
            self.of_client(segment, address, client, at, |evidence| {
                if wanted(&evidence) {
                    found.push(evidence);
                }
            });
        }
        found.sort_unstable_by(|a, b| a.client.cmp(&b.client).then_with(|| a.name().cmp(b.name())));
        found
    }

    /// Returns the clients of all segments that may have been told of an address, in order.
    #[must_use]
    pub fn told(&self, address: Address) -> Vec<(Segment, Address)> {
        let told = self.told.of(self.hash_of(address));
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        let all = numbers.clients.len();
        let several = told
            .iter()
            .flat_map(|&number| (number as usize..all).step_by(told::NUMBERS));
        let mut clients: Vec<Client> = several
            .filter_map(|number| numbers.clients.get(number).copied())
            .collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// Notes that evidence explained a contact at `at`: every address that the client was given for the name lives on (rule
    /// N3). Returns the evidence as it stands now if the ledger should know. Only the judge calls it.
    pub fn renew(&self, segment: Segment, address: Address, evidence: &Evidence, at: Timestamp) -> Option<NameRecord> {
        let mut given = self.clients.get_mut(&(segment, evidence.client))?;
        let evidence = given.renew(address, evidence, at, &self.hasher)?;
        Some(NameRecord {
            segment,
            address,
            evidence,
        })
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
        self.drop_where(|_, rank| now > rank.kept_until)
    }

    /// Drops what was answered longest ago until `limit` pieces are left; returns how much. Only the judge calls it.
    ///
    /// An eighth goes at once, so that sorting pays. Ties go by content, so that every run drops the same (rule T2).
    pub fn evict(&self, limit: usize) -> usize {
        if self.len() <= limit {
            return 0;
        }
        let surplus = self.len() - limit + limit / 8;
        let mut ages: Vec<Age> = Vec::with_capacity(self.len());
        for client in &self.clients {
            ages.extend(client.ranks().map(|rank| age_of(*client.key(), &rank)));
        }
        if surplus == 0 || ages.is_empty() {
            return 0;
        }
        let last = surplus.min(ages.len()) - 1;
        let (_, threshold, _) = ages.select_nth_unstable(last);
        let threshold = threshold.clone();
        drop(ages);
        self.drop_where(|client, rank| age_of(client, rank) <= threshold)
    }

    /// Moves every time by `span`: the clock started anew and names keep their remaining life (rule T1).
    pub fn shift(&self, span: Span) {
        for mut given in self.clients.iter_mut() {
            given.shift(span);
        }
    }

    fn drop_where(&self, is_over: impl Fn(Client, &Rank<'_>) -> bool) -> usize {
        let mut dropped = 0;
        let mut free = Vec::new();
        self.clients.retain(|client, given| {
            dropped += given.drop_where(|rank| is_over(*client, rank), &self.hasher);
            if given.is_empty() {
                free.push(given.number);
            }
            !given.is_empty()
        });
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        numbers.free.extend(free);
        drop(numbers);
        self.len.fetch_sub(dropped, Ordering::Relaxed);
        if dropped > 0 && self.told.len() > 2 * self.len() + LEAST_STALE {
            self.index();
        }
        dropped
    }

    /// Writes the index of who was told anew.
    fn index(&self) {
        let mut entries = Vec::with_capacity(self.len());
        for client in &self.clients {
            let addresses = client.ranks().map(|rank| rank.address);
            entries.extend(addresses.map(|address| told::entry(self.hash_of(address), client.number)));
        }
        self.told.replace(&entries);
    }

    fn hash_of(&self, address: Address) -> u64 {
        self.hasher.hash_one(address)
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
        address: Address,
        facts: &AnswerFacts,
    ) -> Option<AnswerFacts> {
        let hash = self.names.hash_of(address);
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

/// What eviction sorts by: answers that nobody asked for first, so that a flood of them drops none that count; then the
/// last answer, then content.
type Age = (bool, Timestamp, Segment, Address, Address, Arc<str>);

fn age_of(client: Client, rank: &Rank<'_>) -> Age {
    (
        rank.counts,
        rank.last,
        client.0,
        rank.address,
        client.1,
        Arc::clone(rank.name.0),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Admission, EvidenceKind, KEPT_FOR, LIFE_FLOOR, Provenance};

    fn evidence(client: u8, name: &str, at: i64, ttl: u32) -> Evidence {
        let last = Timestamp(at);
        Evidence {
            provenance: Arc::new(Provenance::new(
                name.into(),
                Address::v4([10, 0, 0, 53]),
                Box::default(),
            )),
            client: Address::v4([10, 0, 0, client]),
            kind: EvidenceKind::DnsAddress,
            admission: Admission::Admitted,
            ttl,
            first: last,
            last,
            expires: last.plus(LIFE_FLOOR),
            greatest_ttl: ttl,
        }
    }

    const SERVER: Address = Address::v4([203, 0, 113, 1]);

    /// Writes one piece of evidence for the server; returns what should go to the ledger.
    fn write(names: &Names, evidence: Evidence) -> Option<NameRecord> {
        let mut pieces = vec![NameRecord {
            segment: Segment::NONE,
            address: SERVER,
            evidence,
        }];
        names.write(&mut pieces);
        pieces.pop()
    }

    fn content(names: &Names) -> Vec<Evidence> {
        names.of_all(Segment::NONE, SERVER, Timestamp(0), |_| true)
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
            for w in &written { write(&forwards, piece(w)); }
            let mut shuffled = written.clone();
            shuffled.sort_by_key(|w| (w.2 as u64).wrapping_mul(seed | 1));
            let other = Names::new();
            for w in &shuffled { write(&other, piece(w)); }
            prop_assert_eq!(content(&forwards), content(&other));
            prop_assert_eq!(forwards.len(), other.len());
        }
    }

    #[test]
    fn eviction_drops_what_was_answered_longest_ago() {
        let names = Names::new();
        for n in 0..100 {
            write(&names, evidence(n, "a.example", i64::from(n), 0));
        }
        assert_eq!(names.evict(80), 30);
        assert_eq!(names.len(), 70);
        assert_eq!(content(&names).iter().map(|e| e.last.0).min(), Some(30));
    }

    #[test]
    fn rule_n2_a_flood_of_answers_that_nobody_asked_for_drops_none_that_count() {
        let names = Names::new();
        write(&names, evidence(1, "asked.example", 0, 0));
        for n in 1..100_i64 {
            let mut flood = evidence(1, &format!("{n}.example"), n, 0);
            flood.admission = Admission::Unsolicited;
            write(&names, flood);
        }
        names.evict(4);
        assert!(content(&names).iter().any(|e| &**e.name() == "asked.example"));
    }

    #[test]
    fn a_client_keeps_a_bounded_number_of_names_for_an_address() {
        let names = Names::new();
        for n in 0..40 {
            write(&names, evidence(1, &format!("{n}.example"), n, 0));
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
            write(&forwards, piece.clone());
        }
        for piece in both.iter().rev() {
            write(&backwards, piece.clone());
        }
        assert_eq!((forwards.bound(), backwards.bound()), (4, 4));
        assert_eq!(content(&forwards), content(&backwards));
    }

    #[test]
    fn evidence_goes_to_the_ledger_when_new_and_then_now_and_again() {
        let names = Names::new();
        let at = |minutes: i64| evidence(1, "a.example", Span::minutes(minutes).0, 60);
        assert!(write(&names, at(0)).is_some());
        assert!(write(&names, at(1)).is_none());
        assert!(write(&names, at(15)).is_some());
    }

    #[test]
    fn rule_n3_a_use_renews_every_address_of_the_name_hints_too() {
        let names = Names::new();
        let other = Address::v4([203, 0, 113, 2]);
        let hint = Evidence {
            kind: EvidenceKind::DnsHint,
            ..evidence(1, "a.example", 0, 60)
        };
        let pieces = [SERVER, other].map(|address| NameRecord {
            segment: Segment::NONE,
            address,
            evidence: hint.clone(),
        });
        names.write(&mut pieces.to_vec());
        let used = Timestamp(0).plus(Span::minutes(50));
        names.renew(Segment::NONE, SERVER, &hint, used);
        for address in [SERVER, other] {
            let mut found = Vec::new();
            let late = Timestamp(0).plus(Span::minutes(100));
            names.of_client(Segment::NONE, address, hint.client, late, |evidence| {
                found.push(evidence)
            });
            assert_eq!(found[0].expires, used.plus(LIFE_FLOOR));
            assert_eq!(found[0].kind, EvidenceKind::DnsHint);
        }
    }

    #[test]
    fn expired_evidence_is_kept_for_a_day() {
        let names = Names::new();
        write(&names, evidence(1, "a.example", 0, 60));
        assert_eq!(names.expire(Timestamp(0).plus(KEPT_FOR)), 0);
        assert_eq!(names.expire(Timestamp(0).plus(KEPT_FOR).plus(Span(1))), 1);
        assert!(names.is_empty());
    }
}
