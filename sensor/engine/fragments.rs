//! Datagrams whose fragments are being joined (rule W4).
//!
//! A table beside the decoder, bounded in octets (what a datagram and a fragment cost by themselves included, so their
//! number is bounded too) and in age. All of its order is by arrival and packet time, so that the same frames give the
//! same datagrams and evictions everywhere (rule T2).
//!
//! **When a datagram is given up.** Its receiver drops it after 30 s or more, and so does this table. But a fragment may
//! also have been lost on the way to the sensor alone, and then a flow that begins with it must not wait that long,
//! nor be hidden: what there is of a datagram is looked at [`PATIENCE`] after its first fragment came, and if that
//! gives a packet, it is given. If it does not, since the fragment was made so short that it does not hold the ports,
//! nobody can use it before the next one comes, and it goes on waiting.

mod datagram;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::model::{Address, Arrival, Counter, Counters, Ignored, Malformed, Segment, SourceId, Span, Timestamp};
use crate::wire::{Fragment, Gathered};

use datagram::Datagram;

/// How long fragments wait for the others: as long as Linux waits, and twice as long as RFC 791 proposes.
pub const AGE: Span = Span::seconds(30);
/// How long the first fragment waits before the packet that it holds is given without the rest. Fragments follow one
/// another within milliseconds, and a contact waits longer than this for its name.
pub const PATIENCE: Span = Span::seconds(1);

/// What tells datagrams apart: RFC 791 section 3.2, RFC 8200 section 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    segment: Segment,
    from: Address,
    to: Address,
    protocol: Option<u8>,
    identification: u32,
}

/// When and how a frame came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// In packet time.
    pub time: Timestamp,
    /// Who delivered it.
    pub source: SourceId,
    /// Its number.
    pub arrival: Arrival,
}

/// A datagram, or its beginning, on its way out of the table.
#[derive(Debug)]
pub struct Joined {
    /// Its headers and payload, which [`wire::resume`](crate::wire::resume) reads.
    pub octets: Result<Vec<u8>, Malformed>,
    /// What was gathered on the way to it.
    pub gathered: Gathered,
    /// The frame that completed it.
    pub came: Came,
    /// Whether it came in a tunnel that leads outside (rule W2).
    pub place: Place,
}

/// Where a packet was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a frame, or in what mirrors it.
    Plain,
    /// In a tunnel that leads outside (rule W2).
    Tunnel,
}

/// A datagram that is taken out before it is whole.
#[derive(Debug)]
pub struct GivenUp {
    number: u64,
    datagram: Datagram,
    /// Whether it may go back if it gives no packet yet.
    pub may_wait: bool,
}

impl GivenUp {
    /// Returns its beginning, if its first fragment was there.
    pub fn beginning(&self) -> Option<Joined> {
        self.datagram.beginning()
    }

    /// Returns who delivered the latest of its fragments.
    pub fn source(&self) -> SourceId {
        self.datagram.source()
    }

    /// Counts it and its frames; `gives` says that one of them stands for what its beginning gives.
    pub fn count(&self, gives: bool, counters: &mut Counters) {
        counters.count(Counter::FragmentsIncomplete);
        counters.add_ignored(Ignored::Fragment, self.datagram.frames() - u64::from(gives));
    }
}

/// The table of datagrams whose fragments are being joined.
#[derive(Debug)]
pub struct Fragments {
    limit: usize,
    /// What all datagrams take.
    octets: usize,
    /// The number of the next datagram, which says how old it is.
    next: u64,
    numbers: HashMap<Key, u64, foldhash::fast::RandomState>,
    datagrams: BTreeMap<u64, Datagram>,
    /// When each is to be looked at.
    due: BTreeSet<(Timestamp, u64)>,
}

impl Fragments {
    /// Returns an empty table that holds as much as `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            octets: 0,
            next: 0,
            numbers: HashMap::default(),
            datagrams: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Takes a fragment; returns its datagram if it is whole now. Every frame is counted here, but for the one that
    /// completes a datagram.
    pub fn take(
        &mut self,
        segment: Segment,
        fragment: &Fragment<'_>,
        came: Came,
        counters: &mut Counters,
    ) -> Option<Joined> {
        let key = Key {
            segment,
            from: fragment.from,
            to: fragment.to,
            protocol: fragment.protocol,
            identification: fragment.identification,
        };
        // Where a datagram is over, its identification is used again for another one.
        if let Some(number) = self.numbers.get(&key).copied()
            && let Some(mut datagram) = self.remove(number)
            && !datagram.is_over(fragment)
        {
            let joined = datagram.take(fragment, came, counters);
            self.insert(number, datagram);
            return joined;
        }
        let number = self.next;
        self.next += 1;
        let mut datagram = Datagram::new(key, came);
        let joined = datagram.take(fragment, came, counters);
        self.insert(number, datagram);
        joined
    }

    /// Takes a datagram out because it is due by a time, or, without a time, because all are.
    pub fn due(&mut self, by: Option<Timestamp>) -> Option<GivenUp> {
        loop {
            let (at, number) = *self.due.first()?;
            if by.is_some_and(|by| at > by) {
                return None;
            }
            let datagram = self.remove(number)?;
            if datagram.is_wanted() {
                let may_wait = by.is_some_and(|by| by < datagram.last_due());
                return Some(GivenUp {
                    number,
                    datagram,
                    may_wait,
                });
            }
        }
    }

    /// Takes the oldest datagram out if the table is fuller than it may be.
    pub fn evict(&mut self, counters: &mut Counters) -> Option<GivenUp> {
        while self.octets > self.limit {
            let number = *self.datagrams.first_key_value()?.0;
            let datagram = self.remove(number)?;
            if datagram.is_wanted() {
                counters.count(Counter::FragmentsEvicted);
                return Some(GivenUp {
                    number,
                    datagram,
                    may_wait: false,
                });
            }
        }
        None
    }

    /// Puts a datagram back that gives no packet yet: it waits until it is too old.
    pub fn put_back(&mut self, given_up: GivenUp) {
        let mut datagram = given_up.datagram;
        datagram.wait_to_the_last();
        self.insert(given_up.number, datagram);
    }

    fn insert(&mut self, number: u64, datagram: Datagram) {
        self.octets += datagram.octets();
        self.due.insert((datagram.due(), number));
        self.numbers.insert(datagram.key(), number);
        self.datagrams.insert(number, datagram);
    }

    fn remove(&mut self, number: u64) -> Option<Datagram> {
        let datagram = self.datagrams.remove(&number)?;
        self.octets = self.octets.saturating_sub(datagram.octets());
        self.due.remove(&(datagram.due(), number));
        self.numbers.remove(&datagram.key());
        Some(datagram)
    }
}
