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

use dashmap::DashMap;

use crate::model::{Address, Evidence, NameRecord, Segment, Span, Timestamp};

use super::given::{Dropped, Given, Hasher};
use super::interner::SharedNames;
use super::known::Rank;
use super::told::{self, Told};

/// Parts of the map, each with a lock of its own: many, so that threads seldom take the same one after each other.
const SHARDS: usize = 256;

/// What one of each takes, its share of tables included.
mod octets {
    /// A piece of evidence, with its entry in the index of who was told.
    pub const PIECE: usize = 64;
    /// A provenance of a client, with a part of the name, which it shares with others as a rule.
    pub const PROVENANCE: usize = 136;
}

/// Stale entries of the index that are not worth writing it anew.
const LEAST_STALE: usize = 1 << 16;

/// A host that asks, in its segment.
pub(super) type Client = (Segment, Address);

/// Which address goes by which name.
#[derive(Debug)]
pub struct Names {
    pub(super) clients: DashMap<Client, Given, foldhash::quality::RandomState>,
    pub(super) told: Told,
    pub(super) numbers: RwLock<Numbers>,
    pub(super) shared: Arc<SharedNames>,
    /// For the tables within a client, and for the entries of `told`.
    pub(super) hasher: Hasher,
    /// How many pieces of evidence all clients have.
    pub(super) len: AtomicUsize,
    /// How many provenances all clients have, each counted with each client.
    pub(super) provenances: AtomicUsize,
    /// Clients that were given too many names for an address since the last [`Names::bound`].
    pub(super) overfull: Mutex<Vec<(Segment, Address, Address)>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// Clients by number.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    clients: Vec<Client>,
    free: Vec<u32>,
    /// Numbers of clients that are gone; the index may still speak of them.
    stale: Vec<u32>,
}

impl Numbers {
    pub fn add(&mut self, client: Client) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(place) = self.clients.get_mut(number as usize) {
                *place = client;
            }
            return number;
        }
        self.clients.push(client);
        u32::try_from(self.clients.len() - 1).unwrap_or(u32::MAX)
    }

    /// Returns the client that an entry of the index stands for.
    pub fn client_of(&self, entry: u64) -> Client {
        let client = self.clients.get(told::number(entry)).copied();
        client.unwrap_or((Segment::NONE, Address::v4([0; 4])))
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
            provenances: AtomicUsize::new(0),
            overfull: Mutex::default(),
        }
    }

    /// Keeps at most [`super::NAMES_A_CLIENT`] names of a client for an address: those that count, answered last, then the
    /// smaller names. Returns how many pieces went. Only the judge calls it, once everybody has written: which go must
    /// not depend on who wrote first (rule T2).
    pub fn bound(&self) -> usize {
        let mut overfull = std::mem::take(&mut *self.overfull.lock().unwrap_or_else(PoisonError::into_inner));
        overfull.sort_unstable();
        overfull.dedup();
        let mut pieces = 0;
        for (segment, address, client) in overfull {
            if let Some(mut given) = self.clients.get_mut(&(segment, client)) {
                pieces += self.take_off(given.bound(address, &self.hasher));
            }
        }
        pieces
    }

    /// Counts what went; returns how many pieces that are.
    fn take_off(&self, dropped: Dropped) -> usize {
        self.len.fetch_sub(dropped.pieces, Ordering::Relaxed);
        self.provenances.fetch_sub(dropped.provenances, Ordering::Relaxed);
        dropped.pieces
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

    /// Returns about how many octets all takes: counted, not measured, so that it is the same in every run (rule T2).
    #[must_use]
    pub fn octets(&self) -> usize {
        self.len() * octets::PIECE + self.provenances.load(Ordering::Relaxed) * octets::PROVENANCE
    }

    /// Drops what was answered longest ago if all takes more than `limit` octets; returns how many pieces that are. Only the
    /// judge calls it.
    ///
    /// An eighth goes at once, so that sorting pays. Ties go by content, so that every run drops the same (rule T2).
    pub fn evict(&self, limit: usize) -> usize {
        let taken = self.octets();
        if taken <= limit {
            return 0;
        }
        let surplus = (taken - limit + limit / 8).min(taken);
        let surplus = (self.len() as u128 * surplus as u128 / taken as u128) as usize;
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
            dropped += self.take_off(given.drop_where(|rank| is_over(*client, rank), &self.hasher));
            if given.is_empty() {
                free.push(given.number);
            }
            !given.is_empty()
        });
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        numbers.stale.extend(free);
        drop(numbers);
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
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        let stale = std::mem::take(&mut numbers.stale);
        numbers.free.extend(stale);
    }

    pub(super) fn hash_of(&self, address: Address) -> u64 {
        self.hasher.hash_one(address)
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
#[path = "map_tests.rs"]
mod tests;
