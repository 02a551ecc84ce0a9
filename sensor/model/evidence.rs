//! What says that an address goes by a name (rules N1 to N5).

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::address::{Address, Segment};
use super::destination::{Destination, DestinationKeys};
use super::life::{answered_until, counted_ttl};
use super::time::Timestamp;

/// How a DNS response gave an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EvidenceKind {
    /// An A or AAAA record.
    DnsAddress = 0,
    /// An `ipv4hint` or `ipv6hint` of an HTTPS or SVCB record (RFC 9460 section 7.3).
    DnsHint = 1,
}

/// Whether a response counts (rule N2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Admission {
    /// Its query was seen, or could not have been.
    Admitted = 0,
    /// Nobody asked: it explains nothing.
    Unsolicited = 1,
}

/// A name that was asked, kept once for all who speak of it, and what it stands for.
#[derive(Debug, Clone)]
pub struct SharedName {
    /// Lower case, A-label form, without the final dot.
    pub text: Arc<str>,
    destination: Arc<OnceLock<DestinationKeys>>,
}

impl SharedName {
    /// Returns the first copy of a name.
    #[must_use]
    pub fn new(text: Arc<str>) -> Self {
        Self {
            text,
            destination: Arc::default(),
        }
    }
}

/// What all answers for a name from one server by one chain have in common, kept once for all clients.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The name that was asked, lower case, A-label form, without the final dot.
    pub name: Arc<str>,
    /// Who answered.
    pub server: Address,
    /// The names between the one asked and the address; empty if there were none.
    pub chain: Box<[Arc<str>]>,
    destination: Arc<OnceLock<DestinationKeys>>,
}

impl Provenance {
    /// Returns what was said of `name` by `server`.
    #[must_use]
    pub fn new(name: Arc<str>, server: Address, chain: Box<[Arc<str>]>) -> Self {
        Self::of(SharedName::new(name), server, chain)
    }

    /// Returns what was said of a name that others speak of as well.
    #[must_use]
    pub fn of(name: SharedName, server: Address, chain: Box<[Arc<str>]>) -> Self {
        Self {
            name: name.text,
            server,
            chain,
            destination: name.destination,
        }
    }

    /// Says whether both are the same name from the same server, whatever the chain.
    #[must_use]
    pub fn names_alike(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.server == other.server && self.name == other.name)
    }

    /// Returns what the name stands for, as `work_out` said when it was asked first.
    pub fn destination(&self, work_out: impl FnOnce(&str) -> Destination) -> &DestinationKeys {
        self.destination.get_or_init(|| work_out(&self.name).into())
    }

    /// Returns what the name stands for, if that was worked out.
    #[must_use]
    pub fn known_destination(&self) -> Option<&DestinationKeys> {
        self.destination.get()
    }
}

/// Two are equal if they say the same; whether somebody asked for the destination does not matter.
impl PartialEq for Provenance {
    fn eq(&self, other: &Self) -> bool {
        self.server == other.server && self.name == other.name && self.chain == other.chain
    }
}

impl Eq for Provenance {}

impl Hash for Provenance {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, self.server, &self.chain).hash(state);
    }
}

/// When and how answers gave one address to one client by one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFacts {
    /// How it was given, when last.
    pub kind: EvidenceKind,
    /// Whether any of its responses counts.
    pub admission: Admission,
    /// The time to live, in seconds, when last given.
    pub ttl: u32,
    /// The greatest time to live given, in seconds, which caps renewal.
    pub greatest_ttl: u32,
    /// The first answer.
    pub first: Timestamp,
    /// The last answer.
    pub last: Timestamp,
    /// The end of its life: by the latest answer, max(TTL, floor) after it, or by the latest use.
    pub expires: Timestamp,
}

impl AnswerFacts {
    /// Returns what one answer that counts says, with a time to live in seconds.
    #[must_use]
    pub fn one(kind: EvidenceKind, ttl: u32, at: Timestamp) -> Self {
        Self {
            kind,
            admission: Admission::Admitted,
            ttl,
            greatest_ttl: counted_ttl(ttl),
            first: at,
            last: at,
            expires: answered_until(at, ttl),
        }
    }
}

/// One client, one name, one address: when, from which server, for how long.
///
/// Merging two of the same client, name and address takes the least `first`, the greatest `last` and `expires`, and the
/// rest from the later one (of two at one time, from the greater one), so that order does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The name, the server and the chain of the last answer.
    pub provenance: Arc<Provenance>,
    /// Who asked.
    pub client: Address,
    /// When and how it was given.
    pub facts: AnswerFacts,
}

impl Evidence {
    /// Returns the name that was asked.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.provenance.name
    }

    /// Returns who answered.
    #[must_use]
    pub fn server(&self) -> Address {
        self.provenance.server
    }
}

/// One address with evidence of its name, as workers write it and as the ledger keeps it across restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRecord {
    /// The address space of client and answer.
    pub segment: Segment,
    /// The address that goes by the name.
    pub address: Address,
    /// Who says so.
    pub evidence: Evidence,
}

/// A piece of evidence that the ledger should get, borrowed from who holds it.
#[derive(Debug, Clone, Copy)]
pub struct NameView<'a> {
    /// The address space of client and answer.
    pub segment: Segment,
    /// Who asked.
    pub client: Address,
    /// The name, the server and the chain.
    pub provenance: &'a Provenance,
    /// Stands for the provenance among those of one row.
    pub origin: u32,
    /// The address that goes by the name.
    pub address: Address,
    /// When and how it was given.
    pub facts: AnswerFacts,
}

/// Names in the ledger's form, as [`NameWriter`] wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// When the last of them is of use for the last time.
    pub last_use: Timestamp,
    /// The segments that the row speaks of, by their place; their texts are still to be [added](super::Ledger::end_names).
    pub segments: Vec<Segment>,
    /// Everything else.
    pub octets: Vec<u8>,
}

/// Writes names in the ledger's form.
pub trait NameWriter: Send {
    /// Adds a piece of evidence; those of one client and one response should stand together.
    fn add(&mut self, name: &NameView<'_>);

    /// Returns what was written since it was asked last.
    fn take(&mut self) -> Vec<NameRow>;

    /// Takes memory that rows took before, so that the next ones need no fresh one.
    fn reuse(&mut self, octets: Vec<u8>);
}

/// Names for the ledger, or from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedNames {
    /// Each segment of the records as records write it, which outlives a run; ordered by segment.
    pub segments: Vec<(Segment, Arc<str>)>,
    /// The names; those of one response stand together.
    pub records: Vec<NameRecord>,
    /// Further names in the ledger's form, whole.
    pub rows: Vec<NameRow>,
}

impl SavedNames {
    /// Returns a segment as records write it.
    #[must_use]
    pub fn text(&self, segment: Segment) -> Option<&Arc<str>> {
        let at = self.segments.binary_search_by_key(&segment, |(segment, _)| *segment);
        at.ok().and_then(|at| self.segments.get(at)).map(|(_, text)| text)
    }
}
