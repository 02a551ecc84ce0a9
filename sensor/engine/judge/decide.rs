//! The verdict on one contact: what it is called, whether that is new, and what is recorded (rules B1 to B4, D3, N4).

use std::sync::Arc;

use smallvec::SmallVec;

use crate::alerting::Admit;
use crate::baseline::{Need, PairPlace};
use crate::model::{
    Address, AlertEvidence, AlertId, BaselineMode, BurstScope, Counter, DestinationKeys, Fate, LedgerError, Novelty,
    Pair, Span, Timestamp, Unexplained, Verdict,
};
use crate::names::{Candidate, Candidates, encrypted};

use super::Judge;
use super::contacts::Contact;
use super::judged::{Judged, Sequel};
use super::naming::NoName;
use super::novelty::NewThing;
use super::record::{facts_of, fate_of};
use super::registry::{Learning, Who};

/// Another name that the client was given for the address is looked at if it is no older than this (rule N4).
const SEVERAL_NAMES_WITHIN: Span = Span::seconds(60);

/// What a contact is with.
#[derive(Debug, Clone)]
pub(super) enum Meaning {
    /// A name explains it.
    Named {
        /// What explains it first; its destination was worked out.
        candidates: Candidates,
        /// Another name of a known domain stands behind the one judged.
        has_several: bool,
        is_untrusted: bool,
    },
    /// Nothing does.
    Unnamed(NoName),
}

impl Meaning {
    /// Returns what the name stands for.
    pub fn destination(&self) -> Option<&DestinationKeys> {
        match self {
            Self::Named { candidates, .. } => candidates.first()?.evidence.provenance.known_destination(),
            Self::Unnamed(_) => None,
        }
    }

    pub fn evidence(&self, at: Timestamp) -> Option<AlertEvidence> {
        let Self::Named { candidates, .. } = self else {
            return None;
        };
        let candidate = candidates.first()?;
        let evidence = &candidate.evidence;
        Some(AlertEvidence {
            kind: evidence.facts.kind,
            scope: candidate.scope,
            name: evidence.name().clone(),
            client: evidence.client,
            server: evidence.server(),
            ts: candidate.answered(at),
            ttl: evidence.facts.ttl,
            chain: evidence.provenance.chain.to_vec(),
        })
    }

    pub fn why_unexplained(&self) -> Option<Unexplained> {
        match self {
            Self::Named { .. } => None,
            Self::Unnamed(no_name) => Some(no_name.why),
        }
    }
}

impl Judge {
    /// Judges a contact that waits no longer.
    pub(super) fn judge(
        &mut self,
        contact: Contact,
        who: Who,
        candidates: Candidates,
        until: Timestamp,
    ) -> Result<(), LedgerError> {
        self.out.counters.count(Counter::Contacts);
        if self.is_resolving(&contact) {
            let meaning = self.meaning(&contact, who, candidates, until)?;
            self.write_contact(&contact, who, &meaning, Verdict::Resolver);
            // Else the next that is heard of its flow would be judged again.
            self.follow(&contact, SmallVec::new(), Sequel::Nothing);
            return Ok(());
        }
        let meaning = self.meaning(&contact, who, candidates, until)?;
        if let Meaning::Named { candidates, .. } = &meaning
            && let Some(first) = candidates.first()
        {
            self.renew(contact.responder.ip, first, contact.first);
            if encrypted::is_resolver(first.evidence.name(), contact.responder.port) {
                self.facts
                    .note_encrypted((contact.segment, contact.originator.ip), contact.first);
            }
        }
        let new = self.novelty(&contact, who, &meaning)?;
        if contact.outcome.is_attempt() {
            return self.judge_attempt(contact, who, &meaning, new, until);
        }
        let new = match new {
            Some(new) if self.is_told(who, &new, contact.first, until)? => None,
            new => new,
        };
        let (verdict, alert, need) = match &new {
            None => (Verdict::Known, None, Need::Pair),
            Some(new) if self.has_room(who, &new.key)? => {
                let (verdict, alert) = self.decide(&contact, who, &meaning, new, until)?;
                (verdict, alert, Need::Pair)
            }
            // It could not be recorded that it was raised, so that each further contact would raise it again (rule A5).
            Some(_) => (Verdict::Burst, None, Need::Novelty),
        };
        let novel = new.as_ref().zip(fate_of(verdict));
        let places = self.record(&contact, who, &meaning, novel, need)?;
        self.write_contact(&contact, who, &meaning, verdict);
        // An alert that was stored before is not raised again (rule A2), nor updated by what repeats it.
        let raised = alert.filter(|id| verdict == Verdict::New && self.open.is_open(*id));
        self.follow(&contact, places, raised.map_or(Sequel::Nothing, Sequel::Alert));
        Ok(())
    }

    /// Lets a name that explained a contact live on (rule N3).
    fn renew(&mut self, address: Address, by: &Candidate, at: Timestamp) {
        if let Some(record) = self.names.renew(by.segment, address, &by.evidence, at) {
            self.out.batch.names.records.push(record);
        }
    }

    /// Judges an attempt: it raises its alert once a window and silences nothing (rule B3).
    fn judge_attempt(
        &mut self,
        contact: Contact,
        who: Who,
        meaning: &Meaning,
        new: Option<NewThing<'_>>,
        until: Timestamp,
    ) -> Result<(), LedgerError> {
        let Some(new) = new else {
            self.write_contact(&contact, who, meaning, Verdict::Known);
            self.follow(&contact, SmallVec::new(), Sequel::Attempt(None));
            return Ok(());
        };
        let at = contact.first;
        // The same destination got through while this one waited: the two are one (rule B3).
        let retried = self.baseline.pair(&*self.ledger, who.id, &new.key, at)?;
        let got_through = retried.is_some_and(|pair| pair.first() >= at && pair.first() <= until);
        if got_through || self.is_told(who, &new, at, until)? || self.gets_through(&contact, who, until) {
            self.write_contact(&contact, who, meaning, Verdict::Known);
            // Else the next that is heard of its flow would be judged again.
            self.follow(&contact, SmallVec::new(), Sequel::Attempt(None));
            return Ok(());
        }
        let key = new.key.attempted();
        let is_repeat = self.baseline.is_known(&*self.ledger, who.id, &key, at)?;
        let (verdict, fate, alert, need) = if is_repeat {
            (Verdict::Attempt, None, None, Need::Pair)
        } else if self.has_room(who, &key)? {
            let (verdict, alert) = self.decide(&contact, who, meaning, &new, until)?;
            let fate = fate_of(verdict);
            if verdict == Verdict::New {
                (Verdict::Attempt, fate, alert, Need::Pair)
            } else {
                (verdict, fate, alert, Need::Pair)
            }
        } else {
            (Verdict::Burst, None, None, Need::Novelty)
        };
        let place = self.record_attempt(&contact, who, meaning, &new, fate, need)?;
        self.write_contact(&contact, who, meaning, verdict);
        let raised = alert.filter(|id| verdict == Verdict::Attempt && self.open.is_open(*id));
        self.follow(&contact, place.into_iter().collect(), Sequel::Attempt(raised));
        Ok(())
    }

    /// Records an attempt at a destination that is new, if there is room (rule A5).
    pub(super) fn record_attempt(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        new: &NewThing<'_>,
        fate: Option<Fate>,
        need: Need,
    ) -> Result<Option<PairPlace>, LedgerError> {
        let key = new.key.attempted();
        if let Some(full) = self.baseline.no_room(&*self.ledger, who.id, &key, need)? {
            self.leave_out(contact, who, full)?;
            return Ok(None);
        }
        let facts = facts_of(contact, meaning);
        let novelty = fate.map(|fate| Novelty {
            at: contact.first,
            fate,
        });
        self.registry.seen(who.id, contact.last);
        let place = self.baseline.record(&*self.ledger, who.id, &key, &facts, novelty)?;
        Ok(Some(place))
    }

    /// Says whether a contact that began a little later got through and was judged first, so that the novelty is that one's
    /// (rules A1 and B3), whatever days its pair can keep (rule B5).
    fn is_told(&mut self, who: Who, new: &NewThing<'_>, at: Timestamp, until: Timestamp) -> Result<bool, LedgerError> {
        let pair = self.baseline.pair(&*self.ledger, who.id, &new.key, at)?;
        let novelty = pair.and_then(Pair::novelty);
        Ok(novelty.is_some_and(|novelty| novelty.at > at && novelty.at <= until))
    }

    /// Says whether a contact of the same workload with the same address, begun by `until`, got through and only waits for
    /// its name (rule B3).
    fn gets_through(&mut self, attempt: &Contact, who: Who, until: Timestamp) -> bool {
        let waiting: SmallVec<[Contact; 2]> = self
            .contacts
            .waiting_for(attempt.responder.ip)
            .iter()
            .filter_map(|flow| self.contacts.waiting(*flow))
            .filter(|other| !other.outcome.is_attempt() && other.is_spoken_for())
            .filter(|other| other.segment == attempt.segment || who.rule.is_some())
            .filter(|other| other.first >= attempt.first && other.first <= until)
            .cloned()
            .collect();
        waiting.iter().any(|other| self.who(other).id == who.id)
    }

    /// Keeps what a judged contact's flow may still lead to, unless it has ended.
    pub(super) fn follow(&mut self, contact: &Contact, places: SmallVec<[PairPlace; 3]>, sequel: Sequel) {
        if contact.end.is_some() {
            return;
        }
        self.contacts.judged.insert(
            contact.flow,
            Judged {
                side: contact.side,
                start: contact.start,
                places,
                last: contact.last,
                octets_out: contact.octets_out,
                octets_in: contact.octets_in,
                earlier: contact.earlier.map(Box::new),
                sequel,
            },
        );
    }

    /// Says whether a contact is a resolver at its trade (rule S3).
    pub(super) fn is_resolving(&self, contact: &Contact) -> bool {
        if !contact.holds_dns || !self.policy.network.dns_ports.contains(&contact.responder.port) {
            return false;
        }
        let host = (contact.segment, contact.originator.ip);
        self.facts.is_resolver(host)
            || self.facts.is_iterator(host)
            || self.policy.names.resolvers.contains(&contact.originator.ip)
    }

    /// Says what a contact is with (rule N4).
    pub(super) fn meaning(
        &mut self,
        contact: &Contact,
        who: Who,
        mut candidates: Candidates,
        until: Timestamp,
    ) -> Result<Meaning, LedgerError> {
        let at = contact.first;
        let Some(first) = candidates.first() else {
            return Ok(Meaning::Unnamed(self.no_name(contact, until)));
        };
        let destination = self.destination(&first.evidence.provenance);
        let mut has_several = false;
        if candidates.len() > 1 && self.is_known(who, &destination.domain, at)? {
            let client = first.evidence.client;
            let mut judged = None;
            for (n, other) in candidates.iter().enumerate().skip(1) {
                let answered = other.answered(at);
                if other.evidence.client != client || answered > at || at.since(answered) > SEVERAL_NAMES_WITHIN {
                    continue;
                }
                let other = self.destination(&other.evidence.provenance);
                if other.domain != destination.domain && !self.is_known(who, &other.domain, at)? {
                    judged = Some(n);
                    break;
                }
            }
            if let Some(n) = judged {
                has_several = true;
                let judged = candidates.remove(n);
                candidates.insert(0, judged);
            }
        }
        let is_untrusted = match candidates.first() {
            Some(first) => self.is_untrusted(who, first, at)?,
            None => false,
        };
        Ok(Meaning::Named {
            candidates,
            has_several,
            is_untrusted,
        })
    }

    /// Decides what becomes of a novelty (rules B4, A2, A5); raises its alert, and returns its id, if that is the decision
    /// and it was not stored before.
    fn decide(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        new: &NewThing<'_>,
        until: Timestamp,
    ) -> Result<(Verdict, Option<AlertId>), LedgerError> {
        if self.policy.baseline.mode == BaselineMode::LearnOnly {
            return Ok((Verdict::Learned, None));
        }
        let segment = self.text_of(contact.segment);
        match self.registry.learning(who.id, &segment, contact.first) {
            Learning::Segment => return Ok((Verdict::Learned, None)),
            Learning::Workload if self.is_known_in_segment(who, &new.key, &segment, contact.first)? => {
                return Ok((Verdict::Learned, None));
            }
            Learning::Workload | Learning::Over => {}
        }
        let hash = new.key.index_hash();
        if let Admit::Burst { scope, .. } = self.budget.admit(who.id, hash, contact.first) {
            if scope == BurstScope::Destination(hash) {
                self.burst_names.insert(hash, Arc::from(new.key.text()));
            }
            return Ok((Verdict::Burst, None));
        }
        let id = self.alert_id(new, who, contact.first);
        let is_raised = self.raise(id, contact, who, meaning, new, until, None)?;
        Ok((Verdict::New, is_raised.then_some(id)))
    }
}
