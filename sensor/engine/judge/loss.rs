//! How many frames were lost in the last minute (rule N5).

use std::collections::VecDeque;

use crate::model::{Span, Timestamp};

/// Loss is told for this long.
const MINUTE: Span = Span::seconds(60);

/// Frames taken and lost, by epoch, for a minute.
#[derive(Debug, Default)]
pub(super) struct Loss {
    epochs: VecDeque<(Timestamp, u64, u64)>,
}

impl Loss {
    /// Adds what an epoch took and lost.
    pub fn add(&mut self, now: Timestamp, frames: u64, lost: u64) {
        while self
            .epochs
            .front()
            .is_some_and(|(at, _, _)| now.since(*at) > MINUTE || *at > now)
        {
            self.epochs.pop_front();
        }
        self.epochs.push_back((now, frames, lost));
    }

    /// Returns the share of frames that were lost in the minute before `at`, from 0 to 1.
    pub fn share(&self, at: Timestamp) -> f64 {
        let (taken, lost) = self.sums(at);
        if lost == 0 {
            0.0
        } else {
            lost as f64 / (taken + lost) as f64
        }
    }

    /// Returns how many frames were lost in the minute before `at`.
    pub fn drops(&self, at: Timestamp) -> u64 {
        self.sums(at).1
    }

    fn sums(&self, at: Timestamp) -> (u64, u64) {
        let recent = self.epochs.iter().filter(|(epoch, _, _)| at.since(*epoch) <= MINUTE);
        recent.fold((0, 0), |(taken, lost), (_, t, l)| (taken + t, lost + l))
    }
}
