//! Which workload an address belongs to: the inventory of the settings, else the address itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
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
    by_name: HashMap<Arc<str>, Named>,
}

/// Where the workloads of a name may be: in any segment, and in those that have rules of their own for it.
#[derive(Debug, Default)]
struct Named {
    anywhere: Members,
    by_segment: HashMap<Arc<str>, Members>,
}

/// The addresses that rules of one name speak of; rules with a longer prefix may name some of them otherwise.
#[derive(Debug, Default)]
struct Members {
    /// None is in two of them.
    ranges: Vec<RangeInclusive<Address>>,
    /// Where prefixes begin, in order.
    starts: Vec<Address>,
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
            by_name: by_name(rules),
        }
    }

    /// Returns the addresses among which the workloads of a name are in a segment: each of its own is in one range.
    #[must_use]
    pub fn among(&self, segment: &str, name: &str) -> &[RangeInclusive<Address>] {
        self.members(segment, name).map_or(&[], |members| &members.ranges)
    }

    /// Returns the last of the addresses from this one on that are no workloads of a name in a segment; `None` if it is one
    /// itself. Some behind the last one may be none either.
    #[must_use]
    pub fn others_until(&self, segment: &str, name: &str, address: Address) -> Option<Address> {
        let Some((length, position)) = self.longest(segment, address) else {
            return Some(address);
        };
        if self.rules.get(position).is_some_and(|rule| &*rule.name == name) {
            return None;
        }
        let starts = self.members(segment, name).map_or(&[][..], |members| &members.starts);
        let next = starts.get(starts.partition_point(|start| *start <= address));
        let last = last_of(address, length);
        // Within what is named otherwise there may be longer prefixes of this name again.
        Some(next.map_or(last, |next| last.min(before(*next))))
    }

    fn members(&self, segment: &str, name: &str) -> Option<&Members> {
        let named = self.by_name.get(name)?;
        Some(named.by_segment.get(segment).unwrap_or(&named.anywhere))
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
        self.longest(segment, address).map(|(_, position)| position)
    }

    /// Returns the length of the prefix that names an address in a segment, and which rule has it.
    fn longest(&self, segment: &str, address: Address) -> Option<(u8, usize)> {
        let anywhere = self.anywhere.longest(address);
        let here = self
            .by_segment
            .get(segment)
            .and_then(|prefixes| prefixes.longest(address));
        match (here, anywhere) {
            (Some(here), Some(anywhere)) if here.0 >= anywhere.0 => Some(here),
            (_, Some(longest)) | (Some(longest), None) => Some(longest),
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

/// Returns what the rules of each name speak of.
fn by_name(rules: &[WorkloadRule]) -> HashMap<Arc<str>, Named> {
    let mut by_name: HashMap<Arc<str>, Named> = HashMap::new();
    for rule in rules {
        let named = by_name.entry(rule.name.clone()).or_default();
        if let Some(segment) = &rule.segment {
            named.by_segment.entry(segment.clone()).or_default();
        }
    }
    for (name, named) in &mut by_name {
        let own = || rules.iter().filter(|rule| rule.name == *name);
        named.anywhere = Members::of(own().filter(|rule| rule.segment.is_none()));
        for (segment, members) in &mut named.by_segment {
            let here = |rule: &&WorkloadRule| rule.segment.as_ref().is_none_or(|other| other == segment);
            *members = Members::of(own().filter(here));
        }
    }
    by_name
}

impl Members {
    fn of<'a>(rules: impl Iterator<Item = &'a WorkloadRule>) -> Self {
        let prefixes: Vec<IpNet> = rules.flat_map(|rule| rule.prefixes.iter().copied()).collect();
        let mut starts: Vec<Address> = prefixes.iter().map(|prefix| prefix.network().into()).collect();
        starts.sort_unstable();
        starts.dedup();
        let range = |prefix: &IpNet| {
            let first = Address::from(prefix.network());
            first..=last_of(first, prefix.prefix_len())
        };
        let mut ranges: Vec<RangeInclusive<Address>> = IpNet::aggregate(&prefixes).iter().map(range).collect();
        ranges.sort_unstable_by_key(|range| *range.start());
        // All of IPv6 is around all of IPv4 as addresses are written here.
        let mut end = None;
        ranges.retain(|range| {
            let is_behind = end.is_none_or(|end| range.start() > &end);
            if is_behind {
                end = Some(*range.end());
            }
            is_behind
        });
        Self { ranges, starts }
    }
}

/// Returns the last address with the same prefix of this length, which counts in its own family.
fn last_of(address: Address, length: u8) -> Address {
    let family = address.as_v4().map_or(0, |_| 96);
    let host = u128::MAX.checked_shr(u32::from(length) + family).unwrap_or(0);
    Address::v6((u128::from_be_bytes(address.octets()) | host).to_be_bytes())
}

fn before(address: Address) -> Address {
    let number = u128::from_be_bytes(address.octets());
    Address::v6(number.saturating_sub(1).to_be_bytes())
}

/// Returns whose answers explain the contacts of a workload (rule N4): as its own rule says, else as all others.
#[must_use]
pub fn scopes(rule: Option<&WorkloadRule>, names: &NamesPolicy) -> Scopes {
    rule.and_then(|rule| rule.scopes).unwrap_or(names.scopes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn going_through_the_ranges_of_a_name_meets_all_of_its_workloads_and_no_other(
            rules in prop::collection::vec((0_u8..3, 0_u8..3, prop::collection::vec((any::<u8>(), 0_u8..9), 1..4)), 1..6),
        ) {
            let segments = [None, Some("vni=1"), Some("vni=2")];
            let rules: Vec<WorkloadRule> = rules
                .iter()
                .map(|(name, segment, prefixes)| {
                    // Some within 256 addresses, and now and then all of IPv6.
                    let prefix = |(host, length): &(u8, u8)| match length {
                        0 => "::/0".to_owned(),
                        _ => format!("10.0.0.{host}/{}", 23 + length),
                    };
                    let prefixes: Vec<String> = prefixes.iter().map(prefix).collect();
                    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
                    rule(&format!("n{name}"), segments[usize::from(*segment)], &prefixes)
                })
                .collect();
            let workloads = Workloads::new(&rules);
            let mut all: Vec<Address> = (0..=255).map(|host| Address::v4([10, 0, 0, host])).collect();
            all.extend([address("::7"), address("2001:db8::7")]);
            all.sort_unstable();
            let pairs = ["-", "vni=1", "vni=2"].into_iter().flat_map(|segment| ["n0", "n1", "n2"].map(|name| (segment, name)));
            for (segment, name) in pairs {
                let mut met = Vec::new();
                for range in workloads.among(segment, name) {
                    let mut next = *range.start();
                    for address in all.iter().filter(|address| range.contains(address)) {
                        if *address < next {
                            continue;
                        }
                        match workloads.others_until(segment, name, *address) {
                            None => met.push(*address),
                            Some(last) => {
                                prop_assert!(last >= *address);
                                next = Address::v6((u128::from_be_bytes(last.octets()) + 1).to_be_bytes());
                            }
                        }
                    }
                }
                let is_own = |address: &&Address| workloads.find(segment, **address).is_some_and(|rule| &*rule.name == name);
                let mut expected: Vec<Address> = all.iter().filter(is_own).copied().collect();
                expected.sort_unstable();
                met.sort_unstable();
                prop_assert_eq!(met, expected, "{} in {}", name, segment);
            }
        }
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
