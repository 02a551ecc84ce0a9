//! Full tables are told of, once an hour of packet time (rule F6).

use crate::engine::partition::partition;
use crate::model::*;

use super::lab::*;

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Returns what full tables the log was told of, in order.
fn full(ran: &Ran) -> Vec<&str> {
    let told = ran.events.iter().filter(|event| event.kind == EventKind::TableFull);
    told.map(|event| event.text.as_str()).collect()
}

/// Returns a handshake from this port on port 8443 of a server.
fn on_8443(at: i64, port: u16, server: Ip) -> Vec<(i64, Vec<u8>)> {
    let (from, to) = ((CLIENT, port), (server, 8443));
    vec![
        (at, tcp(from, to, 1000, SYN, 0)),
        (at + 1, tcp(to, from, 5000, SYN_ACK, 0)),
        (at + 2, tcp(from, to, 1001, ACK, 0)),
    ]
}

#[test]
fn rule_f6_a_full_table_of_flows_is_told_once_and_again_an_hour_later() {
    let mut lab = Lab::new();
    lab.limits.candidates = 1;
    let mut frames = Vec::new();
    for (at, port) in [
        (0, 40_000),
        (1_000, 40_001),
        (2_000, 40_002),
        (HOUR, 40_003),
        (HOUR + 500, 40_004),
    ] {
        frames.extend(handshake(at, (CLIENT, port), SERVER));
    }
    let ran = lab.run(&frames);
    assert_eq!(
        full(&ran),
        [
            "the table of flows that may be contacts is full at 1 in each of 64 partitions: flows end early and their \
             contacts are judged at once; raise `memory` in the settings"
        ],
        "those that follow come within the hour of the first"
    );
    frames.extend(handshake(HOUR + 2_000, (CLIENT, 40_005), SERVER));
    assert_eq!(full(&lab.run(&frames)).len(), 2);
}

#[test]
fn rule_f6_each_table_is_told_by_its_name() {
    let told = |change: fn(&mut Lab), frames: &[(i64, Vec<u8>)]| {
        let mut lab = Lab::new();
        change(&mut lab);
        let ran = lab.run(frames);
        let full = full(&ran);
        let table = |text: &&str| text.split(':').next().unwrap_or_default().to_owned();
        full.iter().map(table).collect::<Vec<_>>()
    };
    let mut frames = Vec::new();
    for n in 0..4_u16 {
        let at = i64::from(n) * 10;
        let server = [203, 0, 113, n as u8];
        frames.extend(lookup(at, CLIENT, RESOLVER, &format!("{n}.example"), server));
        frames.extend(on_8443(at + 2, 40_000 + n, server));
        frames.push((at + 8, udp(([10, 0, 0, 8], n), ([10, 0, 0, 9], 9), b"x")));
    }
    frames.push(tick(20_000));
    let no_answers: Vec<_> = frames.iter().filter(|(at, _)| at % 10 != 1).cloned().collect();

    assert_eq!(told(|_| {}, &frames), [""; 0]);
    assert_eq!(
        told(|lab| lab.limits.others = 1, &frames),
        ["the table of other flows is full at 1 in each of 64 partitions"]
    );
    assert_eq!(
        told(|lab| lab.limits.queries = 1, &no_answers),
        ["the table of queries is full at 1 in each of 64 partitions"]
    );
    assert_eq!(
        told(|lab| lab.limits.names = 500, &frames),
        ["the table of octets of names is full at 500"]
    );
    assert_eq!(
        told(|lab| lab.limits.open = 2, &no_answers),
        ["the table of waiting contacts is full at 2"]
    );
    assert_eq!(
        told(|lab| lab.limits.listening = 2, &frames),
        [
            "the table of listening ports is full at 2",
            "the table of hardware addresses is full at 2"
        ]
    );
    assert_eq!(
        told(|lab| lab.limits.pairs = 2, &frames),
        ["the table of pairs in memory is full at 2"]
    );
}

#[test]
fn rule_f6_a_full_table_of_fragments_is_told() {
    let mut lab = Lab::new();
    lab.policy.memory = 1 << 20;
    let fragment = |n: u16| {
        let mut frame = udp((CLIENT, 1), (SERVER, 9), &[0; 8]);
        frame[18..22].copy_from_slice(&[&n.to_be_bytes()[..], &[0, 9]].concat());
        (i64::from(n), frame)
    };
    let ran = lab.run(&(0..1000).map(fragment).collect::<Vec<_>>());
    let told = full(&ran);
    assert!(told.len() == 1 && told[0].starts_with("the table of octets of datagrams in fragments is full at"));
}

#[test]
fn rule_f6_a_full_table_lets_a_judged_flow_go_before_one_that_waits() {
    let mut lab = Lab::new();
    lab.limits.candidates = 2;
    let place = |server: Ip| partition(Address::v4(CLIENT), Address::v4(server));
    let servers = (0..=255).map(|n| [198, 51, 100, n]);
    let servers: Vec<Ip> = servers.filter(|server| place(*server) == place(SERVER)).collect();
    let [waiting, last, ..] = servers[..] else {
        panic!("a partition has several pairs")
    };

    let judged = (CLIENT, 40_000);
    let mut frames = handshake(0, judged, SERVER);
    frames.extend(handshake(8_000, (CLIENT, 40_001), waiting));
    // Judged long ago, and the one of the two that was heard of last.
    frames.push((9_000, tcp(judged, (SERVER, 443), 1001, ACK, 10)));
    frames.extend(handshake(9_500, (CLIENT, 40_002), last));
    frames.extend(lookup(10_000, CLIENT, RESOLVER, "a.example", waiting));
    frames.push(tick(20_000));
    let ran = lab.run(&frames);
    assert_eq!(
        ran.told(),
        [
            "raised new_external_ip 203.0.113.7",
            "updated new_external_ip 203.0.113.7",
            "raised new_external_domain a.example",
            &format!("raised new_external_ip {}", Address::v4(last)),
        ]
    );
    assert_eq!(ran.alerts[1].flow.end, Some(FlowEnd::Evicted));
}
