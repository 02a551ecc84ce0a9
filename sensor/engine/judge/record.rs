//! Recording a judged contact under its pairs, and its line in `contacts.jsonl` (rule B1).

use std::sync::Arc;

use smallvec::SmallVec;

use crate::baseline::{ContactFacts, PairPlace};
use crate::model::{ContactDestination, ContactRecord, Counter, Fate, LedgerError, Novelty, PairKey, Record, Verdict};

use super::Judge;
use super::contacts::Contact;
use super::decide::Meaning;
use super::novelty::NewThing;
use super::registry::Who;

impl Judge {
    /// Records a contact under its domain, its tenant and its address (rule B1).
    pub(super) fn record(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        novel: Option<(&NewThing, Fate)>,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let address = std::iter::once(PairKey::Address(contact.responder.ip));
        let keys = name_keys(meaning).into_iter().chain(address);
        self.record_keys(keys, contact, who, meaning, novel)
    }

    /// Records a contact under its domain and its tenant.
    pub(super) fn record_names(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        novel: Option<(&NewThing, Fate)>,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        self.record_keys(name_keys(meaning).into_iter(), contact, who, meaning, novel)
    }

    fn record_keys(
        &mut self,
        keys: impl Iterator<Item = PairKey>,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        novel: Option<(&NewThing, Fate)>,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let facts = facts_of(contact, meaning);
        let mut places = SmallVec::new();
        for key in keys {
            let fate = novel.filter(|(new, _)| new.key == key).map(|(_, fate)| fate);
            let novelty = fate.map(|fate| Novelty {
                at: contact.first,
                fate,
            });
            let place = self.baseline.record(&*self.ledger, who.id, &key, &facts, novelty)?;
            places.push(place);
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
        let (domain, tenant) = match meaning {
            Meaning::Named { destination, .. } => (Some(destination.domain.clone()), destination.tenant.clone()),
            Meaning::Unnamed(_) => (None, None),
        };
        let record = ContactRecord {
            ts: contact.first,
            frame: contact.flow,
            transport: contact.transport,
            originator: contact.originator,
            responder: contact.responder,
            segment: self.text_of(contact.segment),
            workload: self.workload_name(who, contact.originator.ip),
            name: evidence.as_ref().map(|evidence| evidence.name.clone()),
            evidence,
            destination: ContactDestination {
                domain,
                tenant,
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

/// Returns the keys of a contact's domain and tenant.
fn name_keys(meaning: &Meaning) -> SmallVec<[PairKey; 2]> {
    let Meaning::Named { destination, .. } = meaning else {
        return SmallVec::new();
    };
    let domain = PairKey::Domain(destination.domain.clone());
    let tenant = destination.tenant.clone().map(PairKey::Tenant);
    std::iter::once(domain).chain(tenant).collect()
}

/// Returns what a contact adds to its pairs.
pub(super) fn facts_of(contact: &Contact, meaning: &Meaning) -> ContactFacts {
    let name = match meaning {
        Meaning::Named { candidates, .. } => candidates.first().map(|first| Arc::clone(&first.evidence.provenance)),
        Meaning::Unnamed(_) => None,
    };
    ContactFacts {
        first: contact.first,
        last: contact.last,
        octets_out: contact.octets_out,
        octets_in: contact.octets_in,
        port: contact.responder.port,
        name,
    }
}
