use std::net::{SocketAddr, UdpSocket};

use super::*;
use crate::model::{ListenUrl, Policy};

/// An address of the loopback network that no other process of tests uses, with the port of an envelope.
fn place(n: u8, port: u16) -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 1 + n, high, low], port))
}

/// A port that was free a moment ago on all addresses.
fn free_port() -> u16 {
    let anywhere = UdpSocket::bind("[::]:0")
        .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
        .unwrap();
    anywhere.local_addr().unwrap().port()
}

fn listen(address: SocketAddr) -> Listen {
    let url: ListenUrl = format!("udp://{address}").parse().unwrap();
    Policy::default().network.listen(&[url]).unwrap()[0]
}

fn open(address: SocketAddr, each: usize) -> Sockets {
    Sockets::open(&[listen(address)], each, SourceId(7), 1 << 20).unwrap()
}

/// A frame between two inner addresses that ends in a number, in VXLAN.
fn datagram(from: [u8; 4], to: [u8; 4], number: u16) -> Vec<u8> {
    let mut octets = vec![8, 0, 0, 0, 0, 0, 42, 0];
    octets.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    octets.extend([0x45, 0, 0, 30, 0, 1, 0, 0, 64, 17, 0, 0]);
    octets.extend(from);
    octets.extend(to);
    octets.extend([0x30, 0x39, 0, 99, 0, 10, 0, 0]);
    octets.extend(number.to_be_bytes());
    octets
}

/// Takes so many frames: their times, and their octets.
fn take(sockets: &mut Sockets, n: usize) -> Vec<(Timestamp, Vec<u8>)> {
    let mut taken = Vec::new();
    while taken.len() < n {
        let polled = sockets
            .poll(&mut |frame| {
                assert_eq!((frame.source, frame.link), (SourceId(7), LinkType::Raw));
                taken.push((frame.time, frame.octets.to_vec()));
            })
            .unwrap();
        assert!(!polled.is_down);
    }
    assert_eq!(taken.len(), n);
    taken
}

#[test]
fn a_datagram_is_a_frame_of_raw_ip() {
    let address = place(0, 4789);
    let mut sockets = open(address, 1);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let before = now();
    sender.send_to(&[0xab; 9000], address).unwrap();
    sender.send_to(&[], address).unwrap();
    let taken = take(&mut sockets, 2);
    assert!((before..=now()).contains(&taken[0].0), "the kernel's time of arrival");
    let frame = &taken[0].1;
    assert_eq!(frame.len(), 20 + 8 + 9000);
    assert_eq!(frame[..4], [0x45, 0, 0x23, 0x44]);
    assert_eq!(frame[12..16], [127, 0, 0, 1]);
    let SocketAddr::V4(to) = address else { panic!() };
    assert_eq!(frame[16..20], to.ip().octets());
    assert_eq!(frame[20..22], sender.local_addr().unwrap().port().to_be_bytes());
    assert_eq!(frame[22..26], [0x12, 0xb5, 0x23, 0x30]);
    assert_eq!(frame[28..], [0xab; 9000]);
    assert_eq!(taken[1].1.len(), 28, "a datagram without payload is one too");
}

#[test]
fn the_kernel_steers_both_directions_of_a_flow_to_one_socket() {
    let address = place(1, 4789);
    let each = 4;
    let mut sockets = open(address, each);
    let pairs: Vec<_> = (0..64_u8).map(|n| ([10, 1, 0, n], [203, 0, 113, n / 7])).collect();
    // Another sender for each direction: the outer port is not what both have in common.
    let senders = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut seen: Vec<Vec<usize>> = vec![Vec::new(); pairs.len()];
    let mut load = vec![0; each];
    for (number, (a, b)) in (0..).zip(&pairs) {
        senders[0].send_to(&datagram(*a, *b, number), address).unwrap();
        senders[1].send_to(&datagram(*b, *a, number), address).unwrap();
    }
    for (position, lane) in sockets.lanes.iter_mut().enumerate() {
        loop {
            lane.batch.read(&mut lane.socket).unwrap();
            if lane.batch.next_time().is_none() {
                break;
            }
            while let Some((_, octets)) = lane.batch.next() {
                let [.., high, low] = *octets else {
                    panic!("a short frame")
                };
                seen[usize::from(u16::from_be_bytes([high, low]))].push(position);
                load[position] += 1;
            }
        }
    }
    for (number, lanes) in seen.iter().enumerate() {
        assert!(matches!(lanes[..], [a, b] if a == b), "{:?}: {lanes:?}", pairs[number]);
    }
    assert!(load.iter().all(|n| *n > 0), "{load:?}");
}

#[test]
fn frames_of_several_sockets_come_in_the_order_of_their_times() {
    let addresses = [place(2, 4789), place(3, 4789)];
    let listens = addresses.map(listen);
    let mut sockets = Sockets::open(&listens, 3, SourceId(7), 4 << 20).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // More than one batch for each of the six sockets.
    let frames = 1000_u16;
    for number in 0..frames {
        let [_, n] = number.to_be_bytes();
        let octets = datagram([10, 1, 0, n], [203, 0, 113, 9], number);
        sender.send_to(&octets, addresses[usize::from(number % 2)]).unwrap();
    }
    let taken = take(&mut sockets, usize::from(frames));
    assert!(taken.is_sorted_by_key(|(time, _)| *time));
    let numbers: Vec<u16> = taken
        .iter()
        .map(|(_, octets)| u16::from_be_bytes([octets[octets.len() - 2], octets[octets.len() - 1]]))
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!(sockets.drops(), 0);
}

#[test]
fn what_the_kernel_drops_is_counted_and_what_comes_behind_is_whole() {
    let address = SocketAddr::from(([0, 0, 0, 0], free_port()));
    let url: ListenUrl = format!("vxlan://{address}").parse().unwrap();
    let listens = Policy::default().network.listen(&[url]).unwrap();
    let mut sockets = Sockets::open(&listens, 1, SourceId(7), 1 << 16).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = place(4, address.port());
    // Two batches use every place without drops; then more is sent than the buffer holds.
    for _ in 0..2 {
        for number in 0..64 {
            sender
                .send_to(&datagram([10, 1, 0, 1], [10, 1, 0, 2], number), to)
                .unwrap();
        }
        take(&mut sockets, 64);
    }
    let sent = 4000;
    for number in 0..sent {
        sender
            .send_to(&datagram([10, 1, 0, 1], [10, 1, 0, 2], number), to)
            .unwrap();
    }
    let mut held = 0;
    while !sockets.poll(&mut |_| held += 1).unwrap().is_idle() {}
    assert!(held < u64::from(sent), "the buffer holds less");
    // The number of drops comes with the next datagram that finds room.
    let before = now();
    for number in 0..2 {
        sender
            .send_to(&datagram([10, 1, 0, 1], [10, 1, 0, 2], number), to)
            .unwrap();
    }
    let taken = take(&mut sockets, 2);
    assert_eq!(sockets.drops(), u64::from(sent) - held);
    for (time, octets) in &taken {
        assert!((before..=now()).contains(time));
        let SocketAddr::V4(to) = to else { panic!() };
        assert_eq!(octets[16..20], to.ip().octets(), "to which of all addresses it came");
    }
}

#[test]
fn an_address_that_is_taken_stays_with_who_has_it() {
    let address = place(5, 6081);
    let mut first = open(address, 2);
    let refused = Sockets::open(&[listen(address)], 2, SourceId(0), 1 << 20)
        .err()
        .unwrap();
    assert!(
        refused
            .to_string()
            .starts_with(&format!("cannot listen on udp://{address}, the port is taken"))
    );
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[1], address).unwrap();
    take(&mut first, 1);
}

#[test]
fn addresses_of_ipv6_and_ipv4_stand_side_by_side() {
    let port = free_port();
    let urls = [format!("geneve://[::]:{port}"), format!("geneve://0.0.0.0:{port}")].map(|url| url.parse().unwrap());
    let listens = Policy::default().network.listen(&urls).unwrap();
    let opened = Sockets::open(&listens, 2, SourceId(7), 1 << 20);
    let mut sockets = match opened {
        // A machine without IPv6 has nothing to show here.
        Err(CaptureError::Listen { source, .. }) if source.raw_os_error() == Some(97) => return,
        opened => opened.unwrap(),
    };
    let six = UdpSocket::bind("[::1]:0").unwrap();
    let four = UdpSocket::bind("127.0.0.1:0").unwrap();
    six.send_to(&[1, 2, 3], ("::1", port)).unwrap();
    let frame = take(&mut sockets, 1).remove(0).1;
    assert_eq!(frame[..8], [0x60, 0, 0, 0, 0, 11, 17, 64]);
    assert_eq!(frame[8..40], [[0; 15].as_slice(), &[1], &[0; 15], &[1]].concat());
    assert_eq!(frame[48..], [1, 2, 3]);
    four.send_to(&[4], ("127.0.0.1", port)).unwrap();
    let frame = take(&mut sockets, 1).remove(0).1;
    assert_eq!((frame[0], frame.len()), (0x45, 29));
}
