//! Which name explains a contact, and if none does, why (rules N2 to N5).

use crate::identity::scopes;
use crate::model::{Admission, Considered, Evidence, OtherName, Reason, Scope, Segment, Span, Timestamp, Unexplained};
use crate::names::{Candidate, choose};

use super::Judge;
use super::contacts::Contact;
use super::registry::Who;

/// How many pieces of evidence an alert keeps for `explain` (rule A1).
const CONSIDERED: usize = 16;
/// A source that was watched for less, with no saved names, may have missed the answer (rule N5).
const WARM_UP: Span = Span::hours(1);
/// A response that was cut short may have held the answer for contacts up to this much later.
const TRUNCATED_FOR: Span = Span::seconds(60);

/// Why nothing explains a contact, and who else was given a name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NoName {
    pub why: Unexplained,
    pub other_names: Vec<OtherName>,
    /// Names that the client was given and whose life is over.
    pub expired: Vec<Evidence>,
}

impl Judge {
    /// Returns what explains a contact, best first (rule N4), answered no later than `until`.
    pub(super) fn candidates(&self, contact: &Contact, who: Who, until: Timestamp) -> Vec<Candidate> {
        let rule = who.rule.and_then(|rule| self.rules.rule(rule));
        let wanted = scopes(rule, &self.policy.names);
        let mut found = Vec::new();
        let mut buffer = Vec::new();
        let (segment, address) = (contact.segment, contact.responder.ip);
        let mut take = |segment: Segment, scope: Scope, buffer: &mut Vec<Evidence>| {
            for evidence in buffer.drain(..) {
                if self.reason(contact, segment, &evidence, until).is_none() {
                    found.push(Candidate {
                        scope,
                        segment,
                        evidence,
                    });
                }
            }
            !found.is_empty()
        };
        if wanted.client {
            self.names
                .of_client(segment, address, contact.originator.ip, &mut buffer);
            if take(segment, Scope::Client, &mut buffer) {
                return choose(found, contact.first).candidates;
            }
        }
        if let Some(mac) = contact.mac.filter(|_| wanted.host) {
            for other in self
                .facts
                .same_host(segment, mac)
                .filter(|other| *other != contact.originator.ip)
            {
                self.names.of_client(segment, address, other, &mut buffer);
            }
            if take(segment, Scope::Host, &mut buffer) {
                return choose(found, contact.first).candidates;
            }
        }
        if let Some(rule) = who.rule.filter(|_| wanted.workload) {
            let text = self.text_of(segment);
            let is_member = |evidence: &Evidence| {
                self.rules.identity(&text, evidence.client).rule.is_some_and(|other| {
                    self.rules.rule(other).map(|rule| &rule.name) == self.rules.rule(rule).map(|rule| &rule.name)
                })
            };
            buffer = self.names.of_all(segment, address, is_member);
            if take(segment, Scope::Workload, &mut buffer) {
                return choose(found, contact.first).candidates;
            }
        }
        if wanted.resolver {
            for (of, resolver) in self.facts.resolvers() {
                self.names.of_client(of, address, resolver, &mut buffer);
                take(of, Scope::Resolver, &mut buffer);
            }
            if take(segment, Scope::Resolver, &mut buffer) {
                return choose(found, contact.first).candidates;
            }
        }
        if wanted.any {
            buffer = self.names.of_all(segment, address, |_| true);
            take(segment, Scope::Any, &mut buffer);
        }
        choose(found, contact.first).candidates
    }

    /// Returns why a piece of evidence, whoever's it is, cannot explain a contact; `None` if it can.
    fn reason(&self, contact: &Contact, segment: Segment, evidence: &Evidence, until: Timestamp) -> Option<Reason> {
        if evidence.server == contact.responder.ip {
            Some(Reason::FromResponder)
        } else if evidence.admission == Admission::Unsolicited {
            Some(Reason::Unsolicited)
        } else if evidence.first > until || !self.renewals.is_alive(segment, evidence, contact.first) {
            Some(Reason::Expired)
        } else {
            None
        }
    }

    /// Returns why nothing explains a contact: the first reason that applies (rule N5).
    pub(super) fn no_name(&self, contact: &Contact, until: Timestamp) -> NoName {
        let (segment, client) = (contact.segment, contact.originator.ip);
        let all = self
            .names
            .of_all(segment, contact.responder.ip, |evidence| evidence.first <= until);
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|evidence| evidence.client == client);
        let reason = |evidence: &Evidence| self.reason(contact, segment, evidence, until);
        let mut expired: Vec<Evidence> = own
            .iter()
            .filter(|own| reason(own) == Some(Reason::Expired))
            .cloned()
            .collect();
        expired.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.name.cmp(&b.name)));
        let mut other_names: Vec<OtherName> = others
            .iter()
            .filter(|other| reason(other).is_none())
            .map(|other| OtherName {
                name: other.name.clone(),
                client: other.client,
                ts: other.last,
            })
            .collect();
        other_names.sort_by(|a, b| {
            b.ts.cmp(&a.ts)
                .then_with(|| (&a.name, a.client).cmp(&(&b.name, b.client)))
        });
        other_names.truncate(CONSIDERED);
        let host = (segment, client);
        let why = if !expired.is_empty() {
            Unexplained::Expired
        } else if own.iter().any(|own| reason(own) == Some(Reason::Unsolicited)) {
            Unexplained::Unsolicited
        } else if self.facts.is_truncated(host, contact.first.plus(TRUNCATED_FOR)) {
            Unexplained::Truncated
        } else if !other_names.is_empty() {
            Unexplained::OtherClient
        } else if self.facts.is_encrypted(host, contact.first) {
            Unexplained::EncryptedDns
        } else if self.facts.is_lossy(contact.first) {
            Unexplained::Loss
        } else if !self.has_saved_names && self.facts.watched(contact.source, contact.first) < WARM_UP {
            Unexplained::WarmUp
        } else {
            Unexplained::NoQuery
        };
        NoName {
            why,
            other_names,
            expired,
        }
    }

    /// Returns what was considered for a contact, for `explain` (rule A1).
    pub(super) fn considered(&self, contact: &Contact, chosen: &[Candidate], until: Timestamp) -> Vec<Considered> {
        let of = |evidence: &Evidence, scope, reason| Considered {
            name: evidence.name.clone(),
            client: evidence.client,
            server: evidence.server,
            ts: evidence.last,
            scope,
            reason,
        };
        let mut considered: Vec<Considered> = chosen
            .iter()
            .enumerate()
            .map(|(n, candidate)| {
                let reason = if n == 0 { Reason::Chosen } else { Reason::NotFirst };
                of(&candidate.evidence, Some(candidate.scope), reason)
            })
            .collect();
        let is_chosen = |evidence: &Evidence| {
            chosen
                .iter()
                .any(|c| c.evidence.client == evidence.client && c.evidence.name == evidence.name)
        };
        let rest = self
            .names
            .of_all(contact.segment, contact.responder.ip, |evidence| !is_chosen(evidence));
        for evidence in rest {
            let reason = self
                .reason(contact, contact.segment, &evidence, until)
                .unwrap_or(Reason::OutOfScope);
            considered.push(of(&evidence, None, reason));
        }
        considered.truncate(CONSIDERED);
        considered
    }
}
