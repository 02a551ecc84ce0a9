//! What is internal and what is external (rule S1).

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::{Address, NetworkPolicy};

/// On which side of the border an address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Locality {
    /// In one of the estate's prefixes, link-local or loopback.
    Internal,
    /// Anywhere else.
    External,
    /// Multicast, broadcast or unspecified: nobody's address.
    Neither,
}

/// The prefixes that are internal.
///
/// The families are kept apart, so that `::/0` says nothing about IPv4. Each is a sorted list of ranges that neither
/// meet nor overlap, with a table before it of what the first octet decides, which is nearly everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    v4_first: FirstOctet,
    v6_first: FirstOctet,
    tunnels: Vec<IpNet>,
}

/// On which side all addresses lie that begin with an octet; `None` where they differ.
type FirstOctet = [Option<Locality>; 256];

/// Internal whatever the settings say: RFC 3927 and RFC 1122 section 3.2.1.3 (g).
const ALWAYS_V4: [Ipv4Net; 2] = [
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8),
];

/// Internal whatever the settings say: RFC 4291 sections 2.5.6 and 2.5.3.
const ALWAYS_V6: [Ipv6Net; 2] = [
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128),
];

impl Network {
    /// Takes the internal prefixes of the settings.
    #[must_use]
    pub fn new(policy: &NetworkPolicy) -> Self {
        let mut v4: Vec<Ipv4Net> = ALWAYS_V4.to_vec();
        let mut v6: Vec<Ipv6Net> = ALWAYS_V6.to_vec();
        for prefix in &policy.internal {
            match prefix {
                IpNet::V4(prefix) => v4.push(*prefix),
                IpNet::V6(prefix) => v6.push(*prefix),
            }
        }
        let v4 = Ranges::new(
            v4.iter()
                .map(|net| (u32::from(net.network()), u32::from(net.broadcast()))),
            |end| end.checked_add(1),
        );
        let v6 = Ranges::new(
            v6.iter()
                .map(|net| (u128::from(net.network()), u128::from(net.broadcast()))),
            |end| end.checked_add(1),
        );
        let v4_first = std::array::from_fn(|octet| match octet as u32 {
            0 | 224..=239 => Some(Locality::Neither),
            // One address of these is the broadcast address.
            255 => None,
            octet => v4.whole(octet << 24, octet << 24 | 0x00ff_ffff),
        });
        let v6_first = std::array::from_fn(|octet| match octet as u128 {
            // One address of these is unspecified.
            0 => None,
            255 => Some(Locality::Neither),
            octet => v6.whole(octet << 120, octet << 120 | (u128::MAX >> 8)),
        });
        Self {
            v4,
            v6,
            v4_first,
            v6_first,
            tunnels: policy.tunnels.clone(),
        }
    }

    /// Says whether an envelope between two addresses leads outside: one end is internal, the other external and none that
    /// the settings exempt (rule W2).
    #[must_use]
    pub fn leads_outside(&self, one: Address, other: Address) -> bool {
        let outside = match (self.locality(one), self.locality(other)) {
            (Locality::Internal, Locality::External) => other.ip(),
            (Locality::External, Locality::Internal) => one.ip(),
            _ => return false,
        };
        !self.tunnels.iter().any(|tunnel| tunnel.contains(&outside))
    }

    /// Says on which side an address lies. Called for both ends of every new flow.
    ///
    /// A multicast, broadcast or unspecified address is on neither, even within a prefix of the settings.
    #[must_use]
    pub fn locality(&self, address: Address) -> Locality {
        let decided = match address.as_v4() {
            Some([first, ..]) => self.v4_first.get(usize::from(first)),
            None => self.v6_first.get((address.halves().0 >> 56) as usize),
        };
        match decided {
            Some(Some(locality)) => *locality,
            _ => self.look_up(address),
        }
    }

    fn look_up(&self, address: Address) -> Locality {
        let is_internal = match address.ip() {
            IpAddr::V4(ip) => {
                // 0.0.0.0/8 is "this network" (RFC 1122 section 3.2.1.3); nobody is addressed by it.
                if ip.is_multicast() || ip.is_broadcast() || matches!(ip.octets(), [0, ..]) {
                    return Locality::Neither;
                }
                self.v4.contains(ip.into())
            }
            IpAddr::V6(ip) => {
                if ip.is_multicast() || ip.is_unspecified() {
                    return Locality::Neither;
                }
                self.v6.contains(ip.into())
            }
        };
        if is_internal {
            Locality::Internal
        } else {
            Locality::External
        }
    }
}

/// Inclusive ranges, sorted, without overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranges<T>(Vec<(T, T)>);

impl<T: Ord + Copy> Ranges<T> {
    fn new(ranges: impl Iterator<Item = (T, T)>, next: impl Fn(T) -> Option<T>) -> Self {
        let mut sorted: Vec<(T, T)> = ranges.collect();
        sorted.sort_unstable();
        let mut joined: Vec<(T, T)> = Vec::with_capacity(sorted.len());
        for (start, end) in sorted {
            match joined.last_mut() {
                Some((_, last)) if next(*last).is_none_or(|next| start <= next) => *last = end.max(*last),
                _ => joined.push((start, end)),
            }
        }
        Self(joined)
    }

    /// Returns on which side all of a range lies, or `None` if its parts differ.
    fn whole(&self, first: T, last: T) -> Option<Locality> {
        let met = self.0.iter().find(|(_, end)| *end >= first);
        match met {
            Some(&(start, end)) if start <= first && last <= end => Some(Locality::Internal),
            Some(&(start, _)) if start <= last => None,
            _ => Some(Locality::External),
        }
    }

    fn contains(&self, value: T) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= value);
        after
            .checked_sub(1)
            .and_then(|position| self.0.get(position))
            .is_some_and(|&(_, end)| value <= end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn network(internal: &[&str]) -> Network {
        Network::new(&NetworkPolicy {
            internal: internal.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            ..NetworkPolicy::default()
        })
    }

    proptest! {
        #[test]
        fn what_the_first_octet_decides_the_ranges_decide_alike(
            v4: u32,
            v6: u128,
            internal in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..6),
            internal_v6 in prop::collection::vec((any::<u128>(), 0_u8..=128), 0..6),
        ) {
            let four = internal.iter().map(|&(ip, length)| IpNet::new(std::net::Ipv4Addr::from(ip).into(), length).unwrap());
            let six = internal_v6.iter().map(|&(ip, length)| IpNet::new(std::net::Ipv6Addr::from(ip).into(), length).unwrap());
            let network = Network::new(&NetworkPolicy { internal: four.chain(six).collect(), ..NetworkPolicy::default() });
            for address in [Address::v4(v4.to_be_bytes()), Address::v6(v6.to_be_bytes())] {
                prop_assert_eq!(network.locality(address), network.look_up(address));
            }
        }
    }

    #[test]
    fn rule_s1_addresses_are_sorted_as_the_design_says() {
        let network = Network::new(&NetworkPolicy::default());
        for (text, locality) in [
            ("9.255.255.255", Locality::External),
            ("10.0.0.0", Locality::Internal),
            ("10.255.255.255", Locality::Internal),
            ("11.0.0.0", Locality::External),
            ("172.15.255.255", Locality::External),
            ("172.16.0.1", Locality::Internal),
            ("172.31.255.255", Locality::Internal),
            ("172.32.0.0", Locality::External),
            ("192.168.1.1", Locality::Internal),
            ("100.64.0.1", Locality::Internal),
            ("100.128.0.0", Locality::External),
            ("168.63.129.16", Locality::Internal),
            ("168.63.129.17", Locality::External),
            ("169.254.169.254", Locality::Internal),
            ("127.0.0.53", Locality::Internal),
            ("0.0.0.0", Locality::Neither),
            ("0.1.2.3", Locality::Neither),
            ("224.0.0.251", Locality::Neither),
            ("255.255.255.255", Locality::Neither),
            ("255.255.255.254", Locality::External),
            ("8.8.8.8", Locality::External),
            ("::", Locality::Neither),
            ("::1", Locality::Internal),
            ("::2", Locality::External),
            ("ff02::fb", Locality::Neither),
            ("fe80::1", Locality::Internal),
            ("fd00::1", Locality::Internal),
            ("2001:db8::1", Locality::External),
            ("::ffff:10.0.0.1", Locality::Internal),
            ("::ffff:8.8.8.8", Locality::External),
        ] {
            assert_eq!(network.locality(address(text)), locality, "{text}");
        }
    }

    #[test]
    fn rule_s1_prefixes_in_the_settings_replace_the_defaults_but_not_link_local_and_loopback() {
        let network = network(&["203.0.113.0/24", "2001:db8::/32"]);
        for (text, locality) in [
            ("203.0.113.7", Locality::Internal),
            ("2001:db8::7", Locality::Internal),
            ("10.0.0.1", Locality::External),
            ("fd00::1", Locality::External),
            ("169.254.1.1", Locality::Internal),
            ("fe80::1", Locality::Internal),
            ("127.0.0.1", Locality::Internal),
        ] {
            assert_eq!(network.locality(address(text)), locality, "{text}");
        }
    }

    #[test]
    fn rule_s1_all_of_one_family_says_nothing_about_the_other() {
        assert_eq!(network(&["::/0"]).locality(address("8.8.8.8")), Locality::External);
        assert_eq!(network(&["::/0"]).locality(address("2001:db8::1")), Locality::Internal);
        assert_eq!(
            network(&["0.0.0.0/0"]).locality(address("2001:db8::1")),
            Locality::External
        );
        assert_eq!(
            network(&["0.0.0.0/0"]).locality(address("224.0.0.1")),
            Locality::Neither
        );
    }

    proptest! {
        #[test]
        fn a_look_up_agrees_with_asking_every_prefix(
            prefixes in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..12),
            ip in any::<u32>(),
        ) {
            let nets: Vec<Ipv4Net> = prefixes
                .iter()
                .map(|&(ip, len)| Ipv4Net::new(ip.into(), len).unwrap().trunc())
                .collect();
            let network = Network::new(&NetworkPolicy {
                internal: nets.iter().copied().map(IpNet::V4).collect(),
                ..NetworkPolicy::default()
            });
            let ip = std::net::Ipv4Addr::from(ip);
            let expected = nets.iter().chain(&ALWAYS_V4).any(|net| net.contains(&ip));
            prop_assert_eq!(network.v4.contains(ip.into()), expected);
        }
    }
}
