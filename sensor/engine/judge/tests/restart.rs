//! A run goes on where the one before it stopped (rules T3, A3).

use crate::engine::Ending;
use crate::model::*;

use super::lab::*;

#[test]
fn rule_t3_a_flow_that_goes_on_after_a_restart_updates_its_alert_and_octets_add_up() {
    let lab = Lab::new();
    let from = (CLIENT, 40_000);
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.extend(handshake(100, from, SERVER));
    frames.push((200, tcp(from, (SERVER, 443), 1001, ACK, 1400)));
    let first = lab.run_to(&frames, Ending::Run);
    assert_eq!(first.told(), ["raised new_external_domain a.example"]);
    let open = lab.store.opening().unwrap().open;
    assert_eq!(
        open.iter().map(|open| open.contact.octets_out).collect::<Vec<_>>(),
        [1400]
    );

    let mut frames: Vec<_> = (0..7)
        .map(|n| (10_000 + n, tcp(from, (SERVER, 443), 2401 + 1400 * n as u32, ACK, 1400)))
        .collect();
    frames.push((20_000, tcp(from, (SERVER, 443), 12_201, FIN, 0)));
    frames.push((20_001, tcp((SERVER, 443), from, 5001, FIN, 0)));
    let second = lab.run_to(&frames, Ending::Run);
    assert_eq!(
        second.told(),
        [
            "updated new_external_domain a.example",
            "updated new_external_domain a.example"
        ]
    );
    let last = second.alerts.last().unwrap();
    assert_eq!((last.id, last.revision), (first.alerts[0].id, 3));
    assert_eq!((last.flow.octets_out, last.flow.end), (8 * 1400, Some(FlowEnd::Closed)));
    assert_eq!(last.flow.start, FlowStart::Syn);
    assert_eq!(last.severity, Severity::High);
    assert!(
        second.contacts.is_empty(),
        "it is the same contact: {:?}",
        second.contacts
    );
    assert!(lab.store.opening().unwrap().open.is_empty());
}

#[test]
fn rule_b2_the_same_capture_again_touches_no_alert_that_is_open() {
    let lab = Lab::new();
    let from = (CLIENT, 40_000);
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.push((100, tcp(from, (SERVER, 443), 1001, ACK, 9000)));
    frames.push((200, tcp((SERVER, 443), from, 5001, ACK, 9000)));
    assert_eq!(lab.run(&frames).told().len(), 1);
    assert_eq!(lab.run(&frames).told(), [""; 0]);
    // Hours later the flow is not waited for any longer.
    assert_eq!(lab.run(&[tick(7_300_000), tick(7_400_000)]).told(), [""; 0]);
    assert!(lab.store.opening().unwrap().open.is_empty());
}

#[test]
fn rule_a3_a_late_answer_after_a_restart_withdraws_an_address_alert() {
    let lab = Lab::new();
    let mut frames = handshake(0, (CLIENT, 40_000), SERVER);
    frames.push(tick(6_000));
    let first = lab.run_to(&frames, Ending::Run);
    assert_eq!(first.told(), ["raised new_external_ip 203.0.113.7"]);

    let second = lab.run_to(&lookup(30_000, CLIENT, RESOLVER, "a.example", SERVER), Ending::Run);
    assert_eq!(
        second.told(),
        [
            "withdrawn new_external_ip a.example",
            "raised new_external_domain a.example"
        ]
    );
    assert_eq!(second.alerts[1].replaces, Some(first.alerts[0].id));
    let open = lab.store.opening().unwrap().open;
    assert_eq!(
        open.iter().map(|open| open.id).collect::<Vec<_>>(),
        [second.alerts[1].id]
    );
}

#[test]
fn rule_t3_a_contact_that_waits_survives_two_restarts_and_is_judged_once() {
    let lab = Lab::new();
    lab.run_to(&handshake(0, (CLIENT, 40_000), SERVER), Ending::Run);
    for at in [100, 200] {
        assert_eq!(lab.run_to(&[tick(at)], Ending::Run).told(), [""; 0]);
        assert_eq!(lab.store.opening().unwrap().pending.len(), 1);
    }
    let last = lab.run_to(&[tick(300), tick(6_000), tick(6_200)], Ending::Run);
    assert_eq!(last.told(), ["raised new_external_ip 203.0.113.7"]);
    assert!(lab.store.opening().unwrap().pending.is_empty());
}

#[test]
fn rule_t3_an_attempt_that_gets_through_after_a_restart_is_one_contact() {
    let lab = Lab::new();
    let from = (CLIENT, 40_000);
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.push((100, tcp(from, (SERVER, 443), 1000, SYN, 0)));
    assert_eq!(lab.run_to(&frames, Ending::Run).told(), [""; 0]);
    let frames = [
        (1_000, tcp((SERVER, 443), from, 5000, SYN_ACK, 0)),
        (1_001, tcp(from, (SERVER, 443), 1001, ACK, 0)),
    ];
    let second = lab.run_to(&frames, Ending::Run);
    assert_eq!(second.told(), ["raised new_external_domain a.example"]);
    assert_eq!(second.alerts[0].flow.outcome, Outcome::Established);
    assert_eq!(second.verdicts(), [Verdict::New]);
    assert!(lab.store.opening().unwrap().pending.is_empty());
}

#[test]
fn rule_t3_what_waited_is_named_as_of_its_own_time_however_long_nothing_ran() {
    let lab = Lab::new();
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.push((100, tcp((CLIENT, 40_000), (SERVER, 443), 1000, SYN, 0)));
    assert_eq!(lab.run_to(&frames, Ending::Run).told(), [""; 0]);
    let days = 90 * 86_400_000;
    let second = lab.run_to(&[tick(days), tick(days + 1000)], Ending::Run);
    assert_eq!(second.told(), ["raised new_external_domain a.example"]);
}

#[test]
fn rule_w3_what_waits_in_a_segment_that_the_decoder_numbers_stays_in_it() {
    let mut lab = Lab::new();
    lab.policy.segment.by = vec![SegmentPart::Vni, SegmentPart::Source];
    lab.run_to(&in_vni(7, handshake(0, (CLIENT, 40_000), SERVER)), Ending::Run);
    // Another segment is numbered first in the next run.
    let mut frames = in_vni(9, vec![tick(100)]);
    frames.extend(in_vni(7, lookup(1_000, CLIENT, RESOLVER, "a.example", SERVER)));
    let second = lab.run_to(&frames, Ending::Run);
    assert_eq!(second.told(), ["raised new_external_domain a.example"]);
    assert_eq!(&*second.alerts[0].workload.segment, "vni=7,source=192.0.2.1");
}

#[test]
fn rule_b4_a_workload_that_has_learnt_is_not_told_again_after_a_restart() {
    let mut lab = Lab::new();
    lab.policy.baseline.learning_new = Span::seconds(10);
    let mut frames = handshake(0, (CLIENT, 40_000), SERVER);
    frames.push(tick(11_000));
    frames.push(tick(11_200));
    let learnt = |ran: &Ran| ran.events.iter().filter(|e| e.kind == EventKind::LearningEnded).count();
    assert_eq!(learnt(&lab.run(&frames)), 1);
    assert_eq!(learnt(&lab.run(&[tick(20_000), tick(21_000)])), 0);
}
