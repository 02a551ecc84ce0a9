//! The days on which a pair was active.

use super::time::Day;

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
