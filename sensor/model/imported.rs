//! Rows of logs that others wrote, as plain values: what a flow or a lookup was, as far as the log says it.

use serde::{Deserialize, Serialize};

use super::address::{Address, Endpoint, Transport};
use super::time::Timestamp;

/// A row of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportedRow {
    /// A flow, or one direction of a part of it.
    Flow(ImportedFlow),
    /// A response of DNS.
    Lookup(ImportedLookup),
}

/// How a flow of a log was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportedOpening {
    /// By a SYN without ACK of the opener.
    Syn,
    /// By a SYN with ACK of the opener, which answers.
    SynAck,
    /// In the middle, or the log does not say.
    Midstream,
    /// By a datagram of the opener.
    Datagram,
}

/// Whether a row is a flow or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportedExtent {
    /// All of a flow, both ways.
    Whole,
    /// What the opener sent within a stretch of time; other rows have the rest.
    Part,
}

/// What a log says of one side of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImportedSide {
    /// Layer 4 payload that it sent, or the best that the log tells.
    pub octets: u64,
    /// It sent something that is not a reset.
    pub spoke: bool,
    /// It sent a TCP segment beyond its SYN that is not a reset.
    pub went_on: bool,
    /// It sent a reset, or somebody refused for it.
    pub reset: bool,
    /// It sent a SYN with ACK.
    pub syn_ack: bool,
}

/// What a flow carried, where the log says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportedPayload {
    /// DNS.
    Dns,
    /// Something else.
    Other,
    /// The log does not say; the port does.
    Unknown,
}

/// A flow, or one direction of a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedFlow {
    /// Its first packet.
    pub first: Timestamp,
    /// Its last packet; not before the first.
    pub last: Timestamp,
    /// The transport.
    pub transport: Transport,
    /// Who sent its first packet.
    pub opener: Endpoint,
    /// The other side.
    pub other: Endpoint,
    /// How it was first seen.
    pub opening: ImportedOpening,
    /// What the opener showed.
    pub from_opener: ImportedSide,
    /// What the other side showed.
    pub from_other: ImportedSide,
    /// What it carried.
    pub payload: ImportedPayload,
    /// Whether that is all of the flow.
    pub extent: ImportedExtent,
}

/// One address that a response gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedAnswer {
    /// The address.
    pub address: Address,
    /// Its time to live, in seconds; 0 where the log does not say.
    pub ttl: u32,
}

/// Whether the query of a response was seen (rule N2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportedQuery {
    /// It was, or the log only has responses whose query it saw.
    Seen,
    /// It was not.
    NotSeen,
}

/// A response of DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedLookup {
    /// When the response came.
    pub at: Timestamp,
    /// Who asked.
    pub client: Address,
    /// Who answered, and from which port.
    pub server: Endpoint,
    /// What carried it.
    pub transport: Transport,
    /// The name that was asked: lower case, without the final dot.
    pub name: String,
    /// The names between the one asked and the addresses.
    pub chain: Vec<String>,
    /// The addresses; none in a response with an error.
    pub answers: Vec<ImportedAnswer>,
    /// Whether its query was seen.
    pub query: ImportedQuery,
    /// Whether the client desired recursion; a resolver that asks name servers does not (rule S3).
    pub is_recursive: bool,
}

impl ImportedRow {
    /// Returns when the row takes its place among all rows.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Flow(flow) => flow.first,
            Self::Lookup(lookup) => lookup.at,
        }
    }
}
