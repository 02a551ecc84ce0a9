//! More alerts in an epoch than a batch holds (rule A1).

use std::collections::BTreeSet;

use crate::model::*;

use super::lab::*;

/// Returns a handshake of each of so many hosts, all within a second, with an address of its own that nothing names.
fn contacts(hosts: u16) -> Vec<(i64, Vec<u8>)> {
    let of = |host: u16| {
        let [high, low] = host.to_be_bytes();
        handshake(
            i64::from(host / 10),
            ([10, 0, high, low], 40_000),
            [203, high, 113, low],
        )
    };
    let mut frames: Vec<_> = (100..100 + hosts).flat_map(of).collect();
    frames.sort_by_key(|(at, _)| *at);
    frames
}

fn ids(ran: &Ran) -> Vec<AlertId> {
    ran.alerts.iter().map(|alert| alert.id).collect()
}

#[test]
fn rule_a1_many_alerts_at_once_come_in_several_batches_and_each_comes_once() {
    let frames = contacts(1_000);
    let ran = Lab::new().run(&frames);
    let known: BTreeSet<AlertId> = ids(&ran).into_iter().collect();
    assert_eq!((ran.alerts.len(), known.len()), (1_000, 1_000));
    let with_alerts = ran.batches.iter().filter(|batch| !batch.alerts.is_empty());
    assert!(with_alerts.clone().count() > 4, "all are judged when the input ends");
    assert!(with_alerts.clone().all(|batch| batch.alerts.len() < 200));
    let numbers: Vec<u64> = with_alerts.map(|batch| batch.sequence).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    // Judged when settle is over instead: the same alerts in the same order.
    let mut later = frames;
    later.push(tick(20_000));
    assert_eq!(ids(&Lab::new().run(&later)), ids(&ran));
}

#[test]
fn rule_a1_a_run_that_is_killed_between_two_batches_of_an_epoch_raises_the_rest() {
    let frames = contacts(600);
    let ran = Lab::new().run(&frames);
    for kept in 1..ran.batches.len() {
        let lab = Lab::new();
        let mut raised = Vec::new();
        for batch in ran.batches.iter().take(kept).filter(|batch| !batch.is_empty()) {
            lab.store.commit(batch).unwrap();
            raised.extend(batch.deliver.iter().map(|alert| alert.id));
        }
        raised.extend(ids(&lab.run(&frames)));
        raised.sort_unstable();
        let mut expected = ids(&ran);
        expected.sort_unstable();
        assert_eq!(raised, expected, "{kept} batches of {} were kept", ran.batches.len());
    }
}
