use super::*;
use crate::model::sample::{BurstOf, TS, address_alert, burst_alert, domain_alert, evidence, other_name};
use crate::model::{AlertId, FlowEnd};

fn of(change: impl FnOnce(&mut Alert)) -> String {
    let mut alert = domain_alert();
    change(&mut alert);
    summary(&alert)
}

#[test]
fn a_new_domain() {
    assert_eq!(
        of(|_| ()),
        "web (10.1.0.5) contacted example.edu (paste.example.edu, 203.0.113.7:443/tcp) for the first time in 90 days; \
         nobody else here has; 12.4 kB out, 3.1 kB in; named by its own DNS query to 10.1.0.2."
    );
    assert_eq!(
        of(|alert| {
            alert.workload.name = "10.1.0.5".to_owned();
            alert.destination.name = Some("example.edu".into());
            alert.baseline.last_contact = Some(TS.minus(Span::days(100)));
            alert.prevalence = 1;
            alert.flow.octets_out = 0;
            alert.flow.octets_in = 0;
            alert.flow.start = FlowStart::Midstream;
            alert.evidence = Some(evidence(Scope::Resolver));
            alert.replaces = Some(AlertId([1; 16]));
        }),
        "10.1.0.5 contacted example.edu (203.0.113.7:443/tcp) for the first time in 90 days (last on 2023-08-06); \
         1 other workload has; no payload so far; seen from the middle of its flow; \
         named by a DNS query of the resolver 10.0.0.2 to 9.9.9.9; replaces the alert about its bare address."
    );
}

#[test]
fn whose_answer_it_was() {
    let ending = |scope| {
        let text = of(|alert| alert.evidence = Some(evidence(scope)));
        text.rsplit("; ").next().map(str::to_owned).unwrap_or_default()
    };
    assert_eq!(ending(Scope::Client), "named by its own DNS query to 10.1.0.2.");
    assert_eq!(
        ending(Scope::Host),
        "named by a DNS query of 10.1.0.6, on the same host, to 10.1.0.2."
    );
    assert_eq!(
        ending(Scope::Workload),
        "named by a DNS query of 10.1.0.6, of the same workload, to 10.1.0.2."
    );
    assert_eq!(
        ending(Scope::Resolver),
        "named by a DNS query of the resolver 10.0.0.2 to 9.9.9.9."
    );
    assert_eq!(
        ending(Scope::Any),
        "named by a DNS query of another client, 10.1.0.6, to 10.1.0.2."
    );
    let text = of(|alert| {
        let mut evidence = evidence(Scope::Client);
        evidence.kind = EvidenceKind::DnsHint;
        evidence.ts = TS.plus(Span::seconds(2));
        alert.evidence = Some(evidence);
        alert.other_names = ["paste.example.edu", "a.example", "b.example", "c.example"]
            .map(other_name)
            .to_vec();
        alert.prevalence = 1000;
    });
    assert_eq!(
        text,
        "web (10.1.0.5) contacted example.edu (paste.example.edu, 203.0.113.7:443/tcp) for the first time in 90 days; \
         1000 or more other workloads have; 12.4 kB out, 3.1 kB in; \
         named by its own DNS query to 10.1.0.2 (address hint), answered only afterwards; \
         the address also goes by a.example and 2 more."
    );
}

#[test]
fn a_bare_address_says_why_nothing_explains_it() {
    let start = "web (10.1.0.5) contacted the bare address 203.0.113.7:443/tcp for the first time in 90 days; \
                 nobody else here has; 12.4 kB out, 3.1 kB in; ";
    let cases = [
        (
            Unexplained::Expired,
            "the DNS answer that named it cdn.example has expired.",
        ),
        (
            Unexplained::Unsolicited,
            "only DNS answers that nobody asked for name it (cdn.example).",
        ),
        (Unexplained::Truncated, "the workload's DNS answer was cut short."),
        (
            Unexplained::OtherClient,
            "only others were given a name for it (cdn.example, asked by 10.1.0.9).",
        ),
        (
            Unexplained::EncryptedDns,
            "the workload asks for names over encrypted DNS, which cannot be read.",
        ),
        (
            Unexplained::Loss,
            "its DNS query may have been missed: 3.2 % of the frames were lost.",
        ),
        (
            Unexplained::WarmUp,
            "its DNS query may have come before the sensor: this source has been watched for 10 min.",
        ),
        (Unexplained::NoQuery, "no DNS query for it was seen."),
    ];
    for (unexplained, expected) in cases {
        let mut alert = address_alert(unexplained);
        alert.other_names.push(other_name("cdn.example"));
        alert.observation.loss = 0.032;
        alert.observation.watched = 600.0;
        assert_eq!(summary(&alert), format!("{start}{expected}"));
    }
    for (unexplained, expected) in [
        (Unexplained::Expired, "the DNS answer that named it has expired."),
        (
            Unexplained::Unsolicited,
            "only DNS answers that nobody asked for name it.",
        ),
        (Unexplained::OtherClient, "only others were given a name for it."),
    ] {
        assert_eq!(summary(&address_alert(unexplained)), format!("{start}{expected}"));
    }
    let mut alert = address_alert(Unexplained::NoQuery);
    alert.unexplained = None;
    alert.evidence = Some(evidence(Scope::Client));
    let expected = "called paste.example.edu only by 10.1.0.2, which is not trusted yet.";
    assert_eq!(summary(&alert), format!("{start}{expected}"));
}

#[test]
fn an_attempt_says_so() {
    let refused = of(|alert| {
        alert.flow.outcome = Outcome::Refused;
        alert.flow.octets_out = 0;
        alert.flow.octets_in = 0;
    });
    assert_eq!(
        refused,
        "web (10.1.0.5) tried to reach example.edu (paste.example.edu, 203.0.113.7:443/tcp) for the first time in 90 \
         days and was refused; nobody else here has; named by its own DNS query to 10.1.0.2."
    );
    assert!(of(|alert| alert.flow.outcome = Outcome::Attempted).contains("90 days and got no answer; "));
    let unanswered = of(|alert| {
        alert.flow.outcome = Outcome::Unanswered;
        alert.flow.octets_out = 40;
        alert.flow.octets_in = 0;
    });
    assert!(
        unanswered.starts_with("web (10.1.0.5) contacted ") && unanswered.contains("; 40 B out, nothing came back; ")
    );
}

#[test]
fn a_new_tenant() {
    let text = of(|alert| {
        alert.kind = AlertKind::NewTenant;
        alert.destination.domain = Some("s3.amazonaws.com".into());
        alert.destination.tenant = Some("drop-box-7".into());
        alert.destination.name = Some("drop-box-7.s3.amazonaws.com".into());
        alert.prevalence = 3;
    });
    assert_eq!(
        text,
        "web (10.1.0.5) contacted tenant drop-box-7 of s3.amazonaws.com (drop-box-7.s3.amazonaws.com, \
         203.0.113.7:443/tcp) for the first time in 90 days; 3 other workloads have; 12.4 kB out, 3.1 kB in; \
         named by its own DNS query to 10.1.0.2."
    );
}

#[test]
fn an_update_says_what_changed() {
    let text = of(|alert| {
        alert.event = AlertEvent::Updated;
        alert.flow.octets_out = 10_240;
    });
    assert_eq!(
        text,
        "Update: web (10.1.0.5) has sent 10.2 kB to example.edu (paste.example.edu, 203.0.113.7:443/tcp) and received \
         3.1 kB since 2023-11-14 22:13:20 UTC; the flow is still open."
    );
    let text = of(|alert| {
        alert.event = AlertEvent::Updated;
        alert.flow.end = Some(FlowEnd::Closed);
    });
    assert!(
        text.ends_with("; more than 10.2 kB passed; the flow was closed after 4.2 s."),
        "{text}"
    );
    let text = of(|alert| {
        alert.event = AlertEvent::Updated;
        alert.flow.outcome = Outcome::Attempted;
        alert.flow.octets_out = 0;
        alert.flow.end = Some(FlowEnd::Idle);
    });
    assert_eq!(
        text,
        "Update: web (10.1.0.5) tried to reach example.edu (paste.example.edu, 203.0.113.7:443/tcp) at 2023-11-14 \
         22:13:20 UTC and got no answer; the flow fell idle after 4.2 s."
    );
}

#[test]
fn a_withdrawal_says_what_the_address_is() {
    let mut alert = address_alert(Unexplained::NoQuery);
    alert.event = AlertEvent::Withdrawn;
    assert_eq!(
        summary(&alert),
        "Withdrawn: a late DNS answer names 203.0.113.7:443/tcp, which web (10.1.0.5) contacted at 2023-11-14 22:13:20 \
         UTC."
    );
    alert.evidence = Some(evidence(Scope::Client));
    assert_eq!(
        summary(&alert),
        "Withdrawn: what web (10.1.0.5) contacted at 2023-11-14 22:13:20 UTC, 203.0.113.7:443/tcp, is \
         paste.example.edu: its DNS answer came late."
    );
}

#[test]
fn a_burst_is_of_a_workload_or_of_a_destination() {
    assert_eq!(
        burst_summary(&burst_alert(BurstOf::Workload), 50),
        "web (10.1.0.5) contacted more than 50 new destinations within a minute around 2023-11-14 22:13:20 UTC; \
         77 more were not raised one by one."
    );
    let mut alert = burst_alert(BurstOf::Destination);
    alert.event = AlertEvent::Updated;
    alert.count = Some(1);
    assert_eq!(
        burst_summary(&alert, 50),
        "Update: example.edu (paste.example.edu, 203.0.113.7:443/tcp) is new to more than 20 workloads within 10 \
         minutes around 2023-11-14 22:13:20 UTC; 1 more was not raised one by one."
    );
}

#[test]
fn a_budget_that_is_full_is_named_with_its_setting() {
    let mut alert = burst_alert(BurstOf::Workload);
    alert.summary = full_summary(&alert, "[baseline] destinations", "it has 100000 pairs");
    assert_eq!(
        summary(&alert),
        "web (10.1.0.5) contacted a destination for which the baseline has no room: it has 100000 pairs, as many as \
         `[baseline] destinations` allows. Such contacts are counted, and neither recorded nor raised one by one; this is \
         told once a day."
    );
}

#[test]
fn hostile_names_are_quoted_escaped_and_cut() {
    let text = of(|alert| {
        alert.workload.name = "w\u{1b}]0;x\u{7}".to_owned();
        alert.destination.domain = Some("evil.example for the first time; \"trust me\"\n".into());
        alert.destination.name = Some("n".repeat(5000).into());
    });
    assert!(
        text.starts_with(
            r#""w\u{1b}]0;x\u{7}" (10.1.0.5) contacted "evil.example for the first time; \"trust me\"\n" ("#
        )
    );
    assert!(!text.chars().any(char::is_control) && text.len() < 600, "{text}");
}
