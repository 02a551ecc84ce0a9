//! Community ID version 1, the flow hash by which tools find each other's records
//! (the specification is that of the `corelight/community-id-spec` project).

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::model::{Address, Endpoint, Transport};

/// The seed that everybody uses unless they agreed on another.
const SEED: u16 = 0;

/// Returns the Community ID of a flow; which endpoint comes first does not matter. IP within IP has none: it goes by either
/// of two protocol numbers, which are part of the hash.
#[must_use]
pub fn community_id(transport: Transport, one: Endpoint, other: Endpoint) -> Option<String> {
    if transport == Transport::Ipip {
        return None;
    }
    let (low, high) = match order(one, other) {
        Ordering::Greater => (other, one),
        Ordering::Less | Ordering::Equal => (one, other),
    };
    let mut hash = Sha1::new();
    hash.update(SEED.to_be_bytes());
    update_with_address(&mut hash, low.ip);
    update_with_address(&mut hash, high.ip);
    hash.update([transport.number(), 0]);
    if transport.has_ports() {
        hash.update(low.port.to_be_bytes());
        hash.update(high.port.to_be_bytes());
    }
    Some(format!("1:{}", STANDARD.encode(hash.finalize())))
}

/// The order of the octets on the wire, ports deciding between equal addresses.
fn order(one: Endpoint, other: Endpoint) -> Ordering {
    (one.ip.octets(), one.port).cmp(&(other.ip.octets(), other.port))
}

fn update_with_address(hash: &mut Sha1, address: Address) {
    match address.as_v4() {
        Some(octets) => hash.update(octets),
        None => hash.update(address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(ip: &str, port: u16) -> Endpoint {
        let ip: std::net::IpAddr = ip.parse().unwrap();
        Endpoint { ip: ip.into(), port }
    }

    #[test]
    fn ids_are_those_of_the_specification_s_baseline() {
        for (transport, one, other, id) in [
            (
                Transport::Tcp,
                endpoint("128.232.110.120", 34855),
                endpoint("66.35.250.204", 80),
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                Transport::Udp,
                endpoint("192.168.1.52", 54585),
                endpoint("8.8.8.8", 53),
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
            (
                // Not of the baseline: by another implementation.
                Transport::Udp,
                endpoint("2001:db8:1::2", 50000),
                endpoint("2001:db8::1", 443),
                "1:BgQPYXZzKc18dgOi4N1o4zJgtyo=",
            ),
        ] {
            assert_eq!(community_id(transport, one, other).as_deref(), Some(id));
            assert_eq!(community_id(transport, other, one).as_deref(), Some(id));
        }
    }

    #[test]
    fn equal_addresses_are_ordered_by_port() {
        let (low, high) = (endpoint("10.0.0.1", 10), endpoint("10.0.0.1", 11));
        assert_eq!(
            community_id(Transport::Tcp, low, high),
            community_id(Transport::Tcp, high, low)
        );
    }
}
