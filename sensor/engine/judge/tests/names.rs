//! Which answers explain which contacts (rule N4).

use crate::model::*;

use super::lab::*;

#[test]
fn rule_n4_a_configured_resolver_explains_contacts_in_every_segment() {
    let mut lab = Lab::new();
    lab.policy.names.resolvers = vec![Address::v4(RESOLVER)];
    let mut frames = in_vni(42, lookup(0, RESOLVER, [198, 51, 100, 2], "a.example", SERVER));
    frames.extend(in_vni(7, handshake(1_000, (CLIENT, 40_000), SERVER)));
    let ran = lab.run(&frames);
    assert_eq!(ran.told(), ["raised new_external_domain a.example"]);
    assert_eq!(ran.alerts[0].evidence.as_ref().unwrap().scope, Scope::Resolver);
    // And after a restart, from the names that were kept.
    let ran = lab.run(&in_vni(8, handshake(60_000, (CLIENT, 40_000), SERVER)));
    assert_eq!(ran.told(), ["raised new_external_domain a.example"]);
}

#[test]
fn rule_n4_of_many_resolvers_the_one_that_was_told_explains() {
    let mut lab = Lab::new();
    lab.policy.names.resolvers = vec![Address::v4(RESOLVER)];
    let mut frames = Vec::new();
    for vni in 1..=20_u8 {
        let address = if vni == 7 { SERVER } else { [198, 51, 100, vni] };
        let name = format!("{vni}.example{vni}.com");
        let at = i64::from(vni) * 10;
        frames.extend(in_vni(
            u32::from(vni),
            lookup(at, RESOLVER, [192, 0, 2, 53], &name, address),
        ));
    }
    frames.extend(in_vni(42, handshake(1_000, (CLIENT, 40_000), SERVER)));
    let ran = lab.run(&frames);
    assert_eq!(ran.told(), ["raised new_external_domain example7.com"]);
    assert_eq!(ran.alerts[0].evidence.as_ref().unwrap().scope, Scope::Resolver);
}

#[test]
fn rule_n4_a_domain_that_the_group_knows_does_not_hide_another_new_name() {
    let mut lab = Lab::new();
    lab.policy.workloads = [(1, "one"), (2, "two")]
        .map(|(host, name)| WorkloadRule {
            name: name.into(),
            prefixes: vec![format!("10.0.0.{host}/32").parse().unwrap()],
            segment: None,
            group: Some("g".into()),
            owner: None,
            scopes: None,
        })
        .to_vec();
    let two = [10, 0, 0, 2];
    let mut frames = lookup(0, CLIENT, RESOLVER, "known.example", SERVER);
    frames.extend(handshake(100, (CLIENT, 40_000), SERVER));
    frames.extend(lookup(10_000, two, RESOLVER, "new.example", SERVER));
    frames.extend(lookup(20_000, two, RESOLVER, "known.example", SERVER));
    frames.extend(handshake(30_000, (two, 40_000), SERVER));
    let told = lab.run(&frames).told();
    assert_eq!(
        told,
        [
            "raised new_external_domain known.example",
            "raised new_external_domain new.example"
        ]
    );
}

#[test]
fn rule_n3_a_name_in_use_is_not_expired_after_a_restart() {
    let lab = Lab::new();
    let minutes = |n: i64| n * 60_000;
    let mut frames = lookup(0, CLIENT, RESOLVER, "a.example", SERVER);
    for (n, at) in (0_u16..).zip([1, 50, 100]) {
        frames.extend(handshake(minutes(at), (CLIENT, 40_000 + n), SERVER));
    }
    lab.run(&frames);
    let ran = lab.run(&handshake(minutes(140), (CLIENT, 41_000), SERVER));
    assert_eq!(ran.contacts[0].name.as_deref(), Some("a.example"));
}

#[test]
fn a_dns_message_that_cannot_be_read_is_counted_and_its_packet_too() {
    let lab = Lab::new();
    let (client, server) = ((CLIENT, 40_000), (RESOLVER, 53));
    let header = |flags: u8| [&[0, 7, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[63, b'x']].concat();
    let (query, response) = (header(1), header(0x81));
    let frames = [
        (0, udp(client, server, &query)),
        (1, udp(server, client, &response)),
        (2, udp(client, server, b"no DNS")),
        (3, udp(server, client, &query)),
    ];
    let ran = lab.run(&frames);
    let count = |counter| ran.counters.get(counter);
    assert_eq!(count(Counter::DnsMalformed), 2);
    assert_eq!(count(Counter::DnsNotDns), 2, "no header, and a query from the server");
    assert_eq!((count(Counter::DnsQueries), count(Counter::DnsResponses)), (0, 0));
    assert_eq!((count(Counter::Frames), count(Counter::Packets)), (4, 4));
    assert_eq!((ran.counters.malformed(), ran.flows.len()), (0, 1));
}
