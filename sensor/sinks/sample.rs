//! One alert for the tests of the sinks.

use std::collections::BTreeMap;

use crate::model::*;

/// Returns an alert with every field set that a new domain has.
pub fn alert() -> Alert {
    let ts = Timestamp(1_700_000_000 * SECOND);
    let client = Address::v4([10, 1, 0, 5]);
    Alert {
        id: AlertId([0xab; 16]),
        revision: 1,
        kind: AlertKind::NewExternalDomain,
        title: AlertKind::NewExternalDomain.title().to_owned(),
        event: AlertEvent::Raised,
        ts,
        at: ts.plus(Span::seconds(5)),
        severity: Severity::Medium,
        confidence: 90,
        novelty: Reach::Deployment,
        prevalence: 0,
        workload: AlertWorkload {
            name: "web".to_owned(),
            address: Some(client),
            group: Some("frontend".into()),
            owner: None,
            segment: "-".into(),
            since: Some(ts),
        },
        destination: AlertDestination {
            domain: Some("example.edu".into()),
            tenant: None,
            name: Some("paste.example.edu".into()),
            ip: Some(Address::v4([203, 0, 113, 7])),
            port: Some(443),
            transport: Some(Transport::Tcp),
        },
        evidence: Some(AlertEvidence {
            kind: EvidenceKind::DnsAddress,
            scope: Scope::Client,
            name: "paste.example.edu".into(),
            client,
            server: Address::v4([10, 1, 0, 2]),
            ts,
            ttl: 60,
            chain: vec!["cdn.example.net".into()],
        }),
        unexplained: None,
        other_names: vec![OtherName {
            name: "other.example".into(),
            client,
            ts,
        }],
        claimed_name: None,
        flow: AlertFlow {
            start: FlowStart::Syn,
            outcome: Outcome::Established,
            octets_out: 12_400,
            octets_in: 3_100,
            duration: 4.25,
            end: None,
            community_id: Some("1:wCb3OG7yAFWelaUydu0D+125CLM=".to_owned()),
        },
        baseline: AlertBaseline {
            window_days: 90,
            first_contact: None,
            last_contact: None,
            workload_since: Some(ts),
            destinations: 12,
        },
        observation: Observation::default(),
        attack: vec!["T1071.001".to_owned()],
        links: BTreeMap::from([("rdap".to_owned(), "https://rdap.org/domain/example.edu".to_owned())]),
        replaces: None,
        count: None,
        summary: "web (10.1.0.5) contacted example.edu for the first time in 90 days.".to_owned(),
    }
}

/// Returns the alert with another revision, to tell deliveries apart.
pub fn revision(revision: u32) -> Alert {
    Alert { revision, ..alert() }
}
