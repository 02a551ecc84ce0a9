//! What workers tell the judge at the end of an epoch.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::flow::FlowReport;
use crate::model::{
    Address, Arrival, Counters, Delivered, Endpoint, Epoch, Evidence, MacAddress, NameRow, Segment, SegmentDetail,
    SourceId, Span, Timestamp, Transport,
};

/// The end of an epoch, as it travels in the packet queues.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Which epoch ends.
    pub epoch: Epoch,
    /// When it ends, in packet time.
    pub now: Timestamp,
    /// What else ends with it.
    pub ending: Ending,
}

/// What ends with an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing else.
    Epoch,
    /// The stretch: time moves by this much, mostly back (rule T1).
    Stretch(Span),
    /// The input (rule T3): waiting contacts are judged, open flows reported.
    Input,
    /// The run: waiting contacts stay in the ledger for the next start (rule T3).
    Run,
}

/// What decoding adds to a mark for the judge alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecodeReport {
    /// The time of the first frame of the run, once it is known.
    pub first_frame: Option<Timestamp>,
    /// Sources whose first packet came in this epoch.
    pub sources: Vec<SourceSeen>,
    /// What each source delivered.
    pub delivered: Vec<(SourceId, Delivered)>,
    /// Segments that were numbered in this epoch.
    pub segments: Vec<(Segment, SegmentDetail)>,
    /// Envelopes with an end outside that was not met before.
    pub tunnels: Vec<TunnelSeen>,
    /// What copies showed (rule W5), with the time of the frame.
    pub facts: Vec<(Fact, Timestamp)>,
    /// What was counted.
    pub counters: Counters,
}

/// A source that was not met before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceSeen {
    /// Its number.
    pub source: SourceId,
    /// When its first packet came.
    pub at: Timestamp,
    /// The address that mirrors; none for a file or an interface itself.
    pub mirror: Option<Address>,
}

/// An envelope that leads outside (rule W2), told of once for each address outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelSeen {
    /// When.
    pub at: Timestamp,
    /// How it is carried.
    pub transport: Transport,
    /// Who sent it.
    pub from: Address,
    /// To whom.
    pub to: Address,
}

/// Facts are told once in each of these stretches of packet time, so that what the judge remembers for a day stays
/// fresh.
const TOLD_FOR: Span = Span::hours(1);

/// Returns the number of the stretch in which a fact is told once by each worker. What the judge makes of the first must
/// not change by the others', since how many there are depends on the number of workers (rule T2).
#[must_use]
pub const fn telling(at: Timestamp) -> i32 {
    // i64 nanoseconds reach 2,562,047 hours either way, so the quotient always fits.
    at.0.div_euclid(TOLD_FOR.0) as i32
}

/// A fact that matters beyond its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// An endpoint listens (rules F2, F3).
    Listening(Segment, Transport, Endpoint),
    /// A source delivered a query (rule N2).
    Queries(SourceId),
    /// A source delivered a packet from an internal to an external address (rule F3).
    Outbound(SourceId),
    /// A hardware address sends for an internal address.
    MacInternal(Segment, MacAddress, Address),
    /// A hardware address sends for external addresses, so it is a router.
    MacRouter(Segment, MacAddress),
    /// A server answered a client's query.
    Answered(Answered),
    /// A host speaks DNS that cannot be read (rule N5).
    Encrypted(Segment, Address),
}

/// Feeds a few whole words to the hasher: a partition looks facts up several times a flow.
impl Hash for Fact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word =
            |kind: u64, segment: Segment, rest: u16| kind << 56 | u64::from(segment.number()) << 16 | u64::from(rest);
        let mac_of = |mac: &MacAddress| {
            let [a, b, c, d, e, f] = mac.0;
            u64::from_be_bytes([0, 0, a, b, c, d, e, f])
        };
        let mut put = |address: &Address| {
            let (high, low) = address.halves();
            state.write_u64(high);
            state.write_u64(low);
        };
        match self {
            Self::Listening(segment, transport, endpoint) => {
                put(&endpoint.ip);
                state.write_u64(word(u64::from(transport.number()), *segment, endpoint.port));
            }
            Self::Queries(source) => state.write_u64(word(1, Segment::NONE, source.0)),
            Self::Outbound(source) => state.write_u64(word(2, Segment::NONE, source.0)),
            Self::MacInternal(segment, mac, address) => {
                put(address);
                state.write_u64(word(3, *segment, 0));
                state.write_u64(mac_of(mac));
            }
            Self::MacRouter(segment, mac) => {
                state.write_u64(word(4, *segment, 0));
                state.write_u64(mac_of(mac));
            }
            Self::Encrypted(segment, client) => {
                put(client);
                state.write_u64(word(7, *segment, 0));
            }
            Self::Answered(answered) => {
                put(&answered.client);
                put(&answered.server);
                state.write_u64(word(5, answered.segment, u16::from(answered.is_recursive)));
            }
        }
    }
}

/// A server answered a client's query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answered {
    /// The address space.
    pub segment: Segment,
    /// Who asked.
    pub client: Address,
    /// Who answered.
    pub server: Address,
    /// Whether recursion was desired; a resolver that works for others does not desire it (rule S3).
    pub is_recursive: bool,
}

/// One address that a response gave.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerSeen {
    /// The address space.
    pub segment: Segment,
    /// Who delivered the response.
    pub source: SourceId,
    /// The address that was given.
    pub address: Address,
    /// Everything else.
    pub evidence: Evidence,
    /// The frame that completed the response.
    pub arrival: Arrival,
    /// Its place among the answers of its message.
    pub place: u16,
    /// What carried the response.
    pub transport: Transport,
    /// What is to be done with it.
    pub matter: Matter,
}

/// What the judge has to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// Its query was seen and the worker wrote it; it is told for the records only.
    Matched,
    /// Its query was not seen: the judge decides (rule N2).
    Unmatched,
    /// It came on a port that never counts; it is told for the records only.
    OffPort,
    /// It came in a tunnel that leads outside (rule W2), whose far end may write what it likes; it is told for the records
    /// only.
    Tunnel,
}

/// What one worker tells the judge about an epoch.
#[derive(Debug, Default)]
pub struct Report {
    /// Flows that may be contacts; others only if records are asked for.
    pub flows: FlowReport,
    /// Answers that the judge has to see.
    pub answers: Vec<AnswerSeen>,
    /// Addresses that were answered, so that waiting contacts are looked at again.
    pub answered: Vec<Address>,
    /// Clients and addresses whose response was cut short, with the frame.
    pub truncated: Vec<(Segment, Address, Timestamp)>,
    /// Facts with the time of the frame that showed them.
    pub facts: Vec<(Fact, Timestamp)>,
    /// Flows opened by segment, and how many of them had both ends outside (rule S1).
    pub opened: Vec<(Segment, u64, u64)>,
    /// What was missing in what each source delivered.
    pub delivered: Vec<(SourceId, Delivered)>,
    /// Some of the flows with both ends outside, to tell which prefix is missing.
    pub outside: Vec<(Segment, Address, Address)>,
    /// Names for the ledger, in its form.
    pub save: Vec<NameRow>,
    /// Memory of rows of names that were written, on its way back to the worker.
    pub spare: Vec<Vec<u8>>,
    /// What was counted.
    pub counters: Counters,
}

impl Report {
    /// Empties the report; the memory that it took is kept for the next one.
    pub fn clear(&mut self) {
        let Self {
            flows,
            answers,
            answered,
            truncated,
            facts,
            opened,
            delivered,
            outside,
            save,
            spare,
            counters,
        } = self;
        flows.clear();
        answers.clear();
        answered.clear();
        truncated.clear();
        facts.clear();
        opened.clear();
        delivered.clear();
        outside.clear();
        save.clear();
        spare.clear();
        *counters = Counters::default();
    }
}

/// Orders answers as they arrived.
#[must_use]
pub fn arrival_of(answer: &AnswerSeen) -> (Arrival, u16) {
    (answer.arrival, answer.place)
}

/// The text of segments, for those who write records.
#[derive(Debug, Default)]
pub struct SegmentTexts {
    known: hashbrown::HashMap<Segment, Arc<str>, foldhash::fast::RandomState>,
}

impl SegmentTexts {
    /// Takes what the decoder numbered.
    pub fn add(&mut self, segment: Segment, detail: &SegmentDetail) {
        self.known.insert(segment, Arc::from(detail.to_string()));
    }

    /// Writes a segment down once, so that asking for its text costs a look-up.
    pub fn know(&mut self, segment: Segment) {
        let segment = segment.plain();
        if let hashbrown::hash_map::Entry::Vacant(entry) = self.known.entry(segment) {
            entry.insert(Arc::from(segment.detail().unwrap_or_default().to_string()));
        }
    }

    /// Takes the text of a segment that an earlier run saw.
    pub fn name(&mut self, segment: Segment, text: Arc<str>) {
        self.known.insert(segment, text);
    }

    /// Returns a segment as records write it.
    pub fn text(&self, segment: Segment) -> Arc<str> {
        let segment = segment.plain();
        match self.known.get(&segment) {
            Some(text) => text.clone(),
            None => Arc::from(segment.detail().unwrap_or_default().to_string()),
        }
    }
}
