//! Packet time: one clock that never goes back within a stretch, cut into epochs (rule T1).

use crate::model::{Epoch, Span, TimeSource, Timestamp};

/// The length of an epoch: short enough that an alert is not late, long enough that marks cost nothing.
pub const EPOCH: Span = Span::millis(100);
/// An epoch ends after so many frames, so that what is reported at its mark stays bounded.
pub const EPOCH_FRAMES: u32 = 131_072;
/// A frame further ahead is held until the next one agrees.
pub const FARTHEST_AHEAD: Span = Span::hours(1);
/// A step back of more than this is a break.
pub const FARTHEST_BACK: Span = Span::seconds(60);

/// How long a clock that was set while the sensor watches has to stand before it is believed.
pub const TRIAL: Span = Span::seconds(60);

/// What the clock says to a frame's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Take the frame at this time; it was clamped if that differs from its own.
    Take(Timestamp),
    /// The clock that stamped the frame was set a short while ago: take the frame at this time, which the clock would show
    /// if it had not been.
    Doubt(Timestamp),
    /// The frame is far ahead: hold it until the next one is there.
    Hold,
    /// Time is another: end the stretch with [`Clock::break_to`] first.
    Break,
}

/// A clock that was set and is not believed yet.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// What it shows when the trial begins.
    since: Timestamp,
    /// How far it is ahead of the clock that is believed.
    by: Span,
}

/// The clock of one stream of frames.
///
/// The times of captures are data: a step back is a break at once, and what lies far ahead is held until the next frame
/// agrees. Live, all times come from one clock. What is far from it then is neither an older capture nor silence, which
/// makes marks; somebody set that clock, perhaps for a moment. So time goes on as if nobody had, and is another only
/// once the clock has stood for [`TRIAL`]: nothing ends, expires or is recorded in a year that never was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    source: TimeSource,
    trial: Option<Trial>,
    now: Option<Timestamp>,
    /// Where the step of `now` ends.
    until: Timestamp,
    frames: u32,
    epoch: Epoch,
}

impl Clock {
    /// Returns a clock for times that come from there.
    #[must_use]
    pub fn new(source: TimeSource) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    /// Returns what to do with a frame of this time.
    #[must_use]
    pub fn tell(&mut self, time: Timestamp) -> Told {
        let Some(now) = self.now else { return Told::Take(time) };
        if Self::agrees(now, time) {
            self.trial = None;
            return Told::Take(time.max(now));
        }
        match self.source {
            TimeSource::Captures if time > now => Told::Hold,
            TimeSource::Captures => Told::Break,
            TimeSource::Live => self.doubt(time, now),
        }
    }

    fn doubt(&mut self, time: Timestamp, now: Timestamp) -> Told {
        let trial = self.trial.filter(|trial| Self::agrees(now, time.minus(trial.by)));
        let trial = *self.trial.insert(trial.unwrap_or(Trial {
            since: time,
            by: time.since(now),
        }));
        if time.since(trial.since) >= TRIAL {
            return Told::Break;
        }
        Told::Doubt(time.minus(trial.by).max(now))
    }

    /// Says whether a frame agrees with a time: it is neither far behind nor far ahead.
    #[must_use]
    pub fn agrees(time: Timestamp, next: Timestamp) -> bool {
        let ahead = next.since(time);
        ahead <= FARTHEST_AHEAD && ahead >= Span(-FARTHEST_BACK.0)
    }

    /// Returns the time of the clock, or `None` before the first frame.
    #[must_use]
    pub const fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Returns the epoch that ends before a frame taken at `time`, and when it ends, if one does.
    #[must_use]
    pub fn ending(&self, time: Timestamp) -> Option<(Epoch, Timestamp)> {
        let now = self.now?;
        if time >= self.until && time != now {
            // Skipped steps hold nothing, so the epoch ends where its own step does.
            return Some((self.epoch, self.until));
        }
        (self.frames >= EPOCH_FRAMES).then_some((self.epoch, now))
    }

    /// Moves on to the next epoch.
    pub const fn next_epoch(&mut self) {
        self.epoch = self.epoch.next();
        self.frames = 0;
    }

    /// Returns the current epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Counts a frame taken at `time`.
    pub fn advance(&mut self, time: Timestamp) {
        if self.now.is_none() || time >= self.until {
            self.until = end_of_step(time);
        }
        self.now = Some(time);
        self.frames = self.frames.saturating_add(1);
    }

    /// Starts anew at `time`; returns by how much the clock moved.
    pub fn break_to(&mut self, time: Timestamp) -> Span {
        let by = match self.now {
            Some(now) => time.since(now),
            None => Span::ZERO,
        };
        self.now = Some(time);
        self.until = end_of_step(time);
        self.trial = None;
        by
    }
}

/// Returns where the step ends that holds a time.
const fn end_of_step(time: Timestamp) -> Timestamp {
    Timestamp((time.0.div_euclid(EPOCH.0) + 1).saturating_mul(EPOCH.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp(0).plus(Span::millis(millis))
    }

    #[test]
    fn rule_t1_small_steps_back_are_clamped_and_large_ones_break() {
        let mut clock = Clock::default();
        clock.advance(at(100_000));
        assert_eq!(clock.tell(at(99_000)), Told::Take(at(100_000)));
        assert_eq!(clock.tell(at(40_000)), Told::Take(at(100_000)));
        assert_eq!(clock.tell(at(39_999)), Told::Break);
        assert_eq!(clock.break_to(at(0)), Span::millis(-100_000));
        assert_eq!(clock.tell(at(1)), Told::Take(at(1)));
    }

    #[test]
    fn rule_t1_a_live_clock_that_is_set_is_believed_after_a_minute() {
        const YEAR: i64 = 365 * 86_400_000;
        for by in [YEAR, -YEAR] {
            let mut clock = Clock::new(TimeSource::Live);
            clock.advance(at(0));
            for second in 1..=30 {
                let told = clock.tell(at(by + second * 1000));
                assert_eq!(told, Told::Doubt(at((second - 1) * 1000)), "time goes on");
                clock.advance(at((second - 1) * 1000));
            }
            assert_eq!(clock.tell(at(31_000)), Told::Take(at(31_000)), "it was set right again");
            clock.advance(at(31_000));
            for second in 0..60 {
                let Told::Doubt(time) = clock.tell(at(by + second * 1000)) else {
                    panic!("believed after {second} s");
                };
                clock.advance(time);
            }
            assert_eq!(clock.tell(at(by + 60_000)), Told::Break);
            assert_eq!(
                clock.break_to(at(by + 60_000)),
                Span::millis(by + 60_000 - 31_000 - 59_000)
            );
            assert_eq!(clock.tell(at(by + 61_000)), Told::Take(at(by + 61_000)));
        }
    }

    #[test]
    fn rule_t1_two_live_clocks_in_turn_break_nothing() {
        let mut clock = Clock::new(TimeSource::Live);
        for second in 0..200 {
            let time = at(second * 1000);
            assert_eq!(clock.tell(time), Told::Take(time));
            clock.advance(time);
            assert_eq!(clock.tell(at(second * 1000 + 90_000_000)), Told::Doubt(time));
        }
    }

    #[test]
    fn rule_t1_a_frame_far_ahead_is_held() {
        let mut clock = Clock::default();
        assert_eq!(clock.tell(at(5)), Told::Take(at(5)));
        clock.advance(at(5));
        assert_eq!(clock.tell(at(3_600_005)), Told::Take(at(3_600_005)));
        assert_eq!(clock.tell(at(3_600_006)), Told::Hold);
        assert!(Clock::agrees(at(4_000_000), at(4_000_000)));
        assert!(!Clock::agrees(at(4_000_000), at(6)));
    }

    #[test]
    fn an_epoch_ends_with_its_step_or_its_frames() {
        let mut clock = Clock::default();
        assert_eq!(clock.ending(at(5)), None);
        clock.advance(at(5));
        assert_eq!(clock.ending(at(99)), None);
        assert_eq!(clock.ending(at(100)), Some((Epoch(0), at(100))));
        assert_eq!(clock.ending(at(9_000)), Some((Epoch(0), at(100))));
        for _ in 0..EPOCH_FRAMES {
            clock.advance(at(6));
        }
        assert_eq!(clock.ending(at(6)), Some((Epoch(0), at(6))));
    }
}
