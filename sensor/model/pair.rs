//! Pairs of a workload and a destination: what the baseline is made of (rules B1 to B5).

use std::sync::Arc;

use smallvec::SmallVec;

use super::address::Address;
use super::time::{Day, Timestamp};

/// A destination as one key of the baseline; the kinds are kept apart, and attempts apart from contacts (rule B3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl PairKey {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The first packet of the first contact.
    pub first: Timestamp,
    /// The last packet of the last contact.
    pub last: Timestamp,
    /// How many contacts there were.
    pub count: u64,
    /// Layer 4 payload that the workload sent.
    pub octets_out: u64,
    /// Layer 4 payload that the destination sent.
    pub octets_in: u64,
    /// The days on which contacts carried packets.
    pub days: ActiveDays,
    /// The responder's ports, oldest first, at most [`Pair::PORTS`].
    pub ports: SmallVec<[u16; Self::PORTS]>,
    /// The names that led there and the servers that gave them, oldest first, at most [`Pair::NAMES`].
    pub names: SmallVec<[(Arc<str>, Address); 1]>,
    /// Its latest novelty; none if the pair rests on another one's (an address behind a domain, a tenant of a new domain).
    pub novelty: Option<Novelty>,
}

impl Pair {
    /// How many ports a pair keeps.
    pub const PORTS: usize = 8;
    /// How many names a pair keeps.
    pub const NAMES: usize = 4;
}

/// A novelty of a pair. Its alert's id follows from it, whether the alert was raised or not (rule A2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Novelty {
    /// The first packet of the contact that was new.
    pub at: Timestamp,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a novelty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// The active days of the last 128: bit *n* stands for the day *n* days before the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActiveDays {
    /// The newest active day.
    pub newest: Day,
    /// Bit 0 is the newest day.
    pub bits: u128,
}

impl ActiveDays {
    /// Returns the set that holds one day.
    #[must_use]
    pub const fn one(day: Day) -> Self {
        Self { newest: day, bits: 1 }
    }

    /// Adds a day; one that is more than 127 days before the newest is left out. Returns whether the set changed.
    pub fn insert(&mut self, day: Day) -> bool {
        let before = *self;
        if self.bits == 0 {
            *self = Self::one(day);
        } else if day > self.newest {
            let by = day.0.abs_diff(self.newest.0);
            self.bits = self.bits.checked_shl(by).unwrap_or(0) | 1;
            self.newest = day;
        } else {
            let back = self.newest.0.abs_diff(day.0);
            self.bits |= 1_u128.checked_shl(back).unwrap_or(0);
        }
        *self != before
    }

    /// Joins two sets; the order does not matter.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let (newer, older) = if self.newest >= other.newest {
            (self, other)
        } else {
            (other, self)
        };
        if older.bits == 0 {
            return newer;
        }
        if newer.bits == 0 {
            return older;
        }
        let by = newer.newest.0.abs_diff(older.newest.0);
        Self {
            newest: newer.newest,
            bits: newer.bits | older.bits.checked_shl(by).unwrap_or(0),
        }
    }

    /// Says whether any day of the set lies between `from` and `to`, both included.
    #[must_use]
    pub fn any_between(self, from: Day, to: Day) -> bool {
        if self.bits == 0 || from > to || from > self.newest {
            return false;
        }
        let low = if to >= self.newest {
            0
        } else {
            self.newest.0.abs_diff(to.0)
        };
        let high = self.newest.0.abs_diff(from.0).min(127);
        if low > 127 {
            return false;
        }
        let width = high - low + 1;
        let mask = if width >= 128 { u128::MAX } else { (1 << width) - 1 };
        self.bits & (mask << low) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_kept_for_128_days_and_in_any_order() {
        let mut days = ActiveDays::one(Day(1000));
        assert!(days.insert(Day(998)));
        assert!(days.insert(Day(1003)));
        assert!(!days.insert(Day(1000)));
        assert!(days.any_between(Day(998), Day(998)));
        assert!(!days.any_between(Day(999), Day(999)));
        assert!(days.any_between(Day(999), Day(1001)));
        assert!(!days.any_between(Day(1004), Day(2000)));
        assert!(!days.insert(Day(1003 - 128)));
        assert!(days.insert(Day(1003 - 127)));
        days.insert(Day(5000));
        assert_eq!(days, ActiveDays::one(Day(5000)));
    }

    #[test]
    fn joining_is_order_free() {
        let mut a = ActiveDays::one(Day(10));
        a.insert(Day(3));
        let b = ActiveDays::one(Day(7));
        assert_eq!(a.join(b), b.join(a));
        assert_eq!(a.join(ActiveDays::default()), a);
        assert!(a.join(b).any_between(Day(7), Day(7)));
    }
}
