//! How many frames were lost in the last minute (rule N5).

use std::collections::VecDeque;

use crate::model::{Counter, Counters, Span, Timestamp};

/// Loss is told for this long.
const MINUTE: Span = Span::seconds(60);

/// Frames taken and lost within some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    /// Frames that capture handed over, those among them that a queue dropped included.
    pub frames: u64,
    /// Frames that the kernel dropped before capture read them.
    pub kernel: u64,
    /// Frames that the sensor dropped because a queue was full.
    pub queue: u64,
}

impl Taken {
    /// Returns what an epoch took and lost.
    pub fn of(counters: &Counters) -> Self {
        Self {
            frames: counters.get(Counter::Frames),
            kernel: counters.get(Counter::KernelDrops),
            queue: counters.get(Counter::QueueDrops),
        }
    }

    /// Returns how many frames were lost, wherever.
    pub const fn lost(self) -> u64 {
        self.kernel + self.queue
    }

    /// Returns the share of frames that were lost, from 0 to 1.
    pub fn share(self) -> f64 {
        if self.lost() == 0 {
            0.0
        } else {
            (self.lost() as f64 / (self.frames + self.kernel) as f64).min(1.0)
        }
    }

    const fn plus(self, more: Self) -> Self {
        Self {
            frames: self.frames + more.frames,
            kernel: self.kernel + more.kernel,
            queue: self.queue + more.queue,
        }
    }
}

/// Frames taken and lost, by epoch, for a minute.
#[derive(Debug, Default)]
pub(super) struct Loss {
    epochs: VecDeque<(Timestamp, Taken)>,
}

impl Loss {
    /// Adds what an epoch took and lost.
    pub fn add(&mut self, now: Timestamp, taken: Taken) {
        while self
            .epochs
            .front()
            .is_some_and(|(at, _)| now.since(*at) > MINUTE || *at > now)
        {
            self.epochs.pop_front();
        }
        self.epochs.push_back((now, taken));
    }

    /// Returns what was taken and lost in the minute before `at`.
    pub fn before(&self, at: Timestamp) -> Taken {
        let recent = self.epochs.iter().filter(|(epoch, _)| at.since(*epoch) <= MINUTE);
        recent.fold(Taken::default(), |sum, (_, taken)| sum.plus(*taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_queues_are_kept_apart_and_the_share_is_of_both() {
        let at = |n| Timestamp(0).plus(Span::seconds(n));
        let epoch = |frames, kernel, queue| Taken { frames, kernel, queue };
        let mut loss = Loss::default();
        loss.add(at(0), epoch(1000, 500, 0));
        loss.add(at(30), epoch(90, 10, 0));
        loss.add(at(60), epoch(90, 0, 9));
        loss.add(at(61), epoch(10, 0, 1));
        let seen = loss.before(at(62));
        assert_eq!(seen, epoch(190, 10, 10));
        assert!((seen.share() - 0.1).abs() < 1e-9, "what a queue drops was taken before");
        assert_eq!(loss.before(at(200)).share().to_bits(), 0.0_f64.to_bits());
    }
}
