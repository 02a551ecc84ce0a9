//! Attempts and late answers (rules A3, B3, N4).

use crate::model::*;

use super::lab::*;

#[test]
fn rule_b3_a_late_answer_does_not_turn_an_attempt_into_a_contact() {
    let lab = Lab::new();
    let mut frames = vec![(0, tcp((CLIENT, 40_000), (SERVER, 443), 1000, SYN, 0)), tick(6_000)];
    frames.extend(lookup(7_000, CLIENT, RESOLVER, "a.example", SERVER));
    frames.extend(handshake(20_000, (CLIENT, 40_001), SERVER));
    let ran = lab.run(&frames);
    assert_eq!(
        ran.told(),
        [
            "raised new_external_ip 203.0.113.7",
            "withdrawn new_external_ip a.example",
            "raised new_external_domain a.example",
            "raised new_external_domain a.example",
        ]
    );
    assert_eq!(ran.alerts[2].flow.outcome, Outcome::Attempted);
    assert_eq!(ran.alerts[3].flow.outcome, Outcome::Established);
}

#[test]
fn rule_b3_an_attempt_is_folded_into_a_contact_that_waits_for_its_name() {
    let lab = Lab::new();
    let mut frames = vec![
        (0, tcp((CLIENT, 40_000), (SERVER, 443), 1000, SYN, 0)),
        (1, tcp((SERVER, 443), (CLIENT, 40_000), 0, RST | ACK, 0)),
    ];
    frames.extend(handshake(3_000, (CLIENT, 40_001), SERVER));
    frames.push(tick(6_000));
    frames.push(tick(9_000));
    let ran = lab.run(&frames);
    assert_eq!(ran.told(), ["raised new_external_ip 203.0.113.7"]);
    assert_eq!(ran.alerts[0].flow.outcome, Outcome::Established);
    assert_eq!(ran.verdicts(), [Verdict::Known, Verdict::New]);
}

#[test]
fn rule_b3_an_attempt_that_is_folded_is_judged_once_and_may_get_through_itself() {
    let lab = Lab::new();
    let from = (CLIENT, 40_000);
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.push((100, tcp(from, (SERVER, 443), 1000, SYN, 0)));
    frames.extend(handshake(2_000, (CLIENT, 40_001), SERVER));
    frames.extend([tick(7_000), tick(9_000)]);
    let ends = [&frames[..], &[tick(100_000), tick(200_000)]].concat();
    let ran = lab.run(&ends);
    assert_eq!(
        ran.flows
            .iter()
            .filter(|flow| flow.responder.ip == Address::v4(SERVER))
            .count(),
        2
    );
    assert_eq!(ran.verdicts(), [Verdict::New, Verdict::Known]);

    let lab = Lab::new();
    frames.push((10_000, tcp((SERVER, 443), from, 5000, SYN_ACK, 0)));
    frames.push((10_001, tcp(from, (SERVER, 443), 1001, ACK, 0)));
    frames.extend([tick(11_000), tick(12_000)]);
    assert_eq!(
        lab.run(&frames).verdicts(),
        [Verdict::New, Verdict::Known, Verdict::Known]
    );
    let pairs = lab.store.all_pairs().unwrap().of(WorkloadId(0)).unwrap();
    assert!(pairs.iter().all(|stored| stored.pair.count == 2), "{pairs:?}");
}

#[test]
fn rule_a1_of_two_contacts_that_begin_together_one_is_new_whichever_is_established_first() {
    let lab = Lab::new();
    let other = [203, 0, 113, 8];
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.extend(lookup(10, CLIENT, RESOLVER, "a.example", other));
    frames.push((100, tcp((CLIENT, 40_000), (SERVER, 443), 1000, SYN, 0)));
    frames.extend(handshake(350, (CLIENT, 40_001), other));
    frames.push((1_100, tcp((CLIENT, 40_000), (SERVER, 443), 1000, SYN, 0)));
    frames.push((1_101, tcp((SERVER, 443), (CLIENT, 40_000), 5000, SYN_ACK, 0)));
    frames.extend([tick(2_000), tick(9_000)]);
    let ran = lab.run(&frames);
    assert_eq!(ran.told(), ["raised new_external_domain a.example"]);
    assert_eq!(ran.verdicts(), [Verdict::New, Verdict::Known]);
}

#[test]
fn rule_b3_an_attempt_is_folded_into_a_contact_whatever_days_its_pair_can_keep() {
    let lab = Lab::new();
    let contact = |day: i64, refused: bool| {
        let at = day * 86_400_000;
        let mut frames = lookup(at, CLIENT, RESOLVER, "a.example", SERVER);
        if refused {
            frames.push((at + 100, tcp((CLIENT, 40_000), (SERVER, 443), 1000, SYN, 0)));
            frames.push((at + 101, tcp((SERVER, 443), (CLIENT, 40_000), 0, RST | ACK, 0)));
        }
        frames.extend(handshake(at + 2_000, (CLIENT, 40_001), SERVER));
        frames.push(tick(at + 9_000));
        frames
    };
    // Captures come in any order (rule B2): the pair lasts 190 days beyond the last one, and keeps 128.
    for day in [0, 150, 300] {
        assert_eq!(lab.run(&contact(day, false)).verdicts(), [Verdict::New]);
    }
    let ran = lab.run(&contact(110, true));
    assert_eq!(ran.told(), ["raised new_external_domain a.example"]);
    assert_eq!(ran.alerts[0].flow.outcome, Outcome::Established);
    assert_eq!(ran.verdicts(), [Verdict::New, Verdict::Known]);
}

#[test]
fn rule_b3_the_pair_of_an_attempt_that_got_through_names_its_alert() {
    let lab = Lab::new();
    let from = (CLIENT, 40_000);
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.push((100, tcp(from, (SERVER, 443), 1000, SYN, 0)));
    frames.push(tick(6_000));
    frames.push((10_000, tcp((SERVER, 443), from, 5000, SYN_ACK, 0)));
    frames.push((10_001, tcp(from, (SERVER, 443), 1001, ACK, 0)));
    let ran = lab.run(&frames);
    assert_eq!(
        ran.told(),
        [
            "raised new_external_domain a.example",
            "updated new_external_domain a.example"
        ]
    );
    assert_eq!(
        (ran.alerts[0].severity, ran.alerts[1].severity),
        (Severity::Low, Severity::Medium)
    );
    let pairs = lab.store.all_pairs().unwrap().of(WorkloadId(0)).unwrap();
    let domain = pairs
        .iter()
        .find(|stored| stored.key == PairKey::Domain("a.example".into()));
    let (at, fate) = (ran.alerts[0].ts, Fate::Raised);
    assert_eq!(domain.unwrap().pair.novelty(), Some(Novelty { at, fate }));
}

#[test]
fn rule_n4_a_late_answer_from_a_server_that_nobody_vouches_for_withdraws_nothing() {
    let lab = Lab::new();
    let stranger = [198, 51, 100, 66];
    let mut frames = lookup(0, CLIENT, RESOLVER, "known.example", [198, 51, 100, 1]);
    frames.extend(handshake(100, (CLIENT, 40_000), [198, 51, 100, 1]));
    frames.extend(handshake(10_000, (CLIENT, 40_001), SERVER));
    frames.push(tick(16_000));
    frames.extend(lookup(20_000, CLIENT, stranger, "known.example", SERVER));
    frames.push(tick(40_000));
    let told = lab.run(&frames).told();
    assert!(
        told.contains(&"raised new_external_ip 203.0.113.7".to_owned()),
        "{told:?}"
    );
    assert!(!told.iter().any(|line| line.starts_with("withdrawn")), "{told:?}");
}

#[test]
fn rule_a5_a_burst_counts_contacts_that_are_judged_after_their_minute() {
    let lab = Lab::new();
    // 70 unexplained contacts in the last second of a minute; all wait past its end.
    let mut frames = Vec::new();
    for n in 0..70_u8 {
        frames.extend(handshake(
            59_000 + i64::from(n) * 10,
            (CLIENT, 40_000),
            [203, 0, 113, n + 1],
        ));
    }
    for at in [60_100, 61_000, 64_000, 65_000, 66_000, 70_000] {
        frames.push(tick(at));
    }
    let ran = lab.run(&frames);
    let bursts: Vec<_> = ran
        .alerts
        .iter()
        .filter(|alert| alert.kind == AlertKind::Burst)
        .collect();
    assert_eq!(bursts.iter().map(|burst| burst.count).collect::<Vec<_>>(), [Some(10)]);
    let flagged = ran
        .verdicts()
        .iter()
        .filter(|verdict| **verdict == Verdict::Burst)
        .count();
    assert_eq!(flagged, 10);
}
