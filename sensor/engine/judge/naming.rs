//! Which name explains a contact, and if none does, why (rules N2 to N5).

use std::ops::RangeInclusive;

use smallvec::SmallVec;

use crate::identity::scopes;
use crate::model::{
    Address, Admission, Considered, Evidence, OtherName, Reason, Scope, Segment, Span, Timestamp, Unexplained,
};
use crate::names::{Asked, Candidate, Candidates, ENOUGH, EVERYBODY, around, choose};

use super::Judge;
use super::contacts::Contact;
use super::facts::Host;
use super::registry::Who;

/// How many pieces of evidence an alert keeps for `explain` (rule A1).
const CONSIDERED: usize = 16;
/// A source that was watched for less, with no saved names, may have missed the answer (rule N5).
const WARM_UP: Span = Span::hours(1);
/// So many resolvers are asked one by one; of more, those that were told of the address, if these are fewer.
const FEW_RESOLVERS: usize = 8;
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
    pub(super) fn candidates(&self, contact: &Contact, who: Who, until: Timestamp) -> Candidates {
        let rule = who.rule.and_then(|rule| self.rules.rule(rule));
        let wanted = scopes(rule, &self.policy.names);
        let mut found = Candidates::new();
        let (segment, address) = (contact.segment, contact.responder.ip);
        let take = |scope: Scope, segment: Segment, evidence: Evidence, found: &mut Candidates| {
            if reason(contact, &evidence, until).is_none() {
                found.push(Candidate {
                    scope,
                    segment,
                    evidence,
                });
            }
        };
        if wanted.client {
            self.names
                .of_client(segment, address, contact.originator.ip, contact.first, |evidence| {
                    take(Scope::Client, segment, evidence, &mut found);
                });
            if !found.is_empty() {
                return choose(found, contact.first);
            }
        }
        if let Some(mac) = contact.mac.filter(|_| wanted.host) {
            let others = self.facts.same_host(segment, mac);
            for other in others.filter(|other| *other != contact.originator.ip) {
                self.names
                    .of_client(segment, address, other, contact.first, |evidence| {
                        take(Scope::Host, segment, evidence, &mut found);
                    });
            }
            if !found.is_empty() {
                return choose(found, contact.first);
            }
        }
        let explains = |evidence: &Evidence| reason(contact, evidence, until).is_none();
        if let Some(rule) = rule.filter(|_| wanted.workload) {
            let (text, name) = (self.text_of(segment), &*rule.name);
            let asked = asked(contact, self.rules.among(&text, name), ENOUGH);
            let others_until = |client| self.rules.others_until(&text, name, client);
            for evidence in self.names.of_told(&asked, others_until, explains) {
                take(Scope::Workload, segment, evidence, &mut found);
            }
            if !found.is_empty() {
                return choose(found, contact.first);
            }
        }
        if wanted.resolver {
            let count = self.facts.resolver_count();
            let are_few = count <= FEW_RESOLVERS || count <= self.names.told_count(address);
            let resolvers: SmallVec<[Host; FEW_RESOLVERS]> = if are_few {
                self.facts.resolvers().collect()
            } else {
                let told = self.names.told(address).into_iter();
                told.filter(|host| self.facts.is_detected(*host)).collect()
            };
            for (of, resolver) in resolvers {
                self.names.of_client(of, address, resolver, contact.first, |evidence| {
                    take(Scope::Resolver, of, evidence, &mut found);
                });
            }
            if !found.is_empty() {
                return choose(found, contact.first);
            }
        }
        if wanted.any {
            let among = around(contact.originator.ip);
            let asked = asked(contact, &among, ENOUGH);
            for evidence in self.names.of_told(&asked, |_| None, explains) {
                take(Scope::Any, segment, evidence, &mut found);
            }
        }
        choose(found, contact.first)
    }

    /// Returns why nothing explains a contact: the first reason that applies (rule N5).
    pub(super) fn no_name(&self, contact: &Contact, until: Timestamp) -> NoName {
        let (segment, client) = (contact.segment, contact.originator.ip);
        let reason = |evidence: &Evidence| reason(contact, evidence, until);
        let among = around(client);
        let asked = asked(contact, &among, ENOUGH);
        let all = self.names.of_told(
            &asked,
            |_| None,
            |evidence| match evidence.client == client {
                true => evidence.facts.first <= until,
                false => reason(evidence).is_none(),
            },
        );
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|evidence| evidence.client == client);
        let mut expired: Vec<Evidence> = own
            .iter()
            .filter(|own| reason(own) == Some(Reason::Expired))
            .cloned()
            .collect();
        expired.sort_by(|a, b| b.facts.last.cmp(&a.facts.last).then_with(|| a.name().cmp(b.name())));
        let mut other_names: Vec<OtherName> = others
            .iter()
            .map(|other| OtherName {
                name: other.name().clone(),
                client: other.client,
                ts: other.facts.last,
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
        } else if self.facts.is_lossy(contact.source, contact.first) {
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
            name: evidence.name().clone(),
            client: evidence.client,
            server: evidence.server(),
            ts: evidence.facts.last,
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
                .any(|c| c.evidence.client == evidence.client && c.evidence.name() == evidence.name())
        };
        let asked = asked(contact, &[EVERYBODY], CONSIDERED);
        let rest = self.names.of_told(&asked, |_| None, |evidence| !is_chosen(evidence));
        for evidence in rest {
            let reason = reason(contact, &evidence, until).unwrap_or(Reason::OutOfScope);
            considered.push(of(&evidence, None, reason));
        }
        considered.truncate(CONSIDERED);
        considered
    }
}

/// Returns what is asked for a contact.
fn asked<'a>(contact: &Contact, among: &'a [RangeInclusive<Address>], enough: usize) -> Asked<'a> {
    Asked {
        segment: contact.segment,
        address: contact.responder.ip,
        at: contact.first,
        among,
        enough,
    }
}

/// Returns why a piece of evidence, whoever's it is, cannot explain a contact; `None` if it can.
fn reason(contact: &Contact, evidence: &Evidence, until: Timestamp) -> Option<Reason> {
    if evidence.server() == contact.responder.ip {
        Some(Reason::FromResponder)
    } else if evidence.facts.admission == Admission::Unsolicited {
        Some(Reason::Unsolicited)
    } else if evidence.facts.first > until || evidence.facts.expires < contact.first {
        Some(Reason::Expired)
    } else {
        None
    }
}
