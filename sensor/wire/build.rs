//! Frames for tests, built header by header from the inside out.

/// Returns a UDP datagram with its length filled in and no checksum.
pub(crate) fn udp(from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let ports = [from_port.to_be_bytes(), to_port.to_be_bytes()].concat();
    [&ports[..], &length.to_be_bytes(), &[0, 0], payload].concat()
}

/// Returns a TCP segment without options.
pub(crate) fn tcp(from_port: u16, to_port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ports = [from_port.to_be_bytes(), to_port.to_be_bytes()].concat();
    let rest = [0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    [&ports[..], &sequence.to_be_bytes(), &rest, payload].concat()
}

/// Returns an IPv4 packet without options, its length filled in.
pub(crate) fn ipv4(from: [u8; 4], to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let start = [0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    [&start[..], &from, &to, payload].concat()
}

/// Returns an IPv6 packet from `2001:db8::1` to `2001:db8::2`; `next` is what the payload begins with.
pub(crate) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let start = [0x60, 0, 0, 0, length[0], length[1], next, 64];
    [&start[..], &address(1), &address(2), payload].concat()
}

/// Returns the octets of `2001:db8::n`.
pub(crate) fn address(n: u8) -> [u8; 16] {
    [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]
}

/// Returns an Ethernet frame whose source ends in `from`.
pub(crate) fn ethernet(from: u8, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 0xff, 2, 0, 0, 0, 0, from];
    [&addresses[..], &ethertype.to_be_bytes(), payload].concat()
}

/// Returns a VLAN tag and what it carries, to stand behind a tag's EtherType.
pub(crate) fn tag(vlan: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&vlan.to_be_bytes(), &ethertype.to_be_bytes(), payload].concat()
}

/// Returns a frame that mirrors another by VXLAN from 192.0.2.1.
pub(crate) fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    let vni = vni.to_be_bytes();
    let inside = [&[8, 0, 0, 0, vni[1], vni[2], vni[3], 0], frame].concat();
    let datagram = udp(55555, 4789, &inside);
    ethernet(0xee, 0x0800, &ipv4([192, 0, 2, 1], [192, 0, 2, 2], 17, &datagram))
}

/// Returns a PPPoE header with its length filled in, and the PPP frame behind it.
pub(crate) fn pppoe(code: u8, frame: &[u8]) -> Vec<u8> {
    let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
    [&[0x11, code, 0, 1], &length[..], frame].concat()
}

/// Returns a stack of MPLS labels over what it carries.
pub(crate) fn mpls(labels: &[u32], inside: &[u8]) -> Vec<u8> {
    let mut stack: Vec<u8> = labels
        .iter()
        .flat_map(|label| (label << 12 | 64).to_be_bytes())
        .collect();
    let bottom = stack.len() - 2;
    stack[bottom] |= 1;
    [&stack, inside].concat()
}

/// Fills the checksum of an IPv4 header without options in.
pub(crate) fn checksum(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let words = packet[..20]
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum = words.fold(0, |sum, word| (sum + word) % 0xffff);
    packet[10..12].copy_from_slice(&(0xffff - u16::try_from(sum).unwrap()).to_be_bytes());
}

/// Returns an Ethernet frame of a GRE packet from 192.0.2.1; `flags` are its bits, with their `fields`.
pub(crate) fn gre(flags: u16, fields: &[u8], protocol: u16, inside: &[u8]) -> Vec<u8> {
    let header = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
    let packet = ipv4([192, 0, 2, 1], [192, 0, 2, 2], 47, &[&header, fields, inside].concat());
    ethernet(0xee, 0x0800, &packet)
}
