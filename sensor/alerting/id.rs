//! Ids of alerts (rule A2): a hash of the content, so that a repeat is recognisable anywhere.

use sha2::{Digest, Sha256};

use crate::model::{AlertId, AlertKind, Day, Timestamp, WorkloadKey};

/// Sets ids of alerts apart from ids of bursts, and this way of writing them from any later one.
const ALERT: &[u8] = b"firstcontact alert 1";
const BURST: &[u8] = b"firstcontact burst 1";
const FULL: &[u8] = b"firstcontact full 1";

/// Returns the id of the alert about a workload, a destination and the contact's first packet.
///
/// `destination` is the domain, the address as records write it, or `tenant` and domain joined as the caller keeps
/// them apart; the kind already says which. Port, transport and name are not in the id: one novelty has one alert.
#[must_use]
pub fn alert_id(kind: AlertKind, workload: &WorkloadKey, destination: &str, ts: Timestamp) -> AlertId {
    let content = Content::new(ALERT).field(kind.name().as_bytes());
    let content = match workload {
        WorkloadKey::Named(name) => content.field(b"name").field(name.as_bytes()),
        WorkloadKey::Address(segment, address) => content
            .field(b"address")
            .field(segment.as_bytes())
            .field(&address.octets()),
    };
    content.field(destination.as_bytes()).field(&ts.0.to_be_bytes()).id()
}

/// Returns the id of the burst alert of a scope (a workload's key or a destination, as text) and minute (rule A5).
#[must_use]
pub fn burst_id(scope: &str, minute: i64) -> AlertId {
    Content::new(BURST)
        .field(scope.as_bytes())
        .field(&minute.to_be_bytes())
        .id()
}

/// Returns the id of the alert about a workload that has no room in the budget of this setting on a day (rule A5).
#[must_use]
pub fn full_id(setting: &str, workload: &str, day: Day) -> AlertId {
    Content::new(FULL)
        .field(setting.as_bytes())
        .field(workload.as_bytes())
        .field(&day.0.to_be_bytes())
        .id()
}

/// SHA-256 over fields, each behind its length in eight octets, so that no two contents read the same.
struct Content(Sha256);

impl Content {
    fn new(what: &[u8]) -> Self {
        Self(Sha256::new()).field(what)
    }

    fn field(mut self, octets: &[u8]) -> Self {
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_be_bytes());
        self.0.update(octets);
        self
    }

    fn id(self) -> AlertId {
        let hash: [u8; 32] = self.0.finalize().into();
        AlertId(hash.first_chunk::<16>().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;

    fn named(name: &str) -> WorkloadKey {
        WorkloadKey::Named(name.into())
    }

    const NOON: Timestamp = Timestamp(1_700_000_000_000_000_000);

    #[test]
    fn rule_a2_an_id_never_changes_between_versions() {
        let id = alert_id(AlertKind::NewExternalDomain, &named("web"), "example.edu", NOON);
        assert_eq!(id.to_string(), "fdf4dadb7741a61f3b5c971aaf800eeb");
        assert_eq!(
            burst_id("web", 28_333_333).to_string(),
            "979b5521a1900cf8bd071bba5b973e8b"
        );
        assert_eq!(
            full_id("[baseline] disk", "web", Day(19_675)).to_string(),
            "032c6987bb97217e88779234ea51cd28"
        );
    }

    #[test]
    fn rule_a2_every_part_of_the_content_counts() {
        let address = WorkloadKey::Address("vni=1".into(), Address::v4([10, 0, 0, 1]));
        let other_segment = WorkloadKey::Address("vni=2".into(), Address::v4([10, 0, 0, 1]));
        let ids = [
            alert_id(AlertKind::NewExternalDomain, &named("web"), "example.edu", NOON),
            alert_id(AlertKind::NewExternalIp, &named("web"), "example.edu", NOON),
            alert_id(AlertKind::NewExternalDomain, &named("webe"), "xample.edu", NOON),
            alert_id(
                AlertKind::NewExternalDomain,
                &named("web"),
                "example.edu",
                Timestamp(NOON.0 + 1),
            ),
            alert_id(AlertKind::NewExternalDomain, &address, "example.edu", NOON),
            alert_id(AlertKind::NewExternalDomain, &other_segment, "example.edu", NOON),
            burst_id("web", NOON.minute()),
            burst_id("web", NOON.minute() + 1),
            burst_id("example.edu", NOON.minute()),
            full_id("[baseline] disk", "web", NOON.day()),
            full_id("[baseline] disk", "web", Day(NOON.day().0 + 1)),
            full_id("[baseline] disk", "webe", NOON.day()),
            full_id("[baseline] destinations", "web", NOON.day()),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
