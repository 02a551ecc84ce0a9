//! The budget and its bursts, across restarts (rule A5).

use crate::engine::Ending;
use crate::model::*;

use super::lab::*;

/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;

/// Returns contacts of one client with a new domain each, one every 100 ms from `at` on.
fn novelties(at: i64, numbers: std::ops::Range<u8>) -> Vec<(i64, Vec<u8>)> {
    let mut frames = Vec::new();
    for n in numbers {
        let at = at + i64::from(n) * 100;
        let server = [203, 0, 113, n];
        frames.extend(lookup(at, CLIENT, RESOLVER, &format!("d{n}.example"), server));
        frames.extend(handshake(at + 10, (CLIENT, 40_000), server));
    }
    frames
}

/// Returns how many alerts were raised one by one, and the counts of those of bursts.
fn raised(runs: &[&Ran]) -> (usize, Vec<u32>) {
    let alerts = runs.iter().flat_map(|ran| &ran.alerts);
    let raised: Vec<&Alert> = alerts.filter(|alert| alert.event == AlertEvent::Raised).collect();
    let counts: Vec<u32> = raised.iter().filter_map(|alert| alert.count).collect();
    (raised.len() - counts.len(), counts)
}

#[test]
fn rule_a5_a_run_that_is_killed_within_the_minute_goes_on_with_the_count() {
    let lab = Lab::new();
    let mut frames = novelties(0, 0..65);
    frames.push(tick(20_000));
    let first = lab.run_killed(&frames);
    assert_eq!(raised(&[&first]), (60, vec![]));

    let mut frames = novelties(20_000, 65..75);
    frames.push(tick(2 * MINUTE));
    frames.push(tick(2 * MINUTE + 200));
    let second = lab.run_killed(&frames);
    assert_eq!(raised(&[&second]), (0, vec![15]));
    // A third run finds the burst told.
    let third = lab.run(&[tick(3 * MINUTE), tick(4 * MINUTE)]);
    assert_eq!(raised(&[&third]), (0, vec![]));
}

#[test]
fn rule_t3_a_burst_that_is_not_over_when_a_run_stops_is_told_by_the_next() {
    let lab = Lab::new();
    let mut frames = novelties(0, 0..65);
    frames.push(tick(20_000));
    let first = lab.run_to(&frames, Ending::Run);
    assert_eq!(raised(&[&first]), (60, vec![]));
    let second = lab.run_to(&[tick(5 * MINUTE), tick(5 * MINUTE + 200)], Ending::Run);
    assert_eq!(raised(&[&second]), (0, vec![5]));
}

#[test]
fn rule_a5_a_capture_that_is_replayed_after_a_kill_gives_the_same_burst_once() {
    let mut frames = vec![tick(0), tick(MINUTE)];
    frames.extend(novelties(30 * MINUTE, 0..90));
    frames.push(tick(40 * MINUTE));
    let undisturbed = Lab::new().run(&frames);
    assert_eq!(raised(&[&undisturbed]), (60, vec![30]));
    for killed_after in [2, 100, 200, 302, 330, 445, 451] {
        let lab = Lab::new();
        let first = lab.run_killed(&frames[..killed_after]);
        let second = lab.run(&frames);
        assert_eq!(
            raised(&[&first, &second]),
            (60, vec![30]),
            "killed after {killed_after} frames"
        );
        let told = |alert: &&Alert| alert.count.is_some();
        let ids = [&undisturbed, &second].map(|ran| ran.alerts.iter().find(told).map(|alert| alert.id));
        assert_eq!(ids[0], ids[1]);
        assert!(
            lab.store.opening().unwrap().counted.is_empty(),
            "the input's end tells all"
        );
    }
}

#[test]
fn rule_a5_the_burst_of_a_destination_keeps_its_name_over_a_restart() {
    let lab = Lab::new();
    let contacts = |numbers: std::ops::Range<u8>| {
        let mut frames = Vec::new();
        for n in numbers {
            let (at, client) = (i64::from(n) * 1_000, [10, 0, 1, n]);
            frames.extend(lookup(at, client, RESOLVER, "a.example", SERVER));
            frames.extend(handshake(at + 10, (client, 40_000), SERVER));
        }
        frames
    };
    let mut frames = contacts(0..25);
    frames.push(tick(30_000));
    assert_eq!(raised(&[&lab.run_killed(&frames)]), (20, vec![]));
    let mut frames = contacts(31..34);
    frames.push(tick(11 * MINUTE));
    let second = lab.run(&frames);
    assert_eq!(raised(&[&second]), (0, vec![8]));
    let burst = second
        .alerts
        .iter()
        .find(|alert| alert.kind == AlertKind::Burst)
        .unwrap();
    assert_eq!(burst.destination.domain.as_deref(), Some("a.example"));
}

#[test]
fn what_the_budget_counted_is_kept_no_longer_than_it_matters() {
    let lab = Lab::new();
    let mut frames = Vec::new();
    for minute in 0..60_u8 {
        frames.extend(novelties(i64::from(minute) * MINUTE, minute * 3..minute * 3 + 3));
    }
    frames.push(tick(61 * MINUTE));
    lab.run_killed(&frames);
    let counted = lab.store.opening().unwrap().counted;
    let minutes = counted.iter().flat_map(|counts| &counts.minutes);
    let minutes: std::collections::BTreeSet<i64> = minutes.map(|count| count.minute).collect();
    assert!((20..=22).contains(&minutes.len()), "{} minutes", minutes.len());
}
