//! What is a contact, and that each is judged once (rules F2, F3, F6, S3).

use crate::model::*;

use super::lab::*;

#[test]
fn rule_f2_udp_backscatter_is_no_contact_until_the_inside_speaks() {
    let lab = Lab::new();
    let mut frames = handshake(0, (CLIENT, 40_000), SERVER);
    let (server, client) = (([198, 51, 100, 9], 123), ([10, 0, 0, 5], 50_000));
    frames.push((100, udp(server, client, b"backscatter")));
    frames.push(tick(7_000));
    frames.push(tick(80_000));
    let ran = lab.run(&frames);
    assert_eq!(ran.told().len(), 1, "{:?}", ran.told());
    frames.push((80_100, udp(server, client, b"an answer")));
    frames.push((80_200, udp(client, server, b"a question")));
    frames.push(tick(90_000));
    let ran = Lab::new().run(&frames);
    assert_eq!(ran.told().last().unwrap(), "raised new_external_ip 198.51.100.9");
}

#[test]
fn rule_f1_what_trickles_in_after_the_end_of_a_flow_is_no_other_contact() {
    let lab = Lab::new();
    let (from, to) = ((CLIENT, 40_000), (SERVER, 443));
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    frames.extend(handshake(100, from, SERVER));
    frames.push((1_000, tcp(from, to, 1001, FIN, 0)));
    frames.push((1_001, tcp(to, from, 5001, FIN, 0)));
    frames.push((2_000, tcp(from, to, 1002, RST, 0)));
    frames.push(tick(60_000));
    let ran = lab.run(&frames);
    assert_eq!(ran.verdicts(), [Verdict::New]);
    let to_server = |flow: &&FlowRecord| flow.responder.port == 443;
    assert_eq!(ran.flows.iter().filter(to_server).count(), 1);
}

#[test]
fn rule_s3_a_flow_of_a_resolver_is_judged_once() {
    let mut lab = Lab::new();
    lab.policy.names.resolvers = vec![Address::v4(RESOLVER)];
    let mut frames = lookup(0, RESOLVER, [198, 51, 100, 2], "a.example", SERVER);
    frames.push(tick(61_000));
    frames.push(tick(70_000));
    frames.push(tick(80_000));
    assert_eq!(lab.run(&frames).verdicts(), [Verdict::Resolver]);
}

#[test]
fn rule_s3_five_name_servers_within_ten_minutes_make_a_resolver_even_if_four_were_asked_before() {
    let lab = Lab::new();
    let servers: Vec<Ip> = (1..=5).map(|n| [198, 51, 100, n]).collect();
    let ask = |at: i64, server: Ip| {
        let mut frames = lookup(at, CLIENT, server, "a.example", SERVER);
        for (_, frame) in &mut frames {
            // Recursion is not desired.
            frame[44] &= !1;
        }
        frames
    };
    let mut frames = Vec::new();
    for (n, server) in (0_i64..).zip(&servers[..4]) {
        frames.extend(ask(n * 300_000, *server));
    }
    for (n, server) in (0_i64..).zip(&servers) {
        frames.extend(ask(1_500_000 + n * 100_000, *server));
    }
    let ran = lab.run(&frames);
    assert_eq!(ran.verdicts().last(), Some(&Verdict::Resolver), "{:?}", ran.verdicts());
}

#[test]
fn rule_f6_when_too_many_wait_the_oldest_are_judged_and_none_is_dropped() {
    let mut lab = Lab::new();
    lab.limits.open = 10;
    let mut frames = Vec::new();
    for n in 1..=30_u8 {
        frames.extend(handshake(i64::from(n) * 10, (CLIENT, 40_000), [203, 0, 113, n]));
    }
    frames.push(tick(500));
    let ran = lab.run(&frames);
    assert_eq!(ran.contacts.len(), 30);
    assert_eq!(ran.told().len(), 30);
    assert!(ran.batches.iter().all(|batch| batch.pending.len() <= 20));
}
