//! Where to look a destination up. Links are printed for a person and never opened by the sensor.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{Address, AlertDestination};

/// Returns links about an external destination by the name of the service: its domain if it has one, else its address.
///
/// Nothing that is internal by its form alone (a private or local address, a name of one label) gets a link, so that no
/// click tells a public service how the inside is laid out; what the settings call internal never reaches an alert.
#[must_use]
pub fn links(destination: &AlertDestination) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    let mut add = |service: &str, start: &str, what: &str| {
        links.insert(service.to_owned(), format!("{start}{}", encoded(what)));
    };
    let domain = destination.domain.as_deref().filter(|domain| is_public_name(domain));
    let ip = destination.ip.filter(|&ip| is_public(ip)).map(|ip| ip.to_string());
    if let Some(domain) = domain {
        add("virustotal", "https://www.virustotal.com/gui/domain/", domain);
        add("rdap", "https://rdap.org/domain/", domain);
        add("crtsh", "https://crt.sh/?q=", domain);
    } else if let (Some(ip), None) = (&ip, &destination.domain) {
        add("virustotal", "https://www.virustotal.com/gui/ip-address/", ip);
        add("rdap", "https://rdap.org/ip/", ip);
    }
    if let Some(ip) = &ip {
        add("shodan", "https://www.shodan.io/host/", ip);
    }
    links
}

fn is_public_name(domain: &str) -> bool {
    let inside = [
        ".local",
        ".internal",
        ".localhost",
        ".home.arpa",
        ".in-addr.arpa",
        ".ip6.arpa",
    ];
    domain.contains('.') && !inside.iter().any(|end| domain.ends_with(end))
}

/// Says whether the address can be one of the public Internet, by its form alone (RFC 6890).
fn is_public(address: Address) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => {
            let shared = matches!(ip.octets(), [100, 64..=127, ..]);
            let local = ip.is_private() || ip.is_loopback() || ip.is_link_local();
            !(shared || local || ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified())
        }
        IpAddr::V6(ip) => {
            let local = ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local();
            !(local || ip.is_multicast() || ip.is_unspecified())
        }
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986 section 2.3 and the colon, which section 3.3
/// allows in a path and section 3.4 in a query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, octet| {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => out.push(char::from(octet)),
            _ => out.push_str(&format!("%{octet:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(domain: Option<&str>, ip: &str) -> Vec<String> {
        let destination = AlertDestination {
            domain: domain.map(Into::into),
            tenant: None,
            name: None,
            ip: Some(ip.parse::<IpAddr>().unwrap().into()),
            port: Some(443),
            transport: None,
        };
        links(&destination)
            .into_iter()
            .map(|(name, link)| format!("{name} {link}"))
            .collect()
    }

    #[test]
    fn a_domain_is_looked_up_by_name_and_an_address_by_number() {
        assert_eq!(
            to(Some("example.edu"), "203.0.113.7"),
            [
                "crtsh https://crt.sh/?q=example.edu",
                "rdap https://rdap.org/domain/example.edu",
                "shodan https://www.shodan.io/host/203.0.113.7",
                "virustotal https://www.virustotal.com/gui/domain/example.edu",
            ]
        );
        assert_eq!(
            to(None, "2001:db8::7"),
            [
                "rdap https://rdap.org/ip/2001:db8::7",
                "shodan https://www.shodan.io/host/2001:db8::7",
                "virustotal https://www.virustotal.com/gui/ip-address/2001:db8::7",
            ]
        );
    }

    #[test]
    fn a_hostile_name_cannot_leave_its_place_in_a_link() {
        let found = to(Some("a/../b?c#d\"\u{1b}ü.edu"), "203.0.113.7");
        assert_eq!(found[0], "crtsh https://crt.sh/?q=a%2F..%2Fb%3Fc%23d%22%1B%C3%BC.edu");
    }

    #[test]
    fn what_is_internal_by_its_form_gets_no_link() {
        assert!(to(None, "10.0.0.1").is_empty());
        assert!(to(None, "fe80::1").is_empty());
        assert!(to(Some("printer"), "10.0.0.1").is_empty());
        assert!(to(Some("printer.local"), "100.64.3.2").is_empty());
    }
}
