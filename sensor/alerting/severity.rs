//! Severity, confidence and ATT&CK techniques of an alert, from facts.
//!
//! Severity starts from the kind and moves by whole steps between info and critical:
//!
//! | fact | severity |
//! | --- | --- |
//! | `new_external_ip`, `burst` | high |
//! | `new_external_domain` | medium |
//! | `new_tenant` | low |
//! | attempted or refused | one lower |
//! | known to three other workloads of the group | one lower |
//! | only expired evidence, of a known domain | low at most |
//! | more than 10,240 octets in either direction | one higher |
//! | on an indicator list | critical, whatever else holds |
//!
//! Confidence starts at [`FULL`] and is at least [`LEAST`]:
//!
//! | fact | confidence |
//! | --- | --- |
//! | only others were given a name (`other_client`) | −40 |
//! | the source was watched for less than an hour (`warm_up`) | −30 |
//! | over 1 % loss | −20 |
//! | over 10 % loss | −40 instead |
//! | first seen in the middle | −20 |
//! | several names could be meant | −20 |
//! | the name came from a server that is not trusted yet | −20 |
//!
//! Techniques (MITRE ATT&CK for Enterprise) say what such a contact would be if it were hostile; the sensor sees ports
//! and amounts, never intent:
//!
//! | fact | technique |
//! | --- | --- |
//! | web, file transfer, mail, DNS, publish and subscribe ports | T1071.001 to .005 |
//! | SSH, GRE, IP within IP, VXLAN or GENEVE | T1572 Protocol Tunneling |
//! | remote desktop ports | T1219 Remote Access Tools |
//! | other well-known services, or no port | T1071 Application Layer Protocol |
//! | any other port | T1571 Non-Standard Port |
//! | a shared service (it has tenants) on a web port | T1102 Web Service |
//! | passed 10,240 octets out, to storage | T1567.002 Exfiltration to Cloud Storage |
//! | passed 10,240 octets out, to another shared service | T1567 Exfiltration Over Web Service |
//! | passed 10,240 octets out, else | T1041 Exfiltration Over C2 Channel |
//! | passed 10,240 octets in | T1105 Ingress Tool Transfer |
//! | a burst | T1568 Dynamic Resolution |

use crate::model::{Alert, AlertKind, FlowStart, Lowered, NOTABLE_OCTETS, Outcome, Severity, Transport, Unexplained};

/// The confidence that nothing speaks against; never 100, since a mirror shows no intent.
pub const FULL: u8 = 90;
/// The least confidence: a doubtful alert is still one.
pub const LEAST: u8 = 10;
/// Loss beyond which an answer may well have been missed.
const SOME_LOSS: f64 = 0.01;
/// Loss beyond which that is likely.
const MUCH_LOSS: f64 = 0.10;

/// What is known of a contact when its alert is raised or updated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts<'a> {
    /// What the alert is about.
    pub kind: AlertKind,
    /// What became of the flow so far.
    pub outcome: Outcome,
    /// How the flow was first seen.
    pub start: FlowStart,
    /// Payload that the workload sent so far.
    pub octets_out: u64,
    /// Payload that the destination sent so far.
    pub octets_in: u64,
    /// Whether three other workloads of the group have the destination in the window.
    pub known_to_group: bool,
    /// Whether expired evidence names a domain that the workload knows.
    pub expired_known_domain: bool,
    /// Why nothing explains the contact.
    pub unexplained: Option<Unexplained>,
    /// The share of the source's frames that were lost in the last minute, 0 to 1.
    pub loss: f64,
    /// Whether several names could be meant (rule N4).
    pub several_names: bool,
    /// Whether the name came from an external server that is not trusted yet (rule N4).
    pub untrusted_server: bool,
    /// Whether an indicator list names the destination.
    pub indicator: bool,
    /// The responder's port, if it has one.
    pub port: Option<u16>,
    /// The transport; none for a burst.
    pub transport: Option<Transport>,
    /// The domain after aggregation.
    pub domain: Option<&'a str>,
    /// Whether the destination is a tenant of a shared service (rule D3).
    pub is_shared: bool,
}

/// What the facts come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// How bad it is.
    pub severity: Severity,
    /// How sure, from [`LEAST`] to [`FULL`].
    pub confidence: u8,
    /// ATT&CK technique ids, in order and once each.
    pub attack: Vec<&'static str>,
}

/// Returns severity, confidence and techniques by the tables above.
#[must_use]
pub fn assess(facts: &Facts<'_>) -> Assessment {
    Assessment {
        severity: severity(facts),
        confidence: confidence(facts),
        attack: attack(&Contact {
            kind: facts.kind,
            octets_out: facts.octets_out,
            octets_in: facts.octets_in,
            port: facts.port,
            transport: facts.transport,
            domain: facts.domain,
            is_shared: facts.is_shared,
        }),
    }
}

/// Returns the severity of an alert as it stands, for one whose flow went on since it was raised: the same table over
/// the same facts, so that an alert that is updated and one that is raised late come to the same.
#[must_use]
pub fn reassess(alert: &Alert, lowered: Lowered) -> Severity {
    let severity = severity(&Facts {
        kind: alert.kind,
        outcome: alert.flow.outcome,
        start: alert.flow.start,
        octets_out: alert.flow.octets_out,
        octets_in: alert.flow.octets_in,
        known_to_group: lowered.known_to_group,
        expired_known_domain: lowered.expired_known_domain,
        unexplained: alert.unexplained,
        loss: alert.observation.loss,
        several_names: false,
        untrusted_server: false,
        indicator: false,
        port: alert.destination.port,
        transport: alert.destination.transport,
        domain: alert.destination.domain.as_deref(),
        is_shared: alert.destination.tenant.is_some(),
    });
    if alert.severity == Severity::Critical {
        // An indicator list may have named the destination, which nothing lowers.
        Severity::Critical
    } else {
        severity
    }
}

/// Returns the techniques of an alert as it stands, for one whose flow went on since it was raised.
#[must_use]
pub fn techniques(alert: &Alert) -> Vec<&'static str> {
    let Alert {
        kind,
        flow,
        destination,
        ..
    } = alert;
    attack(&Contact {
        kind: *kind,
        octets_out: flow.octets_out,
        octets_in: flow.octets_in,
        port: destination.port,
        transport: destination.transport,
        domain: destination.domain.as_deref(),
        is_shared: destination.tenant.is_some(),
    })
}

/// Says whether either direction passed [`NOTABLE_OCTETS`] octets (rule A3).
#[must_use]
pub const fn has_passed(octets_out: u64, octets_in: u64) -> bool {
    octets_out > NOTABLE_OCTETS || octets_in > NOTABLE_OCTETS
}

fn severity(facts: &Facts<'_>) -> Severity {
    if facts.indicator {
        return Severity::Critical;
    }
    let mut severity = match facts.kind {
        AlertKind::NewExternalIp | AlertKind::Burst => Severity::High,
        AlertKind::NewExternalDomain => Severity::Medium,
        AlertKind::NewTenant => Severity::Low,
    };
    if facts.outcome.is_attempt() {
        severity = lower(severity);
    }
    if facts.known_to_group {
        severity = lower(severity);
    }
    if facts.expired_known_domain {
        severity = severity.min(Severity::Low);
    }
    if has_passed(facts.octets_out, facts.octets_in) {
        severity = higher(severity);
    }
    severity
}

const fn lower(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium => Severity::Low,
        Severity::Low | Severity::Info => Severity::Info,
    }
}

const fn higher(severity: Severity) -> Severity {
    match severity {
        Severity::Info => Severity::Low,
        Severity::Low => Severity::Medium,
        Severity::Medium => Severity::High,
        Severity::High | Severity::Critical => Severity::Critical,
    }
}

fn confidence(facts: &Facts<'_>) -> u8 {
    let deductions = [
        match facts.unexplained {
            Some(Unexplained::OtherClient) => 40,
            Some(Unexplained::WarmUp) => 30,
            _ => 0,
        },
        match facts.loss {
            loss if loss > MUCH_LOSS => 40,
            loss if loss > SOME_LOSS => 20,
            _ => 0,
        },
        if facts.start == FlowStart::Midstream { 20 } else { 0 },
        if facts.several_names { 20 } else { 0 },
        if facts.untrusted_server { 20 } else { 0 },
    ];
    deductions.into_iter().fold(FULL, u8::saturating_sub).max(LEAST)
}

/// The facts that techniques rest on.
struct Contact<'a> {
    kind: AlertKind,
    octets_out: u64,
    octets_in: u64,
    port: Option<u16>,
    transport: Option<Transport>,
    domain: Option<&'a str>,
    is_shared: bool,
}

fn attack(facts: &Contact<'_>) -> Vec<&'static str> {
    let channel = channel(facts);
    let mut techniques = vec![channel];
    if facts.kind == AlertKind::Burst {
        techniques.push("T1568");
    }
    if facts.is_shared && channel == "T1071.001" {
        techniques.push("T1102");
    }
    if facts.octets_out > NOTABLE_OCTETS {
        techniques.push(match facts.domain {
            Some(domain) if is_storage(domain) => "T1567.002",
            _ if facts.is_shared => "T1567",
            _ => "T1041",
        });
    }
    if facts.octets_in > NOTABLE_OCTETS {
        techniques.push("T1105");
    }
    techniques.sort_unstable();
    techniques
}

/// The technique that the port stands for; ports are those of IANA's registry and of common use.
fn channel(facts: &Contact<'_>) -> &'static str {
    if facts.kind == AlertKind::Burst {
        return "T1071";
    }
    match (facts.transport, facts.port) {
        (None | Some(Transport::Gre | Transport::Ipip), _) => return "T1572",
        // Ports of VXLAN, its extension and GENEVE.
        (Some(Transport::Udp), Some(4789 | 4790 | 6081)) => return "T1572",
        _ => {}
    }
    match facts.port {
        Some(80 | 443 | 3128 | 8000 | 8008 | 8080 | 8443 | 8888) => "T1071.001",
        Some(20 | 21 | 69 | 139 | 445 | 873 | 989 | 990 | 2049) => "T1071.002",
        Some(25 | 110 | 143 | 465 | 587 | 993 | 995) => "T1071.003",
        Some(53 | 853) => "T1071.004",
        Some(1883 | 5222 | 5671 | 5672 | 8883 | 9092) => "T1071.005",
        Some(22) => "T1572",
        Some(3389 | 5500 | 5900 | 5938 | 7070) => "T1219",
        // Registered services without a technique of their own: time, directories, databases, SIP, Git and the like.
        Some(
            43 | 88 | 123 | 161 | 162 | 389 | 500 | 514 | 601 | 636 | 1433 | 1521 | 3306 | 3478 | 4500 | 5060 | 5061
            | 5432 | 6379 | 6514 | 9200 | 9418 | 11211 | 27017,
        )
        | None => "T1071",
        Some(_) => "T1571",
    }
}

/// Domains, after aggregation, at which anyone may keep files.
const STORAGE: [&str; 16] = [
    "s3.amazonaws.com",
    "s3-accelerate.amazonaws.com",
    "backblazeb2.com",
    "box.com",
    "core.windows.net",
    "digitaloceanspaces.com",
    "dropbox.com",
    "dropboxapi.com",
    "dropboxusercontent.com",
    "mediafire.com",
    "mega.co.nz",
    "mega.nz",
    "r2.cloudflarestorage.com",
    "storage.googleapis.com",
    "wasabisys.com",
    "wetransfer.com",
];

/// Says whether the domain is one of [`STORAGE`] or under one, on label boundaries.
fn is_storage(domain: &str) -> bool {
    STORAGE.iter().any(|service| {
        domain
            .strip_suffix(service)
            .is_some_and(|left| left.is_empty() || left.ends_with('.'))
    })
}

#[cfg(test)]
mod tests;
