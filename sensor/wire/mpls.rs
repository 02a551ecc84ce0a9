//! MPLS, RFC 3032 section 2.1, and Ethernet over it, RFC 4448 section 4.

use super::{ethernet, ipv4, ipv6};
use crate::model::{Layer, Malformed};

/// Octets of one entry of the stack: label, traffic class, bottom bit, time to live.
const LEN: usize = 4;
/// The bottom bit, in the third octet of an entry.
const BOTTOM: u8 = 0x01;

/// What a stack of labels carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// An IP packet.
    Ip,
    /// An Ethernet frame of a pseudo-wire; a control word in front of it is gone.
    Ethernet,
    /// A message of the pseudo-wire's own (RFC 5085 section 5.1.1).
    Channel,
}

/// Reads a stack of labels down to its bottom; returns what it carries, and that.
///
/// Labels, classes and times to live are ignored, reserved labels too: no label says what is below it, which only the
/// routers know that agreed on it. So the first half octet decides, as routers do that balance load by it (RFC 4928
/// section 3): 4 and 6 are IP, 0 is a control word and an Ethernet frame (RFC 4385 section 3), and 1 is a channel. A
/// pseudo-wire without a control word begins with any half octet, as the address of a network card does (RFC 8469): it
/// is found by what stands where the EtherType would be, but never instead of an IPv4 header with the right checksum or
/// an IPv6 header with the exact length.
/// Where a frame makes sense with and without its first four octets it is taken whole: a tag is just as long as a
/// control word.
///
/// # Errors
///
/// `Short` when the stack or all that is below it was cut.
pub(super) fn parse(octets: &[u8]) -> Result<(Carried, &[u8]), Malformed> {
    let inside = below(octets)?;
    let Some(first) = inside.first() else {
        return Err(Malformed::short(Layer::Mpls, LEN + 1, LEN));
    };
    let is_bare_ethernet = ethernet::is_plausible(inside);
    Ok(match first >> 4 {
        4 if is_bare_ethernet && !ipv4::has_right_checksum(inside) => (Carried::Ethernet, inside),
        6 if is_bare_ethernet && !ipv6::has_exact_length(inside) => (Carried::Ethernet, inside),
        4 | 6 => (Carried::Ip, inside),
        0 if !is_bare_ethernet => (Carried::Ethernet, inside.get(LEN..).unwrap_or_default()),
        1 if !is_bare_ethernet => (Carried::Channel, inside),
        _ => (Carried::Ethernet, inside),
    })
}

/// Returns what is below the bottom of a stack.
fn below(octets: &[u8]) -> Result<&[u8], Malformed> {
    let mut inside = octets;
    loop {
        let Some((&[_, _, bottom, _], rest)) = inside.split_first_chunk::<LEN>() else {
            return Err(Malformed::short(Layer::Mpls, LEN, inside.len()));
        };
        inside = rest;
        if bottom & BOTTOM != 0 {
            return Ok(inside);
        }
    }
}

/// Says whether octets look like a stack of labels over something, which may begin in any way: a pseudo-wire in a
/// pseudo-wire does.
pub(super) fn is_plausible(octets: &[u8]) -> bool {
    below(octets).is_ok_and(|inside| !inside.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::*;

    const ENTRY: [u8; 4] = [0, 1, 0x00, 64];
    const LAST: [u8; 4] = [0, 2, 0x01, 64];
    const CONTROL_WORD: [u8; 4] = [0, 0, 0, 9];

    fn packet() -> Vec<u8> {
        build::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 17, &build::udp(1, 2, b"x"))
    }

    /// Returns a frame whose destination begins with this octet.
    fn frame(first: u8) -> Vec<u8> {
        let mut frame = build::ethernet(1, 0x0800, &packet());
        frame[0] = first;
        frame
    }

    fn stack(inside: &[u8]) -> Vec<u8> {
        [&ENTRY, &ENTRY, &LAST, inside].concat()
    }

    #[test]
    fn ip_is_known_by_its_version() {
        assert_eq!(parse(&stack(&packet())), Ok((Carried::Ip, &packet()[..])));
        let six = build::ipv6(17, &build::udp(1, 2, b"x"));
        assert_eq!(parse(&stack(&six)), Ok((Carried::Ip, &six[..])));
    }

    #[test]
    fn a_control_word_is_taken_off() {
        for first in [0x00, 0x02, 0x44, 0x66, 0x1c] {
            let octets = stack(&[&CONTROL_WORD[..], &frame(first)].concat());
            assert_eq!(parse(&octets), Ok((Carried::Ethernet, &frame(first)[..])), "{first:#x}");
        }
    }

    #[test]
    fn a_pseudo_wire_without_control_word_is_known_by_its_ethertype() {
        for first in [0x00, 0x02, 0x1c, 0x2c, 0x44, 0x45, 0x4c, 0x60, 0x88, 0xfe] {
            let octets = stack(&frame(first));
            assert_eq!(parse(&octets), Ok((Carried::Ethernet, &frame(first)[..])), "{first:#x}");
        }
    }

    #[test]
    fn a_pseudo_wire_may_carry_another_one() {
        for first in [0x00, 0x14, 0x3c, 0x44] {
            let inner = build::ethernet(1, 0x8847, &stack(&frame(first)));
            assert_eq!(parse(&stack(&inner)), Ok((Carried::Ethernet, &inner[..])), "{first:#x}");
        }
    }

    #[test]
    fn an_ipv4_packet_with_the_right_checksum_is_no_frame() {
        let mut packet = build::ipv4([8, 0, 0x45, 9], [10, 0, 0, 2], 17, &build::udp(1, 2, b"x"));
        assert_eq!(parse(&stack(&packet)), Ok((Carried::Ethernet, &packet[..])));
        build::checksum(&mut packet);
        assert_eq!(parse(&stack(&packet)), Ok((Carried::Ip, &packet[..])));
    }

    #[test]
    fn an_ipv6_packet_with_the_exact_length_is_no_frame() {
        let mut packet = build::ipv6(17, &build::udp(1, 2, b"x"));
        packet[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        assert_eq!(parse(&stack(&packet)), Ok((Carried::Ip, &packet[..])));
        packet[5] -= 1;
        assert_eq!(parse(&stack(&packet)), Ok((Carried::Ethernet, &packet[..])));
    }

    #[test]
    fn a_channel_is_told_apart() {
        let octets = stack(&[0x10, 0, 0, 0x21, 1, 2, 3]);
        assert_eq!(parse(&octets).unwrap().0, Carried::Channel);
    }

    #[test]
    fn a_stack_without_bottom_and_one_that_carries_nothing_are_malformed() {
        let endless = [ENTRY, ENTRY].concat();
        assert_eq!(parse(&endless), Err(Malformed::short(Layer::Mpls, LEN, 0)));
        assert_eq!(parse(&LAST), Err(Malformed::short(Layer::Mpls, 5, 4)));
        assert_eq!(parse(&LAST[..3]), Err(Malformed::short(Layer::Mpls, LEN, 3)));
    }
}
