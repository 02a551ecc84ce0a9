//! Contacts for which the baseline has no room, across restarts (rule A5).

use crate::engine::Ending;
use crate::model::*;

use super::lab::*;

/// Returns contacts with a bare address each, one every 100 ms from `at` on.
fn scan(at: i64, client: Ip, numbers: std::ops::Range<u8>) -> Vec<(i64, Vec<u8>)> {
    let contact = |n: u8| handshake(at + i64::from(n) * 100, (client, 40_000), [198, 51, 100, n]);
    numbers.flat_map(contact).collect()
}

/// Returns the destinations and budgets of what was raised.
fn raised(ran: &Ran) -> Vec<String> {
    let raised = ran.alerts.iter().filter(|alert| alert.event == AlertEvent::Raised);
    let whom = raised.map(|alert| match alert.destination.ip {
        Some(ip) => ip.to_string(),
        None if alert.summary.contains("`[baseline] destinations`") => "destinations".to_owned(),
        None => "disk".to_owned(),
    });
    whom.collect()
}

fn lab(destinations: u32, disk: u64) -> Lab {
    let mut lab = Lab::new();
    (lab.policy.baseline.destinations, lab.policy.baseline.disk) = (destinations, disk);
    lab
}

/// Moves time on so that everything that waits is judged.
fn settled(at: i64) -> (i64, Vec<u8>) {
    tick(at + 20_000)
}

#[test]
fn rule_a5_a_run_that_is_killed_in_mid_scan_goes_on_with_the_count() {
    let mut whole = scan(0, CLIENT, 0..40);
    whole.push(settled(4_000));
    let undisturbed = lab(25, u64::MAX).run(&whole);
    let mut expected: Vec<String> = (0..25).map(|n| format!("198.51.100.{n}")).collect();
    expected.push("destinations".to_owned());
    assert_eq!(raised(&undisturbed), expected);
    for cut in [3, 10, 20, 24, 25, 26, 39] {
        let lab = lab(25, u64::MAX);
        let mut first = scan(0, CLIENT, 0..cut);
        first.push(settled(4_000));
        first.push(tick(25_000));
        let killed = lab.run_killed(&first);
        let mut rest = scan(30_000, CLIENT, cut..40);
        rest.push(settled(34_000));
        let again = lab.run(&rest);
        let mut all = raised(&killed);
        all.extend(raised(&again));
        assert_eq!(all, expected, "cut after {cut}");
        let over = [&killed, &again].map(|ran| ran.counters.get(Counter::ContactsOverDestinations));
        assert_eq!(over.iter().sum::<u64>(), 15);
        let kept = lab.store.kept().unwrap();
        assert_eq!(kept.unrecorded.iter().map(|(_, of)| of.contacts).sum::<u64>(), 15);
        assert_eq!(kept.pairs_from(Day(0)), 25);
        assert_eq!(kept.alerts_from(Day(0)), 26);
        assert_eq!(kept.limits, Some(lab.policy.baseline.limits()));
    }
}

#[test]
fn rule_a5_of_a_contact_as_much_is_recorded_as_there_is_room_for() {
    let lab = lab(2, u64::MAX);
    let mut frames = lookup(0, CLIENT, RESOLVER, "www.one.example", SERVER);
    frames.extend(handshake(10, (CLIENT, 40_000), SERVER));
    // The domain is known, its next address is not: there is no room for that, but nothing is new.
    frames.extend(lookup(1_000, CLIENT, RESOLVER, "www.one.example", [203, 0, 113, 8]));
    frames.extend(handshake(1_010, (CLIENT, 40_000), [203, 0, 113, 8]));
    // Bare, that address is a burst.
    frames.extend(scan(100_000, CLIENT, 8..9));
    frames.push(settled(101_000));
    let ran = lab.run(&frames);
    assert_eq!(ran.verdicts(), [Verdict::New, Verdict::Known, Verdict::Burst]);
    assert_eq!(ran.counters.get(Counter::ContactsOverDestinations), 2);
    let told: Vec<AlertKind> = ran.alerts.iter().map(|alert| alert.kind).collect();
    assert_eq!(told, [AlertKind::NewExternalDomain, AlertKind::Burst]);
    assert_eq!(lab.store.kept().unwrap().pairs_from(Day(0)), 2);
}

#[test]
fn rule_a5_the_disk_is_told_of_before_and_when_it_is_full_and_each_workload_once_a_day() {
    // Room for ten pairs with their alerts, and what one more might take beside its own.
    let lab = lab(100, 10 * (PAIR_OCTETS + ALERT_OCTETS) + 2 * PAIR_OCTETS);
    let mut frames = scan(0, CLIENT, 0..9);
    frames.extend(scan(1_000, [10, 0, 0, 2], 0..9));
    // They are judged in the epochs in which their time is over.
    frames.extend((50..200).map(|n| tick(n * 100)));
    let ran = lab.run(&frames);
    let told: Vec<&str> = ran
        .events
        .iter()
        .filter(|event| event.kind == EventKind::BudgetFull)
        .map(|event| event.text.split(": ").next().unwrap())
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].ends_with(" 89 % of `[baseline] disk`"), "{told:?}");
    assert!(told[1].ends_with(" 99 % of `[baseline] disk`"), "{told:?}");
    assert_eq!(ran.counters.get(Counter::ContactsOverDisk), 8);
    let raised = raised(&ran);
    assert_eq!(raised.iter().filter(|whom| *whom == "disk").count(), 1, "{raised:?}");
    assert_eq!(raised.len(), 11);
}

#[test]
fn rule_a5_when_the_disk_is_full_for_everybody_twenty_workloads_a_day_are_told_of_whatever_restarts() {
    let contacts = |at: i64, workloads: std::ops::Range<u8>| {
        let mut frames: Vec<_> = workloads
            .flat_map(|n| scan(at + i64::from(n) * 200, [10, 0, 2, n], n..n + 1))
            .collect();
        frames.push(settled(at + 20_000));
        frames.push(tick(at + 45_000));
        frames
    };
    let disk = |ran: &Ran| raised(ran).iter().filter(|whom| *whom == "disk").count();
    for cut in [0, 5, 19, 20, 21, 30] {
        let lab = lab(100, ALERT_OCTETS);
        let before = lab.run_killed(&contacts(0, 0..cut));
        let after = lab.run(&contacts(60_000, cut..40));
        assert_eq!(disk(&before) + disk(&after), 20, "cut after {cut}");
        assert_eq!(lab.store.kept().unwrap().unrecorded.len(), 40);
        // They contact others, and the next day is another one.
        assert_eq!(disk(&lab.run(&contacts(120_000, 0..40))), 0);
        assert_eq!(disk(&lab.run(&contacts(86_400_000, 0..40))), 20);
    }
}

#[test]
fn rule_b4_whoever_learns_raises_nothing_where_there_is_no_room_but_it_is_told() {
    let mut lab = lab(5, u64::MAX);
    lab.policy.baseline.learning = Span::days(1);
    let mut frames = scan(0, CLIENT, 0..9);
    frames.push(settled(4_000));
    let ran = lab.run_to(&frames, Ending::Run);
    assert!(ran.alerts.is_empty());
    assert_eq!(ran.counters.get(Counter::ContactsOverDestinations), 4);
    let told = ran.events.iter().filter(|event| event.kind == EventKind::BudgetFull);
    assert_eq!(told.count(), 1);
    let verdicts = ran.verdicts();
    assert_eq!(verdicts[..5], [Verdict::Learned; 5]);
    assert_eq!(verdicts[5..], [Verdict::Burst; 4]);
    // Behind the end of learning it is an alert.
    lab.policy.baseline.mode = BaselineMode::Judge;
    let day = 86_400_000;
    let mut frames = scan(2 * day, CLIENT, 20..23);
    frames.push(settled(2 * day + 4_000));
    let ran = lab.run(&frames);
    assert_eq!(raised(&ran), ["destinations"]);
}
