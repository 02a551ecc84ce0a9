//! A live clock that somebody sets (rule T1).

use crate::model::*;

use super::lab::*;

const DAY: i64 = 86_400_000;
const OTHER: Ip = [203, 0, 113, 8];

/// Two days on which a name and an address are learnt and met again; in between the clock is wrong for `wrong` seconds, in
/// which the address is contacted.
fn run(by: i64, wrong: i64) -> Ran {
    let mut lab = Lab::new();
    lab.policy.baseline.mode = BaselineMode::LearnOnly;
    let mut learnt = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    learnt.extend(handshake(1_000, (CLIENT, 40_000), SERVER));
    learnt.extend(handshake(2_000, (CLIENT, 40_001), OTHER));
    lab.run(&learnt);
    lab.policy.baseline.mode = BaselineMode::Judge;
    lab.policy.time = TimeSource::Live;
    let mut frames = lookup(DAY, CLIENT, RESOLVER, "a.example", SERVER);
    for second in 0..wrong {
        let port = 41_000 + u16::try_from(second).unwrap();
        frames.extend(handshake(by + DAY + second * 1_000, (CLIENT, port), OTHER));
    }
    let after = DAY + (wrong + 1) * 1_000;
    frames.extend(handshake(after, (CLIENT, 50_000), SERVER));
    frames.extend(handshake(after + 1_000, (CLIENT, 50_001), OTHER));
    lab.run(&frames)
}

#[test]
fn rule_t1_a_live_clock_that_is_wrong_for_less_than_a_minute_changes_nothing() {
    let expected = run(0, 50);
    assert_eq!(expected.told(), [""; 0]);
    for by in [200 * DAY, -200 * DAY, -20_000 * DAY] {
        let ran = run(by, 50);
        assert_eq!(ran.told(), expected.told(), "{by}");
        assert_eq!(ran.counters.get(Counter::ClockBreaks), 0);
        assert!(ran.counters.get(Counter::ClockDoubted) >= 50);
        let verdict = |contact: &ContactRecord| (contact.verdict, contact.name.clone());
        let told: Vec<_> = ran.contacts.iter().map(verdict).collect();
        assert_eq!(told, expected.contacts.iter().map(verdict).collect::<Vec<_>>());
    }
}

#[test]
fn rule_t1_a_live_clock_that_stays_set_is_believed_and_names_keep_their_life() {
    for by in [200 * DAY, -20 * DAY] {
        let mut lab = Lab::new();
        lab.policy.time = TimeSource::Live;
        let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
        for second in 1..70 {
            let port = 41_000 + u16::try_from(second).unwrap();
            frames.extend(handshake(by + second * 1_000, (CLIENT, port), OTHER));
        }
        frames.extend(handshake(by + 71_000, (CLIENT, 50_000), SERVER));
        let ran = lab.run(&frames);
        assert_eq!(ran.counters.get(Counter::ClockBreaks), 1);
        assert_eq!(
            ran.events
                .iter()
                .filter(|event| event.kind == EventKind::ClockBreak)
                .count(),
            1
        );
        let last = ran
            .contacts
            .iter()
            .find(|contact| contact.responder.ip == Address::v4(SERVER))
            .unwrap();
        assert_eq!(
            (last.name.as_deref(), last.verdict),
            (Some("a.example"), Verdict::New),
            "{by}"
        );
    }
}
