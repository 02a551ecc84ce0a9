//! How long evidence lives and is kept (rule N3).

use super::time::{SECOND, Span, Timestamp};

/// Evidence is of use for at least this long after an answer, whatever its TTL: clients cache longer than they are told.
pub const LIFE_FLOOR: Span = Span::hours(1);
/// Renewal by use ends this long after the last answer, unless the TTL is longer.
pub const LIFE_CAP: Span = Span::hours(24);
/// Expired evidence is kept this long after its last answer, to say `expired`.
pub const KEPT_FOR: Span = Span::hours(24);
/// A longer TTL counts as this, as RFC 8767 section 4 asks of caches.
pub const LONGEST_LIFE: Span = Span::days(7);

/// Returns until when evidence lives by an answer at `at` with this time to live, in seconds.
#[must_use]
pub fn answered_until(at: Timestamp, ttl: u32) -> Timestamp {
    at.plus(LIFE_FLOOR.max(Span::seconds(i64::from(ttl)).min(LONGEST_LIFE)))
}

/// Returns a time to live, in seconds, as far as it counts.
#[must_use]
pub fn counted_ttl(ttl: u32) -> u32 {
    let longest = u32::try_from(LONGEST_LIFE.0 / SECOND).unwrap_or(u32::MAX);
    ttl.min(longest)
}

/// Returns until when evidence lives by a use at `used`: at most [`LIFE_CAP`] or the greatest TTL after the last answer.
#[must_use]
pub fn used_until(used: Timestamp, ttl: u32, last_answer: Timestamp, greatest_ttl: u32) -> Timestamp {
    let cap = LIFE_CAP.max(Span::seconds(i64::from(greatest_ttl)));
    answered_until(used, ttl).min(last_answer.plus(cap))
}

/// Returns until when evidence is kept at all: while it lives, and then to say that it is expired.
#[must_use]
pub fn kept_until(last_answer: Timestamp, greatest_ttl: u32, expires: Timestamp) -> Timestamp {
    let by_ttl = last_answer.plus(Span::seconds(i64::from(greatest_ttl)));
    last_answer.plus(KEPT_FOR).max(by_ttl).max(expires)
}
