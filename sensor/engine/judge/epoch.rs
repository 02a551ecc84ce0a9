//! One epoch, from reports to a batch.

use std::sync::Arc;

use crate::flow::FlowUpdate;
use crate::model::{
    Address, Admission, AnswerUse, Arrival, Counter, Event, EventKind, LedgerError, NameRecord, ResolverState, Segment,
    Span, Timestamp,
};
use hashbrown::HashMap;

use super::super::clock::EPOCH;
use super::super::report::{AnswerSeen, DecodeReport, Ending, Mark, Matter, Report, arrival_of};
use super::super::worker::Records;
use super::contacts::Contact;
use super::facts::Host;
use super::follow::{Due, Patience};
use super::full::{Evicted, Table};
use super::loss::Taken;
use super::open::LATE_ANSWER;
use super::registry::Learnt;
use super::{Judge, Outcome};

/// How often in packet time tables are swept for what is too old.
const SWEEP: Span = Span::minutes(10);
/// Above this share of a segment's flows with both ends outside, a prefix seems to be missing (rule S1).
const OUTSIDE_SHARE: u64 = 100;
/// Fewer flows of a segment say nothing.
const OUTSIDE_LEAST: u64 = 1000;
/// Segments beyond this many are not looked at for missing prefixes: their numbers come from the network.
const OUTSIDE_SEGMENTS: usize = 1 << 14;

/// Flows of a segment with both ends outside.
#[derive(Debug, Default)]
pub(super) struct Outside {
    opened: u64,
    outside: u64,
    prefixes: HashMap<ipnet::IpNet, u64>,
    is_told: bool,
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
        let mut flows = Vec::with_capacity(reports.len());
        let mut evicted = Evicted::default();
        for mut report in reports {
            evicted.candidates += report.flows.evicted_candidates;
            evicted.others += report.flows.evicted_others;
            flows.push(std::mem::take(&mut report.flows));
            join(&mut all, report);
        }
        self.out.counters.merge(&all.counters);
        self.tell_full_partitions(evicted, mark.now);
        self.take_facts(&mut all, mark.now);
        let answered = self.take_answers(all.answers, all.answered, all.save);
        let is_last = matches!(mark.ending, Ending::Input | Ending::Run);
        self.is_last = is_last;
        let candidates = flows.iter().flat_map(|flows| &flows.candidates);
        let mut candidates: Vec<(Arrival, &FlowUpdate)> = candidates.map(|update| (update.flow, update)).collect();
        candidates.sort_unstable_by_key(|(flow, _)| *flow);
        let mut due = Vec::new();
        for (_, update) in &candidates {
            self.take_update(update, &mut due)?;
        }
        self.withdraw_explained(&answered)?;
        let waiting = answered.iter().flat_map(|address| self.contacts.waiting_for(*address));
        let mut waiting: Vec<Arrival> = waiting.copied().collect();
        waiting.sort_unstable();
        let mut waiting = waiting.into_iter().peekable();
        // Both are in the order of their flows. One that stands in both waits.
        for due in due {
            while let Some(flow) = waiting.next_if(|flow| *flow < due.flow()) {
                self.reconsider(flow, mark.now, Patience::MayWait)?;
            }
            match due {
                Due::Fresh(update, side, start) => {
                    self.consider(Contact::new(update, side, start), mark.now, Patience::MayWait)?;
                }
                Due::Resumed(contact) => self.consider(*contact, mark.now, Patience::MayWait)?,
                Due::Waiting(flow) => self.reconsider(flow, mark.now, Patience::MayWait)?,
            }
        }
        for flow in waiting {
            self.reconsider(flow, mark.now, Patience::MayWait)?;
        }
        let over = match mark.ending {
            Ending::Input | Ending::Stretch(_) => self.contacts.all_waiting(),
            Ending::Epoch | Ending::Run => self.contacts.take_due(mark.now),
        };
        for flow in over {
            self.reconsider(flow, mark.now, Patience::IsOver)?;
        }
        let surplus = self.contacts.surplus(self.limits.open);
        if !surplus.is_empty() {
            self.tell_full(Table::Waiting, mark.now);
        }
        for flow in surplus {
            self.reconsider(flow, mark.now, Patience::IsOver)?;
        }
        // After a silence an address may be raised at the same mark at which its late answer stands.
        self.withdraw_explained(&answered)?;
        candidates.retain(|(_, update)| update.end.is_some() || is_last);
        if self.records == Records::Wanted {
            let mut ended: Vec<&FlowUpdate> = flows.iter().flat_map(|flows| &flows.others_ended).collect();
            ended.extend(candidates.iter().map(|(_, update)| update));
            ended.sort_unstable_by_key(|update| update.flow);
            for update in ended {
                self.write_flow(update);
            }
        }
        for (flow, _) in candidates {
            self.contacts.forget(flow);
        }
        // Contacts of a minute are judged up to settle after it.
        let bursts_until = mark.now.minus(self.settle()).minus(EPOCH);
        self.end_bursts(bursts_until, mark.ending)?;
        self.keep_counts(mark.now);
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
        let taken = Taken::of(&decoded.counters);
        self.loss.add(mark.now, taken);
        if taken.lost() > 0 {
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

    fn tell_resolver(&mut self, host: Host, now: Timestamp) {
        let (segment, address) = host;
        let segment = self.text_of(segment);
        self.tell(
            now,
            EventKind::ResolverFound,
            format!(
                "{address} in segment {segment} answers DNS queries of other internal hosts and is taken for a resolver"
            ),
        );
        self.detected.push(ResolverState {
            segment,
            address,
            since: now,
        });
        self.out.batch.state = Some(self.state());
    }

    fn count_outside(&mut self, all: &mut Report, now: Timestamp) {
        for (segment, opened, outside) in all.opened.drain(..) {
            if self.outside.len() >= OUTSIDE_SEGMENTS && !self.outside.contains_key(&segment) {
                continue;
            }
            let counts = self.outside.entry(segment).or_default();
            counts.opened += opened;
            counts.outside += outside;
        }
        for (segment, one, other) in all.outside.drain(..) {
            let Some(counts) = self.outside.get_mut(&segment) else {
                continue;
            };
            for address in [one, other] {
                let length = if address.as_v4().is_some() { 16 } else { 48 };
                if let Ok(prefix) = ipnet::IpNet::new(address.ip(), length)
                    && (counts.prefixes.len() < 1024 || counts.prefixes.contains_key(&prefix.trunc()))
                {
                    *counts.prefixes.entry(prefix.trunc()).or_default() += 1;
                }
            }
        }
        let missing = self.outside.iter_mut().filter(|(_, counts)| {
            !counts.is_told && counts.opened >= OUTSIDE_LEAST && counts.outside * OUTSIDE_SHARE > counts.opened
        });
        let mut missing: Vec<(Segment, Option<ipnet::IpNet>, u64, u64)> = missing
            .map(|(segment, counts)| {
                counts.is_told = true;
                let most = counts
                    .prefixes
                    .iter()
                    .max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)));
                (*segment, most.map(|(prefix, _)| *prefix), counts.outside, counts.opened)
            })
            .collect();
        missing.sort_unstable();
        for (segment, prefix, outside, opened) in missing {
            let prefix = prefix.map_or_else(|| "a prefix".to_owned(), |prefix| prefix.to_string());
            let text = format!(
                "{outside} of {opened} flows in segment {} have both ends outside; add {prefix} to [network] internal if it is yours",
                self.text_of(segment)
            );
            self.tell(now, EventKind::PrefixMissing, text);
        }
    }

    /// Decides on answers whose query was not seen (rule N2); returns the addresses that were answered and that somebody
    /// waits for.
    fn take_answers(
        &mut self,
        mut answers: Vec<AnswerSeen>,
        answered: Vec<Address>,
        save: Vec<NameRecord>,
    ) -> Vec<Address> {
        let mut addresses = self.awaited(answered);
        answers.sort_unstable_by_key(arrival_of);
        self.out.batch.names.records = save;
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
            let mut pieces = vec![NameRecord {
                segment: answer.segment,
                address: answer.address,
                evidence: answer.evidence,
            }];
            self.names.write(&mut pieces);
            pieces.retain(|piece| piece.evidence.admission == Admission::Admitted);
            self.out.batch.names.records.append(&mut pieces);
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// Returns those of the answered addresses that a contact or an alert waits for.
    fn awaited(&self, mut answered: Vec<Address>) -> Vec<Address> {
        /// Few wait and many are answered: one bit each of a short hash leaves few to look up.
        const BITS: usize = 1 << 16;
        let place = |address: &Address| {
            let (high, low) = address.halves();
            let hash = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
            (hash as usize / 64, 1_u64 << (hash % 64))
        };
        let mut bits = [0_u64; BITS / 64];
        for address in self.contacts.awaited().chain(self.open.awaited()) {
            let (word, bit) = place(address);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        answered.retain(|address| {
            let (word, bit) = place(address);
            bits.get(word).is_some_and(|word| word & bit != 0)
                && (!self.contacts.waiting_for(*address).is_empty() || self.open.awaits(*address))
        });
        answered
    }

    /// Notes the segments of the names that go to the ledger as records write them.
    fn write_segments(&mut self) {
        let names = &mut self.out.batch.names;
        let mut segments: Vec<Segment> = Vec::new();
        for record in &names.records {
            if segments.last() != Some(&record.segment) {
                segments.push(record.segment);
            }
        }
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            self.texts.know(segment);
            names.segments.push((segment, self.texts.text(segment)));
        }
    }

    fn is_admitted(&self, answer: &AnswerSeen) -> bool {
        let evidence = &answer.evidence;
        self.facts.shows_no_queries(answer.source)
            || (self.facts.is_lossy(evidence.last)
                && self
                    .facts
                    .has_answered(answer.segment, evidence.client, evidence.server(), evidence.last))
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

    fn tell_learnt(&mut self, now: Timestamp) {
        for learnt in self.registry.take_learnt(now) {
            let what = match learnt {
                Learnt::Segment(segment) => format!("segment {segment}"),
                Learnt::Workload(key) => format!("workload {key}"),
            };
            self.tell(
                now,
                EventKind::LearningEnded,
                format!("{what} has learnt; what is new to it is raised from now on"),
            );
        }
        if self.registry.take_segments().is_some() {
            self.out.batch.state = Some(self.state());
        }
    }

    pub(super) fn tell(&mut self, ts: Timestamp, kind: EventKind, text: String) {
        self.out.events.push(Event { ts, kind, text });
    }

    /// Drops what is too old, now and again, and what is too much.
    fn sweep(&mut self, now: Timestamp) {
        let surplus = self.names.bound();
        let evicted = self.names.evict(self.limits.names);
        self.out.counters.add(Counter::NamesEvicted, (surplus + evicted) as u64);
        if evicted > 0 {
            self.tell_full(Table::Names, now);
        }
        if self.baseline.loaded() > self.limits.pairs {
            self.tell_full(Table::Pairs, now);
        }
        self.open.expire(self.next_sequence, now);
        for what in self.facts.bound() {
            self.tell_full(Table::Facts(what), now);
        }
        if self.last_expiry.is_none() {
            self.expire_left(now);
        }
        let last = *self.last_expiry.get_or_insert(now);
        if now.since(last) < SWEEP {
            return;
        }
        self.last_expiry = Some(now);
        self.expire_left(now);
        self.out
            .counters
            .add(Counter::NamesExpired, self.names.expire(now) as u64);
        self.facts.expire(now);
    }

    /// Time went back: what is remembered keeps its age (rule T1).
    fn shift(&mut self, by: Span, now: Timestamp) {
        self.names.shift(by);
        self.facts.shift(by);
        self.full.shift(by);
        self.open.clear_late();
        self.drop_left();
        self.contacts.judged.clear();
        self.last_expiry = None;
        let text = format!(
            "packet time went back by {} s; flows ended and waiting contacts were judged",
            -by.as_seconds()
        );
        self.tell(now, EventKind::ClockBreak, text);
    }

    /// Completes the batch and begins the next.
    fn end(&mut self, now: Timestamp) -> Outcome {
        self.write_segments();
        let batch = &mut self.out.batch;
        // A contact may begin and cease to wait within one epoch. `judged` does not tell: an earlier run may have given
        // the same number.
        let contacts = &self.contacts;
        batch
            .pending
            .retain(|pending| contacts.waiting(pending.arrival).is_some());
        if !batch.pending.is_empty() || !batch.judged.is_empty() {
            batch.waits_from = Some(contacts.kept_from().unwrap_or(batch.sequence));
        }
        batch.closed.extend(self.open.take_closed());
        batch.closed.sort_unstable();
        let closed = &batch.closed;
        batch.opened.retain(|open| closed.binary_search(&open.id).is_err());
        batch.journal = self.baseline.take_journal();
        batch.workloads = self.registry.take_changed();
        let folded = self.baseline.fold(&*self.ledger, self.limits.pairs);
        batch.pages = folded.pages;
        batch.folded_through = folded.through;
        batch.holders = folded.holders;
        if !batch.is_empty() {
            self.next_sequence += 1;
        }
        std::mem::replace(&mut self.out, Outcome::new(self.next_sequence, now))
    }
}

/// Adds one worker's report to another's, flows aside.
fn join(all: &mut Report, more: Report) {
    extend(&mut all.answers, more.answers);
    extend(&mut all.answered, more.answered);
    extend(&mut all.truncated, more.truncated);
    extend(&mut all.facts, more.facts);
    extend(&mut all.opened, more.opened);
    extend(&mut all.outside, more.outside);
    extend(&mut all.save, more.save);
    all.counters.merge(&more.counters);
}

/// Adds items to others; the first are taken as they are.
fn extend<T>(all: &mut Vec<T>, more: Vec<T>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.extend(more);
    }
}
