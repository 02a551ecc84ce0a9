//! One epoch, from reports to a batch.

use std::sync::Arc;

use crate::flow::FlowUpdate;
use crate::model::{
    Address, Arrival, Counter, Delivered, Event, EventKind, LedgerError, RecentEpochs, ResolverState, Segment,
    SourceId, Span, Timestamp,
};
use crate::names::AHEAD;

use super::super::clock::EPOCH;
use super::super::report::{DecodeReport, Ending, Mark, Report};
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

/// An epoch in which more alerts are raised gives several batches: each alert takes some kilobytes until it is committed.
const ALERTS_A_BATCH: usize = 128;
/// The same of lines of the records.
const RECORDS_A_BATCH: usize = 1 << 13;

/// Takes what is full before its epoch is over.
pub type HandOver<'a> = &'a mut dyn FnMut(Outcome);

impl Judge {
    /// Takes an epoch's reports and decides what can be decided. What is left in the reports is of no more use. Where that
    /// is more than one batch should hold, all but the last are handed over in between.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn epoch(
        &mut self,
        mark: &Mark,
        decoded: DecodeReport,
        reports: &mut [Report],
        hand_over: HandOver<'_>,
    ) -> Result<Outcome, LedgerError> {
        self.begin(mark, &decoded)?;
        let mut all = Report {
            facts: decoded.facts,
            ..Report::default()
        };
        let mut evicted = Evicted::default();
        let is_awaited = self.awaited();
        for report in reports.iter_mut() {
            report.answered.retain(|address| is_awaited(*address));
            evicted.candidates += report.flows.evicted_candidates;
            evicted.others += report.flows.evicted_others;
            join(&mut all, report);
        }
        drop(is_awaited);
        self.out.counters.merge(&all.counters);
        self.take_delivered(&all.delivered, mark.now);
        self.tell_full_partitions(evicted, mark.now);
        self.take_facts(&mut all, mark.now);
        let answered = self.take_answers(all.answers, all.answered, all.save);
        let is_last = matches!(mark.ending, Ending::Input | Ending::Run);
        self.is_last = is_last;
        let candidates = reports.iter().flat_map(|report| &report.flows.candidates);
        let mut candidates: Vec<(Arrival, &FlowUpdate)> = candidates.map(|update| (update.flow, update)).collect();
        candidates.sort_unstable_by_key(|(flow, _)| *flow);
        let mut due = Vec::new();
        for some in candidates.chunks(AHEAD) {
            self.look_back(some);
            for (_, update) in some {
                self.take_update(update, &mut due)?;
            }
        }
        self.withdraw_explained(&answered)?;
        let waiting = answered.iter().flat_map(|address| self.contacts.waiting_for(*address));
        let mut waiting: Vec<Arrival> = waiting.copied().collect();
        waiting.sort_unstable();
        let mut waiting = waiting.into_iter().peekable();
        // Both are in the order of their flows. One that stands in both waits.
        let mut due = due.into_iter();
        while !due.as_slice().is_empty() {
            self.look_ahead(due.as_slice());
            self.cut(mark.now, hand_over)?;
            for due in due.by_ref().take(AHEAD) {
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
        }
        for flow in waiting {
            self.cut(mark.now, hand_over)?;
            self.reconsider(flow, mark.now, Patience::MayWait)?;
        }
        let over = match mark.ending {
            Ending::Input | Ending::Stretch(_) => self.contacts.all_waiting(),
            Ending::Epoch | Ending::Run => self.contacts.take_due(mark.now),
        };
        for flow in over {
            self.cut(mark.now, hand_over)?;
            self.reconsider(flow, mark.now, Patience::IsOver)?;
        }
        let surplus = self.contacts.surplus(self.limits.open);
        if !surplus.is_empty() {
            self.tell_full(Table::Waiting, mark.now);
        }
        for flow in surplus {
            self.cut(mark.now, hand_over)?;
            self.reconsider(flow, mark.now, Patience::IsOver)?;
        }
        // After a silence an address may be raised at the same mark at which its late answer stands.
        self.withdraw_explained(&answered)?;
        candidates.retain(|(_, update)| update.end.is_some() || is_last);
        if self.records == Records::Wanted {
            let mut ended: Vec<&FlowUpdate> = reports.iter().flat_map(|report| &report.flows.others_ended).collect();
            ended.extend(candidates.iter().map(|(_, update)| update));
            ended.sort_unstable_by_key(|update| (update.flow, update.key.segment().is_tunnel()));
            for update in ended {
                self.cut(mark.now, hand_over)?;
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
        self.tell_disk(mark.now);
        if let Ending::Stretch(by) = mark.ending {
            self.shift(by, mark.now);
        }
        if is_last {
            self.out.sources = self.loss.report();
        }
        self.end(mark.now)
    }

    /// Hands over what was decided so far if it is as much as a batch should hold.
    fn cut(&mut self, now: Timestamp, hand_over: HandOver<'_>) -> Result<(), LedgerError> {
        let is_full = self.out.batch.alerts.len() >= ALERTS_A_BATCH || self.out.records.len() >= RECORDS_A_BATCH;
        if is_full {
            hand_over(self.end(now)?);
            self.baseline.begin(self.next_sequence, self.recent.least());
            self.open.release(self.next_sequence);
        }
        Ok(())
    }

    fn begin(&mut self, mark: &Mark, decoded: &DecodeReport) -> Result<(), LedgerError> {
        self.baseline.begin(self.next_sequence, self.recent.least());
        self.out.batch.at = mark.now;
        self.out.counters.merge(&decoded.counters);
        if let Some(first) = decoded.first_frame {
            self.load_names(first)?;
        }
        for seen in &decoded.sources {
            self.facts.source_seen(seen.source, seen.at);
            self.loss.name(seen.source, seen.mirror);
        }
        self.take_delivered(&decoded.delivered, mark.now);
        for (segment, detail) in &decoded.segments {
            self.texts.add(*segment, detail);
            self.number(*segment);
        }
        for tunnel in &decoded.tunnels {
            self.tell_tunnel(tunnel);
        }
        let taken = Taken::of(&decoded.counters);
        self.loss.add(mark.now, taken);
        if taken.lost() > 0 {
            self.facts.note_loss(mark.now);
        }
        Ok(())
    }

    /// Takes what sources delivered, and what was missing in it.
    fn take_delivered(&mut self, delivered: &[(SourceId, Delivered)], now: Timestamp) {
        for (source, delivered) in delivered {
            self.loss.deliver(*source, now, delivered);
            if delivered.loss() > 0.0 {
                self.facts.note_missing(*source, now);
            }
        }
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

    /// Notes the segments of the names that go to the ledger as records write them.
    fn write_segments(&mut self) {
        let names = &mut self.out.batch.names;
        for row in &mut names.rows {
            row.segments.iter().for_each(|segment| self.texts.know(*segment));
            self.ledger.end_names(row, &|segment| self.texts.text(segment));
        }
        let mut segments: Vec<Segment> = names.records.iter().map(|record| record.segment).collect();
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            self.texts.know(segment);
            names.segments.push((segment, self.texts.text(segment)));
        }
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
                Learnt::Group(group) => format!("group {group}"),
                Learnt::Workload(key) => format!("workload {key}"),
            };
            self.out.events.push(Event::learning_ended(now, &what));
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
        self.open.release(self.next_sequence);
        self.open.expire(now);
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
        self.compare_segments(now);
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
        let way = if by < Span::ZERO { "back" } else { "ahead" };
        let text = format!(
            "packet time went {way} by {} s; flows ended and waiting contacts were judged",
            by.as_seconds().abs()
        );
        self.tell(now, EventKind::ClockBreak, text);
    }

    /// Completes the batch and begins the next.
    fn end(&mut self, now: Timestamp) -> Result<Outcome, LedgerError> {
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
        let cutoff = self.cutoff();
        let batch = &mut self.out.batch;
        let due = self
            .round
            .due(self.recent.least(), self.registry.end())
            .map(|due| due.from..due.to);
        if let Some(due) = due.clone() {
            batch.forgotten = self.registry.forget(due, cutoff);
            for workload in &batch.forgotten {
                self.baseline.forget_workload(*workload);
            }
            if !batch.forgotten.is_empty() {
                self.room.forget();
            }
        }
        batch.workloads = self.registry.take_changed();
        let folded = self.baseline.fold(&*self.ledger, due)?;
        batch.pages = folded.pages;
        batch.folded_through = folded.through;
        batch.holders = folded.holders;
        batch.kept = self.baseline.kept_mut().take_changed(batch.is_empty());
        if !batch.is_empty() {
            self.recent.put(RecentEpochs::place(batch.sequence), batch.at);
            self.next_sequence += 1;
        }
        Ok(std::mem::replace(&mut self.out, Outcome::new(self.next_sequence, now)))
    }
}

/// Adds what one worker's report says to another's, flows aside.
fn join(all: &mut Report, more: &mut Report) {
    all.answers.append(&mut more.answers);
    all.answered.append(&mut more.answered);
    all.truncated.append(&mut more.truncated);
    all.facts.append(&mut more.facts);
    all.opened.append(&mut more.opened);
    all.outside.append(&mut more.outside);
    all.delivered.append(&mut more.delivered);
    all.save.append(&mut more.save);
    all.counters.merge(&more.counters);
}
