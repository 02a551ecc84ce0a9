//! Renewal: a name that a client still uses lives on (rule N3).

use std::sync::Arc;

use hashbrown::HashMap;

use crate::model::{Address, Evidence, Segment, Span, Timestamp};

use super::map::{LIFE_CAP, LIFE_FLOOR, LONGEST_LIFE, SAVED_EVERY};

/// A use of a name by a client.
#[derive(Debug, Clone, Copy)]
struct Use {
    last: Timestamp,
    /// The use, or else the answer, that the ledger knows of.
    saved: Timestamp,
}

/// When which client last contacted an address by which name.
///
/// One entry stands for every address that the client was given for the name, so that a use renews them all. Only the
/// judge has one.
#[derive(Debug, Default)]
pub struct Renewals {
    used: HashMap<(Segment, Address, Arc<str>), Use, foldhash::quality::RandomState>,
}

impl Renewals {
    /// Notes that evidence explained a contact at `at`. Returns until when it lives now if the ledger should know, so
    /// that a restart does not take a name in use for an expired one.
    pub fn renew(&mut self, segment: Segment, evidence: &Evidence, at: Timestamp) -> Option<Timestamp> {
        let key = (segment, evidence.client, evidence.name.clone());
        let used = self.used.entry(key).or_insert(Use {
            last: at,
            saved: evidence.last,
        });
        used.last = at.max(used.last);
        if used.last.since(used.saved.max(evidence.last)) < SAVED_EVERY {
            return None;
        }
        used.saved = used.last;
        Some(renewed(evidence, used.last))
    }

    /// Says whether evidence may explain a contact at `at`: it lives for max(TTL, 1 h) after it was last answered or last
    /// used, at most max(TTL, 24 h) after the last answer.
    #[must_use]
    pub fn is_alive(&self, segment: Segment, evidence: &Evidence, at: Timestamp) -> bool {
        if evidence.expires >= at {
            return true;
        }
        let key = (segment, evidence.client, evidence.name.clone());
        let used = self.used.get(&key);
        used.is_some_and(|used| at <= renewed(evidence, used.last))
    }

    /// Drops what cannot renew anything any more.
    pub fn expire(&mut self, now: Timestamp) {
        self.used.retain(|_, used| now.since(used.last) <= LONGEST_LIFE);
    }

    /// Drops the longest unused until at most `limit` are left.
    pub fn evict(&mut self, limit: usize) {
        if self.used.len() <= limit {
            return;
        }
        let surplus = self.used.len() - limit + limit / 8;
        let mut ages: Vec<_> = self.used.iter().map(|(key, used)| (used.last, key.clone())).collect();
        ages.sort_unstable();
        for (_, key) in ages.into_iter().take(surplus) {
            self.used.remove(&key);
        }
    }

    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        for used in self.used.values_mut() {
            used.last = used.last.plus(span);
            used.saved = used.saved.plus(span);
        }
    }
}

/// Returns until when evidence lives that was last used at `used`.
fn renewed(evidence: &Evidence, used: Timestamp) -> Timestamp {
    let life = LIFE_FLOOR.max(Span::seconds(i64::from(evidence.ttl)).min(LONGEST_LIFE));
    let cap = LIFE_CAP.max(Span::seconds(i64::from(evidence.greatest_ttl)));
    used.plus(life).min(evidence.last.plus(cap))
}
