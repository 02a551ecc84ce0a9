//! Which of the names that were given for an address explains a contact (rule N4).

use smallvec::SmallVec;

use crate::model::{Evidence, Scope, Segment, Timestamp};

/// Evidence that is within a scope of a contact and alive.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Whose answer it was, seen from the contact.
    pub scope: Scope,
    /// The address space in which it was given; only a resolver's may differ from the contact's.
    pub segment: Segment,
    /// The evidence.
    pub evidence: Evidence,
}

impl Candidate {
    /// Returns when the name was answered, as far as a contact at `at` is concerned: last by then, else first after it.
    #[must_use]
    pub fn answered(&self, at: Timestamp) -> Timestamp {
        answered(&self.evidence, at)
    }
}

/// Returns when a name was answered as seen from `at`: the latest answer known to be no later, else the first one.
///
/// Evidence keeps its first and last answer only; one in between counts as the first.
#[must_use]
pub(super) fn answered(evidence: &Evidence, at: Timestamp) -> Timestamp {
    if evidence.facts.last <= at {
        evidence.facts.last
    } else {
        evidence.facts.first
    }
}

/// The candidates of a contact in the order of rule N4: the one that explains it first. Nearly always there is one.
pub type Candidates = SmallVec<[Candidate; 1]>;

/// Orders candidates for a contact at `at`: by scope, then names answered by then, newest first, then later ones,
/// earliest first; on a tie the smaller name, then the smaller client.
#[must_use]
pub fn choose(mut candidates: Candidates, at: Timestamp) -> Candidates {
    candidates.sort_by(|a, b| {
        let key = |c: &Candidate| {
            let answered = c.answered(at);
            let is_later = answered > at;
            let distance = if is_later {
                answered.since(at)
            } else {
                at.since(answered)
            };
            (c.scope, is_later, distance)
        };
        key(a)
            .cmp(&key(b))
            .then_with(|| a.evidence.name().cmp(b.evidence.name()))
            .then_with(|| a.evidence.client.cmp(&b.evidence.client))
    });
    candidates
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Address, Admission, AnswerFacts, EvidenceKind, Provenance};

    fn candidate(scope: Scope, name: &str, first: i64, last: i64) -> Candidate {
        Candidate {
            scope,
            segment: Segment::NONE,
            evidence: Evidence {
                provenance: Arc::new(Provenance::new(
                    name.into(),
                    Address::v4([10, 0, 0, 53]),
                    Box::default(),
                )),
                client: Address::v4([10, 0, 0, 1]),
                facts: AnswerFacts {
                    kind: EvidenceKind::DnsAddress,
                    admission: Admission::Admitted,
                    ttl: 60,
                    first: Timestamp(first),
                    last: Timestamp(last),
                    expires: Timestamp(i64::MAX),
                    greatest_ttl: 60,
                },
            },
        }
    }

    fn order(candidates: Vec<Candidate>, at: i64) -> Vec<String> {
        let chosen = choose(candidates.into(), Timestamp(at));
        chosen.iter().map(|c| c.evidence.name().to_string()).collect()
    }

    #[test]
    fn rule_n4_newest_by_the_contact_first_then_the_earliest_later_one() {
        let given = vec![
            candidate(Scope::Client, "later-two", 30, 30),
            candidate(Scope::Client, "older", 1, 5),
            candidate(Scope::Client, "later-one", 20, 40),
            candidate(Scope::Client, "newer", 2, 9),
        ];
        assert_eq!(order(given, 10), ["newer", "older", "later-one", "later-two"]);
    }

    #[test]
    fn rule_n4_scopes_come_first_and_ties_go_by_name() {
        let given = vec![
            candidate(Scope::Resolver, "a", 9, 9),
            candidate(Scope::Client, "c", 1, 1),
            candidate(Scope::Client, "b", 1, 1),
        ];
        assert_eq!(order(given, 10), ["b", "c", "a"]);
    }
}
