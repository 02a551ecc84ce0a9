//! Packet time: instants, spans, days and epochs. Nothing here reads a clock (rule T1).

use std::fmt;

/// Nanoseconds in one second.
pub const SECOND: i64 = 1_000_000_000;

/// An instant of packet time, in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest instant that can be written; sorts before every packet.
    pub const MIN: Self = Self(i64::MIN);

    /// Returns the instant `span` later, saturating at the ends of the range.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Returns the instant `span` earlier, saturating at the ends of the range.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Returns how long after `earlier` this instant is; negative if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// Returns the UTC day that holds this instant.
    #[must_use]
    pub const fn day(self) -> Day {
        // i64 nanoseconds reach 106,751 days either way, so the quotient always fits.
        Day(self.0.div_euclid(86_400 * SECOND) as i32)
    }

    /// Returns the number of the UTC minute that holds this instant.
    #[must_use]
    pub const fn minute(self) -> i64 {
        self.0.div_euclid(60 * SECOND)
    }
}

/// RFC 3339 in UTC with nine digits and `Z`, as every record of the sensor writes it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => write!(f, "{instant:.9}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        i64::try_from(instant.as_nanosecond())
            .map(Timestamp)
            .map_err(serde::de::Error::custom)
    }
}

/// A length of packet time in nanoseconds; negative when it points back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Returns a span of whole milliseconds.
    #[must_use]
    pub const fn millis(n: i64) -> Self {
        Self(n.saturating_mul(SECOND / 1000))
    }

    /// Returns a span of whole seconds.
    #[must_use]
    pub const fn seconds(n: i64) -> Self {
        Self(n.saturating_mul(SECOND))
    }

    /// Returns a span of whole minutes.
    #[must_use]
    pub const fn minutes(n: i64) -> Self {
        Self::seconds(n.saturating_mul(60))
    }

    /// Returns a span of whole hours.
    #[must_use]
    pub const fn hours(n: i64) -> Self {
        Self::seconds(n.saturating_mul(3600))
    }

    /// Returns a span of days of 24 hours.
    #[must_use]
    pub const fn days(n: i64) -> Self {
        Self::seconds(n.saturating_mul(86_400))
    }

    /// Returns the span in seconds, as records write durations.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    /// Returns the whole days in the span.
    #[must_use]
    pub const fn whole_days(self) -> i64 {
        self.0 / (86_400 * SECOND)
    }
}

impl serde::Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_seconds())
    }
}

/// A UTC day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Day(pub i32);

impl Day {
    /// Returns the first instant of the day.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp((self.0 as i64).saturating_mul(86_400 * SECOND))
    }
}

/// The ordinal of a step of packet time within one run; steps without packets are jumped over (rule T1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Returns the epoch that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The number of a frame in the order of arrival, from 1. It breaks every tie in time (rule T2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Arrival(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_nine_digits_and_read_back() {
        let instant = Timestamp(1_700_000_000 * SECOND + 5);
        assert_eq!(instant.to_string(), "2023-11-14T22:13:20.000000005Z");
        let json = serde_json::to_string(&instant).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), instant);
    }

    #[test]
    fn days_before_1970_are_counted_downwards() {
        assert_eq!(Timestamp(-1).day(), Day(-1));
        assert_eq!(Timestamp(0).day(), Day(0));
    }
}
