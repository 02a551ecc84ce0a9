//! Following flows: which are contacts, which may be judged now, and what becomes of judged ones.

use crate::baseline::Need;
use crate::flow::{FlowUpdate, Side};
use crate::model::{Arrival, Counter, Fate, FlowEnd, FlowStart, LedgerError, NOTABLE_OCTETS, Timestamp};

use super::Judge;
use super::contacts::Contact;
use super::judged::Sequel;
use super::originator::originator;

/// How a contact comes to be considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It may wait on.
    MayWait,
    /// Its time is over.
    IsOver,
}

/// A contact that may be judged in this epoch.
#[derive(Debug)]
pub(super) enum Due<'a> {
    /// Its flow was not followed before; this side is the originator.
    Fresh(&'a FlowUpdate, Side, FlowStart),
    /// Its flow goes on after a restart.
    Resumed(Box<Contact>),
    /// It waits.
    Waiting(Arrival),
}

impl Due<'_> {
    pub(super) fn flow(&self) -> Arrival {
        match self {
            Self::Fresh(update, ..) => update.flow,
            Self::Resumed(contact) => contact.flow,
            Self::Waiting(flow) => *flow,
        }
    }
}

impl Judge {
    /// Takes what is new of a flow; a contact that may be judged now goes on the list.
    pub(super) fn take_update<'a>(
        &mut self,
        update: &'a FlowUpdate,
        due: &mut Vec<Due<'a>>,
    ) -> Result<(), LedgerError> {
        // What is told of for the first time is in neither table, and most flows are told of once or twice.
        if !update.is_first && self.contacts.judged.get(update.flow).is_some() {
            return self.go_on(update);
        }
        if !update.is_first
            && let Some(waiting) = self.contacts.waiting(update.flow)
        {
            let contact = Contact::of(update, waiting.side, waiting.start, waiting.earlier);
            if let Some(waiting) = self.contacts.waiting_mut(update.flow) {
                let kept_in = waiting.kept_in;
                *waiting = Contact { kept_in, ..contact };
            }
            due.push(Due::Waiting(update.flow));
            return Ok(());
        }
        let Some((side, start)) = originator(update, &self.facts, |side| {
            !self.is_internal(update.key.endpoint(side).ip)
        }) else {
            self.out
                .counters
                .add(Counter::FlowsUndecided, u64::from(update.is_first));
            return Ok(());
        };
        let originator = update.key.endpoint(side);
        if !self.is_internal(originator.ip) {
            return Ok(());
        }
        self.facts.source_seen(update.source, update.first);
        if self.reattach(update, side, start, due)? {
            return Ok(());
        }
        let segment = update.key.segment();
        self.texts.know(segment);
        due.push(Due::Fresh(update, side, start));
        Ok(())
    }

    /// Takes what is new of a judged contact's flow.
    pub(super) fn go_on(&mut self, update: &FlowUpdate) -> Result<(), LedgerError> {
        let Some(judged) = self.contacts.judged.get_mut(update.flow) else {
            return Ok(());
        };
        let contact = Contact::of(update, judged.side, judged.start, judged.earlier.as_deref().copied());
        let (out, back) = (contact.octets_out, contact.octets_in);
        let more = (
            out.saturating_sub(judged.octets_out),
            back.saturating_sub(judged.octets_in),
        );
        let passes = |before: u64, now: u64| before <= NOTABLE_OCTETS && now > NOTABLE_OCTETS;
        let has_passed = passes(judged.octets_out, out) || passes(judged.octets_in, back);
        let has_moved = update.last > judged.last || more != (0, 0);
        (judged.octets_out, judged.octets_in, judged.last) = (out, back, update.last);
        let places = judged.places.clone();
        let sequel = judged.sequel.clone();
        // What gets through is recorded as the contact that it is, below; the attempt stays what it was (rule B3).
        let gets_through = matches!(sequel, Sequel::Attempt(_)) && !contact.outcome.is_attempt();
        if has_moved && !gets_through {
            for place in places {
                self.registry.seen(place.workload, update.last);
                self.baseline
                    .extend(&*self.ledger, place, update.last, more.0, more.1)?;
            }
        }
        let alert = sequel.alert();
        if let Some(id) = alert {
            self.open.refresh(id, &contact);
        }
        match sequel {
            Sequel::Nothing => {}
            Sequel::Alert(id) => {
                if has_passed || update.end.is_some() {
                    self.update_alert(id, &contact)?;
                }
            }
            Sequel::Attempt(alert) => {
                if !contact.outcome.is_attempt() {
                    self.get_through(contact.clone(), alert)?;
                } else if let Some(id) = alert
                    && update.end.is_some()
                {
                    self.update_alert(id, &contact)?;
                }
            }
        }
        if let Some(id) = alert {
            if update.end.is_some() {
                self.open.end_flow(id);
            } else if self.is_last {
                self.keep_open(id, &contact);
            }
        }
        Ok(())
    }

    /// Records an attempt that got through after it was judged (rule B3).
    pub(super) fn get_through(
        &mut self,
        contact: Contact,
        alert: Option<crate::model::AlertId>,
    ) -> Result<(), LedgerError> {
        let who = self.who(&contact);
        let until = contact.first.plus(self.settle());
        let candidates = self.candidates(&contact, who, until);
        self.contacts.judged.remove(contact.flow);
        let Some(id) = alert else {
            return self.judge(contact, who, candidates, until);
        };
        let meaning = self.meaning(&contact, who, candidates, until)?;
        // The pair of what is new names the alert that told of the attempt.
        let new = self.novelty(&contact, who, &meaning)?;
        let novel = new.as_ref().map(|new| (new, Fate::Raised));
        let places = self.record(&contact, who, &meaning, novel, Need::Pair)?;
        self.update_alert(id, &contact)?;
        self.follow(&contact, places, Sequel::Alert(id));
        Ok(())
    }

    /// Judges a waiting contact, or lets it wait on.
    pub(super) fn reconsider(&mut self, flow: Arrival, now: Timestamp, patience: Patience) -> Result<(), LedgerError> {
        match self.contacts.take(flow, self.settle()) {
            Some(contact) => self.consider(contact, now, patience),
            None => Ok(()),
        }
    }

    /// Judges a contact, or lets it wait; it is not among those that wait.
    pub(super) fn consider(&mut self, contact: Contact, now: Timestamp, patience: Patience) -> Result<(), LedgerError> {
        let until = contact.first.plus(self.settle());
        let is_over = patience == Patience::IsOver || until <= now || contact.end == Some(FlowEnd::Evicted);
        if !contact.is_spoken_for() {
            // Backscatter is no contact (rule F3).
            let is_one_way = is_over && self.facts.shows_no_outbound(contact.source);
            if !is_one_way {
                if !is_over || contact.end.is_none() {
                    self.contacts.wait(contact, until);
                }
                return Ok(());
            }
        }
        let is_resolving = self.is_resolving(&contact);
        if contact.outcome.is_attempt() && !is_over {
            self.keep_waiting(contact, until);
            return Ok(());
        }
        let who = self.who(&contact);
        let candidates = self.candidates(&contact, who, until);
        if candidates.is_empty() && !is_over && !is_resolving {
            self.keep_waiting(contact, until);
            return Ok(());
        }
        if contact.kept_in.is_some() {
            self.out.batch.judged.push(contact.flow);
        }
        self.judge(contact, who, candidates, until)
    }

    /// Lets a contact wait, in the ledger as well.
    pub(super) fn keep_waiting(&mut self, mut contact: Contact, deadline: Timestamp) {
        let segment = self.text_of(contact.segment);
        self.out.batch.pending.push(contact.to_pending(segment));
        contact.kept_in = Some(self.next_sequence);
        self.contacts.wait(contact, deadline);
    }
}
