//! One epoch, from reports to a batch.

use std::sync::Arc;

use crate::flow::{FlowUpdate, NOTABLE_OCTETS};
use crate::model::{
    Address, Admission, AnswerUse, Arrival, Counter, FlowEnd, LedgerError, NameRecord, Timestamp, Verdict,
};

use super::super::clock::EPOCH;
use super::super::report::{AnswerSeen, DecodeReport, Ending, Mark, Matter, Report, arrival_of};
use super::contacts::{Contact, Sequel};
use super::open::LATE_ANSWER;
use super::originator::originator;
use super::{Judge, Outcome};

/// DNS over TLS and over QUIC (RFC 7858, RFC 9250).
const ENCRYPTED_DNS_PORT: u16 = 853;

/// How a contact comes to be considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// It may wait on.
    MayWait,
    /// Its time is over.
    IsOver,
}

/// A contact that may be judged in this epoch.
#[derive(Debug)]
pub(super) enum Due {
    /// It began in this epoch.
    Fresh(Box<Contact>),
    /// It waits.
    Waiting(Arrival),
}

impl Due {
    fn flow(&self) -> Arrival {
        match self {
            Self::Fresh(contact) => contact.flow,
            Self::Waiting(flow) => *flow,
        }
    }
}

impl Judge {
    /// Takes an epoch's reports and decides what can be decided.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn epoch(&mut self, mark: &Mark, decoded: DecodeReport, reports: Vec<Report>) -> Result<Outcome, LedgerError> {
        self.begin(mark, &decoded)?;
        let mut all = Report::default();
        for report in reports {
            join(&mut all, report);
        }
        self.out.counters.merge(&all.counters);
        self.take_facts(&mut all, mark.now);
        let answered = self.take_answers(all.answers, all.answered, all.save);
        let is_last = matches!(mark.ending, Ending::Input | Ending::Run);
        self.is_last = is_last;
        all.candidates.sort_unstable_by_key(|update| update.flow);
        let mut due = Vec::new();
        for update in &all.candidates {
            self.take_update(update, &mut due)?;
        }
        self.withdraw_explained(&answered)?;
        for address in &answered {
            due.extend(
                self.contacts
                    .waiting_for(*address)
                    .iter()
                    .map(|flow| Due::Waiting(*flow)),
            );
        }
        due.sort_by_key(Due::flow);
        for due in due {
            match due {
                Due::Fresh(contact) => self.consider(*contact, mark.now, Patience::MayWait)?,
                Due::Waiting(flow) => self.reconsider(flow, mark.now, Patience::MayWait)?,
            }
        }
        let over = match mark.ending {
            Ending::Input | Ending::Stretch(_) => self.contacts.all_waiting(),
            Ending::Epoch | Ending::Run => self.contacts.take_due(mark.now),
        };
        for flow in over {
            self.reconsider(flow, mark.now, Patience::IsOver)?;
        }
        for flow in self.contacts.surplus(self.limits.open) {
            self.reconsider(flow, mark.now, Patience::IsOver)?;
        }
        // After a silence an address may be raised at the same mark at which its late answer stands.
        self.withdraw_explained(&answered)?;
        let ended = all
            .ended
            .iter()
            .chain(all.candidates.iter().filter(|update| update.end.is_some() || is_last));
        let mut ended: Vec<FlowUpdate> = ended.copied().collect();
        ended.sort_unstable_by_key(|update| update.flow);
        for update in &ended {
            self.write_flow(update);
        }
        for update in ended {
            self.contacts.forget(update.flow);
        }
        // Contacts of a minute are judged up to settle after it.
        let bursts_until = mark.now.minus(self.settle()).minus(EPOCH);
        self.end_bursts(if is_last { Timestamp(i64::MAX) } else { bursts_until })?;
        self.tell_learnt(mark.now);
        self.sweep(mark.now);
        if let Ending::Stretch(by) = mark.ending {
            self.shift(by, mark.now);
        }
        Ok(self.end(mark.now))
    }

    fn begin(&mut self, mark: &Mark, decoded: &DecodeReport) -> Result<(), LedgerError> {
        self.baseline.begin(self.next_sequence);
        self.out.batch.at = mark.now;
        self.out.counters.merge(&decoded.counters);
        if let Some(first) = decoded.first_frame {
            self.load_names(first)?;
        }
        for (source, since) in &decoded.sources {
            self.facts.source_seen(*source, *since);
        }
        for (segment, detail) in &decoded.segments {
            self.texts.add(*segment, detail);
            self.number(*segment);
        }
        let lost = decoded.counters.get(Counter::KernelDrops) + decoded.counters.get(Counter::QueueDrops);
        self.loss.add(mark.now, decoded.counters.get(Counter::Frames), lost);
        if lost > 0 {
            self.facts.note_loss(mark.now);
        }
        Ok(())
    }

    fn take_facts(&mut self, all: &mut Report, now: Timestamp) {
        all.facts.sort_unstable_by_key(|(fact, at)| (*at, *fact));
        let network = Arc::clone(&self.network);
        for (fact, at) in all.facts.drain(..) {
            let is_internal = |address| network.locality(address) == crate::identity::Locality::Internal;
            if let Some(host) = self.facts.take(fact, at, is_internal) {
                self.tell_resolver(host, now);
            }
        }
        for (segment, client, at) in all.truncated.drain(..) {
            self.facts.note_truncated((segment, client), at);
        }
        self.count_outside(all, now);
    }

    /// Decides on answers whose query was not seen (rule N2); returns the addresses that were answered.
    fn take_answers(
        &mut self,
        mut answers: Vec<AnswerSeen>,
        answered: Vec<Address>,
        save: Vec<NameRecord>,
    ) -> Vec<Address> {
        let is_awaited = |judge: &Self, address: Address| {
            !judge.contacts.waiting_for(address).is_empty() || judge.open.awaits(address)
        };
        let mut addresses = answered;
        addresses.retain(|address| is_awaited(self, *address));
        answers.sort_unstable_by_key(arrival_of);
        let mut save = save;
        for mut answer in answers {
            let answer_use = match answer.matter {
                Matter::Matched => AnswerUse::Evidence,
                Matter::OffPort => AnswerUse::OffPort,
                Matter::Unmatched if self.is_admitted(&answer) => AnswerUse::Evidence,
                Matter::Unmatched => AnswerUse::Unsolicited,
            };
            self.write_answer(&answer, answer_use);
            if answer_use == AnswerUse::Evidence {
                self.facts.note_client((answer.segment, answer.evidence.client));
            }
            if answer.matter != Matter::Unmatched {
                continue;
            }
            if answer_use == AnswerUse::Evidence {
                self.out.counters.count(Counter::DnsAdmitted);
                addresses.push(answer.address);
            } else {
                answer.evidence.admission = Admission::Unsolicited;
            }
            let AnswerSeen {
                segment,
                address,
                evidence,
                ..
            } = answer;
            let written = self.names.write(segment, address, evidence);
            if let Some(evidence) = written.filter(|evidence| evidence.admission == Admission::Admitted) {
                save.push(NameRecord {
                    segment,
                    segment_text: Arc::from(""),
                    address,
                    evidence,
                });
            }
        }
        for record in &mut save {
            self.texts.know(record.segment);
            record.segment_text = self.texts.text(record.segment);
        }
        self.out.batch.names = save;
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    fn is_admitted(&self, answer: &AnswerSeen) -> bool {
        let evidence = &answer.evidence;
        self.facts.shows_no_queries(answer.source)
            || (self.facts.is_lossy(evidence.last)
                && self
                    .facts
                    .has_answered(answer.segment, evidence.client, evidence.server, evidence.last))
    }

    /// Takes what is new of a flow; a contact that may be judged now goes on the list.
    fn take_update(&mut self, update: &FlowUpdate, due: &mut Vec<Due>) -> Result<(), LedgerError> {
        if self.contacts.judged.contains_key(&update.flow) {
            return self.go_on(update);
        }
        if let Some(waiting) = self.contacts.waiting(update.flow) {
            let contact = Contact::of(update, waiting.side, waiting.start, waiting.earlier);
            if let Some(waiting) = self.contacts.waiting_mut(update.flow) {
                let is_kept = waiting.is_kept;
                *waiting = Contact { is_kept, ..contact };
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
        let contact = Contact::new(update, side, start);
        if !self.is_internal(contact.originator.ip) {
            return Ok(());
        }
        self.facts.source_seen(contact.source, contact.first);
        if self.reattach(update, side, start, due)? {
            return Ok(());
        }
        if contact.responder.port == ENCRYPTED_DNS_PORT {
            self.facts
                .note_encrypted((contact.segment, contact.originator.ip), contact.first);
        }
        self.texts.know(contact.segment);
        due.push(Due::Fresh(Box::new(contact)));
        Ok(())
    }

    /// Takes what is new of a judged contact's flow.
    pub(super) fn go_on(&mut self, update: &FlowUpdate) -> Result<(), LedgerError> {
        let Some(judged) = self.contacts.judged.get_mut(&update.flow) else {
            return Ok(());
        };
        let contact = Contact::of(update, judged.side, judged.start, judged.earlier);
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
        if has_moved {
            for place in places {
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
    fn get_through(&mut self, contact: Contact, alert: Option<crate::model::AlertId>) -> Result<(), LedgerError> {
        let who = self.who(&contact);
        let until = contact.first.plus(self.settle());
        let candidates = self.candidates(&contact, who, until);
        self.contacts.judged.remove(&contact.flow);
        let Some(id) = alert else {
            return self.judge(contact, who, candidates, until);
        };
        let meaning = self.meaning(&contact, who, candidates, until)?;
        // The pair of what is new names the alert that told of the attempt.
        let new = self.novelty(&contact, who, &meaning)?;
        let places = self.record(&contact, who, &meaning, new.as_ref(), Verdict::New, Some(id))?;
        self.update_alert(id, &contact)?;
        self.follow(&contact, places, Sequel::Alert(id));
        Ok(())
    }

    /// Judges a waiting contact, or lets it wait on.
    fn reconsider(&mut self, flow: Arrival, now: Timestamp, patience: Patience) -> Result<(), LedgerError> {
        match self.contacts.waiting(flow).cloned() {
            Some(contact) => self.consider(contact, now, patience),
            None => Ok(()),
        }
    }

    /// Judges a contact, or lets it wait.
    fn consider(&mut self, contact: Contact, now: Timestamp, patience: Patience) -> Result<(), LedgerError> {
        let until = contact.first.plus(self.settle());
        let is_over = patience == Patience::IsOver || until <= now || contact.end == Some(FlowEnd::Evicted);
        if !contact.is_spoken_for() {
            // Backscatter is no contact (rule F3).
            let is_one_way = is_over && self.facts.shows_no_outbound(contact.source);
            if !is_one_way {
                if is_over && contact.end.is_some() {
                    self.contacts.take(contact.flow, until);
                } else {
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
        self.contacts.take(contact.flow, until);
        if contact.is_kept {
            self.out.batch.judged.push(contact.flow);
        }
        self.judge(contact, who, candidates, until)
    }

    /// Lets a contact wait, in the ledger as well.
    fn keep_waiting(&mut self, mut contact: Contact, deadline: Timestamp) {
        let segment = self.text_of(contact.segment);
        self.out.batch.pending.push(contact.to_pending(segment));
        contact.is_kept = true;
        self.contacts.wait(contact, deadline);
    }

    /// Withdraws address alerts that this epoch's answers explain (rule A3).
    fn withdraw_explained(&mut self, answered: &[Address]) -> Result<(), LedgerError> {
        for address in answered {
            for late in self.open.late_for(*address) {
                let until = late.contact.first.plus(LATE_ANSWER);
                let candidates = self.candidates(&late.contact, late.who, until);
                if !candidates.is_empty() {
                    self.withdraw(&late, candidates)?;
                }
            }
        }
        Ok(())
    }

    /// Completes the batch and begins the next.
    fn end(&mut self, now: Timestamp) -> Outcome {
        let batch = &mut self.out.batch;
        // A contact may begin and cease to wait within one epoch. `judged` does not tell: an earlier run may have given
        // the same number.
        let contacts = &self.contacts;
        batch
            .pending
            .retain(|pending| contacts.waiting(pending.arrival).is_some());
        batch.closed.extend(self.open.take_closed());
        batch.closed.sort_unstable();
        let closed = &batch.closed;
        batch.opened.retain(|open| closed.binary_search(&open.id).is_err());
        batch.pairs = self.baseline.take_journal();
        batch.holders = self.baseline.take_indexed();
        batch.workloads = self.registry.take_changed();
        let folded = self.baseline.fold(self.limits.pairs);
        batch.pages = folded.pages;
        batch.folded_through = folded.through;
        self.baseline.trim(self.limits.pairs);
        if !batch.is_empty() {
            self.next_sequence += 1;
        }
        std::mem::replace(&mut self.out, Outcome::new(self.next_sequence, now))
    }
}

/// Adds one worker's report to another's.
fn join(all: &mut Report, more: Report) {
    all.candidates.extend(more.candidates);
    all.ended.extend(more.ended);
    all.answers.extend(more.answers);
    all.answered.extend(more.answered);
    all.truncated.extend(more.truncated);
    all.facts.extend(more.facts);
    all.opened.extend(more.opened);
    all.outside.extend(more.outside);
    all.save.extend(more.save);
    all.counters.merge(&more.counters);
}
