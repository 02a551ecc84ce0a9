//! What is new about a contact (rules B2, B4, D3, N4).

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;

use crate::model::{AlertKind, LedgerError, PairKey, Scope, Span, Timestamp};
use crate::names::Candidate;

use super::Judge;
use super::contacts::Contact;
use super::decide::Meaning;
use super::registry::Who;

/// A server that was in the client's baseline for this long is trusted (rule N4).
const TRUSTED_AFTER: Span = Span::days(1);

/// What is new about a contact.
#[derive(Debug, Clone)]
pub(super) struct NewThing<'a> {
    pub kind: AlertKind,
    pub key: Cow<'a, PairKey>,
}

impl Judge {
    /// Says whether evidence came from an external server that nobody vouches for (rule N4).
    pub(super) fn is_untrusted(&mut self, who: Who, candidate: &Candidate, at: Timestamp) -> Result<bool, LedgerError> {
        let server = candidate.evidence.server();
        // What a resolver asked, for others or for itself, is exempt: no name server is in anybody's baseline.
        let client = candidate.evidence.client;
        let is_resolvers = candidate.scope == Scope::Resolver
            || self.facts.is_resolver((candidate.segment, client))
            || self.policy.names.resolvers.contains(&client);
        if is_resolvers || self.is_internal(server) || self.policy.names.trusted_servers.contains(&server) {
            return Ok(false);
        }
        let pair = self
            .baseline
            .pair(&*self.ledger, who.id, &PairKey::Address(server), at)?;
        Ok(pair.is_none_or(|pair| at.since(pair.first()) < TRUSTED_AFTER))
    }

    /// Says what is new about a contact, if anything is (rules B2, D3, N4).
    pub(super) fn novelty<'a>(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &'a Meaning,
    ) -> Result<Option<NewThing<'a>>, LedgerError> {
        let at = contact.first;
        if let Meaning::Named { is_untrusted, .. } = meaning
            && let Some(keys) = meaning.destination()
        {
            let tenant = keys.tenant.as_ref().map(|tenant| (AlertKind::NewTenant, tenant));
            for (kind, key) in iter::once((AlertKind::NewExternalDomain, &keys.domain)).chain(tenant) {
                if !self.is_known(who, key, at)? {
                    let key = Cow::Borrowed(key);
                    return Ok(Some(NewThing { kind, key }));
                }
            }
            if !is_untrusted {
                return Ok(None);
            }
        }
        let key = PairKey::Address(contact.responder.ip);
        let is_known = self.is_known(who, &key, at)?;
        Ok((!is_known).then_some(NewThing {
            kind: AlertKind::NewExternalIp,
            key: Cow::Owned(key),
        }))
    }

    /// Says whether a pair is known to a workload, by itself or from the group that it started from (rules B2, B4).
    pub(super) fn is_known(&mut self, who: Who, key: &PairKey, at: Timestamp) -> Result<bool, LedgerError> {
        if self.baseline.is_known(&*self.ledger, who.id, key, at)? {
            return Ok(true);
        }
        let Some(record) = self.registry.record(who.id) else {
            return Ok(false);
        };
        let since = record.since;
        let Some(group) = record.group.clone() else {
            return Ok(false);
        };
        if at.since(since) > self.policy.baseline.window {
            return Ok(false);
        }
        for member in self.baseline.holders(&*self.ledger, key)? {
            let is_member = self.registry.record(member).is_some_and(|other| {
                // Only who was there before: members that start together learn for themselves.
                other.group.as_ref() == Some(&group) && other.since < since
            });
            if is_member && member != who.id && self.was_known(member, key, since)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says whether a workload knew a destination before `at`.
    pub(super) fn was_known(
        &mut self,
        workload: crate::model::WorkloadId,
        key: &PairKey,
        at: Timestamp,
    ) -> Result<bool, LedgerError> {
        let window = self.policy.baseline.window;
        let pair = self.baseline.pair(&*self.ledger, workload, key, at)?;
        Ok(pair.is_some_and(|pair| pair.first() < at && crate::baseline::is_known(pair, at, window)))
    }

    pub(super) fn is_known_in_segment(
        &mut self,
        who: Who,
        key: &PairKey,
        segment: &Arc<str>,
        at: Timestamp,
    ) -> Result<bool, LedgerError> {
        for other in self.baseline.holders(&*self.ledger, key)? {
            let is_here = self
                .registry
                .record(other)
                .is_some_and(|record| record.segment == *segment);
            if other != who.id && is_here && self.baseline.is_known(&*self.ledger, other, key, at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says what is new about a contact that a late answer names; its address is recorded already.
    pub(super) fn named_novelty<'a>(
        &mut self,
        contact: &Contact,
        who: Who,
        meaning: &'a Meaning,
    ) -> Result<Option<NewThing<'a>>, LedgerError> {
        let new = self.novelty(contact, who, meaning)?;
        Ok(new.filter(|new| new.kind != AlertKind::NewExternalIp))
    }
}
