//! Alerts as syslog messages, RFC 5424.
//!
//! `<PRI>1 TIMESTAMP HOSTNAME firstcontact PROCID MSGID - MSG`: facility local0, severity after the alert's, the time at
//! which the alert was decided, the kind as MSGID, no structured data (its elements need a registered number), and as MSG
//! the alert in pure ASCII JSON. A message takes at most [`MESSAGE_LIMIT`] octets and the essentials stand in its first
//! [`ESSENTIALS_LIMIT`], the two sizes that section 6.1 asks receivers to take.

use super::fit::fit;
use crate::model::{Alert, Severity, Timestamp};

/// How many octets a message takes at most: what every receiver should take.
pub const MESSAGE_LIMIT: usize = 2048;
/// Where the essentials end: what every receiver must take.
pub const ESSENTIALS_LIMIT: usize = 480;
/// How long a host name may be. Linux allows 64; section 6.2.4 would allow 255, which leaves no room for essentials.
const HOST_LIMIT: usize = 64;
/// Section 6.2.1: local use 0, which receivers leave to the operator.
const LOCAL0: u8 = 16;

/// What the header of every message says of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    host: String,
    process: u32,
}

impl Syslog {
    /// Returns the header of a sender.
    ///
    /// What is not printable ASCII in the host's name becomes `?`, and what is beyond 64 octets is cut; an empty name is
    /// written as `-`.
    #[must_use]
    pub fn new(host: &str, process: u32) -> Self {
        let host: String = host
            .chars()
            .take(HOST_LIMIT)
            .map(|c| if c.is_ascii_graphic() { c } else { '?' })
            .collect();
        let host = if host.is_empty() { "-".to_owned() } else { host };
        Self { host, process }
    }

    /// Returns the header of this process on this host.
    #[must_use]
    pub fn of_this_process() -> Self {
        let host = rustix::system::uname();
        Self::new(&host.nodename().to_string_lossy(), std::process::id())
    }

    /// Returns the message of an alert: printable ASCII on one line, without an end of line.
    #[must_use]
    pub fn message(&self, alert: &Alert) -> String {
        let header = format!(
            "<{}>1 {} {} firstcontact {} {} - ",
            LOCAL0 * 8 + level(alert.severity),
            time(alert.at),
            self.host,
            self.process,
            alert.kind.name(),
        );
        let left = |limit: usize| limit.saturating_sub(header.len());
        let json = fit(alert, left(ESSENTIALS_LIMIT), left(MESSAGE_LIMIT));
        header + &json
    }
}

/// The severity of section 6.2.1 (table 2): critical, error, warning, notice, informational.
const fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// Section 6.2.3 allows six digits of a second, records have nine: the last three are cut.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    match text.get(..26) {
        Some(start) if text.len() == 30 && text.ends_with('Z') => format!("{start}Z"),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::model::sample;
    use crate::model::{Address, AlertKind, AlertWorkload, EvidenceKind};

    /// Takes a message apart as section 6 has it; panics at anything it does not allow.
    fn parts(message: &str) -> (u8, Vec<String>, Value) {
        let rest = message.strip_prefix('<').unwrap();
        let (priority, rest) = rest.split_once('>').unwrap();
        let rest = rest.strip_prefix("1 ").unwrap();
        let mut fields: Vec<String> = Vec::new();
        let mut rest = rest;
        for limit in [32, 255, 48, 128, 32, 1] {
            let (field, behind) = rest.split_once(' ').unwrap();
            assert!(!field.is_empty() && field.len() <= limit && field.bytes().all(|octet| octet.is_ascii_graphic()));
            fields.push(field.to_owned());
            rest = behind;
        }
        (priority.parse().unwrap(), fields, serde_json::from_str(rest).unwrap())
    }

    #[test]
    fn the_header_follows_rfc_5424() {
        let syslog = Syslog::new("sensor-1.example", 4711);
        let mut alert = sample::domain_alert();
        alert.at = Timestamp(1_700_000_005_123_456_789);
        let message = syslog.message(&alert);
        let start =
            "<132>1 2023-11-14T22:13:25.123456Z sensor-1.example firstcontact 4711 new_external_domain - {\"id\":";
        assert!(message.starts_with(start), "{message}");
        assert_eq!(serde_json::to_value(&alert).unwrap(), parts(&message).2);
        for (severity, level) in [
            (Severity::Info, 134),
            (Severity::Low, 133),
            (Severity::Medium, 132),
            (Severity::High, 131),
            (Severity::Critical, 130),
        ] {
            alert.severity = severity;
            assert_eq!(parts(&syslog.message(&alert)).0, level);
        }
        assert_eq!(parts(&Syslog::new("a b\u{1b}ü", 1).message(&alert)).1[1], "a?b??");
        assert_eq!(parts(&Syslog::new("", 1).message(&alert)).1[1], "-");
    }

    #[test]
    fn a_time_that_cannot_be_written_is_nil() {
        let mut alert = sample::domain_alert();
        alert.at = Timestamp(0);
        assert_eq!(
            parts(&Syslog::new("h", 1).message(&alert)).1[0],
            "1970-01-01T00:00:00.000000Z"
        );
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => "(?s).{0,20}",
            2 => "[\\x00-\\x1f\"\\\\\\x7f]{0,400}",
            1 => "\u{1f600}{0,700}",
            1 => "[a-z.]{0,3000}",
        ]
    }

    proptest! {
        #[test]
        fn any_content_gives_one_bounded_line_of_valid_json(
            strings in prop::collection::vec(hostile(), 19),
            host in "[a-z]{1,70}",
            kind in prop::sample::select(vec![AlertKind::NewExternalDomain, AlertKind::NewTenant, AlertKind::Burst]),
            long_addresses in any::<bool>(),
        ) {
            let mut strings = strings.into_iter();
            let mut next = || strings.next().unwrap();
            let mut alert = sample::domain_alert();
            alert.kind = kind;
            alert.title = next();
            alert.workload = AlertWorkload {
                name: next(),
                address: alert.workload.address,
                group: Some(next().into()),
                owner: Some(next().into()),
                segment: next().into(),
                since: alert.workload.since,
            };
            alert.destination.domain = Some(next().into());
            alert.destination.tenant = Some(next().into());
            alert.destination.name = Some(next().into());
            alert.destination.port = Some(u16::MAX);
            alert.replaces = Some(alert.id);
            alert.count = Some(u32::MAX);
            alert.revision = u32::MAX;
            let evidence = alert.evidence.as_mut().unwrap();
            evidence.kind = EvidenceKind::DnsHint;
            evidence.name = next().into();
            evidence.chain = vec![next().into(), next().into()];
            alert.other_names = vec![sample::other_name(&next())];
            alert.claimed_name = Some(next());
            alert.flow.community_id = Some(next());
            alert.attack = vec![next(), next()];
            alert.links.insert(next(), next());
            alert.summary = strings.next().unwrap();
            if long_addresses {
                let address = Address::v6([0xfe; 16]);
                alert.workload.address = Some(address);
                alert.destination.ip = Some(address);
            }
            let message = Syslog::new(&host, u32::MAX).message(&alert);
            prop_assert!(message.len() <= MESSAGE_LIMIT);
            prop_assert!(message.bytes().all(|octet| (0x20..0x7f).contains(&octet)));
            let (_, _, value) = parts(&message);
            prop_assert_eq!(&value["id"], "abababababababababababababababab");
            prop_assert_eq!(&value["revision"], u32::MAX);
            let address = format!("\"address\":\"{}\"", alert.workload.address.unwrap());
            let end = message.rfind(&address).unwrap() + address.len();
            prop_assert!(end <= ESSENTIALS_LIMIT, "essentials end at {}", end);
        }
    }
}
