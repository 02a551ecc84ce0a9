//! Alerts, field by field as they are written (rules A1 to A5; docs/alerts.md).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::address::{Address, Transport};
use super::evidence::EvidenceKind;
use super::flow::{FlowEnd, FlowStart, Outcome};
use super::time::Timestamp;

/// An alert's id: 128 bits derived from its content (rule A2), written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub [u8; 16]);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for AlertId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "an alert id has 32 hexadecimal digits";
        if text.len() != 32 || !text.is_ascii() {
            return Err(EXPECTED);
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| EXPECTED)
    }
}

impl Serialize for AlertId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AlertId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A domain without a contact in the window.
    NewExternalDomain,
    /// An address that no answer explains, without a contact in the window.
    NewExternalIp,
    /// A tenant of a known shared service without a contact in the window (rule D3).
    NewTenant,
    /// More novelties than the budget lets through (rule A5).
    Burst,
}

impl AlertKind {
    /// Returns the name that records use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewExternalDomain => "new_external_domain",
            Self::NewExternalIp => "new_external_ip",
            Self::NewTenant => "new_tenant",
            Self::Burst => "burst",
        }
    }

    /// Returns the title that people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::NewExternalDomain => "New Outbound Connection From Application",
            Self::NewExternalIp => "New External Server IP Address Connection",
            Self::NewTenant => "New Tenant Of A Shared Service",
            Self::Burst => "Burst Of New Destinations",
        }
    }
}

/// What happened to an alert (rule A3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// It is new.
    Raised,
    /// Its flow passed 10,240 octets or ended.
    Updated,
    /// A late answer explained its address.
    Withdrawn,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look when there is time.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// Known to be bad.
    Critical,
}

/// Whether others contacted the destination before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// New to this workload; others have it in the window.
    Workload,
    /// New to everything that the sensor watches.
    Deployment,
}

/// Why nothing explains a contact; the first that applies (rule N5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unexplained {
    /// The client was given a name, too long ago.
    Expired,
    /// Only answers that nobody asked for name it.
    Unsolicited,
    /// The client's answer was cut short.
    Truncated,
    /// Only others were given a name for it.
    OtherClient,
    /// The client speaks to a resolver that the sensor cannot read.
    EncryptedDns,
    /// Frames were lost shortly before.
    Loss,
    /// The source was watched for less than an hour.
    WarmUp,
    /// No query for it was seen.
    NoQuery,
}

impl Unexplained {
    /// Returns the name that records use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unsolicited => "unsolicited",
            Self::Truncated => "truncated",
            Self::OtherClient => "other_client",
            Self::EncryptedDns => "encrypted_dns",
            Self::Loss => "loss",
            Self::WarmUp => "warm_up",
            Self::NoQuery => "no_query",
        }
    }
}

/// Whose answer explained a contact (rule N4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The same address asked.
    Client,
    /// The same inner source hardware address asked.
    Host,
    /// An address of the same named workload asked.
    Workload,
    /// A resolver asked.
    Resolver,
    /// Anybody asked.
    Any,
}

/// An alert as it is written, a line each time something happens to it. Absent values are `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Derived from kind, workload key, destination and time.
    pub id: AlertId,
    /// 1 when raised, growing with each event.
    pub revision: u32,
    /// What it is about.
    pub kind: AlertKind,
    /// What people read.
    pub title: String,
    /// What happened to it.
    pub event: AlertEvent,
    /// The contact's first packet, in every event.
    pub ts: Timestamp,
    /// When it was decided, in packet time.
    pub at: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// How sure, from 10 to 90.
    pub confidence: u8,
    /// Whether others contacted the destination before.
    pub novelty: Reach,
    /// Other workloads with this destination in the window, 1000 at most.
    pub prevalence: u32,
    /// Who.
    pub workload: AlertWorkload,
    /// Whom.
    pub destination: AlertDestination,
    /// What names the destination.
    pub evidence: Option<AlertEvidence>,
    /// Why nothing does.
    pub unexplained: Option<Unexplained>,
    /// Other names that were given for the address.
    pub other_names: Vec<OtherName>,
    /// What the client called it itself (rule N6, not asked for yet).
    pub claimed_name: Option<String>,
    /// The contact's flow.
    pub flow: AlertFlow,
    /// What the baseline held.
    pub baseline: AlertBaseline,
    /// What the sensor could see.
    pub observation: Observation,
    /// ATT&CK technique ids.
    pub attack: Vec<String>,
    /// Where to look further; printed, never opened.
    pub links: std::collections::BTreeMap<String, String>,
    /// The withdrawn alert that this one replaces.
    pub replaces: Option<AlertId>,
    /// How many novelties a burst stands for; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// One sentence for a person.
    pub summary: String,
}

impl Alert {
    /// Returns a new alert about this workload and destination, with no flow behind it: whatever else it says is for the
    /// caller to set.
    #[must_use]
    pub fn without_flow(
        id: AlertId,
        kind: AlertKind,
        ts: Timestamp,
        workload: AlertWorkload,
        destination: AlertDestination,
    ) -> Self {
        Self {
            id,
            revision: 1,
            kind,
            title: kind.title().to_owned(),
            event: AlertEvent::Raised,
            ts,
            at: ts,
            severity: Severity::Info,
            confidence: 0,
            novelty: Reach::Workload,
            prevalence: 0,
            baseline: AlertBaseline {
                window_days: 0,
                first_contact: None,
                last_contact: None,
                workload_since: workload.since,
                destinations: 0,
            },
            workload,
            destination,
            evidence: None,
            unexplained: None,
            other_names: Vec::new(),
            claimed_name: None,
            flow: AlertFlow {
                start: FlowStart::Syn,
                outcome: Outcome::Established,
                octets_out: 0,
                octets_in: 0,
                duration: 0.0,
                end: None,
                community_id: None,
            },
            observation: Observation::default(),
            attack: Vec::new(),
            links: std::collections::BTreeMap::new(),
            replaces: None,
            count: None,
            summary: String::new(),
        }
    }
}

/// The originator of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertWorkload {
    /// Its name, or its address if the settings do not name it.
    pub name: String,
    /// The originator's address.
    pub address: Option<Address>,
    /// Its group.
    pub group: Option<Arc<str>>,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// Its address space, or `-`.
    pub segment: Arc<str>,
    /// Its first contact.
    pub since: Option<Timestamp>,
}

/// The responder of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertDestination {
    /// The domain after aggregation.
    pub domain: Option<Arc<str>>,
    /// The tenant of a shared service.
    pub tenant: Option<Arc<str>>,
    /// The name that was asked.
    pub name: Option<Arc<str>>,
    /// The responder's address.
    pub ip: Option<Address>,
    /// The responder's port.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Option<Transport>,
}

/// The evidence that names a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEvidence {
    /// How it was given.
    pub kind: EvidenceKind,
    /// Whose answer it was.
    pub scope: Scope,
    /// The name that was asked.
    pub name: Arc<str>,
    /// Who asked.
    pub client: Address,
    /// Who answered.
    pub server: Address,
    /// When it was last answered by the contact's time, else first after it.
    pub ts: Timestamp,
    /// The time to live given, in seconds.
    pub ttl: u32,
    /// The names between the one asked and the address.
    pub chain: Vec<Arc<str>>,
}

/// A name that was given for the address and is not the one judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherName {
    /// The name that was asked.
    pub name: Arc<str>,
    /// Who asked.
    pub client: Address,
    /// When it was last answered.
    pub ts: Timestamp,
}

/// The flow behind an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFlow {
    /// How it was first seen.
    pub start: FlowStart,
    /// What became of it so far.
    pub outcome: Outcome,
    /// Layer 4 payload sent by the workload.
    pub octets_out: u64,
    /// Layer 4 payload sent by the destination.
    pub octets_in: u64,
    /// Seconds from the first packet to the last so far.
    pub duration: f64,
    /// Why it ended; absent while it is open.
    pub end: Option<FlowEnd>,
    /// Community ID, version 1, seed 0.
    pub community_id: Option<String>,
}

/// What the baseline held when the alert was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBaseline {
    /// The window, in days.
    pub window_days: u32,
    /// The first contact with the destination before this one, if any is remembered.
    pub first_contact: Option<Timestamp>,
    /// The last contact with the destination before this one, if any is remembered.
    pub last_contact: Option<Timestamp>,
    /// The workload's first contact with anything.
    pub workload_since: Option<Timestamp>,
    /// How many destinations the workload has.
    pub destinations: u32,
}

/// What the sensor could see around the contact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Observation {
    /// The share that was lost in the last minute, 0 to 1: of frames, in the kernel and in the sensor's queues, or of what
    /// the source delivered, by gaps in TCP and by missing fragments; the greatest of these.
    pub loss: f64,
    /// Frames that the kernel dropped in the last minute.
    pub kernel_drops: u64,
    /// Frames that the sensor dropped in the last minute because a queue was full.
    #[serde(default)]
    pub queue_drops: u64,
    /// Octets of TCP missing in what the source delivered in the last minute.
    #[serde(default)]
    pub tcp_missing: u64,
    /// IP packets in fragments of which some did not come, of the source in the last minute.
    #[serde(default)]
    pub fragments_incomplete: u64,
    /// DNS responses of the source in the last minute whose query was not seen.
    #[serde(default)]
    pub dns_unmatched: u64,
    /// DNS queries of the source whose time was over in the last minute without a response.
    #[serde(default)]
    pub dns_unanswered: u64,
    /// Whether the source shows no DNS queries at all.
    pub one_way: bool,
    /// Seconds that the source has been watched for.
    pub watched: f64,
}
