//! Which workload an address belongs to: the inventory of the settings, else the address itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use crate::model::{Address, NamesPolicy, Scopes, WorkloadKey, WorkloadRule};

/// Who an originator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the workload is known by in the baseline and in alert ids.
    pub key: WorkloadKey,
    /// What people call it: the inventory's name, else its address.
    pub name: Arc<str>,
    /// Which rule of the inventory named it, to be looked up with [`Workloads::rule`].
    pub rule: Option<usize>,
}

/// The inventory, ready for look-ups.
#[derive(Debug)]
pub struct Workloads {
    rules: Vec<WorkloadRule>,
    anywhere: Prefixes,
    by_segment: HashMap<Arc<str>, Prefixes>,
}

/// Positions of rules by prefix, the families apart.
#[derive(Debug, Default)]
struct Prefixes {
    v4: PrefixMap<Ipv4Net, usize>,
    v6: PrefixMap<Ipv6Net, usize>,
}

impl Workloads {
    /// Takes the inventory. Where two rules of the same segment share a prefix, the earlier one has it.
    #[must_use]
    pub fn new(rules: &[WorkloadRule]) -> Self {
        let mut anywhere = Prefixes::default();
        let mut by_segment: HashMap<Arc<str>, Prefixes> = HashMap::new();
        for (position, rule) in rules.iter().enumerate() {
            let prefixes = match &rule.segment {
                None => &mut anywhere,
                Some(segment) => by_segment.entry(segment.clone()).or_default(),
            };
            for prefix in &rule.prefixes {
                prefixes.add(prefix, position);
            }
        }
        Self {
            rules: rules.to_vec(),
            anywhere,
            by_segment,
        }
    }

    /// Returns the rule that names an address in a segment: the one with the longest prefix, and of two equally long
    /// ones that which is limited to the segment.
    #[must_use]
    pub fn find(&self, segment: &str, address: Address) -> Option<&WorkloadRule> {
        self.position(segment, address)
            .and_then(|position| self.rules.get(position))
    }

    /// Returns the rule at a position that an [`Identity`] holds.
    #[must_use]
    pub fn rule(&self, position: usize) -> Option<&WorkloadRule> {
        self.rules.get(position)
    }

    /// Returns who an address is in a segment, which is given as records write it.
    #[must_use]
    pub fn identity(&self, segment: &Arc<str>, address: Address) -> Identity {
        let position = self.position(segment, address);
        match position.and_then(|position| self.rules.get(position)) {
            Some(rule) => Identity {
                key: WorkloadKey::Named(rule.name.clone()),
                name: rule.name.clone(),
                rule: position,
            },
            None => Identity {
                key: WorkloadKey::Address(segment.clone(), address),
                name: address.to_string().into(),
                rule: None,
            },
        }
    }

    fn position(&self, segment: &str, address: Address) -> Option<usize> {
        let anywhere = self.anywhere.longest(address);
        let here = self
            .by_segment
            .get(segment)
            .and_then(|prefixes| prefixes.longest(address));
        match (here, anywhere) {
            (Some((here, position)), Some((anywhere, _))) if here >= anywhere => Some(position),
            (_, Some((_, position))) | (Some((_, position)), None) => Some(position),
            (None, None) => None,
        }
    }
}

impl Prefixes {
    fn add(&mut self, prefix: &IpNet, position: usize) {
        match prefix {
            IpNet::V4(prefix) => *self.v4.entry(prefix.trunc()).or_insert(position),
            IpNet::V6(prefix) => *self.v6.entry(prefix.trunc()).or_insert(position),
        };
    }

    /// Returns the length of the longest prefix around the address, and whose it is.
    fn longest(&self, address: Address) -> Option<(u8, usize)> {
        match address.ip() {
            IpAddr::V4(ip) => self
                .v4
                .get_lpm(&Ipv4Net::from(ip))
                .map(|(prefix, &position)| (prefix.prefix_len(), position)),
            IpAddr::V6(ip) => self
                .v6
                .get_lpm(&Ipv6Net::from(ip))
                .map(|(prefix, &position)| (prefix.prefix_len(), position)),
        }
    }
}

/// Returns whose answers explain the contacts of a workload (rule N4): as its own rule says, else as all others.
#[must_use]
pub fn scopes(rule: Option<&WorkloadRule>, names: &NamesPolicy) -> Scopes {
    rule.and_then(|rule| rule.scopes).unwrap_or(names.scopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Policy;

    fn rule(name: &str, segment: Option<&str>, prefixes: &[&str]) -> WorkloadRule {
        WorkloadRule {
            name: name.into(),
            prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            segment: segment.map(Arc::from),
            group: None,
            owner: None,
            scopes: None,
        }
    }

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn name<'a>(workloads: &'a Workloads, segment: &str, ip: &str) -> Option<&'a str> {
        workloads.find(segment, address(ip)).map(|rule| &*rule.name)
    }

    #[test]
    fn the_longest_prefix_names_the_workload() {
        let workloads = Workloads::new(&[
            rule("wide", None, &["10.0.0.0/8", "2001:db8::/32"]),
            rule("web", None, &["10.1.0.0/24"]),
            rule("one", None, &["10.1.0.7/32", "2001:db8::7/128"]),
        ]);
        assert_eq!(name(&workloads, "-", "10.2.0.1"), Some("wide"));
        assert_eq!(name(&workloads, "-", "10.1.0.1"), Some("web"));
        assert_eq!(name(&workloads, "vni=5", "10.1.0.7"), Some("one"));
        assert_eq!(name(&workloads, "-", "2001:db8::8"), Some("wide"));
        assert_eq!(name(&workloads, "-", "2001:db8::7"), Some("one"));
        assert_eq!(name(&workloads, "-", "192.0.2.1"), None);
    }

    #[test]
    fn a_rule_of_the_segment_wins_at_equal_length_only_and_there_only() {
        let workloads = Workloads::new(&[
            rule("all", None, &["10.1.0.0/24", "10.2.0.0/16"]),
            rule("blue", Some("vni=7"), &["10.1.0.0/24", "10.2.0.0/24", "10.0.0.0/8"]),
        ]);
        assert_eq!(name(&workloads, "vni=7", "10.1.0.1"), Some("blue"));
        assert_eq!(name(&workloads, "vni=8", "10.1.0.1"), Some("all"));
        assert_eq!(name(&workloads, "vni=7", "10.2.0.1"), Some("blue"));
        assert_eq!(name(&workloads, "vni=7", "10.2.1.1"), Some("all"));
        assert_eq!(name(&workloads, "vni=7", "10.3.0.1"), Some("blue"));
        assert_eq!(name(&workloads, "-", "10.3.0.1"), None);
    }

    #[test]
    fn all_of_ipv6_does_not_name_ipv4() {
        let workloads = Workloads::new(&[rule("six", None, &["::/0"])]);
        assert_eq!(name(&workloads, "-", "10.0.0.1"), None);
        assert_eq!(name(&workloads, "-", "2001:db8::1"), Some("six"));
    }

    #[test]
    fn an_address_that_no_rule_names_is_its_own_workload_in_its_segment() {
        let workloads = Workloads::new(&[rule("web", None, &["10.1.0.0/24"])]);
        let segment: Arc<str> = "vni=7".into();
        assert_eq!(
            workloads.identity(&segment, address("10.9.0.1")),
            Identity {
                key: WorkloadKey::Address(segment.clone(), address("10.9.0.1")),
                name: "10.9.0.1".into(),
                rule: None,
            }
        );
        assert_eq!(
            workloads.identity(&segment, address("10.1.0.1")),
            Identity {
                key: WorkloadKey::Named("web".into()),
                name: "web".into(),
                rule: Some(0),
            }
        );
    }

    #[test]
    fn rule_n4_scopes_are_the_workload_s_own_or_everybody_s() {
        let names = Policy::default().names;
        let own = Scopes {
            any: true,
            ..Scopes::default()
        };
        let mut web = rule("web", None, &[]);
        assert_eq!(scopes(None, &names), names.scopes);
        assert_eq!(scopes(Some(&web), &names), names.scopes);
        web.scopes = Some(own);
        assert_eq!(scopes(Some(&web), &names), own);
    }
}
