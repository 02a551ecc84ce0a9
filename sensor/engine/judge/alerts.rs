//! Raising, updating and withdrawing alerts (rules A1 to A3, A5).

use crate::alerting::{Facts, assess, links, reassess, summary, techniques};
use crate::baseline::Need;
use crate::enrichment::community_id;
use crate::model::{
    Alert, AlertBaseline, AlertDestination, AlertEvent, AlertFlow, AlertId, AlertKind, AlertRecord, AlertState,
    AlertWorkload, Counter, Durability, Fate, LedgerError, Lowered, Observation, OpenAlert, OtherName, PairKey, Reach,
    Timestamp,
};
use crate::names::{Candidate, Candidates};

use super::Judge;
use super::contacts::Contact;
use super::decide::Meaning;
use super::judged::Sequel;
use super::novelty::NewThing;
use super::open::{LATE_ANSWER, Late};
use super::registry::Who;

/// More other workloads than this are not counted.
const PREVALENCE_LIMIT: u32 = 1000;
/// So many other workloads of the group with a destination make its alert one less severe.
const KNOWN_TO_GROUP: u32 = 3;
/// How widely a destination is known.
struct Spread {
    others: u32,
    in_group: u32,
}

impl Judge {
    /// Raises an alert, unless its id is stored already (rule A2); says whether it did.
    #[expect(
        clippy::too_many_arguments,
        reason = "an alert is made of all of these, and of nothing else"
    )]
    pub(super) fn raise(
        &mut self,
        id: AlertId,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        new: &NewThing<'_>,
        until: Timestamp,
        replaces: Option<AlertId>,
    ) -> Result<bool, LedgerError> {
        if self.alert_record(id)?.is_some() {
            self.out.counters.count(Counter::AlertsRepeated);
            return Ok(false);
        }
        let chosen: &[Candidate] = match meaning {
            Meaning::Named { candidates, .. } => candidates,
            Meaning::Unnamed(_) => &[],
        };
        let considered = self.considered(contact, chosen, until);
        let (alert, lowered) = self.alert(id, contact, who, meaning, new, replaces)?;
        if new.kind == AlertKind::NewExternalIp && alert.evidence.is_none() {
            self.open.watch(Late {
                id,
                contact: contact.clone(),
                who,
            });
        }
        if contact.end.is_none() {
            self.open.follow(id);
        }
        self.keep_open(id, contact);
        self.out.counters.count(Counter::AlertsRaised);
        self.put_out(AlertRecord {
            state: AlertState::Raised,
            alert,
            considered,
            lowered,
        });
        Ok(true)
    }

    /// Keeps an alert that may still change in the ledger, with its contact as it stands.
    pub(super) fn keep_open(&mut self, id: AlertId, contact: &Contact) {
        if self.open.is_open(id) {
            let contact = contact.to_pending(self.text_of(contact.segment));
            self.out.batch.opened.push(OpenAlert { id, contact });
        }
    }

    pub(super) fn put_out(&mut self, record: AlertRecord) {
        self.out.batch.durability = Durability::Synced;
        if record.alert.revision == 1 {
            self.baseline.kept_mut().add_alert(record.alert.ts);
        }
        self.out.batch.deliver.push(record.alert.clone());
        self.open.hold(self.out.batch.sequence, record.clone());
        self.out.batch.alerts.push(record);
    }

    /// Returns an alert as it stands, committed or not.
    pub(super) fn alert_record(&self, id: AlertId) -> Result<Option<AlertRecord>, LedgerError> {
        match self.open.recent(id) {
            Some(record) => Ok(Some(record.clone())),
            // One that is expired is as absent, whether or not the ledger has deleted it (rule T2).
            None => {
                let alert = self.ledger.alert(id)?;
                Ok(alert.filter(|record| record.alert.ts >= self.cutoff()))
            }
        }
    }

    fn alert(
        &mut self,
        id: AlertId,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        new: &NewThing<'_>,
        replaces: Option<AlertId>,
    ) -> Result<(Alert, Lowered), LedgerError> {
        let at = contact.first;
        let spread = self.spread(who, &new.key, at)?;
        let before = self
            .baseline
            .pair(&*self.ledger, who.id, &new.key, at)?
            .map(|pair| (pair.first(), pair.last()));
        let destinations = self.baseline.destinations(&*self.ledger, who.id)?;
        let expired_known_domain = self.has_expired_known_domain(who, meaning, at)?;
        let evidence = meaning.evidence(at);
        let named = meaning.destination().map(|keys| &keys.destination);
        let domain = named.map(|named| named.domain.clone());
        let tenant = named.and_then(|named| named.tenant.clone());
        let (is_untrusted, has_several) = match meaning {
            Meaning::Named {
                is_untrusted,
                has_several,
                ..
            } => (*is_untrusted, *has_several),
            Meaning::Unnamed(_) => (false, false),
        };
        let observation = self.observation(contact);
        let lowered = Lowered {
            known_to_group: spread.in_group >= KNOWN_TO_GROUP,
            expired_known_domain,
        };
        let assessment = assess(&Facts {
            kind: new.kind,
            outcome: contact.outcome,
            start: contact.start,
            octets_out: contact.octets_out,
            octets_in: contact.octets_in,
            known_to_group: lowered.known_to_group,
            expired_known_domain: lowered.expired_known_domain,
            unexplained: meaning.why_unexplained(),
            loss: observation.loss,
            several_names: has_several,
            untrusted_server: is_untrusted,
            indicator: false,
            port: contact.port(),
            transport: Some(contact.transport),
            domain: domain.as_deref(),
            is_shared: tenant.is_some(),
        });
        let destination = AlertDestination {
            domain,
            tenant,
            name: evidence.as_ref().map(|evidence| evidence.name.clone()),
            ip: Some(contact.responder.ip),
            port: contact.port(),
            transport: Some(contact.transport),
        };
        let record = self.registry.record(who.id);
        let rule = who.rule.and_then(|rule| self.rules.rule(rule));
        let mut alert = Alert {
            id,
            revision: 1,
            kind: new.kind,
            title: new.kind.title().to_owned(),
            event: AlertEvent::Raised,
            ts: at,
            at: self.out.batch.at,
            severity: assessment.severity,
            confidence: assessment.confidence,
            novelty: if spread.others == 0 {
                Reach::Deployment
            } else {
                Reach::Workload
            },
            prevalence: spread.others,
            workload: AlertWorkload {
                name: self.workload_name(who, contact.originator.ip),
                address: Some(contact.originator.ip),
                group: rule.and_then(|rule| rule.group.clone()),
                owner: rule.and_then(|rule| rule.owner.clone()),
                segment: self.text_of(contact.segment),
                since: record.map(|record| record.since),
            },
            links: links(&destination),
            destination,
            other_names: other_names(meaning, at),
            evidence,
            unexplained: meaning.why_unexplained(),
            claimed_name: None,
            flow: AlertFlow {
                start: contact.start,
                outcome: contact.outcome,
                octets_out: contact.octets_out,
                octets_in: contact.octets_in,
                duration: contact.last.since(contact.first).as_seconds(),
                end: contact.end,
                community_id: community_id(contact.transport, contact.originator, contact.responder),
            },
            baseline: AlertBaseline {
                window_days: u32::try_from(self.policy.baseline.window.whole_days()).unwrap_or(u32::MAX),
                first_contact: before.map(|(first, _)| first),
                last_contact: before.map(|(_, last)| last),
                workload_since: record.map(|record| record.since),
                destinations,
            },
            observation,
            attack: assessment.attack.into_iter().map(str::to_owned).collect(),
            replaces,
            count: None,
            summary: String::new(),
        };
        alert.summary = summary(&alert);
        Ok((alert, lowered))
    }

    /// Counts the other workloads that have a destination in the window.
    fn spread(&mut self, who: Who, key: &PairKey, at: Timestamp) -> Result<Spread, LedgerError> {
        let group = who
            .rule
            .and_then(|rule| self.rules.rule(rule))
            .and_then(|rule| rule.group.clone());
        let mut spread = Spread { others: 0, in_group: 0 };
        for other in self.baseline.holders(&*self.ledger, key)? {
            if other == who.id || !self.baseline.is_known(&*self.ledger, other, key, at)? {
                continue;
            }
            spread.others += 1;
            let others = self.registry.record(other).and_then(|record| record.group.as_ref());
            spread.in_group += u32::from(group.is_some() && others == group.as_ref());
            if spread.others >= PREVALENCE_LIMIT {
                break;
            }
        }
        Ok(spread)
    }

    fn has_expired_known_domain(&mut self, who: Who, meaning: &Meaning, at: Timestamp) -> Result<bool, LedgerError> {
        let Meaning::Unnamed(no_name) = meaning else {
            return Ok(false);
        };
        for evidence in &no_name.expired {
            let keys = self.destination(&evidence.provenance);
            if self.baseline.is_known(&*self.ledger, who.id, &keys.domain, at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn observation(&self, contact: &Contact) -> Observation {
        let taken = self.loss.before(contact.first);
        let delivered = self.loss.of(contact.source, contact.first);
        Observation {
            loss: taken.share().max(delivered.loss()),
            kernel_drops: taken.kernel,
            queue_drops: taken.queue,
            tcp_missing: delivered.tcp_missing,
            fragments_incomplete: delivered.incomplete,
            dns_unmatched: delivered.dns_unmatched,
            dns_unanswered: delivered.dns_unanswered,
            one_way: self.facts.shows_no_queries(contact.source),
            watched: self.facts.watched(contact.source, contact.first).as_seconds(),
        }
    }

    /// Updates an alert whose flow passed 10,240 octets, ended, or got through (rule A3).
    pub(super) fn update_alert(&mut self, id: AlertId, contact: &Contact) -> Result<(), LedgerError> {
        let Some(mut record) = self.alert_record(id)? else {
            return Ok(());
        };
        if record.state == AlertState::Withdrawn {
            return Ok(());
        }
        let lowered = record.lowered;
        let alert = &mut record.alert;
        alert.flow.outcome = contact.outcome;
        alert.flow.octets_out = contact.octets_out;
        alert.flow.octets_in = contact.octets_in;
        alert.flow.duration = contact.last.since(contact.first).as_seconds();
        alert.flow.end = contact.end;
        alert.severity = reassess(alert, lowered);
        alert.attack = techniques(alert).into_iter().map(str::to_owned).collect();
        alert.event = AlertEvent::Updated;
        self.revise(record, Counter::AlertsUpdated);
        self.keep_open(id, contact);
        Ok(())
    }

    fn revise(&mut self, mut record: AlertRecord, counter: Counter) {
        record.alert.revision += 1;
        record.alert.at = self.out.batch.at;
        record.alert.summary = summary(&record.alert);
        self.out.counters.count(counter);
        self.put_out(record);
    }

    /// Withdraws an address alert that a late answer explains, and judges its contact by the name (rule A3).
    pub(super) fn withdraw(&mut self, late: &Late, candidates: Candidates) -> Result<(), LedgerError> {
        let Late { id, contact, who } = late;
        let until = contact.first.plus(LATE_ANSWER);
        let Some(mut record) = self.alert_record(*id)? else {
            return Ok(());
        };
        let meaning = self.meaning(contact, *who, candidates, until)?;
        let (Meaning::Named { is_untrusted, .. }, Some(keys)) = (&meaning, meaning.destination()) else {
            return Ok(());
        };
        let new = self.named_novelty(contact, *who, &meaning)?;
        if *is_untrusted && new.is_none() {
            // Judged by both keys (rule N4): a known domain from a server that nobody vouches for explains nothing away.
            return Ok(());
        }
        self.open.forget_late(*id, contact.responder.ip);
        record.state = AlertState::Withdrawn;
        record.alert.event = AlertEvent::Withdrawn;
        record.alert.evidence = meaning.evidence(contact.first);
        record.alert.unexplained = None;
        record.alert.destination.domain = Some(keys.destination.domain.clone());
        record.alert.destination.tenant = keys.destination.tenant.clone();
        record.alert.destination.name = record.alert.evidence.as_ref().map(|evidence| evidence.name.clone());
        self.revise(record, Counter::AlertsWithdrawn);
        self.open.end_flow(*id);
        let mut raised = None;
        if let Some(new) = &new {
            let fresh = self.alert_id(new, *who, contact.first);
            self.raise(fresh, contact, *who, &meaning, new, until, Some(*id))?;
            raised = Some(fresh);
        }
        self.record_late(contact, *who, &meaning, new.as_ref(), raised)
    }

    /// Records what a late answer showed: the address pair stands already, the name's pairs do not.
    fn record_late(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &Meaning,
        new: Option<&NewThing<'_>>,
        alert: Option<AlertId>,
    ) -> Result<(), LedgerError> {
        if contact.outcome.is_attempt() {
            // Recorded as an attempt only (rule B3).
            let place = match new {
                Some(new) => {
                    self.record_attempt(contact, who, meaning, new, alert.map(|_| Fate::Raised), Need::Pair)?
                }
                None => None,
            };
            if let Some(judged) = self.contacts.judged.get_mut(contact.flow) {
                judged.places.extend(place);
                judged.sequel = Sequel::Attempt(alert);
            }
            return Ok(());
        }
        let novel = new.zip(alert.map(|_| Fate::Raised));
        let places = self.record_names(contact, who, meaning, novel)?;
        if let Some(judged) = self.contacts.judged.get_mut(contact.flow) {
            judged.places.extend(places);
            judged.sequel = alert.map_or(Sequel::Nothing, Sequel::Alert);
        }
        Ok(())
    }
}

/// Names that were given for the address and are not the one judged, newest first.
fn other_names(meaning: &Meaning, at: Timestamp) -> Vec<OtherName> {
    match meaning {
        Meaning::Unnamed(no_name) => no_name.other_names.clone(),
        Meaning::Named { candidates, .. } => {
            let judged = candidates.first().map(|first| first.evidence.name().clone());
            let others = candidates
                .iter()
                .skip(1)
                .filter(|other| Some(other.evidence.name()) != judged.as_ref());
            let others = others.map(|other| OtherName {
                name: other.evidence.name().clone(),
                client: other.evidence.client,
                ts: other.answered(at),
            });
            others.take(16).collect()
        }
    }
}
