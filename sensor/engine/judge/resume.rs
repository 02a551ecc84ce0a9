//! Going on where an earlier run stopped (rule T3): contacts that wait, alerts that may still change, resolvers, names.
//!
//! The ledger knows segments by their text. A segment that the decoder has not numbered yet gets a number of the judge's
//! own until it does.

use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::baseline::PairPlace;
use crate::flow::{FlowUpdate, Side, TCP_IDLE, UDP_IDLE};
use crate::model::{
    AlertKind, AlertRecord, AlertState, Arrival, Endpoint, FlowStart, JudgeState, LedgerError, NameRecord, OpenAlert,
    PairKey, PendingContact, SavedNames, Segment, Span, Timestamp, Transport,
};

use super::Judge;
use super::contacts::{Contact, Earlier};
use super::follow::Due;
use super::judged::{Judged, Sequel};
use super::open::Late;

/// Numbers of contacts that an earlier run left begin here, out of the way of any frame's.
const RESUMED: u64 = 1 << 63;
/// Numbers of segments that the judge gives itself begin here, out of the way of the decoder's.
const OWN_SEGMENTS: u32 = 1 << 31;

/// A five-tuple in a segment, originator first.
type Tuple = (Segment, Transport, Endpoint, Endpoint);

/// What an earlier run left.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// Contacts whose flow was open and may go on.
    left: HashMap<Tuple, Contact>,
    /// Segments that the decoder has not numbered yet, by their text.
    unnumbered: HashMap<Arc<str>, Segment>,
    /// Evidence of these segments.
    names: HashMap<Arc<str>, Vec<NameRecord>>,
    next: u64,
    /// When the first of the contacts that were waiting began.
    earliest: Option<Timestamp>,
}

fn tuple_of(contact: &Contact) -> Tuple {
    (
        contact.segment,
        contact.transport,
        contact.originator,
        contact.responder,
    )
}

const fn patience(transport: Transport) -> Span {
    match transport {
        Transport::Tcp => TCP_IDLE,
        Transport::Udp | Transport::Gre | Transport::Ipip => UDP_IDLE,
    }
}

impl Judge {
    /// Takes over what the ledger holds beside the baseline.
    pub(super) fn resume(
        &mut self,
        state: JudgeState,
        pending: &[PendingContact],
        open: &[OpenAlert],
    ) -> Result<(), LedgerError> {
        self.facts.configure(&self.policy.names.resolvers);
        for resolver in state.resolvers {
            let segment = self.segment_named(&resolver.segment);
            self.facts.add_resolver((segment, resolver.address));
            self.detected.push(resolver);
        }
        self.resumed.earliest = pending.iter().map(|waiting| waiting.ts).min();
        for waiting in pending {
            let mut contact = self.left_behind(waiting);
            contact.kept_in = Some(self.next_sequence);
            self.out.batch.judged.push(waiting.arrival);
            self.out.batch.pending.push(contact.to_pending(waiting.segment.clone()));
            let deadline = contact.first.plus(self.settle());
            if contact.end.is_none() {
                self.resumed.left.insert(tuple_of(&contact), contact.clone());
            }
            self.contacts.wait(contact, deadline);
        }
        for alert in open {
            self.resume_alert(alert)?;
        }
        Ok(())
    }

    fn left_behind(&mut self, pending: &PendingContact) -> Contact {
        let segment = self.segment_named(&pending.segment);
        let flow = Arrival(RESUMED + self.resumed.next);
        self.resumed.next += 1;
        Contact::from_pending(pending, flow, segment)
    }

    fn resume_alert(&mut self, open: &OpenAlert) -> Result<(), LedgerError> {
        let record = self.alert_record(open.id)?;
        let Some(record) = record.filter(|record| record.state != AlertState::Withdrawn) else {
            self.out.batch.closed.push(open.id);
            return Ok(());
        };
        let contact = self.left_behind(&open.contact);
        let who = self.who(&contact);
        // Both ways are open until it is known that they are not, so that an alert with neither is closed.
        self.open.follow(open.id);
        if record.alert.kind == AlertKind::NewExternalIp && record.alert.evidence.is_none() {
            self.open.watch(Late {
                id: open.id,
                contact: contact.clone(),
                who,
            });
        }
        if contact.end.is_some() {
            self.open.end_flow(open.id);
            return Ok(());
        }
        let is_attempt = contact.outcome.is_attempt();
        let mut places: SmallVec<[PairPlace; 3]> = SmallVec::new();
        for key in keys_of(&record, is_attempt) {
            places.extend(self.baseline.place_of(&*self.ledger, who.id, &key)?);
        }
        let sequel = if is_attempt {
            Sequel::Attempt(Some(open.id))
        } else {
            Sequel::Alert(open.id)
        };
        self.follow(&contact, places, sequel);
        self.resumed.left.insert(tuple_of(&contact), contact);
        Ok(())
    }

    /// Returns the segment with this text, under a number of the judge's own until the decoder has one.
    fn segment_named(&mut self, text: &Arc<str>) -> Segment {
        if let Some(segment) = segment_of(text) {
            return segment;
        }
        if let Some(segment) = self.resumed.unnumbered.get(text) {
            return *segment;
        }
        let n = u32::try_from(self.resumed.unnumbered.len()).unwrap_or(u32::MAX);
        let segment = Segment::numbered(OWN_SEGMENTS.saturating_add(n));
        self.texts.name(segment, text.clone());
        self.resumed.unnumbered.insert(text.clone(), segment);
        segment
    }

    /// Takes over the number that the decoder gave a segment.
    pub(super) fn number(&mut self, segment: Segment) {
        let text = self.text_of(segment);
        let mut names = self.resumed.names.remove(&text).unwrap_or_default();
        for record in &mut names {
            record.segment = segment;
        }
        self.names.write(&mut names);
        let Some(own) = self.resumed.unnumbered.remove(&text) else {
            return;
        };
        self.contacts.rename(own, segment);
        self.open.rename(own, segment);
        self.facts.rename(own, segment);
        let moved = self.resumed.left.extract_if(|tuple, _| tuple.0 == own);
        let moved: Vec<Contact> = moved.map(|(_, contact)| contact).collect();
        for mut contact in moved {
            contact.segment = segment;
            self.resumed.left.insert(tuple_of(&contact), contact);
        }
    }

    /// Loads the names that were answered before the first frame of the run (rule N3).
    pub(super) fn load_names(&mut self, first_frame: Timestamp) -> Result<(), LedgerError> {
        // Contacts that an earlier run left are named as of their own time, however long nothing ran since.
        let used_from = self.resumed.earliest.map_or(first_frame, |at| at.min(first_frame));
        let SavedNames {
            segments, mut records, ..
        } = self.ledger.names(first_frame, used_from)?;
        let own: HashMap<Segment, (Segment, Arc<str>)> = segments
            .into_iter()
            .map(|(number, text)| (number, (self.segment_named(&text), text)))
            .collect();
        for record in &mut records {
            let Some((segment, text)) = own.get(&record.segment) else {
                continue;
            };
            record.segment = *segment;
            self.facts.note_client((*segment, record.evidence.client));
            if self.resumed.unnumbered.contains_key(text) {
                self.resumed
                    .names
                    .entry(Arc::clone(text))
                    .or_default()
                    .push(record.clone());
            }
        }
        self.has_saved_names |= !records.is_empty();
        self.names.write(&mut records);
        Ok(())
    }

    /// Lets a flow that an earlier run saw begin go on; says whether this is one.
    pub(super) fn reattach(
        &mut self,
        update: &FlowUpdate,
        side: Side,
        start: FlowStart,
        due: &mut Vec<Due<'_>>,
    ) -> Result<bool, LedgerError> {
        if self.resumed.left.is_empty() {
            return Ok(false);
        }
        let fresh = Contact::new(update, side, start);
        let tuple = tuple_of(&fresh);
        let Some(left) = self.resumed.left.get(&tuple) else {
            return Ok(false);
        };
        let silence = update.first.since(left.last);
        if silence <= Span::ZERO {
            // What was seen before is seen again, or an older capture.
            return Ok(false);
        }
        let Some(left) = self.resumed.left.remove(&tuple) else {
            return Ok(false);
        };
        if start == FlowStart::Syn || silence > patience(left.transport) {
            self.end_left(left.flow);
            return Ok(false);
        }
        let earlier = Earlier::of(&left);
        if let Some(waiting) = self.contacts.take(left.flow, self.settle()) {
            self.out.batch.judged.push(waiting.flow);
            let contact = Contact::of(update, side, start, Some(earlier));
            due.push(Due::Resumed(Box::new(contact)));
            return Ok(true);
        }
        let Some(judged) = self.contacts.judged.remove(left.flow) else {
            return Ok(false);
        };
        let judged = Judged {
            side,
            earlier: Some(Box::new(earlier)),
            ..judged
        };
        self.contacts.judged.insert(update.flow, judged);
        self.go_on(update)?;
        Ok(true)
    }

    fn end_left(&mut self, flow: Arrival) {
        if let Some(judged) = self.contacts.judged.remove(flow)
            && let Some(id) = judged.sequel.alert()
        {
            self.open.end_flow(id);
        }
    }

    /// Waits no longer for flows that an earlier run saw and that have been silent for too long.
    pub(super) fn expire_left(&mut self, now: Timestamp) {
        let over = |contact: &Contact| now.since(contact.last) > patience(contact.transport);
        let mut ended: Vec<Arrival> = Vec::new();
        self.resumed.left.retain(|_, contact| {
            if over(contact) {
                ended.push(contact.flow);
            }
            !over(contact)
        });
        ended.sort_unstable();
        for flow in ended {
            self.end_left(flow);
        }
    }

    /// Waits no longer for any flow that an earlier run saw: time went back (rule T1).
    pub(super) fn drop_left(&mut self) {
        let left = std::mem::take(&mut self.resumed.left);
        let mut ended: Vec<Arrival> = left.into_values().map(|contact| contact.flow).collect();
        ended.sort_unstable();
        for flow in ended {
            self.end_left(flow);
        }
    }
}

/// Returns the keys of the pairs that an alert's contact was recorded under.
fn keys_of(record: &AlertRecord, is_attempt: bool) -> Vec<PairKey> {
    let destination = &record.alert.destination;
    let domain = destination.domain.clone().map(PairKey::Domain);
    let tenant = destination.tenant.clone().map(PairKey::Tenant);
    let address = destination.ip.map(PairKey::Address);
    if is_attempt {
        let new = match record.alert.kind {
            AlertKind::NewExternalDomain => domain,
            AlertKind::NewTenant => tenant,
            AlertKind::NewExternalIp => address,
            AlertKind::Burst => None,
        };
        return new.map(|key| key.attempted()).into_iter().collect();
    }
    [domain, tenant, address].into_iter().flatten().collect()
}

/// Returns the segment whose text says all about it.
fn segment_of(text: &str) -> Option<Segment> {
    if text == "-" {
        return Some(Segment::NONE);
    }
    let vni = text.strip_prefix("vni=")?.parse().ok()?;
    Some(Segment::vni(vni)).filter(|segment| segment.detail().is_some_and(|detail| detail.to_string() == text))
}
