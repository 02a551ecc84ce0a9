//! Names become destinations: the domain that a workload contacts, and the tenant of a shared service (rules D1 to D4).
//!
//! Pure functions of the name and the settings. It resolves nothing and knows no address.

mod aws;
mod name;
mod pattern;
mod rules;
mod suffix_list;

use std::sync::Arc;

use name::{Name, normal, without_trailing_dots};
use rules::Rules;
use suffix_list::SuffixList;

use crate::model::{Destination, Policy};

/// Why aggregation cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregationError {
    /// The text that was given is no public suffix list.
    #[error("not a public suffix list: {0}")]
    SuffixList(String),
    /// A rule cannot be used.
    #[error("aggregate[{index}].{field}: {reason}")]
    Rule {
        /// Which of the settings' rules, from 0.
        index: usize,
        /// Which part of it, by its key.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// The rules by which names become destinations.
#[derive(Debug)]
pub struct Aggregation {
    rules: Rules,
    suffixes: SuffixList,
}

impl Aggregation {
    /// Sets up the rules of the policy in front of the built-in ones, and the public suffix list.
    ///
    /// A rule of the policy replaces a built-in one with the same suffix.
    ///
    /// # Errors
    ///
    /// `SuffixList` when `public_suffix_list` is given and is none; `Rule` when a suffix is no name, stands twice or is
    /// the alias of nothing, or when an entry of `strip` is not a part of a label.
    pub fn new(policy: &Policy) -> Result<Self, AggregationError> {
        let suffixes = match &policy.public_suffix_list {
            None => SuffixList::BuiltIn,
            Some(text) => {
                SuffixList::Given(Box::new(text.parse().map_err(|error: publicsuffix::Error| {
                    AggregationError::SuffixList(error.to_string())
                })?))
            }
        };
        Ok(Self {
            rules: Rules::new(&aws::rules(), &policy.aggregates)?,
            suffixes,
        })
    }

    /// Returns where a name leads. Every string leads somewhere: one without a registrable domain stands for itself.
    ///
    /// Names come in presentation form (RFC 1035 section 5.1), so `\.` is no label boundary. What ends in a number is
    /// an address written as a name, and stands for itself too.
    #[must_use]
    pub fn destination(&self, name: &str) -> Destination {
        let normal = normal(name);
        let Some(name) = Name::new(&normal) else {
            let bare = without_trailing_dots(&normal);
            return itself(if bare.is_empty() { "." } else { bare });
        };
        if let Some(destination) = self.rules.destination(&name) {
            return destination;
        }
        if name
            .labels()
            .last()
            .is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit()))
        {
            return itself(name.text());
        }
        let domain = self
            .suffixes
            .icann(&name)
            .and_then(|count| name.tail(count))
            .unwrap_or(name.text());
        let tenant = self.suffixes.whole(&name).and_then(|count| name.tail(count));
        Destination {
            domain: domain.into(),
            tenant: tenant.filter(|&tenant| tenant != domain).map(Arc::from),
        }
    }
}

/// Returns the destination of a name that stands for itself.
fn itself(name: &str) -> Destination {
    Destination {
        domain: name.into(),
        tenant: None,
    }
}

#[cfg(test)]
mod tests;
