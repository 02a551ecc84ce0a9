//! Aggregation by service: `[[aggregate]]` rules, ours and the operator's (rules D2, D4).

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::name::{Name, normal, without_trailing_dots};
use super::pattern::{Pattern, without_ending};
use super::{AggregationError, Destination};
use crate::model::AggregateRule;

/// Rules by suffix.
#[derive(Debug)]
pub(super) struct Rules {
    rules: HashMap<String, Rule, foldhash::fast::RandomState>,
    /// The most labels that a suffix has.
    longest: usize,
}

#[derive(Debug)]
enum Rule {
    Service(ServiceRule),
    AliasOf(String),
}

#[derive(Debug)]
struct ServiceRule {
    labels: Vec<Pattern>,
    endings: Vec<Pattern>,
    verbatim: Vec<String>,
    tenant: bool,
}

impl Rules {
    /// Compiles the rules; one of the operator replaces a built-in one with the same suffix.
    pub(super) fn new(built_in: &[AggregateRule], given: &[AggregateRule]) -> Result<Self, AggregationError> {
        let mut this = Self {
            rules: HashMap::default(),
            longest: 0,
        };
        for rule in built_in {
            this.add(rule).map_err(|(field, reason)| AggregationError::Rule {
                index: 0,
                field,
                reason,
            })?;
        }
        let mut seen = BTreeSet::new();
        for (index, rule) in given.iter().enumerate() {
            let refused = |(field, reason)| AggregationError::Rule { index, field, reason };
            let suffix = this.add(rule).map_err(refused)?;
            if !seen.insert(suffix.clone()) {
                return Err(refused(("suffix", format!("a second rule for {suffix}"))));
            }
        }
        for (index, rule) in given.iter().enumerate() {
            let Some(target) = &rule.alias_of else { continue };
            let target = suffix_of(target);
            if !target.is_some_and(|target| matches!(this.rules.get(&target), Some(Rule::Service(_)))) {
                return Err(AggregationError::Rule {
                    index,
                    field: "alias_of",
                    reason: "no rule, or an alias itself".into(),
                });
            }
        }
        Ok(this)
    }

    fn add(&mut self, rule: &AggregateRule) -> Result<String, (&'static str, String)> {
        let not_a_suffix = || "not a name of one label or more".to_owned();
        let suffix = suffix_of(&rule.suffix).ok_or_else(|| ("suffix", not_a_suffix()))?;
        let compiled = match &rule.alias_of {
            Some(target) => Rule::AliasOf(suffix_of(target).ok_or_else(|| ("alias_of", not_a_suffix()))?),
            None => {
                if let Some(bad) = rule.strip.iter().find(|entry| {
                    entry.is_empty() || *entry == "*" || *entry == "-" || *entry == "-*" || entry.contains('.')
                }) {
                    return Err(("strip", format!("{bad:?} is not a part of one label")));
                }
                let (endings, labels) = rule.strip.iter().partition::<Vec<_>, _>(|entry| entry.starts_with('-'));
                Rule::Service(ServiceRule {
                    labels: labels.iter().map(|entry| Pattern::new(entry)).collect(),
                    endings: endings.iter().map(|entry| Pattern::new(entry)).collect(),
                    verbatim: rule
                        .verbatim
                        .iter()
                        .map(|service| service.to_ascii_lowercase())
                        .collect(),
                    tenant: rule.tenant,
                })
            }
        };
        self.longest = self
            .longest
            .max(Name::new(&suffix).map_or(0, |name| name.labels().len()));
        self.rules.insert(suffix.clone(), compiled);
        Ok(suffix)
    }

    /// Returns where the name leads if a rule covers it; the longest suffix decides.
    pub(super) fn destination(&self, name: &Name<'_>) -> Option<Destination> {
        let all = name.labels();
        let most = self.longest.min(all.len());
        (1..=most).rev().find_map(|count| {
            let suffix = name.tail(count)?;
            let left = all.get(..all.len().checked_sub(count)?)?;
            match self.rules.get(suffix)? {
                Rule::Service(rule) => Some(rule.destination(left, suffix)),
                Rule::AliasOf(target) => match self.rules.get(target)? {
                    Rule::Service(rule) => Some(rule.destination(left, target)),
                    Rule::AliasOf(_) => None,
                },
            }
        })
    }
}

impl ServiceRule {
    fn destination(&self, left: &[&str], suffix: &str) -> Destination {
        let mut rest = left;
        while let Some((label, before)) = rest.split_last() {
            rest = before;
            let Some(service) = self.service(label) else { continue };
            let domain: Arc<str> = format!("{service}.{suffix}").into();
            let tenant = if self.tenant {
                self.tenant(rest, service, &domain)
            } else {
                None
            };
            return Destination { domain, tenant };
        }
        Destination {
            domain: suffix.into(),
            tenant: None,
        }
    }

    /// Returns what is left of a label; `None` when nothing is, because it is a region or the like.
    ///
    /// What it returns it returns again when it is given that.
    fn service<'a>(&self, label: &'a str) -> Option<&'a str> {
        let mut service = label;
        while !self.is_dropped(service) {
            match without_ending(service, &self.endings) {
                Some(shorter) => service = shorter,
                None => return Some(service),
            }
        }
        None
    }

    fn tenant(&self, left: &[&str], service: &str, domain: &str) -> Option<Arc<str>> {
        let is_verbatim = self.verbatim.iter().any(|verbatim| verbatim == service);
        let mut tenant = String::new();
        for label in left.iter().filter(|label| is_verbatim || !self.is_dropped(label)) {
            tenant.push_str(label);
            tenant.push('.');
        }
        (!tenant.is_empty()).then(|| (tenant + domain).into())
    }

    fn is_dropped(&self, label: &str) -> bool {
        self.labels.iter().any(|pattern| pattern.matches(label))
    }
}

fn suffix_of(text: &str) -> Option<String> {
    let text = normal(text.trim());
    let text = without_trailing_dots(&text);
    let text = text.strip_prefix('.').unwrap_or(text);
    Name::new(text).map(|name| name.text().to_owned())
}
