//! The baseline as lines that leave the ledger: what `sensor baseline export` writes and `merge` reads.
//!
//! A line says what is true of a pair wherever it is kept: no number that one ledger gave it, no batch, no slot. So two
//! ledgers that hold the same give the same lines.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::evidence::Provenance;
use super::ledger::{ResolverState, SegmentState};
use super::pair::{Novelty, Pair, PairKey};
use super::time::Timestamp;
use super::workload::{WorkloadKey, WorkloadRecord};

/// What the first line says that the file is.
pub const BASELINE_FORMAT: &str = "firstcontact baseline";
/// The version that this program writes and reads.
pub const BASELINE_VERSION: u32 = 1;

/// One line of an exported baseline. Pairs belong to the workload of the last line before them that names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum BaselineLine {
    /// The first line.
    Baseline(BaselineHeader),
    /// A segment and how far it has learnt.
    Segment(SegmentLine),
    /// A host that was found to be a resolver (rule S3).
    Resolver(ResolverState),
    /// A workload.
    Workload(WorkloadLine),
    /// A pair of the workload before it.
    Pair(PairLine),
}

/// What the file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineHeader {
    /// [`BASELINE_FORMAT`].
    pub format: String,
    /// [`BASELINE_VERSION`].
    pub version: u32,
    /// The packet time of the ledger; none if nothing was ever committed to it.
    pub at: Option<Timestamp>,
}

impl BaselineHeader {
    /// Returns the header of what this program writes.
    #[must_use]
    pub fn new(at: Option<Timestamp>) -> Self {
        Self {
            format: BASELINE_FORMAT.to_owned(),
            version: BASELINE_VERSION,
            at,
        }
    }
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentLine {
    /// As records write it.
    pub segment: Arc<str>,
    /// Its first frame.
    pub since: Timestamp,
    /// Until when it learns or learnt; none if it never did.
    pub learns_until: Option<Timestamp>,
    /// Whether the end of learning was told.
    pub has_learnt: bool,
}

impl From<&SegmentState> for SegmentLine {
    fn from(state: &SegmentState) -> Self {
        Self {
            segment: Arc::clone(&state.segment),
            since: state.since,
            learns_until: (state.learns_until > state.since).then_some(state.learns_until),
            has_learnt: state.has_learnt,
        }
    }
}

impl From<SegmentLine> for SegmentState {
    fn from(line: SegmentLine) -> Self {
        Self {
            segment: line.segment,
            since: line.since,
            learns_until: line.learns_until.unwrap_or(line.since),
            has_learnt: line.has_learnt,
        }
    }
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadLine {
    /// Its name in the inventory; none for one that goes by its address.
    pub name: Option<Arc<str>>,
    /// Its address, of one that goes by it.
    pub address: Option<Address>,
    /// The segment in which it was first seen, as records write it; of an address, its own.
    pub segment: Arc<str>,
    /// Its group when last seen.
    pub group: Option<Arc<str>>,
    /// When its first contact was.
    pub since: Timestamp,
    /// Until when it learns or learnt; none if it never did.
    pub learns_until: Option<Timestamp>,
}

impl From<&WorkloadRecord> for WorkloadLine {
    fn from(record: &WorkloadRecord) -> Self {
        let (name, address, segment) = match &record.key {
            WorkloadKey::Named(name) => (Some(Arc::clone(name)), None, &record.segment),
            WorkloadKey::Address(segment, address) => (None, Some(*address), segment),
        };
        Self {
            name,
            address,
            segment: Arc::clone(segment),
            group: record.group.clone(),
            since: record.since,
            learns_until: (record.learns_until > record.since).then_some(record.learns_until),
        }
    }
}

impl WorkloadLine {
    /// Returns the workload as the ledger keeps it.
    ///
    /// # Errors
    ///
    /// What is wrong with the line.
    pub fn to_record(&self) -> Result<WorkloadRecord, &'static str> {
        let key = match (&self.name, self.address) {
            (Some(name), None) => WorkloadKey::Named(Arc::clone(name)),
            (None, Some(address)) => WorkloadKey::Address(Arc::clone(&self.segment), address),
            _ => return Err("a workload has either a name or an address"),
        };
        Ok(WorkloadRecord {
            key,
            segment: Arc::clone(&self.segment),
            group: self.group.clone(),
            since: self.since,
            learns_until: self.learns_until.unwrap_or(self.since),
            // What of it is later, its pairs tell.
            last: self.since,
        })
    }
}

/// A kind of pair, as lines name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairKind {
    /// A domain.
    Domain,
    /// A tenant of a shared service.
    Tenant,
    /// An address.
    Address,
    /// A domain that was only attempted.
    AttemptedDomain,
    /// A tenant that was only attempted.
    AttemptedTenant,
    /// An address that was only attempted.
    AttemptedAddress,
}

impl PairKind {
    /// Every kind, in order.
    pub const ALL: [Self; 6] = [
        Self::Domain,
        Self::Tenant,
        Self::Address,
        Self::AttemptedDomain,
        Self::AttemptedTenant,
        Self::AttemptedAddress,
    ];

    /// Returns the name that lines use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Tenant => "tenant",
            Self::Address => "address",
            Self::AttemptedDomain => "attempted_domain",
            Self::AttemptedTenant => "attempted_tenant",
            Self::AttemptedAddress => "attempted_address",
        }
    }
}

impl From<&PairKey> for PairKind {
    fn from(key: &PairKey) -> Self {
        match key {
            PairKey::Domain(_) => Self::Domain,
            PairKey::Tenant(_) => Self::Tenant,
            PairKey::Address(_) => Self::Address,
            PairKey::AttemptedDomain(_) => Self::AttemptedDomain,
            PairKey::AttemptedTenant(_) => Self::AttemptedTenant,
            PairKey::AttemptedAddress(_) => Self::AttemptedAddress,
        }
    }
}

/// A name that led to a destination, and the server that gave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameLine {
    /// The name that was asked.
    pub name: Arc<str>,
    /// Who answered.
    pub server: Address,
}

/// A pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairLine {
    /// What kind of destination.
    pub kind: PairKind,
    /// The destination.
    pub destination: String,
    /// The first packet of the first contact.
    pub first: Timestamp,
    /// The last packet of the last contact.
    pub last: Timestamp,
    /// How many contacts.
    pub count: u32,
    /// Payload that the workload sent.
    pub octets_out: u64,
    /// Payload that the destination sent.
    pub octets_in: u64,
    /// The active days of the last 128, hexadecimal: bit *n* stands for the day *n* days before that of `last`.
    pub days: String,
    /// The responder's ports, in order.
    pub ports: Vec<u16>,
    /// Names that led there, in order.
    pub names: Vec<NameLine>,
    /// The latest novelty; none if the pair rests on another one's.
    pub novelty: Option<Novelty>,
}

impl PairLine {
    /// Returns a pair as a line.
    #[must_use]
    pub fn of(key: &PairKey, pair: &Pair) -> Self {
        let mut ports: Vec<u16> = pair.ports().collect();
        ports.sort_unstable();
        let names = pair.names().map(|name| NameLine {
            name: Arc::clone(&name.name),
            server: name.server,
        });
        let mut names: Vec<NameLine> = names.collect();
        names.sort_unstable();
        Self {
            kind: key.into(),
            destination: key.text(),
            first: pair.first(),
            last: pair.last(),
            count: pair.count,
            octets_out: pair.octets_out,
            octets_in: pair.octets_in,
            days: format!("{:x}", pair.days().bits),
            ports,
            names,
            novelty: pair.novelty(),
        }
    }

    /// Returns the pair.
    ///
    /// # Errors
    ///
    /// What is wrong with the line.
    pub fn to_pair(&self) -> Result<(PairKey, Pair), &'static str> {
        let text = || Arc::from(self.destination.as_str());
        let address = || self.destination.parse().map(|ip: std::net::IpAddr| Address::from(ip));
        let key = match self.kind {
            PairKind::Domain => PairKey::Domain(text()),
            PairKind::Tenant => PairKey::Tenant(text()),
            PairKind::AttemptedDomain => PairKey::AttemptedDomain(text()),
            PairKind::AttemptedTenant => PairKey::AttemptedTenant(text()),
            PairKind::Address => PairKey::Address(address().map_err(|_| "the destination is no address")?),
            PairKind::AttemptedAddress => {
                PairKey::AttemptedAddress(address().map_err(|_| "the destination is no address")?)
            }
        };
        if self.last < self.first {
            return Err("the last contact is before the first");
        }
        let days = u128::from_str_radix(&self.days, 16).map_err(|_| "the days are no hexadecimal number")?;
        if days & 1 == 0 {
            return Err("the day of the last contact is not among the days");
        }
        if self.ports.len() > Pair::PORTS || self.names.len() > Pair::NAMES {
            return Err("there are more ports or names than a pair keeps");
        }
        let mut pair = Pair::restored(self.first, self.last, days);
        (pair.count, pair.octets_out, pair.octets_in) = (self.count, self.octets_out, self.octets_in);
        for port in &self.ports {
            pair.add_port(*port);
        }
        for NameLine { name, server } in &self.names {
            pair.add_name(&Arc::new(Provenance::new(Arc::clone(name), *server, Box::default())));
        }
        if let Some(novelty) = self.novelty {
            pair.set_novelty(novelty);
        }
        Ok((key, pair))
    }
}
