//! How much was lost in the last minute, and by whom (rule N5).

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::model::{Address, Counter, Counters, Delivered, Minute, SourceId, SourceReport, Span, Timestamp};

/// Loss is told for this long.
const MINUTE: Span = Span::seconds(60);
/// What a source delivered is kept in steps of this length.
const STEP: Span = Span::seconds(10);
/// So many sources are reported, those that delivered most.
const REPORTED: usize = 256;

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

/// What one source delivered.
#[derive(Debug, Default)]
struct Source {
    mirror: Option<Address>,
    /// By number of the step, the last minute's.
    steps: VecDeque<(i64, Delivered)>,
    /// This minute by the clock, and which one it is.
    minute: (i64, Delivered),
    worst: Option<(i64, Delivered)>,
    all: Delivered,
}

impl Source {
    fn add(&mut self, now: Timestamp, delivered: &Delivered) {
        let step = now.0.div_euclid(STEP.0);
        let oldest = step - MINUTE.0 / STEP.0;
        while self.steps.front().is_some_and(|(at, _)| *at < oldest || *at > step) {
            self.steps.pop_front();
        }
        match self.steps.back_mut() {
            Some((at, sum)) if *at == step => sum.add(delivered),
            _ => self.steps.push_back((step, *delivered)),
        }
        let minute = now.0.div_euclid(MINUTE.0);
        if self.minute.0 != minute {
            self.worst = self.worst();
            self.minute = (minute, Delivered::default());
        }
        self.minute.1.add(delivered);
        self.all.add(delivered);
    }

    /// Returns the minute with the greatest loss, if anything was lost; of equal ones the earliest.
    fn worst(&self) -> Option<(i64, Delivered)> {
        let loss = |minute: &(i64, Delivered)| minute.1.loss();
        match &self.worst {
            Some(worst) if loss(worst) >= loss(&self.minute) => Some(*worst),
            _ => Some(self.minute).filter(|minute| loss(minute) > 0.0),
        }
    }
}

/// Frames taken and lost, by epoch, for a minute; and what each source delivered.
#[derive(Debug, Default)]
pub(super) struct Loss {
    epochs: VecDeque<(Timestamp, Taken)>,
    sources: HashMap<SourceId, Source>,
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

    /// Notes the address of a source that mirrors.
    pub fn name(&mut self, source: SourceId, mirror: Option<Address>) {
        self.sources.entry(source).or_default().mirror = mirror;
    }

    /// Adds what a source delivered in an epoch.
    pub fn deliver(&mut self, source: SourceId, now: Timestamp, delivered: &Delivered) {
        self.sources.entry(source).or_default().add(now, delivered);
    }

    /// Returns what was taken and lost in the minute before `at`.
    pub fn before(&self, at: Timestamp) -> Taken {
        let recent = self.epochs.iter().filter(|(epoch, _)| at.since(*epoch) <= MINUTE);
        recent.fold(Taken::default(), |sum, (_, taken)| sum.plus(*taken))
    }

    /// Returns what a source delivered in the minute before `at`, to the step, and since.
    pub fn of(&self, source: SourceId, at: Timestamp) -> Delivered {
        let oldest = at.minus(MINUTE).0.div_euclid(STEP.0);
        let mut sum = Delivered::default();
        let steps = self.sources.get(&source).into_iter().flat_map(|source| &source.steps);
        for (_, delivered) in steps.filter(|(step, _)| *step >= oldest) {
            sum.add(delivered);
        }
        sum
    }

    /// Returns what the sources delivered in all: those that delivered most, in the order of their numbers.
    pub fn report(&self) -> Vec<SourceReport> {
        let mut sources: Vec<(SourceId, &Source)> = self.sources.iter().map(|(id, source)| (*id, source)).collect();
        sources.sort_unstable_by_key(|(id, source)| (std::cmp::Reverse(source.all.packets), *id));
        sources.truncate(REPORTED);
        sources.sort_unstable_by_key(|(id, _)| *id);
        let reports = sources.into_iter().map(|(id, source)| SourceReport {
            source: source.mirror,
            input: source.mirror.is_none().then(|| u32::from(id.0) + 1),
            all: source.all,
            loss: source.all.loss(),
            worst_minute: source.worst().map(|(minute, all)| Minute {
                ts: Timestamp(minute * MINUTE.0),
                all,
                loss: all.loss(),
            }),
        });
        reports.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(0).plus(Span::seconds(seconds))
    }

    #[test]
    fn kernel_and_queues_are_kept_apart_and_the_share_is_of_both() {
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

    #[test]
    fn rule_n5_loss_is_told_by_source_and_minute() {
        let tcp = |octets, missing| Delivered {
            packets: 1,
            tcp_octets: octets,
            tcp_missing: missing,
            ..Delivered::default()
        };
        let (one, other) = (SourceId(0), SourceId(1));
        let mut loss = Loss::default();
        loss.name(other, Some(Address::v4([10, 250, 0, 9])));
        loss.deliver(one, at(0), &tcp(100, 0));
        loss.deliver(other, at(5), &tcp(300, 100));
        loss.deliver(other, at(70), &tcp(50, 50));
        loss.deliver(other, at(130), &tcp(1000, 0));
        assert_eq!(
            loss.of(other, at(10)),
            tcp(1050, 50).with_packets(2),
            "what came since counts"
        );
        assert_eq!(loss.of(other, at(215)), Delivered::default());
        assert_eq!(loss.of(SourceId(7), at(0)), Delivered::default());
        let reports = loss.report();
        assert_eq!(
            (reports[0].source, reports[0].input, reports[0].loss),
            (None, Some(1), 0.0)
        );
        assert_eq!(reports[0].worst_minute, None);
        assert_eq!((reports[1].all, reports[1].loss), (tcp(1350, 150).with_packets(3), 0.1));
        let worst = reports[1].worst_minute.clone().unwrap();
        assert_eq!((worst.ts, worst.all, worst.loss), (at(60), tcp(50, 50), 0.5));
    }

    impl Delivered {
        fn with_packets(self, packets: u64) -> Self {
            Self { packets, ..self }
        }
    }
}
