//! What counts as the present when something is to expire, and how the day's work is spread over it (rule B5).

use super::time::{Span, Timestamp};

/// How many batches must agree that it is late enough to delete something.
pub const RECENT: usize = 600;

/// The ends of the last [`RECENT`] batches that were committed.
///
/// The least of them is the present of all that expires, so that one wrong clock deletes nothing, and an old capture is safe
/// as soon as its first batch is committed. Until there are so many nothing expires.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecentEpochs {
    ends: Vec<Option<Timestamp>>,
}

impl RecentEpochs {
    /// Returns the place of a batch; every [`RECENT`]th batch has the same.
    #[must_use]
    pub const fn place(sequence: u64) -> usize {
        (sequence % RECENT as u64) as usize
    }

    /// Puts an end in its place.
    pub fn put(&mut self, place: usize, end: Timestamp) {
        self.ends.resize(RECENT, None);
        if let Some(slot) = self.ends.get_mut(place) {
            *slot = Some(end);
        }
    }

    /// Returns the least end, once `end` were put at `place`; [`Timestamp::MIN`] while places are free.
    #[must_use]
    pub fn least_with(&self, place: usize, end: Timestamp) -> Timestamp {
        if self.ends.len() < RECENT {
            return Timestamp::MIN;
        }
        let others = self.ends.iter().enumerate().filter(|&(at, _)| at != place);
        others
            .map(|(_, slot)| slot.unwrap_or(Timestamp::MIN))
            .min()
            .map_or(end, |least| least.min(end))
    }

    /// Returns the least end; [`Timestamp::MIN`] while places are free.
    #[must_use]
    pub fn least(&self) -> Timestamp {
        if self.ends.len() < RECENT {
            return Timestamp::MIN;
        }
        let least = self.ends.iter().map(|slot| slot.unwrap_or(Timestamp::MIN)).min();
        least.unwrap_or(Timestamp::MIN)
    }
}

/// A day of packet time, in which everything is looked at once.
const ROUND: Span = Span::days(1);

/// What is to be looked at once in a day of packet time, a few at a time: numbers from 0 on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DailyRound {
    /// Up to when numbers were given out; nothing before the first call.
    at: Option<Timestamp>,
    next: u32,
}

/// The numbers that are due, and whether a round ends with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePart {
    /// The first one.
    pub from: u32,
    /// Behind the last one.
    pub to: u32,
    /// Whether the round is over.
    pub is_last: bool,
}

impl DailyRound {
    /// Returns which of `count` numbers are due at `now`, if any are. After a day or more all of them are.
    pub fn due(&mut self, now: Timestamp, count: u32) -> Option<DuePart> {
        let at = *self.at.get_or_insert(now);
        let elapsed = i128::from(now.0) - i128::from(at.0);
        if elapsed < 0 || count == 0 {
            self.at = Some(now);
            return None;
        }
        let (round, count_wide) = (i128::from(ROUND.0), i128::from(count));
        if elapsed >= round {
            (self.at, self.next) = (Some(now), 0);
            return Some(DuePart {
                from: 0,
                to: count,
                is_last: true,
            });
        }
        let share = elapsed * count_wide / round;
        if share == 0 {
            return None;
        }
        // What is less than one number stays for the next call.
        let step = i64::try_from(share * round / count_wide).unwrap_or(i64::MAX);
        self.at = Some(at.plus(Span(step)));
        let from = self.next.min(count);
        let to = from.saturating_add(u32::try_from(share).unwrap_or(u32::MAX)).min(count);
        let is_last = to == count;
        self.next = if is_last { 0 } else { to };
        Some(DuePart { from, to, is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_clock_moves_the_present_by_nothing() {
        let mut recent = RecentEpochs::default();
        for sequence in 1..=599 {
            recent.put(RecentEpochs::place(sequence), Timestamp(1000));
        }
        assert_eq!(recent.least(), Timestamp::MIN);
        assert_eq!(recent.least_with(RecentEpochs::place(600), Timestamp(9)), Timestamp(9));
        recent.put(RecentEpochs::place(600), Timestamp(i64::MAX));
        assert_eq!(recent.least(), Timestamp(1000));
        assert_eq!(
            recent.least_with(RecentEpochs::place(601), Timestamp(-5)),
            Timestamp(-5)
        );
        for sequence in 601..=1199 {
            recent.put(RecentEpochs::place(sequence), Timestamp(2000));
        }
        assert_eq!(recent.least(), Timestamp(2000));
    }

    #[test]
    fn everything_is_due_once_a_day_however_time_goes() {
        for step in [Span::millis(100), Span::seconds(1), Span::minutes(7), Span::hours(5)] {
            for count in [1, 7, 1000, 100_000] {
                let mut round = DailyRound::default();
                assert_eq!(round.due(Timestamp(5), count), None);
                let (mut expected, mut rounds, mut now) = (0, 0, Timestamp(5));
                while now < Timestamp(5).plus(Span::days(3)) {
                    now = now.plus(step);
                    let Some(due) = round.due(now, count) else { continue };
                    assert_eq!((due.from, due.is_last), (expected, due.to == count));
                    expected = if due.is_last { 0 } else { due.to };
                    rounds += u32::from(due.is_last);
                }
                assert!((2..=3).contains(&rounds), "{step:?} {count}: {rounds}");
            }
        }
    }

    #[test]
    fn after_a_day_and_more_everything_is_due_and_a_step_back_costs_nothing() {
        let mut round = DailyRound::default();
        let all = |count| {
            Some(DuePart {
                from: 0,
                to: count,
                is_last: true,
            })
        };
        round.due(Timestamp(0), 10);
        assert_eq!(round.due(Timestamp(0).plus(Span::days(400)), 10), all(10));
        assert_eq!(round.due(Timestamp(0), 10), None);
        assert_eq!(round.due(Timestamp(0).plus(Span::days(1)), 11), all(11));
        assert_eq!(round.due(Timestamp::MIN, 10), None);
        assert_eq!(round.due(Timestamp(i64::MAX), 10), all(10));
    }
}
