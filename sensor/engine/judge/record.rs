//! Recording a judged contact under its pairs, and its line in `contacts.jsonl` (rule B1).

use smallvec::SmallVec;

use crate::baseline::{ContactFacts, PairPlace};
use crate::model::{
    AlertId, ContactDestination, ContactRecord, Counter, LedgerError, Novelty, PairKey, Record, Verdict,
};

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
        new: Option<&NewThing>,
        verdict: Verdict,
        alert: Option<AlertId>,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let mut places = self.record_names(contact, who, meaning, new, verdict, alert)?;
        let address = std::iter::once(PairKey::Address(contact.responder.ip));
        places.extend(self.record_keys(address, contact, who, meaning, new, verdict, alert)?);
        Ok(places)
    }

    /// Records a contact under its domain and its tenant.
    pub(super) fn record_names(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        new: Option<&NewThing>,
        verdict: Verdict,
        alert: Option<AlertId>,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let Meaning::Named { destination, .. } = meaning else {
            return Ok(SmallVec::new());
        };
        let domain = std::iter::once(PairKey::Domain(destination.domain.clone()));
        let keys = domain.chain(destination.tenant.clone().map(PairKey::Tenant));
        self.record_keys(keys, contact, who, meaning, new, verdict, alert)
    }

    #[expect(clippy::too_many_arguments, reason = "what is recorded, and what is noted with it")]
    fn record_keys(
        &mut self,
        keys: impl Iterator<Item = PairKey>,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        new: Option<&NewThing>,
        verdict: Verdict,
        alert: Option<AlertId>,
    ) -> Result<SmallVec<[PairPlace; 3]>, LedgerError> {
        let facts = facts_of(contact, meaning);
        let mut places = SmallVec::new();
        for key in keys {
            let place = self.baseline.record(&*self.ledger, who.id, &key, &facts)?;
            if let (Some(new), Some(alert)) = (new, alert)
                && new.key == key
            {
                self.note_novelty(place, verdict, alert)?;
            }
            places.push(place);
        }
        Ok(places)
    }

    pub(super) fn note_novelty(
        &mut self,
        place: PairPlace,
        verdict: Verdict,
        alert: AlertId,
    ) -> Result<(), LedgerError> {
        let novelty = match verdict {
            Verdict::New | Verdict::Attempt => Novelty::Raised,
            Verdict::Learned => Novelty::Learned,
            Verdict::Burst => Novelty::Burst,
            Verdict::Suppressed => Novelty::Suppressed,
            Verdict::Known | Verdict::Resolver => Novelty::None,
        };
        self.baseline.note_novelty(&*self.ledger, place, novelty, alert)
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

/// Returns what a contact adds to its pairs.
pub(super) fn facts_of(contact: &Contact, meaning: &Meaning) -> ContactFacts {
    let name = match meaning {
        Meaning::Named { candidates, .. } => candidates
            .first()
            .map(|first| (first.evidence.name().clone(), first.evidence.server())),
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
