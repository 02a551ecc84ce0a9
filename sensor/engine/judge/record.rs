//! Recording a judged contact under its pairs, and its line in `contacts.jsonl` (rule B1).

use std::iter;

use smallvec::SmallVec;

use crate::baseline::{ContactFacts, Full, Need, PairPlace};
use crate::model::{
    ContactDestination, ContactEnd, ContactRecord, Counter, Fate, LedgerError, Novelty, PairKey, Record, Verdict,
};

use super::Judge;
use super::contacts::Contact;
use super::decide::Meaning;
use super::novelty::NewThing;
use super::registry::Who;

impl Judge {
    /// Records a contact under its domain, its tenant and its address (rule B1), as far as there is room (rule A5).
    pub(super) fn record(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        novel: Option<(&NewThing<'_>, Fate)>,
        need: Need,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let address = PairKey::Address(contact.responder.ip);
        let names = meaning.destination();
        let names = names
            .into_iter()
            .flat_map(|keys| iter::once(&keys.domain).chain(&keys.tenant));
        self.record_keys(names.chain([&address]), contact, who, meaning, novel, need)
    }

    /// Records a contact under its domain and its tenant.
    pub(super) fn record_names(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        novel: Option<(&NewThing<'_>, Fate)>,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let names = meaning.destination();
        let names = names
            .into_iter()
            .flat_map(|keys| iter::once(&keys.domain).chain(&keys.tenant));
        self.record_keys(names, contact, who, meaning, novel, Need::Pair)
    }

    fn record_keys<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a PairKey>,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        novel: Option<(&NewThing<'_>, Fate)>,
        need: Need,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let mut places = SmallVec::new();
        let mut full: Option<Full> = None;
        for key in keys {
            if let Some(no_room) = self.baseline.no_room(&*self.ledger, who.id, key, need)? {
                full = Some(no_room);
                continue;
            }
            let fate = novel.filter(|(new, _)| *new.key == *key).map(|(_, fate)| fate);
            let novelty = fate.map(|fate| Novelty {
                at: contact.first,
                fate,
            });
            let facts = facts_of(contact, meaning);
            self.registry.seen(who.id, contact.last);
            places.push(self.baseline.record(&*self.ledger, who.id, key, &facts, novelty)?);
        }
        if let Some(full) = full {
            self.leave_out(contact, who, full)?;
        }
        Ok(places)
    }

    /// Counts a verdict and writes the contact's record.
    pub(super) fn write_contact(&mut self, contact: &Contact, who: Who, meaning: &Meaning, verdict: Verdict) {
        let counters = &mut self.out.counters;
        counters.count(match verdict {
            Verdict::Known | Verdict::Suppressed => Counter::ContactsKnown,
            Verdict::New => Counter::ContactsNew,
            Verdict::Learned => Counter::ContactsLearned,
            Verdict::Attempt => Counter::ContactsAttempt,
            Verdict::Resolver => Counter::ContactsResolver,
            Verdict::Burst => Counter::ContactsBurst,
        });
        if meaning.why_unexplained().is_some() {
            counters.count(Counter::ContactsUnexplained);
        }
        if self.records == super::super::worker::Records::NotWanted {
            return;
        }
        let evidence = meaning.evidence(contact.first);
        let destination = meaning.destination().map(|keys| &keys.destination);
        let record = ContactRecord {
            ts: contact.first,
            frame: contact.flow,
            transport: contact.transport,
            originator: ContactEnd::of(contact.transport, contact.originator),
            responder: ContactEnd::of(contact.transport, contact.responder),
            segment: self.text_of(contact.segment),
            workload: self.workload_name(who, contact.originator.ip),
            name: evidence.as_ref().map(|evidence| evidence.name.clone()),
            evidence,
            destination: ContactDestination {
                domain: destination.map(|destination| destination.domain.clone()),
                tenant: destination.and_then(|destination| destination.tenant.clone()),
                ip: contact.responder.ip,
            },
            verdict,
            unexplained: meaning.why_unexplained(),
        };
        self.out.records.push(Record::Contact(record));
    }
}

/// Returns what became of the novelty that a verdict is about.
pub(super) const fn fate_of(verdict: Verdict) -> Option<Fate> {
    match verdict {
        Verdict::New | Verdict::Attempt => Some(Fate::Raised),
        Verdict::Learned => Some(Fate::Learned),
        Verdict::Burst => Some(Fate::Burst),
        Verdict::Suppressed => Some(Fate::Suppressed),
        Verdict::Known | Verdict::Resolver => None,
    }
}

/// Returns what a contact adds to its pairs.
pub(super) fn facts_of<'a>(contact: &Contact, meaning: &'a Meaning) -> ContactFacts<'a> {
    let name = match meaning {
        Meaning::Named { candidates, .. } => candidates.first().map(|first| &first.evidence.provenance),
        Meaning::Unnamed(_) => None,
    };
    ContactFacts {
        first: contact.first,
        last: contact.last,
        octets_out: contact.octets_out,
        octets_in: contact.octets_in,
        port: contact.port(),
        name,
    }
}
