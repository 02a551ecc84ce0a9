//! The ledger behind the judge: what it is read for, and the plain changes that are written to it (rule A1).

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::address::{Address, Endpoint, Segment, Transport};
use super::alert::{Alert, AlertId};
use super::alert_record::AlertRecord;
use super::budget::BudgetCounts;
use super::evidence::{NameRow, NameWriter, SavedNames};
use super::flow::{FlowEnd, FlowStart, Outcome};
use super::kept::KeptCounts;
use super::pair::{Pair, PairKey, PairKeyView};
use super::present::RecentEpochs;
use super::time::{Arrival, Timestamp};
use super::workload::{WorkloadId, WorkloadRecord};

/// What went wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The folder belongs to another version of the sensor.
    #[error(
        "{folder}: the ledger has format {found}, this program reads {expected}; use the program that wrote it, or another folder"
    )]
    OtherVersion {
        /// The state folder.
        folder: String,
        /// What its marker says.
        found: String,
        /// What this program writes.
        expected: u32,
    },
    /// Another process has the folder open.
    #[error(
        "{folder}: the ledger is in use by another process; stop the sensor that runs on it, or use another folder"
    )]
    Locked {
        /// The state folder.
        folder: String,
    },
    /// The folder exists and holds something else.
    #[error("{folder}: not a ledger and not empty; give an empty or a new folder")]
    NotALedger {
        /// The state folder.
        folder: String,
    },
    /// A replay was to go on where the same one was killed, and its input is another one.
    #[error(
        "{folder}: the input is not what it was when the same replay was killed; what that one found stays in the ledger, and the next run judges the input as another one"
    )]
    OtherInput {
        /// The state folder.
        folder: String,
    },
    /// The disk or the database failed.
    #[error("{folder}: {action} failed: {source}")]
    Failed {
        /// The state folder.
        folder: String,
        /// What was being done.
        action: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A record cannot be read.
    #[error("{folder}: a record of {kind} cannot be read; the ledger is damaged")]
    Damaged {
        /// The state folder.
        folder: String,
        /// Which kind of record.
        kind: &'static str,
    },
}

/// A pair where it stands: slot *n* of a workload lives in its page *n* / [`StoredPair::A_PAGE`] for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPair {
    /// The pair's place among its workload's pairs, from 0.
    pub slot: u32,
    /// The destination.
    pub key: PairKey,
    /// What is remembered.
    pub pair: Pair,
}

impl StoredPair {
    /// How many slots one page holds.
    pub const A_PAGE: u32 = 64;

    /// Returns the pair as one of a workload, to be written.
    #[must_use]
    pub fn view(&self, workload: WorkloadId) -> PairView<'_> {
        PairView {
            workload,
            slot: self.slot,
            key: self.key.view(),
            pair: &self.pair,
        }
    }
}

/// A pair that an epoch changed, whole, so that applying it twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairChange {
    /// Whose pair.
    pub workload: WorkloadId,
    /// The pair as it is now.
    pub stored: StoredPair,
}

/// A page as the ledger keeps it: to read all of its pairs takes much longer than to look which ones it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPage {
    /// Which one of its workload's, from 0.
    pub number: u32,
    /// The batch that wrote it: what journal rows up to this batch's say of its slots is older, or the same.
    pub batch: u64,
    /// The least [`Pair::last`] of its pairs.
    pub least: Timestamp,
    /// What only the ledger can read.
    pub row: Box<[u8]>,
}

/// A pair where it stands, borrowed from who holds it, to be written in the ledger's form.
#[derive(Debug, Clone, Copy)]
pub struct PairView<'a> {
    /// Whose pair.
    pub workload: WorkloadId,
    /// The pair's place among its workload's pairs.
    pub slot: u32,
    /// The destination.
    pub key: PairKeyView<'a>,
    /// What is remembered.
    pub pair: &'a Pair,
}

/// A journal row as it grows, pair by pair.
#[derive(Debug, Clone, Default)]
pub struct JournalRow {
    /// What was written so far; nothing before the first pair.
    pub octets: Vec<u8>,
    /// How many pairs that is.
    pub pairs: usize,
    /// What the next pair may leave out.
    pub before: PairBefore,
}

/// What a pair in a row need not say again: it is as with the pair before it.
#[derive(Debug, Clone, Default)]
pub struct PairBefore {
    /// [`Pair::first`].
    pub first: Timestamp,
    /// Where in the row its names stand.
    pub names: Range<usize>,
}

/// One page of a workload's pairs, as it replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Whose page.
    pub workload: WorkloadId,
    /// Which one, from 0.
    pub number: u32,
    /// Its pairs by slot as [`Ledger::page_row`] wrote them; free slots are left out, and it is empty if all are free.
    pub row: Vec<u8>,
}

/// An entry of the index by destination: this workload has a pair with it, seen on that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// [`PairKey::index_hash`] of the destination.
    pub destination: u64,
    /// Who has the pair.
    pub workload: WorkloadId,
    /// The day of the contact that wrote the entry, since 1970-01-01; the store drops entries by it.
    pub day: i32,
}

/// A contact that is not judged yet, as a restart goes on with it (rule T3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingContact {
    /// The frame that opened the flow, in the run that saw it; orders contacts of one instant.
    pub arrival: Arrival,
    /// Its first packet.
    pub ts: Timestamp,
    /// Its last packet so far.
    pub last: Timestamp,
    /// The transport.
    pub transport: Transport,
    /// The workload's side.
    pub originator: Endpoint,
    /// The external side.
    pub responder: Endpoint,
    /// The originator's hardware address, if known.
    pub mac: Option<[u8; 6]>,
    /// The address space, as records write it.
    pub segment: Arc<str>,
    /// How it was first seen.
    pub start: FlowStart,
    /// What became of it so far.
    pub outcome: Outcome,
    /// Payload sent by the originator so far.
    pub octets_out: u64,
    /// Payload sent by the responder so far.
    pub octets_in: u64,
    /// Why it ended, if it has.
    pub end: Option<FlowEnd>,
    /// Whether the originator's payload is DNS (rule S3).
    #[serde(default)]
    pub holds_dns: bool,
}

/// What the judge remembers of segments and resolvers across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JudgeState {
    /// The segments that were seen.
    pub segments: Vec<SegmentState>,
    /// The resolvers that were detected (rule S3).
    pub resolvers: Vec<ResolverState>,
}

/// How far a segment has learnt (rule B4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentState {
    /// The segment, as records write it.
    pub segment: Arc<str>,
    /// Its first frame.
    pub since: Timestamp,
    /// Until when it learns.
    pub learns_until: Timestamp,
    /// Whether the end of learning was told.
    pub has_learnt: bool,
}

/// A host that was found to be a resolver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverState {
    /// The segment, as records write it.
    pub segment: Arc<str>,
    /// Its address.
    pub address: Address,
    /// When it was found.
    pub since: Timestamp,
}

/// An alert whose flow is open or whose answer may still come, as a restart goes on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAlert {
    /// The alert.
    pub id: AlertId,
    /// The contact behind it.
    pub contact: PendingContact,
}

/// How soon a batch must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// With the next synced batch, or within 10 s.
    Grouped,
    /// Before the commit returns: it holds an alert.
    Synced,
}

/// Everything that one epoch changes; it is written whole or not at all (rule A1).
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Grows by one with each batch over the ledger's life.
    pub sequence: u64,
    /// The end of the epoch, in packet time.
    pub at: Timestamp,
    /// How soon it must be on disk.
    pub durability: Durability,
    /// Pairs that changed, as [`Ledger::add_to_journal`] wrote them; empty if there are none.
    pub journal: Vec<u8>,
    /// Pages that take over what journal rows held.
    pub pages: Vec<Page>,
    /// Journal rows up to this batch are in pages now.
    pub folded_through: Option<u64>,
    /// Entries of the index by destination, in runs each of which is in order. Until they are handed over, journal rows have what they say.
    pub holders: Arc<Vec<Vec<Holder>>>,
    /// Workloads that are new or changed.
    pub workloads: Vec<(WorkloadId, WorkloadRecord)>,
    /// Workloads that are forgotten: all of their pairs are expired, and their numbers are free.
    pub forgotten: Vec<WorkloadId>,
    /// Evidence to keep across restarts.
    pub names: SavedNames,
    /// Alerts as they stand now, new or changed.
    pub alerts: Vec<AlertRecord>,
    /// Lines for the sinks, in order.
    pub deliver: Vec<Alert>,
    /// Contacts that wait beyond this epoch.
    pub pending: Vec<PendingContact>,
    /// Contacts that wait no longer.
    pub judged: Vec<Arrival>,
    /// What earlier batches than this one said of contacts that wait is of no more use; given where `pending` or `judged`
    /// say something.
    pub waits_from: Option<u64>,
    /// Alerts that are open from this epoch on.
    pub opened: Vec<OpenAlert>,
    /// Alerts that are no longer open.
    pub closed: Vec<AlertId>,
    /// The judge's state, if it changed.
    pub state: Option<JudgeState>,
    /// What the alert budget counted (rule A5).
    pub counted: BudgetCounts,
    /// What earlier batches than this one said of the budget is of no more use; given where `counted` says something.
    pub counted_from: Option<u64>,
    /// How many pairs and alerts are kept, as far as the batch changes that (rule A5).
    pub kept: KeptCounts,
}

impl Batch {
    /// Returns a batch that changes nothing.
    #[must_use]
    pub fn empty(sequence: u64, at: Timestamp) -> Self {
        Self {
            sequence,
            at,
            durability: Durability::Grouped,
            journal: Vec::new(),
            pages: Vec::new(),
            folded_through: None,
            holders: Arc::default(),
            workloads: Vec::new(),
            forgotten: Vec::new(),
            names: SavedNames::default(),
            alerts: Vec::new(),
            deliver: Vec::new(),
            pending: Vec::new(),
            judged: Vec::new(),
            waits_from: None,
            opened: Vec::new(),
            closed: Vec::new(),
            state: None,
            counted: BudgetCounts::default(),
            counted_from: None,
            kept: KeptCounts::default(),
        }
    }

    /// Says whether the batch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let blank = Self {
            durability: self.durability,
            ..Self::empty(self.sequence, self.at)
        };
        *self == blank
    }
}

/// What the judge starts from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Opening {
    /// The sequence that the next batch takes.
    pub next_sequence: u64,
    /// The end of the last committed epoch, if there is one.
    pub at: Option<Timestamp>,
    /// Every workload.
    pub workloads: Vec<(WorkloadId, WorkloadRecord)>,
    /// Contacts that wait.
    pub pending: Vec<PendingContact>,
    /// Alerts that are open.
    pub open: Vec<OpenAlert>,
    /// The judge's state.
    pub state: JudgeState,
    /// What the alert budget counted, batch by batch, oldest first.
    pub counted: Vec<BudgetCounts>,
    /// How many pairs and alerts are kept; counted by the ledger if no batch said so.
    pub kept: KeptCounts,
    /// When the last batches were.
    pub recent: RecentEpochs,
}

/// What the judge reads of the ledger. It sees what is committed; the judge keeps what is not.
pub trait Ledger: Send {
    /// Returns what the judge starts from.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn opening(&self) -> Result<Opening, LedgerError>;

    /// Gives the journal rows that are not in pages yet, oldest first, with their batch's sequence, to `take`.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn journal(&self, take: &mut dyn FnMut(u64, Vec<PairChange>)) -> Result<(), LedgerError>;

    /// Returns the evidence whose last answer was before `first_frame` and that was still of use at `used_from` (rule N3).
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn names(&self, first_frame: Timestamp, used_from: Timestamp) -> Result<SavedNames, LedgerError>;

    /// Returns what writes names in the ledger's form, for whoever has many of them.
    fn name_writer(&self) -> Box<dyn NameWriter>;

    /// Adds the texts of its segments, as records write them, to a row of names: it is whole then.
    fn end_names(&self, row: &mut NameRow, text: &dyn Fn(Segment) -> Arc<str>);

    /// Returns a workload's pages, in order; journal rows are not looked at.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn pages(&self, workload: WorkloadId) -> Result<Vec<StoredPage>, LedgerError>;

    /// Gives slot and destination of each pair of a page, by slot, to `take`.
    ///
    /// # Errors
    ///
    /// When the page cannot be read.
    fn slots(&self, page: &StoredPage, take: &mut dyn FnMut(u32, PairKeyView<'_>)) -> Result<(), LedgerError>;

    /// Gives the pairs of a page by slot, all of them or the one in a slot, to `take`.
    ///
    /// # Errors
    ///
    /// When the page cannot be read.
    fn pairs(&self, page: &StoredPage, slot: Option<u32>, take: &mut dyn FnMut(StoredPair)) -> Result<(), LedgerError>;

    /// Appends a pair in the ledger's form to a journal row, so that it need not be copied for that.
    fn add_to_journal(&self, row: &mut JournalRow, pair: PairView<'_>);

    /// Returns pairs of one page, by slot, in the ledger's form; `batch` is the one that will write it.
    fn page_row(&self, batch: u64, pairs: &mut dyn Iterator<Item = PairView<'_>>) -> Vec<u8>;

    /// Returns who may have a pair with a destination, in order and once each; the pair itself decides.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn holders(&self, destination: u64) -> Result<Vec<WorkloadId>, LedgerError>;

    /// Returns an alert.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn alert(&self, id: AlertId) -> Result<Option<AlertRecord>, LedgerError>;
}
