//! Contacts that wait to be judged.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::flow::{FlowUpdate, Shown, Side};
use crate::model::{
    Address, Arrival, Endpoint, FlowEnd, FlowStart, MacAddress, Outcome, PendingContact, Segment, SourceId, Span,
    Timestamp, Transport,
};

use super::judged::JudgedFlows;

/// A contact, oriented.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contact {
    pub flow: Arrival,
    pub segment: Segment,
    pub source: SourceId,
    pub transport: Transport,
    pub side: Side,
    pub originator: Endpoint,
    pub responder: Endpoint,
    pub mac: Option<MacAddress>,
    pub start: FlowStart,
    pub first: Timestamp,
    pub last: Timestamp,
    pub outcome: Outcome,
    pub octets_out: u64,
    pub octets_in: u64,
    pub end: Option<FlowEnd>,
    /// Whether the originator has sent something other than a reset (rule F3).
    pub has_spoken: bool,
    /// Whether the originator's payload is DNS (rule S3).
    pub holds_dns: bool,
    /// The batch by which the ledger keeps the contact among those that wait.
    pub kept_in: Option<u64>,
    /// What an earlier run saw of the same flow.
    pub earlier: Option<Earlier>,
}

/// What an earlier run saw of a flow that goes on after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Earlier {
    pub start: FlowStart,
    pub first: Timestamp,
    pub last: Timestamp,
    pub outcome: Outcome,
    pub octets_out: u64,
    pub octets_in: u64,
    pub holds_dns: bool,
}

impl Earlier {
    /// Returns what is left of a contact for the run that sees its flow go on.
    pub const fn of(contact: &Contact) -> Self {
        Self {
            start: contact.start,
            first: contact.first,
            last: contact.last,
            outcome: contact.outcome,
            octets_out: contact.octets_out,
            octets_in: contact.octets_in,
            holds_dns: contact.holds_dns,
        }
    }
}

impl Contact {
    /// Returns the contact that a flow is if `side` opened it, with what an earlier run saw of it added up.
    pub fn of(update: &FlowUpdate, side: Side, start: FlowStart, earlier: Option<Earlier>) -> Self {
        let mut contact = Self::new(update, side, start);
        if let Some(earlier) = earlier {
            let is_no_further = contact.outcome.is_attempt() || contact.outcome == Outcome::Unanswered;
            contact.start = earlier.start;
            contact.first = earlier.first;
            contact.outcome = if is_no_further && !earlier.outcome.is_attempt() {
                earlier.outcome
            } else {
                contact.outcome
            };
            contact.octets_out = contact.octets_out.saturating_add(earlier.octets_out);
            contact.octets_in = contact.octets_in.saturating_add(earlier.octets_in);
            contact.holds_dns |= earlier.holds_dns;
            contact.has_spoken = true;
            contact.earlier = Some(earlier);
        }
        contact
    }

    /// Returns the contact that a flow is if `side` opened it.
    pub fn new(update: &FlowUpdate, side: Side, start: FlowStart) -> Self {
        let (own, others) = (update.sides.of(side), update.sides.of(side.other()));
        Self {
            flow: update.flow,
            segment: update.key.segment(),
            source: update.source,
            transport: update.key.transport(),
            side,
            originator: update.key.endpoint(side),
            responder: update.key.endpoint(side.other()),
            mac: own.mac,
            start,
            first: update.first,
            last: update.last,
            outcome: update.outcome(side),
            octets_out: own.octets,
            octets_in: others.octets,
            end: update.end,
            has_spoken: own.shown.has(Shown::SPOKE),
            holds_dns: own.shown.has(Shown::DNS),
            kept_in: None,
            earlier: None,
        }
    }

    /// Returns the responder's port, if the transport has ports.
    pub fn port(&self) -> Option<u16> {
        self.transport.has_ports().then_some(self.responder.port)
    }

    /// Says whether its originator has shown that it is one: in the middle of a flow, and of a tunnel, it has to have sent
    /// something (rules F3 and W2).
    pub fn is_spoken_for(&self) -> bool {
        (self.start != FlowStart::Midstream && self.transport.has_ports()) || self.has_spoken
    }

    /// Returns the contact as the ledger keeps it.
    pub fn to_pending(&self, segment: std::sync::Arc<str>) -> PendingContact {
        PendingContact {
            arrival: self.flow,
            ts: self.first,
            last: self.last,
            transport: self.transport,
            originator: self.originator,
            responder: self.responder,
            mac: self.mac.map(|mac| mac.0),
            segment,
            start: self.start,
            outcome: self.outcome,
            octets_out: self.octets_out,
            octets_in: self.octets_in,
            end: self.end,
            holds_dns: self.holds_dns,
        }
    }

    /// Returns a contact that the ledger kept, under a new number.
    pub fn from_pending(pending: &PendingContact, flow: Arrival, segment: Segment) -> Self {
        Self {
            flow,
            segment,
            source: SourceId::default(),
            transport: pending.transport,
            side: Side::Low,
            originator: pending.originator,
            responder: pending.responder,
            mac: pending.mac.map(MacAddress),
            start: pending.start,
            first: pending.ts,
            last: pending.last,
            outcome: pending.outcome,
            octets_out: pending.octets_out,
            octets_in: pending.octets_in,
            end: pending.end,
            has_spoken: true,
            holds_dns: pending.holds_dns,
            kept_in: None,
            earlier: None,
        }
    }
}

/// Contacts that wait and contacts that are open.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    waiting: HashMap<Arrival, Contact, foldhash::fast::RandomState>,
    deadlines: BTreeSet<(Timestamp, Arrival)>,
    by_address: HashMap<Address, SmallVec<[Arrival; 2]>, foldhash::quality::RandomState>,
    /// How many of them the ledger keeps, by batch.
    kept: BTreeMap<u64, usize>,
    pub judged: JudgedFlows,
}

impl Contacts {
    /// Lets a contact wait until `deadline`; one that waits already is replaced.
    pub fn wait(&mut self, contact: Contact, deadline: Timestamp) {
        let (flow, address) = (contact.flow, contact.responder.ip);
        if let Some(batch) = contact.kept_in {
            *self.kept.entry(batch).or_default() += 1;
        }
        match self.waiting.insert(flow, contact) {
            Some(before) => self.keep_no_longer(before.kept_in),
            None => {
                self.deadlines.insert((deadline, flow));
                self.by_address.entry(address).or_default().push(flow);
            }
        }
    }

    fn keep_no_longer(&mut self, batch: Option<u64>) {
        let Some(batch) = batch else { return };
        if let Some(count) = self.kept.get_mut(&batch) {
            *count -= 1;
            if *count == 0 {
                self.kept.remove(&batch);
            }
        }
    }

    /// Returns the oldest batch by which the ledger keeps a contact that still waits.
    pub fn kept_from(&self) -> Option<u64> {
        self.kept.keys().next().copied()
    }

    /// Returns the originator's side of a contact and how it started.
    pub fn side_of(&self, flow: Arrival) -> Option<(Side, FlowStart)> {
        let judged = self.judged.get(flow).map(|judged| (judged.side, judged.start));
        judged.or_else(|| self.waiting.get(&flow).map(|contact| (contact.side, contact.start)))
    }

    /// Gives the contacts of a segment another one: the decoder numbered it.
    pub fn rename(&mut self, from: Segment, to: Segment) {
        for contact in self.waiting.values_mut().filter(|contact| contact.segment == from) {
            contact.segment = to;
        }
    }

    /// Forgets a judged contact whose flow ended.
    pub fn forget(&mut self, flow: Arrival) {
        self.judged.remove(flow);
    }

    /// Returns a waiting contact.
    pub fn waiting(&self, flow: Arrival) -> Option<&Contact> {
        self.waiting.get(&flow)
    }

    /// Returns a waiting contact, to change it.
    pub fn waiting_mut(&mut self, flow: Arrival) -> Option<&mut Contact> {
        self.waiting.get_mut(&flow)
    }

    /// Takes a contact that waits no longer; it was to wait for `settle` after its first packet.
    pub fn take(&mut self, flow: Arrival, settle: Span) -> Option<Contact> {
        if self.waiting.is_empty() {
            return None;
        }
        let contact = self.waiting.remove(&flow)?;
        self.keep_no_longer(contact.kept_in);
        self.deadlines.remove(&(contact.first.plus(settle), flow));
        if let Some(flows) = self.by_address.get_mut(&contact.responder.ip) {
            flows.retain(|other| *other != flow);
            if flows.is_empty() {
                self.by_address.remove(&contact.responder.ip);
            }
        }
        Some(contact)
    }

    /// Returns the addresses that contacts wait for.
    pub fn awaited(&self) -> impl Iterator<Item = &Address> {
        self.by_address.keys()
    }

    /// Returns the contacts that wait for a name of this address.
    pub fn waiting_for(&self, address: Address) -> &[Arrival] {
        self.by_address.get(&address).map_or(&[], SmallVec::as_slice)
    }

    /// Takes the deadlines that have passed.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Arrival> {
        let mut due = Vec::new();
        while let Some(&(deadline, flow)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            due.push(flow);
        }
        due
    }

    /// Returns the contacts to judge early so that at most `limit` wait: those whose time is over first.
    pub fn surplus(&self, limit: usize) -> Vec<Arrival> {
        let surplus = self.waiting.len().saturating_sub(limit);
        self.deadlines.iter().take(surplus).map(|(_, flow)| *flow).collect()
    }

    /// Returns every waiting contact's number, in order.
    pub fn all_waiting(&self) -> Vec<Arrival> {
        let mut all: Vec<Arrival> = self.waiting.keys().copied().collect();
        all.sort_unstable();
        all
    }
}
