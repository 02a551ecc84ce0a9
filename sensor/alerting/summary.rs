//! One sentence that a tired person understands at once.

use super::budget::{DESTINATION_WINDOW, WORKLOADS_A_DESTINATION};
use super::severity::has_passed;
use super::words::{day, duration, endpoint, flow_end, moment, octets, percent, plain, workload};
use crate::model::NOTABLE_OCTETS;
use crate::model::{
    Alert, AlertEvent, AlertEvidence, AlertKind, EvidenceKind, FlowStart, Outcome, Scope, Span, Unexplained,
};

/// Returns the sentence of an alert; it is plain text without control characters, and every name in it is
/// escaped and cut ([`plain`]).
///
/// That of a burst is the one that it has: what it says depends on the settings ([`burst_summary`], [`full_summary`]).
#[must_use]
pub fn summary(alert: &Alert) -> String {
    match (alert.kind, alert.event) {
        (AlertKind::Burst, _) => alert.summary.clone(),
        (_, AlertEvent::Raised) => raised(alert),
        (_, AlertEvent::Updated) => updated(alert),
        (_, AlertEvent::Withdrawn) => withdrawn(alert),
    }
}

/// Returns why an alert about an address has no name, as a clause: what stands behind `unexplained`.
#[must_use]
pub fn why_unexplained(alert: &Alert) -> Option<String> {
    let other = alert.other_names.first();
    let name = other.map(|other| plain(&other.name));
    let clause = match alert.unexplained? {
        Unexplained::Expired => match name {
            Some(name) => format!("the DNS answer that named it {name} has expired"),
            None => "the DNS answer that named it has expired".to_owned(),
        },
        Unexplained::Unsolicited => match name {
            Some(name) => format!("only DNS answers that nobody asked for name it ({name})"),
            None => "only DNS answers that nobody asked for name it".to_owned(),
        },
        Unexplained::Truncated => "the workload's DNS answer was cut short".to_owned(),
        Unexplained::OtherClient => match other {
            Some(other) => format!(
                "only others were given a name for it ({}, asked by {})",
                plain(&other.name),
                other.client
            ),
            None => "only others were given a name for it".to_owned(),
        },
        Unexplained::EncryptedDns => "the workload asks for names over encrypted DNS, which cannot be read".to_owned(),
        Unexplained::Loss => format!(
            "its DNS query may have been missed: {} of the frames were lost",
            percent(alert.observation.loss)
        ),
        Unexplained::WarmUp => format!(
            "its DNS query may have come before the sensor: this source has been watched for {}",
            duration(alert.observation.watched)
        ),
        Unexplained::NoQuery => "no DNS query for it was seen".to_owned(),
    };
    Some(clause)
}

/// Returns whose answer evidence is, as a clause: `its own DNS query to 10.1.0.2`.
#[must_use]
pub fn whose_answer(evidence: &AlertEvidence) -> String {
    let AlertEvidence { client, server, .. } = evidence;
    let mut clause = match evidence.scope {
        Scope::Client => format!("its own DNS query to {server}"),
        Scope::Host => format!("a DNS query of {client}, on the same host, to {server}"),
        Scope::Workload => format!("a DNS query of {client}, of the same workload, to {server}"),
        Scope::Resolver => format!("a DNS query of the resolver {client} to {server}"),
        Scope::Any => format!("a DNS query of another client, {client}, to {server}"),
    };
    if evidence.kind == EvidenceKind::DnsHint {
        clause.push_str(" (address hint)");
    }
    clause
}

fn raised(alert: &Alert) -> String {
    let who = workload(&alert.workload);
    let whom = whom(alert);
    let days = alert.baseline.window_days;
    let mut newness = format!("for the first time in {days} days");
    if let Some(last) = alert.baseline.last_contact {
        newness.push_str(&format!(" (last on {})", day(last)));
    }
    let mut clauses = Vec::new();
    clauses.push(match alert.flow.outcome {
        Outcome::Refused => format!("{who} tried to reach {whom} {newness} and was refused"),
        Outcome::Attempted => format!("{who} tried to reach {whom} {newness} and got no answer"),
        Outcome::Established | Outcome::Answered | Outcome::Unanswered => format!("{who} contacted {whom} {newness}"),
    });
    clauses.push(match alert.prevalence {
        0 => "nobody else here has".to_owned(),
        1 => "1 other workload has".to_owned(),
        1000.. => "1000 or more other workloads have".to_owned(),
        n => format!("{n} other workloads have"),
    });
    clauses.extend(amounts(alert));
    if alert.flow.start == FlowStart::Midstream {
        clauses.push("seen from the middle of its flow".to_owned());
    }
    clauses.extend(naming(alert));
    if alert.replaces.is_some() {
        clauses.push("replaces the alert about its bare address".to_owned());
    }
    clauses.join("; ") + "."
}

fn updated(alert: &Alert) -> String {
    let who = workload(&alert.workload);
    let whom = whom(alert);
    let flow = &alert.flow;
    let since = moment(alert.ts);
    let mut clauses = vec![match flow.outcome {
        Outcome::Refused => format!("Update: {who} tried to reach {whom} at {since} and was refused"),
        Outcome::Attempted => format!("Update: {who} tried to reach {whom} at {since} and got no answer"),
        Outcome::Established | Outcome::Answered | Outcome::Unanswered => format!(
            "Update: {who} has sent {} to {whom} and received {} since {since}",
            octets(flow.octets_out),
            octets(flow.octets_in)
        ),
    }];
    if has_passed(flow.octets_out, flow.octets_in) {
        clauses.push(format!("more than {} passed", octets(NOTABLE_OCTETS)));
    }
    clauses.push(match flow.end {
        Some(end) => format!("the flow {} after {}", flow_end(end), duration(flow.duration)),
        None => "the flow is still open".to_owned(),
    });
    clauses.join("; ") + "."
}

fn withdrawn(alert: &Alert) -> String {
    let who = workload(&alert.workload);
    let target = endpoint(&alert.destination).unwrap_or_else(|| "the address".to_owned());
    let since = moment(alert.ts);
    let name = alert
        .evidence
        .as_ref()
        .map(|evidence| &evidence.name)
        .or(alert.destination.name.as_ref());
    match name {
        Some(name) => {
            format!(
                "Withdrawn: what {who} contacted at {since}, {target}, is {}: its DNS answer came late.",
                plain(name)
            )
        }
        None => format!("Withdrawn: a late DNS answer names {target}, which {who} contacted at {since}."),
    }
}

/// Returns the sentence of a burst where so many alerts a workload and minute are raised one by one. It is a destination's
/// if the alert has a domain or an address, else the workload's.
#[must_use]
pub fn burst_summary(alert: &Alert, alerts_a_minute: u32) -> String {
    let has_destination = alert.destination.domain.is_some() || alert.destination.ip.is_some();
    let count = match alert.count {
        Some(1) => "1 more was".to_owned(),
        Some(n) => format!("{n} more were"),
        None => "more were".to_owned(),
    };
    let minutes = DESTINATION_WINDOW.0 / Span::minutes(1).0;
    let lead = if has_destination {
        let whom = whom(alert);
        format!("{whom} is new to more than {WORKLOADS_A_DESTINATION} workloads within {minutes} minutes")
    } else {
        let who = workload(&alert.workload);
        format!("{who} contacted more than {alerts_a_minute} new destinations within a minute")
    };
    let update = if alert.event == AlertEvent::Updated {
        "Update: "
    } else {
        ""
    };
    format!(
        "{update}{lead} around {}; {count} not raised one by one.",
        moment(alert.ts)
    )
}

/// Returns the sentence of a workload that has no room in a budget: `setting` names it, `kept` says what fills it.
#[must_use]
pub fn full_summary(alert: &Alert, setting: &str, kept: &str) -> String {
    let who = workload(&alert.workload);
    format!(
        "{who} contacted a destination for which the baseline has no room: {kept}, as many as `{setting}` allows. Such \
         contacts are counted, and neither recorded nor raised one by one; this is told once a day."
    )
}

/// The destination: `example.edu (paste.example.edu, 203.0.113.7:443/tcp)`.
fn whom(alert: &Alert) -> String {
    let destination = &alert.destination;
    let endpoint = endpoint(destination);
    let Some(domain) = &destination.domain else {
        return match endpoint {
            Some(endpoint) => format!("the bare address {endpoint}"),
            None => "an unknown destination".to_owned(),
        };
    };
    let mut text = match &destination.tenant {
        Some(tenant) if alert.kind == AlertKind::NewTenant => format!("tenant {} of {}", plain(tenant), plain(domain)),
        _ => plain(domain),
    };
    let name = destination
        .name
        .as_ref()
        .filter(|name| *name != domain)
        .map(|name| plain(name));
    let inner: Vec<String> = name.into_iter().chain(endpoint).collect();
    if !inner.is_empty() {
        text.push_str(&format!(" ({})", inner.join(", ")));
    }
    text
}

fn amounts(alert: &Alert) -> Option<String> {
    let flow = &alert.flow;
    match (flow.octets_out, flow.octets_in) {
        (0, 0) if flow.outcome.is_attempt() => None,
        (0, 0) => Some("no payload so far".to_owned()),
        (out, 0) if flow.outcome == Outcome::Unanswered => Some(format!("{} out, nothing came back", octets(out))),
        (out, back) => Some(format!("{} out, {} in", octets(out), octets(back))),
    }
}

/// What names the destination, or why nothing does.
fn naming(alert: &Alert) -> Vec<String> {
    let mut clauses = Vec::new();
    match &alert.evidence {
        Some(evidence) if alert.kind == AlertKind::NewExternalIp => clauses.push(format!(
            "called {} only by {}, which is not trusted yet",
            plain(&evidence.name),
            evidence.server
        )),
        Some(evidence) => {
            let late = if evidence.ts > alert.ts {
                ", answered only afterwards"
            } else {
                ""
            };
            clauses.push(format!("named by {}{late}", whose_answer(evidence)));
            let others = alert
                .other_names
                .iter()
                .filter(|other| other.name != evidence.name)
                .count();
            match (
                others,
                alert.other_names.iter().find(|other| other.name != evidence.name),
            ) {
                (1, Some(other)) => clauses.push(format!("the address also goes by {}", plain(&other.name))),
                (n, Some(other)) => {
                    clauses.push(format!(
                        "the address also goes by {} and {} more",
                        plain(&other.name),
                        n - 1
                    ));
                }
                _ => {}
            }
        }
        None => {}
    }
    clauses.extend(why_unexplained(alert));
    clauses
}

#[cfg(test)]
mod tests;
