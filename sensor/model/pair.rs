//! Pairs of a workload and a destination: what the baseline is made of (rules B1 to B5).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::address::Address;
use super::days::ActiveDays;
use super::evidence::Provenance;
use super::time::{Day, Timestamp};

/// A destination as one key of the baseline; the kinds are kept apart, and attempts apart from contacts (rule B3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PairKey {
    /// A domain after aggregation (rule D1).
    Domain(Arc<str>),
    /// A tenant of a shared service (rule D3).
    Tenant(Arc<str>),
    /// An address.
    Address(Address),
    /// A domain that was only attempted.
    AttemptedDomain(Arc<str>),
    /// A tenant that was only attempted.
    AttemptedTenant(Arc<str>),
    /// An address that was only attempted.
    AttemptedAddress(Address),
}

/// A destination, borrowed: its kind, as [`PairKey::kind`] numbers it, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairKeyView<'a> {
    /// A domain or a tenant.
    Text(u8, &'a str),
    /// An address.
    Address(u8, Address),
}

/// As its [`PairKeyView`].
impl Hash for PairKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.view().hash(state);
    }
}

impl Hash for PairKeyView<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.kind());
        match self {
            Self::Text(_, text) => text.hash(state),
            Self::Address(_, address) => address.hash(state),
        }
    }
}

impl PairKeyView<'_> {
    /// Returns the number that stands for the kind on disk.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Text(kind, _) | Self::Address(kind, _) => *kind,
        }
    }
}

impl PairKey {
    /// Returns the key without a share in it.
    #[must_use]
    pub fn view(&self) -> PairKeyView<'_> {
        match self {
            Self::Domain(name) | Self::Tenant(name) | Self::AttemptedDomain(name) | Self::AttemptedTenant(name) => {
                PairKeyView::Text(self.kind(), name)
            }
            Self::Address(address) | Self::AttemptedAddress(address) => PairKeyView::Address(self.kind(), *address),
        }
    }

    /// Returns the key under which attempts at the same destination are kept.
    #[must_use]
    pub fn attempted(&self) -> Self {
        match self {
            Self::Domain(name) => Self::AttemptedDomain(name.clone()),
            Self::Tenant(name) => Self::AttemptedTenant(name.clone()),
            Self::Address(address) => Self::AttemptedAddress(*address),
            attempted => attempted.clone(),
        }
    }

    /// Returns the number that stands for the kind on disk.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Domain(_) => 0,
            Self::Tenant(_) => 1,
            Self::Address(_) => 2,
            Self::AttemptedDomain(_) => 3,
            Self::AttemptedTenant(_) => 4,
            Self::AttemptedAddress(_) => 5,
        }
    }

    /// Returns the destination as text, as the ids of its alerts have it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Domain(name) | Self::Tenant(name) | Self::AttemptedDomain(name) | Self::AttemptedTenant(name) => {
                name.to_string()
            }
            Self::Address(address) | Self::AttemptedAddress(address) => address.to_string(),
        }
    }

    /// Returns the hash that the index by destination uses: FNV-1a, 64 bits, over kind and content.
    ///
    /// It is written to disk, so it has no seed; a collision costs a look at a pair that turns out to be another's.
    #[must_use]
    pub fn index_hash(&self) -> u64 {
        let start = fnv(0xcbf2_9ce4_8422_2325, &[self.kind()]);
        match self {
            Self::Domain(name) | Self::Tenant(name) | Self::AttemptedDomain(name) | Self::AttemptedTenant(name) => {
                fnv(start, name.as_bytes())
            }
            Self::Address(address) | Self::AttemptedAddress(address) => fnv(start, &address.octets()),
        }
    }
}

fn fnv(start: u64, octets: &[u8]) -> u64 {
    octets.iter().fold(start, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What is remembered of a workload's contacts with one destination (rule B5).
///
/// There are millions of them in memory, so that what is rare (further ports and names, a novelty after the first
/// contact) lies apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    first: Timestamp,
    last: Timestamp,
    /// Layer 4 payload that the workload sent.
    pub octets_out: u64,
    /// Layer 4 payload that the destination sent.
    pub octets_in: u64,
    /// Bit *n* stands for the day *n* days before that of `last`; two halves, so that a pair is not aligned to 16 octets.
    days: [u64; 2],
    name: Option<Arc<Provenance>>,
    more: Option<Box<More>>,
    /// How many contacts there were; more than can be counted are taken for the greatest number.
    pub count: u32,
    port: u16,
    has_port: bool,
    fate: Option<Fate>,
}

/// What few pairs have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct More {
    /// Ports after the first one.
    ports: SmallVec<[u16; Pair::PORTS - 1]>,
    /// Names after the first one.
    names: Vec<Arc<Provenance>>,
    /// When the pair's novelty was, if not with its first contact.
    novel_at: Option<Timestamp>,
}

impl Pair {
    /// How many ports a pair keeps.
    pub const PORTS: usize = 8;
    /// How many names a pair keeps.
    pub const NAMES: usize = 4;

    /// Returns the pair of a contact that begins at `first`, before anything else of it is added.
    #[must_use]
    pub fn new(first: Timestamp) -> Self {
        Self::restored(first, first, 1)
    }

    /// Returns a pair as the ledger kept it: first and last contact and [`ActiveDays::bits`]; the rest is blank.
    #[must_use]
    pub const fn restored(first: Timestamp, last: Timestamp, days: u128) -> Self {
        Self {
            first,
            last,
            octets_out: 0,
            octets_in: 0,
            days: halves(days),
            name: None,
            more: None,
            count: 0,
            port: 0,
            has_port: false,
            fate: None,
        }
    }

    /// Returns the first packet of the first contact.
    #[must_use]
    pub const fn first(&self) -> Timestamp {
        self.first
    }

    /// Returns the last packet of the last contact.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// Returns the days on which contacts carried packets; the newest is that of the last packet.
    #[must_use]
    pub const fn days(&self) -> ActiveDays {
        let [low, high] = self.days;
        ActiveDays {
            newest: self.last.day(),
            bits: (high as u128) << 64 | low as u128,
        }
    }

    /// Returns the responder's ports, oldest first, at most [`Pair::PORTS`].
    pub fn ports(&self) -> impl Iterator<Item = u16> + '_ {
        let first = self.has_port.then_some(self.port);
        let more = self.more.iter().flat_map(|more| more.ports.iter().copied());
        first.into_iter().chain(more)
    }

    /// Returns what led there: names and the servers that gave them, oldest first, at most [`Pair::NAMES`].
    pub fn names(&self) -> impl Iterator<Item = &Arc<Provenance>> {
        let more = self.more.iter().flat_map(|more| more.names.iter());
        self.name.iter().chain(more)
    }

    /// Returns [`Pair::names`], to put others in their place that say the same.
    pub fn names_mut(&mut self) -> impl Iterator<Item = &mut Arc<Provenance>> {
        let more = self.more.iter_mut().flat_map(|more| more.names.iter_mut());
        self.name.iter_mut().chain(more)
    }

    /// Returns the latest novelty; none if the pair rests on another one's (an address behind a domain, a tenant of a new
    /// domain).
    #[must_use]
    pub fn novelty(&self) -> Option<Novelty> {
        let later = self.more.as_ref().and_then(|more| more.novel_at);
        let at = later.unwrap_or(self.first);
        self.fate.map(|fate| Novelty { at, fate })
    }

    /// Takes over the latest novelty.
    pub fn set_novelty(&mut self, novelty: Novelty) {
        let Novelty { at, fate } = novelty;
        self.fate = Some(fate);
        let later = (at != self.first).then_some(at);
        if later.is_some() {
            self.more.get_or_insert_default().novel_at = later;
        } else if let Some(more) = &mut self.more {
            more.novel_at = None;
            if **more == More::default() {
                self.more = None;
            }
        }
    }

    /// Lets the pair begin at `first` if that is earlier; says whether it is.
    pub fn begin(&mut self, first: Timestamp) -> bool {
        if first >= self.first {
            return false;
        }
        let novelty = self.novelty();
        self.first = first;
        if let Some(novelty) = novelty {
            self.set_novelty(novelty);
        }
        true
    }

    /// Lets the pair last until `last` if that is later; says whether its day is a new one.
    pub fn extend(&mut self, last: Timestamp) -> bool {
        if self.has_day(last.day()) {
            self.last = self.last.max(last);
            return false;
        }
        let mut days = self.days();
        let is_new = days.insert(last.day());
        self.days = halves(days.bits);
        self.last = self.last.max(last);
        is_new
    }

    /// Says whether a day is the newest, as it nearly always is, and counted.
    const fn has_day(&self, day: Day) -> bool {
        let [low, _] = self.days;
        low & 1 == 1 && day.0 == self.last.day().0
    }

    /// Adds a day on which a contact carried packets; says whether it is a new one. A day after that of the last packet is
    /// left out.
    pub fn add_day(&mut self, day: Day) -> bool {
        if self.has_day(day) {
            return false;
        }
        let mut days = self.days();
        if day > days.newest || !days.insert(day) {
            return false;
        }
        self.days = halves(days.bits);
        true
    }

    /// Adds a port of the responder; says whether it is a new one that is kept.
    pub fn add_port(&mut self, port: u16) -> bool {
        if !self.has_port {
            (self.port, self.has_port) = (port, true);
            return true;
        }
        if self.port == port || self.ports().any(|known| known == port) || self.ports().count() >= Self::PORTS {
            return false;
        }
        self.more.get_or_insert_default().ports.push(port);
        true
    }

    /// Adds a name that led there; says whether it is a new one that is kept.
    pub fn add_name(&mut self, name: &Arc<Provenance>) -> bool {
        if self.name.is_none() {
            self.name = Some(Arc::clone(name));
            return true;
        }
        if self.names().any(|known| known.names_alike(name)) || self.names().count() >= Self::NAMES {
            return false;
        }
        self.more.get_or_insert_default().names.push(Arc::clone(name));
        true
    }
}

const fn halves(bits: u128) -> [u64; 2] {
    [bits as u64, (bits >> 64) as u64]
}

/// A novelty of a pair. Its alert's id follows from it, whether the alert was raised or not (rule A2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Novelty {
    /// The first packet of the contact that was new.
    pub at: Timestamp,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a novelty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Fate {
    /// It raised an alert.
    Raised = 1,
    /// It was learnt (rule B4).
    Learned = 2,
    /// It was over budget (rule A5).
    Burst = 3,
    /// A rule of the operator suppressed it.
    Suppressed = 4,
}

impl Fate {
    /// Returns the value with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Raised,
            2 => Self::Learned,
            3 => Self::Burst,
            4 => Self::Suppressed,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_small() {
        assert_eq!((size_of::<Pair>(), size_of::<Option<Pair>>()), (72, 72));
    }

    #[test]
    fn the_time_of_a_novelty_stays_when_an_earlier_contact_comes() {
        let novelty = |at| Novelty {
            at: Timestamp(at),
            fate: Fate::Learned,
        };
        let mut pair = Pair::new(Timestamp(50));
        pair.set_novelty(novelty(50));
        assert_eq!(pair.more, None);
        assert!(pair.begin(Timestamp(20)) && !pair.begin(Timestamp(30)));
        assert_eq!((pair.first(), pair.novelty()), (Timestamp(20), Some(novelty(50))));
        pair.set_novelty(novelty(20));
        assert_eq!((pair.novelty(), pair.more), (Some(novelty(20)), None));
    }

    #[test]
    fn rule_b5_a_pair_keeps_so_many_ports_and_names_and_each_once() {
        let name = |n: usize| {
            Arc::new(Provenance::new(
                format!("{n}.example").into(),
                Address::v4([10, 0, 0, 2]),
                [].into(),
            ))
        };
        let mut pair = Pair::new(Timestamp(0));
        for n in (0..12).flat_map(|n| [n, n]) {
            let was_known = pair.ports().any(|port| usize::from(port) == n);
            assert_eq!(pair.add_port(n as u16), n < Pair::PORTS && !was_known);
            let was_known = pair.names().any(|known| *known == name(n));
            assert_eq!(pair.add_name(&name(n)), n < Pair::NAMES && !was_known);
        }
        assert!(pair.ports().eq(0..8));
        assert!(pair.names().cloned().eq((0..4).map(name)));
    }

    #[test]
    fn days_of_a_pair_move_with_its_last_packet() {
        let at = |day: i32| Day(day).start();
        let mut pair = Pair::new(at(10));
        assert!(pair.extend(at(12)) && !pair.extend(at(12)) && pair.extend(at(7)));
        assert!(pair.add_day(Day(11)) && !pair.add_day(Day(11)) && !pair.add_day(Day(13)));
        assert_eq!(pair.last(), at(12));
        assert_eq!(
            pair.days(),
            ActiveDays {
                newest: Day(12),
                bits: 0b10_0111
            }
        );
        assert!(pair.extend(at(500)));
        assert_eq!(pair.days(), ActiveDays::one(Day(500)));
    }
}
