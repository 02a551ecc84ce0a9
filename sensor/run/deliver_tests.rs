//! What the owner of sinks promises (rule A4), held against sinks that follow a script.

use std::sync::Mutex;

use super::*;
use crate::model::{Batch, Span, Timestamp, sample};

const MEMORY: u64 = 8 << 20;

/// A sink that notes what it is given.
#[derive(Default)]
struct Scripted {
    name: &'static str,
    /// Every line that it was given, in order.
    seen: Arc<Mutex<Vec<u64>>>,
    position: SinkPosition,
    given: u64,
    is_ended: bool,
    /// How many lines are under way before the first of them is delivered.
    lag: u64,
    /// Lines at which it fails, once each.
    fails_at: Vec<u64>,
    /// Whether it never takes anything.
    is_away: bool,
}

impl Scripted {
    fn failed(&self) -> SinkError {
        SinkError {
            sink: self.name.to_owned(),
            source: io::Error::other("away"),
        }
    }
}

impl Sink for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn resume(&mut self, position: SinkPosition) -> Result<(), SinkError> {
        (self.position, self.given) = (position, position.line);
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.given - self.position.line <= self.lag
    }

    fn deliver(&mut self, number: u64, _: &Alert) -> Result<(), SinkError> {
        if self.is_away {
            return Err(self.failed());
        }
        self.seen.lock().unwrap().push(number);
        if let Some(at) = self.fails_at.iter().position(|line| *line == number) {
            self.fails_at.remove(at);
            self.given = self.position.line;
            return Err(self.failed());
        }
        (self.given, self.is_ended) = (number, false);
        Ok(())
    }

    fn turn(&mut self, _: Duration) -> Result<(), SinkError> {
        // One receipt a turn, and what is left once nothing more comes.
        let line = if self.is_ended {
            self.given
        } else {
            self.position.line + 1
        };
        if self.is_ended || self.given > self.position.line + self.lag {
            self.position = SinkPosition::at(line.min(self.given));
        }
        Ok(())
    }

    fn end(&mut self) {
        self.is_ended = true;
    }

    fn position(&self) -> SinkPosition {
        self.position
    }
}

fn store() -> Arc<Store> {
    Arc::new(Store::temporary(MEMORY, Span::days(180)).unwrap())
}

/// Commits lines in one batch; their alerts are decided at the second of their number.
fn commit(store: &Store, sequence: u64, lines: u64) {
    let mut batch = Batch::empty(sequence, Timestamp(1));
    let end = store.outbox_end();
    for number in end + 1..=end + lines {
        let mut alert = sample::domain_alert();
        alert.at = second(number);
        batch.deliver.push(alert);
    }
    store.commit(&batch).unwrap();
}

fn second(number: u64) -> Timestamp {
    Timestamp(i64::try_from(number).unwrap() * crate::model::SECOND)
}

#[test]
fn rule_a4_after_a_failure_a_sink_begins_again_behind_what_is_delivered() {
    let store = store();
    let outbox = Outbox::new(Arc::clone(&store), Persistence::Tries(2), 100);
    let seen = Arc::default();
    let sink = Scripted {
        name: "fake",
        seen: Arc::clone(&seen),
        lag: 2,
        fails_at: vec![1, 5],
        ..Scripted::default()
    };
    let deliveries = Deliveries::start(outbox, vec![sink.into()]).unwrap();
    commit(&store, 1, 7);
    assert_eq!(deliveries.finish().unwrap(), [""; 0]);
    // When line 5 failed, line 2 was the last one delivered: three were under way.
    assert_eq!(*seen.lock().unwrap(), [1, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7]);
    assert_eq!(store.position("fake").unwrap(), Some(SinkPosition::at(7)));
}

#[test]
fn rule_a4_a_replay_waits_for_a_slow_sink_and_drops_no_line() {
    let store = store();
    let outbox = Outbox::new(Arc::clone(&store), Persistence::Tries(5), 4);
    let seen = Arc::default();
    let sink = Scripted {
        name: "slow",
        seen: Arc::clone(&seen),
        lag: 1,
        ..Scripted::default()
    };
    let deliveries = Deliveries::start(outbox, vec![sink.into()]).unwrap();
    let (notice, outbox) = (deliveries.notice(), deliveries.outbox());
    for sequence in 1..=50 {
        commit(&store, sequence, 3);
        notice.give();
        outbox.wait();
        outbox.trim().unwrap();
        assert!(store.outbox_after(0, 100).unwrap().len() <= 4);
    }
    drop((notice, outbox));
    assert_eq!(deliveries.finish().unwrap(), [""; 0]);
    assert!(seen.lock().unwrap().iter().copied().eq(1..=150));
}

#[test]
fn rule_a4_a_sink_that_gave_up_holds_up_nothing_and_what_is_left_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), MEMORY, Span::days(180)).unwrap());
    let outbox = Outbox::new(Arc::clone(&store), Persistence::Tries(1), 4);
    let away = Scripted {
        name: "away",
        is_away: true,
        ..Scripted::default()
    };
    let deliveries = Deliveries::start(outbox, vec![away.into()]).unwrap();
    let (notice, outbox) = (deliveries.notice(), deliveries.outbox());
    for sequence in 1..=5 {
        commit(&store, sequence, 3);
        notice.give();
        outbox.wait();
    }
    drop((notice, outbox));
    assert_eq!(
        deliveries.finish().unwrap(),
        ["away: away; 15 undelivered lines are kept in the ledger and delivered next time"]
    );
    let kept = store.outbox_after(0, 100).unwrap();
    assert!(kept.iter().map(|(number, _)| *number).eq(12..=15));
}

#[test]
fn rule_a4_a_new_sink_begins_now_or_at_a_date() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), MEMORY, Span::days(180)).unwrap());
    commit(&store, 1, 700);
    // Delivered lines are kept up to the bound.
    let outbox = Outbox::new(Arc::clone(&store), Persistence::Forever, 500);
    outbox.trim().unwrap();
    let begin = |from| outbox.begin("new", from).unwrap().line;
    assert_eq!(begin(SinkStart::Now), 700);
    assert_eq!(begin(SinkStart::At(second(550))), 549);
    assert_eq!(begin(SinkStart::At(second(1000))), 700);
    assert_eq!(begin(SinkStart::At(second(3))), 200);
}
