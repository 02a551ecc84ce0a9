//! One alert for the tests of every folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

/// The time of every sample: 2023-11-14 22:13:20 UTC.
pub const TS: Timestamp = Timestamp(1_700_000_000 * SECOND);

/// Returns an ordinary alert about a domain.
pub fn domain_alert() -> Alert {
    Alert {
        id: AlertId([0xab; 16]),
        revision: 1,
        kind: AlertKind::NewExternalDomain,
        title: AlertKind::NewExternalDomain.title().to_owned(),
        event: AlertEvent::Raised,
        ts: TS,
        at: TS.plus(Span::seconds(5)),
        severity: Severity::Medium,
        confidence: 90,
        novelty: Reach::Deployment,
        prevalence: 0,
        workload: AlertWorkload {
            name: "web".to_owned(),
            address: Some(Address::v4([10, 1, 0, 5])),
            group: Some("frontend".into()),
            owner: None,
            segment: "-".into(),
            since: Some(TS.minus(Span::days(30))),
        },
        destination: AlertDestination {
            domain: Some("example.edu".into()),
            tenant: None,
            name: Some("paste.example.edu".into()),
            ip: Some(Address::v4([203, 0, 113, 7])),
            port: Some(443),
            transport: Some(Transport::Tcp),
        },
        evidence: Some(evidence(Scope::Client)),
        unexplained: None,
        other_names: Vec::new(),
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
            workload_since: Some(TS.minus(Span::days(30))),
            destinations: 12,
        },
        observation: Observation {
            watched: 7200.0,
            ..Observation::default()
        },
        attack: vec!["T1071.001".to_owned()],
        links: BTreeMap::from([("rdap".to_owned(), "https://rdap.org/domain/example.edu".to_owned())]),
        replaces: None,
        count: None,
        summary: String::new(),
    }
}

/// Returns the ordinary alert with another revision, to tell deliveries apart.
pub fn revision(revision: u32) -> Alert {
    Alert {
        revision,
        ..domain_alert()
    }
}

/// Returns evidence for the domain alert, by scope.
pub fn evidence(scope: Scope) -> AlertEvidence {
    let client = match scope {
        Scope::Client => [10, 1, 0, 5],
        Scope::Resolver => [10, 0, 0, 2],
        Scope::Host | Scope::Workload | Scope::Any => [10, 1, 0, 6],
    };
    let server = if scope == Scope::Resolver {
        [9, 9, 9, 9]
    } else {
        [10, 1, 0, 2]
    };
    AlertEvidence {
        kind: EvidenceKind::DnsAddress,
        scope,
        name: "paste.example.edu".into(),
        client: Address::v4(client),
        server: Address::v4(server),
        ts: TS.minus(Span::seconds(1)),
        ttl: 60,
        chain: vec![Arc::from("cdn.example.net")],
    }
}

/// Returns an alert about an address that nothing explains.
pub fn address_alert(unexplained: Unexplained) -> Alert {
    let mut alert = domain_alert();
    alert.kind = AlertKind::NewExternalIp;
    alert.title = alert.kind.title().to_owned();
    alert.severity = Severity::High;
    alert.destination.domain = None;
    alert.destination.name = None;
    alert.evidence = None;
    alert.unexplained = Some(unexplained);
    alert
}

/// Returns a name that was given to another client.
pub fn other_name(name: &str) -> OtherName {
    OtherName {
        name: name.into(),
        client: Address::v4([10, 1, 0, 9]),
        ts: TS.minus(Span::minutes(5)),
    }
}

/// Returns a burst alert of a workload, or of the sample's destination.
pub fn burst_alert(scope: BurstOf) -> Alert {
    let mut alert = domain_alert();
    alert.kind = AlertKind::Burst;
    alert.title = alert.kind.title().to_owned();
    alert.severity = Severity::High;
    alert.evidence = None;
    alert.count = Some(77);
    match scope {
        BurstOf::Workload => {
            alert.destination.domain = None;
            alert.destination.name = None;
            alert.destination.ip = None;
            alert.destination.port = None;
            alert.destination.transport = None;
        }
        BurstOf::Destination => {
            alert.workload.name = "-".to_owned();
            alert.workload.address = None;
        }
    }
    alert
}

/// Whose burst a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BurstOf {
    /// A workload's.
    Workload,
    /// A destination's.
    Destination,
}
