//! One alert as text for a terminal.

use crate::alerting::{
    day, duration, endpoint, escaped, flow_end, harmless, moment, octets, percent, plain, whose_answer,
    why_unexplained, workload,
};
use crate::model::{
    Alert, AlertEvent, AlertKind, AlertRecord, AlertState, FlowStart, Outcome, Reach, Severity, Timestamp,
};

/// Returns an alert as aligned lines: headline, sentence, then one line a part. Each line ends with a line feed.
///
/// Nothing from the network can put a control character into the text.
#[must_use]
pub fn alert_text(alert: &Alert, state: Option<AlertState>) -> String {
    let mut text = format!(
        "{}  {}\n{}\n",
        severity(alert.severity).to_uppercase(),
        harmless(&alert.title),
        harmless(&alert.summary)
    );
    let standing = state.map_or_else(String::new, |state| format!(", {} in the ledger", state_name(state)));
    let mut line = |label: &str, value: String| text.push_str(&format!("  {label:<12} {value}\n"));
    line(
        "alert",
        format!(
            "{}, revision {}, at {}{standing}; confidence {}",
            event(alert.event),
            alert.revision,
            moment(alert.at),
            alert.confidence
        ),
    );
    line("workload", workload_line(alert));
    line("destination", destination_line(alert));
    line("novelty", novelty_line(alert));
    if let Some(evidence) = evidence_line(alert) {
        line("evidence", evidence);
    }
    for other in &alert.other_names {
        line(
            "other name",
            format!(
                "{}, given to {} at {}",
                plain(&other.name),
                other.client,
                moment(other.ts)
            ),
        );
    }
    if let Some(name) = &alert.claimed_name {
        line("claimed", format!("{}, by the workload itself", plain(name)));
    }
    if alert.kind != AlertKind::Burst {
        line("flow", flow_line(alert));
    }
    line("baseline", baseline_line(alert));
    line("observation", observation_line(alert));
    if !alert.attack.is_empty() {
        line("attack", escaped(&alert.attack.join(", ")));
    }
    for (service, link) in &alert.links {
        line("link", format!("{} {}", escaped(service), escaped(link)));
    }
    if let Some(replaced) = alert.replaces {
        line("replaces", replaced.to_string());
    }
    line("id", alert.id.to_string());
    text
}

/// Returns an alert as one line of a list, without a line feed.
///
/// Time of the contact, severity, how it stands, kind, who to whom, and the id.
#[must_use]
pub fn alert_line(record: &AlertRecord) -> String {
    let alert = &record.alert;
    let destination = &alert.destination;
    let mut whom = match (&destination.domain, endpoint(destination)) {
        (Some(domain), Some(endpoint)) => format!("{} ({endpoint})", plain(domain)),
        (Some(domain), None) => plain(domain),
        (None, Some(endpoint)) => endpoint,
        (None, None) => "many destinations".to_owned(),
    };
    if let (AlertKind::NewTenant, Some(tenant)) = (alert.kind, &destination.tenant) {
        whom = format!("{} of {whom}", plain(tenant));
    }
    format!(
        "{}  {:<8}  {:<12}  {:<19}  {} -> {whom}  {}",
        moment(alert.ts),
        severity(alert.severity),
        state_name(record.state),
        alert.kind.name(),
        workload(&alert.workload),
        alert.id
    )
}

fn workload_line(alert: &Alert) -> String {
    let of = &alert.workload;
    let mut line = workload(of);
    if let Some(group) = &of.group {
        line.push_str(&format!(", group {}", plain(group)));
    }
    if let Some(owner) = &of.owner {
        line.push_str(&format!(", owner {}", plain(owner)));
    }
    if &*of.segment != "-" {
        line.push_str(&format!(", segment {}", escaped(&of.segment)));
    }
    line + &since(of.since)
}

fn since(since: Option<Timestamp>) -> String {
    since.map_or_else(String::new, |since| format!(", seen since {}", day(since)))
}

fn destination_line(alert: &Alert) -> String {
    let to = &alert.destination;
    let parts = [
        to.domain.as_ref().map(|domain| plain(domain)),
        to.tenant.as_ref().map(|tenant| format!("tenant {}", plain(tenant))),
        to.name
            .as_ref()
            .filter(|name| to.domain.as_ref() != Some(name))
            .map(|name| format!("asked as {}", plain(name))),
        endpoint(to),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "many".to_owned()
    } else {
        parts.join(", ")
    }
}

fn novelty_line(alert: &Alert) -> String {
    let what = match alert.novelty {
        Reach::Workload => "new to this workload",
        Reach::Deployment => "new to everything that is watched",
    };
    let count = alert
        .count
        .map_or_else(String::new, |count| format!(", {count} not raised one by one"));
    format!(
        "{what}, {} other workloads in {} days{count}",
        alert.prevalence, alert.baseline.window_days
    )
}

/// What names the destination and why nothing does; both, if the name is not trusted.
fn evidence_line(alert: &Alert) -> Option<String> {
    let named = alert.evidence.as_ref().map(|evidence| {
        let mut line = format!("{}, {}", plain(&evidence.name), whose_answer(evidence));
        line.push_str(&format!(" at {}, ttl {} s", moment(evidence.ts), evidence.ttl));
        if !evidence.chain.is_empty() {
            let chain: Vec<String> = evidence.chain.iter().map(|name| plain(name)).collect();
            line.push_str(&format!(", through {}", chain.join(", ")));
        }
        line
    });
    let missing = why_unexplained(alert).map(|why| format!("none: {why}"));
    match (named, missing) {
        (Some(named), Some(missing)) => Some(format!("{named}; {missing}")),
        (named, missing) => named.or(missing),
    }
}

fn flow_line(alert: &Alert) -> String {
    let flow = &alert.flow;
    let start = match flow.start {
        FlowStart::Syn => "seen from its SYN",
        FlowStart::Datagram => "seen from its first datagram",
        FlowStart::Midstream => "seen from its middle",
    };
    let outcome = match flow.outcome {
        Outcome::Established => "established",
        Outcome::Refused => "refused",
        Outcome::Attempted => "not answered",
        Outcome::Answered => "answered",
        Outcome::Unanswered => "sent without an answer",
    };
    let end = flow.end.map_or("is open", flow_end);
    let mut line = format!(
        "{start}, {outcome}, {} out, {} in, {end} after {}",
        octets(flow.octets_out),
        octets(flow.octets_in),
        duration(flow.duration)
    );
    if let Some(id) = &flow.community_id {
        line.push_str(&format!(", community id {}", escaped(id)));
    }
    line
}

fn baseline_line(alert: &Alert) -> String {
    let baseline = &alert.baseline;
    let before = match (baseline.first_contact, baseline.last_contact) {
        (_, None) => "no earlier contact is remembered".to_owned(),
        (None, Some(last)) => format!("last contact on {}", day(last)),
        (Some(first), Some(last)) => format!("contacts from {} to {}", day(first), day(last)),
    };
    let since = since(baseline.workload_since);
    format!(
        "{before}; the workload has {} destinations{since}",
        baseline.destinations
    )
}

fn observation_line(alert: &Alert) -> String {
    let seen = &alert.observation;
    let one_way = if seen.one_way {
        ", no DNS queries are mirrored"
    } else {
        ""
    };
    format!(
        "{} of frames lost, {} dropped by the kernel, {} by full queues, source watched for {}{one_way}",
        percent(seen.loss),
        seen.kernel_drops,
        seen.queue_drops,
        duration(seen.watched)
    )
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

const fn event(event: AlertEvent) -> &'static str {
    match event {
        AlertEvent::Raised => "raised",
        AlertEvent::Updated => "updated",
        AlertEvent::Withdrawn => "withdrawn",
    }
}

const fn state_name(state: AlertState) -> &'static str {
    match state {
        AlertState::Raised => "raised",
        AlertState::Learned => "learned",
        AlertState::Suppressed => "suppressed",
        AlertState::Burst => "burst",
        AlertState::Withdrawn => "withdrawn",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerting::summary;
    use crate::model::Unexplained;
    use crate::model::sample::{BurstOf, address_alert, burst_alert, domain_alert, other_name};

    #[test]
    fn a_domain_alert() {
        let mut alert = domain_alert();
        alert.summary = summary(&alert);
        let expected = "\
MEDIUM  New Outbound Connection From Application
web (10.1.0.5) contacted example.edu (paste.example.edu, 203.0.113.7:443/tcp) for the first time in 90 days; nobody else here has; 12.4 kB out, 3.1 kB in; named by its own DNS query to 10.1.0.2.
  alert        raised, revision 1, at 2023-11-14 22:13:25 UTC, raised in the ledger; confidence 90
  workload     web (10.1.0.5), group frontend, seen since 2023-10-15
  destination  example.edu, asked as paste.example.edu, 203.0.113.7:443/tcp
  novelty      new to everything that is watched, 0 other workloads in 90 days
  evidence     paste.example.edu, its own DNS query to 10.1.0.2 at 2023-11-14 22:13:19 UTC, ttl 60 s, through cdn.example.net
  flow         seen from its SYN, established, 12.4 kB out, 3.1 kB in, is open after 4.2 s, community id 1:wCb3OG7yAFWelaUydu0D+125CLM=
  baseline     no earlier contact is remembered; the workload has 12 destinations, seen since 2023-10-15
  observation  0.0 % of frames lost, 0 dropped by the kernel, 0 by full queues, source watched for 2.0 h
  attack       T1071.001
  link         rdap https://rdap.org/domain/example.edu
  id           abababababababababababababababab
";
        assert_eq!(alert_text(&alert, Some(AlertState::Raised)), expected);
    }

    #[test]
    fn an_address_alert_says_why_there_is_no_evidence() {
        let mut alert = address_alert(Unexplained::OtherClient);
        alert.other_names.push(other_name("cdn.example"));
        let text = alert_text(&alert, None);
        let expected = "
  evidence     none: only others were given a name for it (cdn.example, asked by 10.1.0.9)
  other name   cdn.example, given to 10.1.0.9 at 2023-11-14 22:08:20 UTC
";
        assert!(text.contains(expected), "{text}");
    }

    fn record(alert: Alert) -> AlertRecord {
        AlertRecord {
            state: AlertState::Raised,
            alert,
            considered: Vec::new(),
            lowered: crate::model::Lowered::default(),
        }
    }

    #[test]
    fn a_list_has_one_line_an_alert() {
        let line = |alert| alert_line(&record(alert));
        assert_eq!(
            line(domain_alert()),
            "2023-11-14 22:13:20 UTC  medium    raised        new_external_domain  web (10.1.0.5) -> example.edu \
             (203.0.113.7:443/tcp)  abababababababababababababababab"
        );
        assert!(line(address_alert(Unexplained::NoQuery)).contains("  web (10.1.0.5) -> 203.0.113.7:443/tcp  ab"));
        assert!(line(burst_alert(BurstOf::Workload)).contains("  web (10.1.0.5) -> many destinations  ab"));
    }

    fn is_safe(text: &str) -> bool {
        !text.contains(|c: char| c.is_control() || c == '\u{202e}')
    }

    proptest! {
        #[test]
        fn nothing_from_the_network_reaches_the_terminal_as_it_is(
            strings in prop::collection::vec("(?s).{0,10}[\\x00-\\x1f\\x7f\u{80}-\u{9f}\u{202e}\"]{1,5}.{0,200}", 14),
        ) {
            let mut strings = strings.into_iter();
            let mut next = || strings.next().unwrap();
            let mut alert = domain_alert();
            alert.title = next();
            alert.workload.name = next();
            alert.workload.group = Some(next().into());
            alert.workload.owner = Some(next().into());
            alert.workload.segment = next().into();
            alert.destination.domain = Some(next().into());
            alert.destination.tenant = Some(next().into());
            alert.destination.name = Some(next().into());
            let evidence = alert.evidence.as_mut().unwrap();
            evidence.name = next().into();
            evidence.chain = vec![next().into()];
            alert.other_names.push(other_name(&next()));
            alert.claimed_name = Some(next());
            alert.links.insert(next(), next());
            for event in [AlertEvent::Raised, AlertEvent::Updated, AlertEvent::Withdrawn] {
                alert.event = event;
                alert.summary = summary(&alert);
                prop_assert!(is_safe(&alert.summary));
                let text = alert_text(&alert, None);
                prop_assert!(text.lines().all(is_safe));
                let line = alert_line(&record(alert.clone()));
                prop_assert!(is_safe(&line));
                prop_assert_eq!(text.lines().count(), 16);
            }
        }
    }
}
