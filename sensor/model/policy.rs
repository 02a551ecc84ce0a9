//! What the settings ask for, as plain values; `settings/` reads them from a file.

use std::sync::Arc;

use ipnet::IpNet;

use super::address::{Address, SegmentDetail};
use super::kept::BaselineLimits;
use super::time::Span;

/// Everything that decides what the engine does.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How much memory the tables may hold, in octets.
    pub memory: u64,
    /// Where the times of frames come from.
    pub time: TimeSource,
    /// What is internal, and which ports carry what.
    pub network: NetworkPolicy,
    /// What makes a segment.
    pub segment: SegmentPolicy,
    /// How names explain contacts.
    pub names: NamesPolicy,
    /// How long contacts are remembered and learnt.
    pub baseline: BaselinePolicy,
    /// The inventory; the longest prefix wins.
    pub workloads: Vec<WorkloadRule>,
    /// Aggregation rules beside the built-in ones (rule D4).
    pub aggregates: Vec<AggregateRule>,
    /// The text of a public suffix list that replaces the one compiled in.
    pub public_suffix_list: Option<Arc<str>>,
}

/// Where the times of frames come from (rule T1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeSource {
    /// From captures, whose times are data, in any order.
    #[default]
    Captures,
    /// From this machine's clock, as the frames come.
    Live,
}

/// What is internal, and which ports carry what.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkPolicy {
    /// Prefixes that are internal (rule S1); link-local and loopback always are.
    pub internal: Vec<IpNet>,
    /// Ports that carry DNS.
    pub dns_ports: Vec<u16>,
    /// UDP ports that carry VXLAN.
    pub vxlan_ports: Vec<u16>,
    /// UDP ports that carry GENEVE.
    pub geneve_ports: Vec<u16>,
    /// External ends of envelopes that are mirrors or the estate's own tunnels all the same (rule W2).
    pub tunnels: Vec<IpNet>,
}

/// What makes a segment (rule W3).
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentPolicy {
    /// The parts that count.
    pub by: Vec<SegmentPart>,
    /// The segments that have a name; the first one that a frame belongs to is its segment.
    pub named: Vec<NamedSegment>,
}

/// One `[[segment]]` with a name: frames with these values, whatever else they have, are of one address space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedSegment {
    /// How records write it.
    pub name: Arc<str>,
    /// Any of these VNIs; all if there are none. So with the rest.
    pub vni: Vec<u32>,
    /// Any of these VLANs.
    pub vlan: Vec<u16>,
    /// Any of these keys of GRE or sessions of ERSPAN.
    pub key: Vec<u32>,
    /// Mirrored by any of these.
    pub source: Vec<Address>,
}

impl NamedSegment {
    /// Says whether a frame with these values belongs to the segment.
    #[must_use]
    pub fn holds(&self, frame: &SegmentDetail) -> bool {
        fn is_any<T: PartialEq>(some: &[T], value: Option<&T>) -> bool {
            some.is_empty() || value.is_some_and(|value| some.contains(value))
        }
        is_any(&self.vni, frame.vni.as_ref())
            && is_any(&self.vlan, frame.vlan.as_ref())
            && is_any(&self.key, frame.key.as_ref())
            && is_any(&self.source, frame.source.as_ref())
    }
}

/// A part of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentPart {
    /// The outermost VNI of VXLAN or GENEVE.
    Vni,
    /// The outermost VLAN.
    Vlan,
    /// The outermost key of GRE or session of ERSPAN.
    Key,
    /// Who mirrored the frame.
    Source,
}

/// How names explain contacts (rules N3, N4).
#[derive(Debug, Clone, PartialEq)]
pub struct NamesPolicy {
    /// How long a contact waits for its name.
    pub settle: Span,
    /// Whose answers explain a contact.
    pub scopes: Scopes,
    /// Addresses that are resolvers (rule S3).
    pub resolvers: Vec<Address>,
    /// External servers whose answers need no second key.
    pub trusted_servers: Vec<Address>,
}

/// Whose answers explain a contact (rule N4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    /// The same address asked.
    pub client: bool,
    /// The same inner source hardware address asked.
    pub host: bool,
    /// An address of the same named workload asked.
    pub workload: bool,
    /// A resolver asked.
    pub resolver: bool,
    /// Anybody of the segment asked.
    pub any: bool,
}

impl Default for Scopes {
    fn default() -> Self {
        Self {
            client: true,
            host: true,
            workload: true,
            resolver: true,
            any: false,
        }
    }
}

/// How long contacts are remembered and learnt (rules B2, B4, B5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaselinePolicy {
    /// A destination without a contact for longer than this is new.
    pub window: Span,
    /// A pair without a contact for longer than this is forgotten.
    pub retention: Span,
    /// How long a segment learns.
    pub learning: Span,
    /// How long a workload learns that appears in a segment that has learnt.
    pub learning_new: Span,
    /// How many pairs a workload may have (rule A5).
    pub destinations: u32,
    /// How many octets all pairs and alerts may take on disk (rule A5).
    pub disk: u64,
    /// How many novelties of a workload are raised one by one within a minute of packet time (rule A5).
    pub alerts_a_minute: u32,
    /// Whether everything is learnt and nothing raised, as `--learn` asks.
    pub mode: BaselineMode,
}

impl BaselinePolicy {
    /// Returns what the ledger may hold by this.
    #[must_use]
    pub const fn limits(&self) -> BaselineLimits {
        BaselineLimits {
            destinations: self.destinations,
            disk: self.disk,
            retention: self.retention,
        }
    }
}

/// Whether novelties are raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaselineMode {
    /// Novelties are raised once learning is over.
    Judge,
    /// Every contact is recorded and no novelty is raised.
    LearnOnly,
}

/// One `[[workload]]` of the inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadRule {
    /// The workload's name.
    pub name: Arc<str>,
    /// Its addresses.
    pub prefixes: Vec<IpNet>,
    /// The segment, as records write it, that the rule is limited to.
    pub segment: Option<Arc<str>>,
    /// The group whose baseline its new members start from.
    pub group: Option<Arc<str>>,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// Its own scopes, if they differ from `[names] scopes`.
    pub scopes: Option<Scopes>,
}

/// One `[[aggregate]]` rule (rule D4).
///
/// Labels left of the suffix are read from right to left. Those that `strip` names are dropped; the first other one
/// is the service, and service and suffix are the domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AggregateRule {
    /// Names under this suffix are meant; matched on label boundaries, the longest suffix first.
    pub suffix: String,
    /// Labels that are dropped, such as regions. `*` stands for any run of characters, `?` for one, `#` for one digit.
    /// An entry that starts with `-` is dropped from the end of the service's label, such as `-fips`.
    pub strip: Vec<String>,
    /// Whether what stands left of the service is a tenant.
    pub tenant: bool,
    /// Services whose customers choose the labels in front of them: there nothing is dropped, so that no customer's
    /// name can be made to look like another's.
    pub verbatim: Vec<String>,
    /// The suffix of another rule; names under this one are then read as names under that one.
    pub alias_of: Option<String>,
}

impl Policy {
    /// Returns how much of `memory` the ledger's cache and buffers may take, in octets.
    #[must_use]
    pub const fn ledger_memory(&self) -> u64 {
        self.memory / 16
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            time: TimeSource::default(),
            network: NetworkPolicy::default(),
            segment: SegmentPolicy {
                by: vec![SegmentPart::Vni],
                named: Vec::new(),
            },
            names: NamesPolicy {
                settle: Span::seconds(5),
                scopes: Scopes::default(),
                resolvers: Vec::new(),
                trusted_servers: Vec::new(),
            },
            baseline: BaselinePolicy {
                window: Span::days(90),
                retention: Span::days(180),
                learning: Span::days(14),
                learning_new: Span::hours(24),
                // No workload that works has so many; in memory they take some 11 MiB.
                destinations: 100_000,
                // Six times what ten million pairs count, and no disk of a server is so small.
                disk: 4 << 30,
                // One a second is more than a person reads, and a workload that is merely new has fewer destinations.
                alerts_a_minute: 60,
                mode: BaselineMode::Judge,
            },
            workloads: Vec::new(),
            aggregates: Vec::new(),
            public_suffix_list: None,
        }
    }
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        /// RFC 1918, RFC 6598, RFC 4193, and the address at which Azure's own services speak.
        const INTERNAL: [&str; 6] = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "fc00::/7",
            "168.63.129.16/32",
        ];
        Self {
            internal: INTERNAL.iter().filter_map(|prefix| prefix.parse().ok()).collect(),
            dns_ports: vec![53],
            // The second is that of the generic protocol extension.
            vxlan_ports: vec![4789, 4790],
            geneve_ports: vec![6081],
            tunnels: Vec::new(),
        }
    }
}
