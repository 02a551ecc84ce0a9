//! Outer headers of datagrams that a socket received without them, so that they are frames of raw IP like any other.

use std::net::{IpAddr, SocketAddr};

/// Octets that the headers of IPv6 and UDP take, the longest that there are.
pub(super) const ROOM: usize = V6 + UDP;
/// RFC 791 section 3.1, without options.
const V4: usize = 20;
/// RFC 8200 section 3.
const V6: usize = 40;
/// RFC 768.
const UDP: usize = 8;
/// The protocol number of UDP.
const PROTOCOL: u8 = 17;
/// A socket does not tell how many hops were left.
const HOPS: u8 = 64;

/// Writes the headers of a datagram with so many octets of payload to the end of `room`; returns where they begin.
///
/// Checksums stay zero: the kernel has checked them, and wire code does not.
pub(super) fn write(room: &mut [u8; ROOM], from: SocketAddr, to: SocketAddr, payload: usize) -> usize {
    let (ip, udp) = room.split_at_mut(V6);
    let length = cut(UDP + payload);
    let ports = [from.port(), to.port()].map(u16::to_be_bytes);
    let fields = [ports[0], ports[1], length.to_be_bytes(), [0, 0]];
    udp.copy_from_slice(fields.as_flattened());
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let start = V6 - V4;
            let [high, low] = cut(V4 + UDP + payload).to_be_bytes();
            let fixed = [0x45, 0, high, low, 0, 0, 0, 0, HOPS, PROTOCOL, 0, 0];
            let octets = fixed.into_iter().chain(from.octets()).chain(to.octets());
            ip.iter_mut()
                .skip(start)
                .zip(octets)
                .for_each(|(place, octet)| *place = octet);
            start
        }
        (from, to) => {
            let [high, low] = length.to_be_bytes();
            let fixed = [0x60, 0, 0, 0, high, low, PROTOCOL, HOPS];
            let octets = fixed.into_iter().chain(mapped(from)).chain(mapped(to));
            ip.iter_mut().zip(octets).for_each(|(place, octet)| *place = octet);
            0
        }
    }
}

/// Returns a length as headers have it. Datagrams that do not fit are none: RFC 768 has 16 bits for them.
fn cut(octets: usize) -> u16 {
    u16::try_from(octets).unwrap_or(u16::MAX)
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(from: &str, to: &str, payload: usize) -> Vec<u8> {
        let mut room = [0xee; ROOM];
        let start = write(&mut room, from.parse().unwrap(), to.parse().unwrap(), payload);
        room[start..].to_vec()
    }

    #[test]
    fn a_datagram_over_ipv4_has_its_headers() {
        let expected = [
            0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 9, 0xc0, 0, 0x12, 0xb5, 0, 108, 0, 0,
        ];
        assert_eq!(written("192.0.2.1:49152", "192.0.2.9:4789", 100), expected);
    }

    #[test]
    fn a_datagram_over_ipv6_has_its_headers() {
        let mut expected = vec![0x60, 0, 0, 0, 0, 108, 17, 64, 0x20, 1, 0x0d, 0xb8];
        expected.extend([0; 11]);
        expected.extend([1, 0x20, 1, 0x0d, 0xb8]);
        expected.extend([0; 11]);
        expected.extend([2, 0xc0, 0, 0x17, 0xc1, 0, 108, 0, 0]);
        assert_eq!(written("[2001:db8::1]:49152", "[2001:db8::2]:6081", 100), expected);
    }

    #[test]
    fn the_longest_datagrams_fit_their_lengths() {
        assert_eq!(written("192.0.2.1:1", "192.0.2.9:4789", 65_507)[2..4], [0xff, 0xff]);
        assert_eq!(written("[::1]:1", "[::1]:4789", 65_527)[4..6], [0xff, 0xff]);
    }
}
