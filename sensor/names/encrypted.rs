//! Where encrypted DNS goes to: names that are asked there cannot be read (rule N5).

use crate::model::Address;

/// DNS over TLS (RFC 7858) and over QUIC (RFC 9250).
const OWN_PORT: u16 = 853;
/// DNS over HTTPS (RFC 8484), among everything else.
const HTTPS: u16 = 443;

/// Addresses at which public resolvers speak DNS over HTTPS, as their operators publish them.
const V4: [[u8; 4]; 44] = [
    // Cloudflare, the second pair as Firefox uses it.
    [1, 0, 0, 1],
    [1, 0, 0, 2],
    [1, 0, 0, 3],
    [1, 1, 1, 1],
    [1, 1, 1, 2],
    [1, 1, 1, 3],
    [104, 16, 248, 249],
    [104, 16, 249, 249],
    // Google.
    [8, 8, 4, 4],
    [8, 8, 8, 8],
    // Quad9.
    [9, 9, 9, 9],
    [9, 9, 9, 10],
    [9, 9, 9, 11],
    [149, 112, 112, 10],
    [149, 112, 112, 11],
    [149, 112, 112, 112],
    // OpenDNS.
    [146, 112, 41, 2],
    [208, 67, 220, 123],
    [208, 67, 220, 220],
    [208, 67, 222, 123],
    [208, 67, 222, 222],
    // AdGuard.
    [94, 140, 14, 14],
    [94, 140, 14, 15],
    [94, 140, 14, 140],
    [94, 140, 14, 141],
    [94, 140, 15, 15],
    [94, 140, 15, 16],
    // CleanBrowsing.
    [185, 228, 168, 9],
    [185, 228, 168, 10],
    [185, 228, 168, 168],
    [185, 228, 169, 9],
    // Mullvad.
    [194, 242, 2, 2],
    [194, 242, 2, 3],
    [194, 242, 2, 4],
    // DNS.SB.
    [45, 11, 45, 11],
    [185, 222, 222, 222],
    // Alibaba, DNSPod, Yandex.
    [1, 12, 12, 12],
    [120, 53, 53, 53],
    [223, 5, 5, 5],
    [223, 6, 6, 6],
    [77, 88, 8, 1],
    [77, 88, 8, 8],
    // NextDNS.
    [45, 90, 28, 0],
    [45, 90, 30, 0],
];

/// The same in IPv6, by their eight groups.
const V6: [[u16; 8]; 14] = [
    // Cloudflare.
    [0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1001],
    [0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1002],
    [0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1003],
    [0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111],
    [0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1112],
    [0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1113],
    // Google.
    [0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844],
    [0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888],
    // Quad9.
    [0x2620, 0xfe, 0, 0, 0, 0, 0, 0x9],
    [0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe],
    // OpenDNS.
    [0x2620, 0x119, 0x35, 0, 0, 0, 0, 0x35],
    [0x2620, 0x119, 0x53, 0, 0, 0, 0, 0x53],
    // AdGuard.
    [0x2a10, 0x50c0, 0, 0, 0, 0, 0xad1, 0xff],
    [0x2a10, 0x50c0, 0, 0, 0, 0, 0xad2, 0xff],
];

/// Names of public resolvers that speak DNS over HTTPS, and what is below them.
const NAMES: [&str; 22] = [
    "adguard-dns.com",
    "applied-privacy.net",
    "canadianshield.cira.ca",
    "cleanbrowsing.org",
    "cloudflare-dns.com",
    "controld.com",
    "dns.adguard.com",
    "dns.alidns.com",
    "dns.google",
    "dns.google.com",
    "dns.mullvad.net",
    "dns.nextdns.io",
    "dns.quad9.net",
    "dns.sb",
    "dns.umbrella.com",
    "dns.yandex.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "doh.opendns.com",
    "doh.pub",
    "dot.pub",
    "one.one.one.one",
];

/// How much of the end of a name is looked at before anything else is; all of [`NAMES`] are as long.
const END: usize = 6;

#[expect(
    clippy::indexing_slicing,
    reason = "worked out by the compiler, which would refuse a wrong index"
)]
/// The ends of [`NAMES`]: nearly no name has one of them, and that is said at once.
const ENDS: [u64; NAMES.len()] = {
    let mut ends = [0; NAMES.len()];
    let mut n = 0;
    while n < NAMES.len() {
        ends[n] = end_of(NAMES[n].as_bytes());
        n += 1;
    }
    ends
};

/// Returns the last [`END`] octets as a number; 0 if there are fewer.
const fn end_of(name: &[u8]) -> u64 {
    match name.last_chunk::<END>() {
        Some(&[a, b, c, d, e, f]) => u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
        None => 0,
    }
}

/// Says whether an endpoint takes encrypted DNS: any on port 853, and public resolvers on that of HTTPS, over TCP and UDP.
#[must_use]
pub fn is_server(address: Address, port: u16) -> bool {
    match (port, address.as_v4()) {
        (OWN_PORT, _) => true,
        (HTTPS, Some(v4)) => V4.contains(&v4),
        (HTTPS, None) => V6
            .iter()
            .any(|groups| std::net::Ipv6Addr::from(*groups).octets() == address.octets()),
        _ => false,
    }
}

/// Says whether a contact with this name and port is one with a public resolver over HTTPS.
#[must_use]
pub fn is_resolver(name: &str, port: u16) -> bool {
    port == HTTPS
        && ENDS.contains(&end_of(name.as_bytes()))
        && NAMES.iter().any(|known| {
            name.strip_suffix(known)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    #[test]
    fn rule_n5_servers_are_told_by_port_and_public_resolvers_by_address() {
        assert!(is_server(address("10.0.0.2"), 853));
        for resolver in ["9.9.9.9", "2620:fe::fe", "2001:4860:4860::8888"] {
            assert!(is_server(address(resolver), 443), "{resolver}");
            assert!(!is_server(address(resolver), 80), "{resolver}");
        }
        assert!(!is_server(address("203.0.113.7"), 443));
    }

    #[test]
    fn rule_n5_public_resolvers_are_told_by_name_on_label_boundaries() {
        assert!(is_resolver("mozilla.cloudflare-dns.com", 443));
        assert!(is_resolver("dns.google", 443));
        assert!(!is_resolver("dns.google", 80));
        assert!(!is_resolver("notcloudflare-dns.com", 443));
        assert!(!is_resolver("ns.sb", 443) && !is_resolver("", 443));
        assert!(NAMES.iter().all(|name| name.len() >= END && is_resolver(name, 443)));
    }
}
