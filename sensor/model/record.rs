//! The lines of `--records`: what the sensor saw.

use std::sync::Arc;

use serde::Serialize;

use super::address::{Address, Endpoint, Transport};
use super::alert::{AlertEvidence, Unexplained};
use super::flow::{FlowEnd, FlowStart, Outcome};
use super::time::{Arrival, Timestamp};

/// A line of one of the three files, and the arrival number that orders it.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A line of `dns.jsonl`.
    Dns(DnsRecord),
    /// A line of `flows.jsonl`.
    Flow(FlowRecord),
    /// A line of `contacts.jsonl`.
    Contact(ContactRecord),
}

/// A frame as records write it: its number, from 1, and its file when there are several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FramePlace {
    /// The file, when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// The number within the file, or within the run when there is one.
    pub frame: u64,
}

impl From<Arrival> for FramePlace {
    fn from(arrival: Arrival) -> Self {
        Self {
            file: None,
            frame: arrival.0,
        }
    }
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerUse {
    /// It counts.
    Evidence,
    /// Nobody asked for it (rule N2).
    Unsolicited,
    /// mDNS or LLMNR, which never count.
    OffPort,
}

/// One address that a DNS response gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DnsRecord {
    /// When the response was captured.
    pub ts: Timestamp,
    /// The frame that completed the message; orders the lines.
    #[serde(skip)]
    pub frame: Arrival,
    /// The same frame as it is written.
    #[serde(flatten)]
    pub place: FramePlace,
    /// Who asked.
    pub client: Address,
    /// Who answered.
    pub server: Address,
    /// The transport of the message.
    pub transport: Transport,
    /// The name that was asked.
    pub name: Arc<str>,
    /// The address that was given.
    pub address: Address,
    /// Seconds.
    pub ttl: u32,
    /// The names between the one asked and the address.
    pub chain: Box<[Arc<str>]>,
    /// The address space, or `-`.
    pub segment: Arc<str>,
    /// What became of it.
    #[serde(rename = "use")]
    pub answer_use: AnswerUse,
}

/// One flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowRecord {
    /// Its first packet.
    pub ts: Timestamp,
    /// The frame of its first packet; orders the lines.
    #[serde(skip)]
    pub frame: Arrival,
    /// The same frame as it is written.
    #[serde(flatten)]
    pub place: FramePlace,
    /// The transport.
    pub transport: Transport,
    /// Who opened it.
    pub originator: Endpoint,
    /// With whom.
    pub responder: Endpoint,
    /// How it was first seen.
    pub start: FlowStart,
    /// What became of it.
    pub outcome: Outcome,
    /// Payload sent by the originator.
    pub octets_out: u64,
    /// Payload sent by the responder.
    pub octets_in: u64,
    /// Why it ended; `null` if it was open when input ended (rule T3).
    pub end: Option<FlowEnd>,
    /// The address space, or `-`.
    pub segment: Arc<str>,
}

/// One judged contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContactRecord {
    /// Its first packet.
    pub ts: Timestamp,
    /// The frame of its first packet; not written, orders the lines.
    #[serde(skip)]
    pub frame: Arrival,
    /// The transport.
    pub transport: Transport,
    /// The workload's side.
    pub originator: ContactEnd,
    /// The external side.
    pub responder: ContactEnd,
    /// The address space, or `-`.
    pub segment: Arc<str>,
    /// The workload's name.
    pub workload: String,
    /// The name that explains the contact.
    pub name: Option<Arc<str>>,
    /// What says so.
    pub evidence: Option<AlertEvidence>,
    /// What it was judged as.
    pub destination: ContactDestination,
    /// What was decided.
    pub verdict: Verdict,
    /// Why nothing explains it.
    pub unexplained: Option<Unexplained>,
}

/// One end of a contact in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ContactEnd {
    /// The address.
    pub ip: Address,
    /// The port; `null` where the transport has none.
    pub port: Option<u16>,
}

impl ContactEnd {
    /// Returns an endpoint of a transport as it is written.
    #[must_use]
    pub fn of(transport: Transport, endpoint: Endpoint) -> Self {
        Self {
            ip: endpoint.ip,
            port: transport.has_ports().then_some(endpoint.port),
        }
    }
}

/// A destination in a contact's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContactDestination {
    /// The domain after aggregation.
    pub domain: Option<Arc<str>>,
    /// The tenant of a shared service.
    pub tenant: Option<Arc<str>>,
    /// The address.
    pub ip: Address,
}

/// What the judge decided of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The window holds a contact with it.
    Known,
    /// It raised an alert.
    New,
    /// It was learnt (rule B4).
    Learned,
    /// A new destination that did not get through; it raised its alert as an attempt (rule B3).
    Attempt,
    /// A resolver at its trade (rule S3).
    Resolver,
    /// A rule of the operator suppressed it.
    Suppressed,
    /// It was over budget (rule A5).
    Burst,
}
