//! Whether a pair is known at a time (rule B2).

use crate::model::{Day, Pair, Span, Timestamp};

/// Says whether a contact at `at` is known: the pair had one in the `window` before it. Exactly the window still counts.
///
/// A pair keeps its first and last contact and the active days, so captures may come in any order: between first and
/// last, a day bit tells. Only days that lie in the window from their first instant on are taken for that.
#[must_use]
pub fn is_known(pair: &Pair, at: Timestamp, window: Span) -> bool {
    if pair.last() <= at {
        return at.since(pair.last()) <= window;
    }
    if pair.first() > at {
        return false;
    }
    let opens = at.minus(window);
    if pair.first() >= opens {
        return true;
    }
    let first_day = if opens.day().start() == opens {
        opens.day()
    } else {
        Day(opens.day().0.saturating_add(1))
    };
    pair.days().any_between(first_day, at.day())
}

/// Says whether a pair is read as absent at `at`: it had no contact for the whole `retention` (rule B5).
#[must_use]
pub fn is_forgotten(pair: &Pair, at: Timestamp, retention: Span) -> bool {
    at.since(pair.last()) > retention
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ActiveDays;

    const WINDOW: Span = Span::days(90);

    fn pair(first: i64, last: i64, days: &[i32]) -> Pair {
        let mut active = ActiveDays::default();
        for day in days {
            active.insert(Day(*day));
        }
        assert_eq!(active.newest, Timestamp(last).day());
        Pair::restored(Timestamp(first), Timestamp(last), active.bits)
    }

    #[test]
    fn rule_b2_exactly_90_days_still_counts() {
        let pair = pair(0, 0, &[0]);
        assert!(is_known(&pair, Timestamp(WINDOW.0), WINDOW));
        assert!(!is_known(&pair, Timestamp(WINDOW.0 + 1), WINDOW));
        assert!(!is_known(&pair, Timestamp(-1), WINDOW));
    }

    #[test]
    fn rule_b2_between_first_and_last_the_days_tell() {
        let day = |n: i32| Day(n).start().0;
        let pair = pair(day(0), day(300), &[180, 300]);
        assert!(is_known(&pair, Timestamp(day(80)), WINDOW));
        assert!(!is_known(&pair, Timestamp(day(100)), WINDOW));
        assert!(is_known(&pair, Timestamp(day(180)), WINDOW));
        assert!(is_known(&pair, Timestamp(day(270)), WINDOW));
        assert!(!is_known(&pair, Timestamp(day(270) + 1), WINDOW));
    }
}
