//! Alerts that may still change: because their flow is open, or because a late answer may explain them (rule A3).
//!
//! The ledger keeps them too, so that a restart goes on with them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::model::{Address, AlertId, AlertRecord, Span, Timestamp};

use super::UNCOMMITTED;
use super::contacts::Contact;
use super::registry::Who;

/// An answer this much later than the contact still withdraws its alert (rule A3).
pub(super) const LATE_ANSWER: Span = Span::seconds(60);
/// How many batches an alert is held in memory at least: more than may be on their way to the disk.
const HELD_BATCHES: u64 = UNCOMMITTED as u64 + 16;

/// An address alert that a late answer may still withdraw.
#[derive(Debug, Clone)]
pub(super) struct Late {
    pub id: AlertId,
    /// The contact as it stands now.
    pub contact: Contact,
    pub who: Who,
}

/// What may still change an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ways {
    flow: bool,
    answer: bool,
}

/// Alerts that may still change.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Alerts of the last batches, which the ledger may not hold yet.
    recent: HashMap<AlertId, (u64, AlertRecord)>,
    order: VecDeque<(u64, AlertId)>,
    late: HashMap<Address, Vec<Late>, foldhash::quality::RandomState>,
    late_until: BTreeSet<(Timestamp, AlertId, Address)>,
    /// Alerts that the ledger keeps as open.
    ways: BTreeMap<AlertId, Ways>,
    /// Those that were closed in this epoch.
    closed: Vec<AlertId>,
}

impl Open {
    /// Holds an alert until the ledger has it.
    pub fn hold(&mut self, sequence: u64, record: AlertRecord) {
        let id = record.alert.id;
        self.recent.insert(id, (sequence, record));
        self.order.push_back((sequence, id));
    }

    /// Returns an alert that the ledger may not hold yet.
    pub fn recent(&self, id: AlertId) -> Option<&AlertRecord> {
        self.recent.get(&id).map(|(_, record)| record)
    }

    /// Forgets alerts that the ledger holds by now.
    pub fn release(&mut self, sequence: u64) {
        while let Some(&(held, id)) = self.order.front()
            && held + HELD_BATCHES < sequence
        {
            self.order.pop_front();
            if self.recent.get(&id).is_some_and(|(latest, _)| *latest == held) {
                self.recent.remove(&id);
            }
        }
    }

    /// Forgets alerts that no answer can explain any more.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(&(until, id, address)) = self.late_until.first()
            && until < now
        {
            self.late_until.pop_first();
            self.forget_late(id, address);
        }
    }

    /// Notes that the flow of an alert is open, so that it may still be updated.
    pub fn follow(&mut self, id: AlertId) {
        self.ways.entry(id).or_default().flow = true;
    }

    /// Says whether an alert may still change.
    pub fn is_open(&self, id: AlertId) -> bool {
        self.ways.contains_key(&id)
    }

    /// Notes that the flow of an alert ended.
    pub fn end_flow(&mut self, id: AlertId) {
        self.change(id, |ways| ways.flow = false);
    }

    fn change(&mut self, id: AlertId, change: impl FnOnce(&mut Ways)) {
        let Some(ways) = self.ways.get_mut(&id) else { return };
        change(ways);
        if *ways == Ways::default() {
            self.ways.remove(&id);
            self.closed.push(id);
        }
    }

    /// Returns the alerts that nothing can change any more, since the last call.
    pub fn take_closed(&mut self) -> Vec<AlertId> {
        std::mem::take(&mut self.closed)
    }

    /// Watches for an answer that explains an address alert.
    pub fn watch(&mut self, late: Late) {
        let address = late.contact.responder.ip;
        self.ways.entry(late.id).or_default().answer = true;
        self.late_until
            .insert((late.contact.first.plus(LATE_ANSWER), late.id, address));
        match self.late.entry(address) {
            Entry::Occupied(mut several) => several.get_mut().push(late),
            // Hardly any address has two.
            Entry::Vacant(first) => drop(first.insert(vec![late])),
        }
    }

    /// Takes over how the contact of an alert stands now.
    pub fn refresh(&mut self, id: AlertId, contact: &Contact) {
        let watched = self.late.get_mut(&contact.responder.ip);
        if let Some(late) = watched.and_then(|watched| watched.iter_mut().find(|late| late.id == id)) {
            late.contact = contact.clone();
        }
    }

    /// Watches no longer for an answer that explains an alert.
    pub fn forget_late(&mut self, id: AlertId, address: Address) {
        if let Some(watched) = self.late.get_mut(&address) {
            watched.retain(|late| late.id != id);
            if watched.is_empty() {
                self.late.remove(&address);
            }
        }
        self.change(id, |ways| ways.answer = false);
    }

    /// Returns the addresses whose alerts an answer may withdraw.
    pub fn awaited(&self) -> impl Iterator<Item = &Address> {
        self.late.keys()
    }

    /// Returns the address alerts that an answer for this address may withdraw.
    pub fn late_for(&self, address: Address) -> Vec<Late> {
        self.late.get(&address).cloned().unwrap_or_default()
    }

    /// Says whether an answer for this address might withdraw an alert.
    pub fn awaits(&self, address: Address) -> bool {
        self.late.contains_key(&address)
    }

    /// Gives the contacts of a segment another one: the decoder numbered it.
    pub fn rename(&mut self, from: crate::model::Segment, to: crate::model::Segment) {
        for late in self.late.values_mut().flatten() {
            if late.contact.segment == from {
                late.contact.segment = to;
            }
        }
    }

    /// Forgets everything that a late answer might have withdrawn: time went back.
    pub fn clear_late(&mut self) {
        for (_, id, address) in std::mem::take(&mut self.late_until) {
            self.forget_late(id, address);
        }
    }
}
