//! Streams of DNS messages, cut, joined, repeated and out of order.

use proptest::prelude::*;

use super::*;
use crate::model::{Address, Arrival, Segment, SourceId};

/// A segment of a stream whose first octet has sequence number 1000.
fn packet(at: i64, flags: u8, offset: usize, octets: usize) -> Packet {
    let syn = u32::from(flags & TcpFlags::SYN != 0);
    Packet {
        time: Timestamp(0).plus(Span::millis(at)),
        arrival: Arrival(0),
        source: SourceId(0),
        segment: Segment::NONE,
        from_mac: None,
        from: Address::v4([10, 0, 0, 53]),
        to: Address::v4([10, 0, 0, 1]),
        from_port: 53,
        to_port: 4000,
        layer4: Layer4::Tcp {
            flags: TcpFlags(flags),
            sequence: 1000_u32.wrapping_add(offset as u32).wrapping_sub(syn),
        },
        payload_octets: octets as u32,
    }
}

/// Returns a message of this many octets with its length before it; its octets say which one it is.
fn message(number: u8, octets: usize) -> Vec<u8> {
    let mut message = (octets as u16).to_be_bytes().to_vec();
    message.resize(2 + octets, number);
    message
}

/// Messages of the tests begin with their length and 12 octets of one value.
fn begins(octets: &[u8]) -> bool {
    octets.len() >= 14 && octets[0] < 2 && octets[2..14].iter().all(|octet| *octet == octets[2] && *octet > 1)
}

/// What a test found, message by message.
#[derive(Default)]
struct Found(Vec<Vec<u8>>);

impl Found {
    fn take(&mut self, streams: &mut Streams, packet: &Packet, payload: &[u8]) {
        streams.take(packet, payload, begins, |message| self.0.push(message.to_vec()));
    }
}

fn streams() -> Streams {
    Streams::new(1 << 20)
}

proptest! {
    #[test]
    fn messages_are_found_however_they_are_cut_repeated_and_reordered(
        sizes in prop::collection::vec(12_usize..400, 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..12),
        overlap in 0_usize..5,
    ) {
        let messages: Vec<Vec<u8>> = (2..).zip(&sizes).map(|(n, size)| message(n, *size)).collect();
        let stream = messages.concat();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        ends.extend([0, stream.len()]);
        ends.sort_unstable();
        let mut segments: Vec<(usize, usize)> =
            ends.windows(2).map(|ends| (ends[0].saturating_sub(overlap), ends[1])).filter(|(from, to)| from < to).collect();
        for (at, repeats) in swaps {
            let at = at.index(segments.len());
            let segment = segments[at];
            if repeats {
                segments.push(segment);
            } else {
                segments.swap(at, 0);
            }
        }
        prop_assume!(segments.len() < PIECES);
        let (mut streams, mut found) = (streams(), Found::default());
        found.take(&mut streams, &packet(0, TcpFlags::SYN, 0, 0), &[]);
        for (from, to) in segments {
            found.take(&mut streams, &packet(1, TcpFlags::ACK, from, to - from), &stream[from..to]);
        }
        let expected: Vec<Vec<u8>> = messages.iter().map(|message| message[2..].to_vec()).collect();
        prop_assert_eq!(found.0, expected);
        prop_assert_eq!(streams.held, 0);
    }

    #[test]
    fn any_segments_are_bounded_and_never_panic(
        segments in prop::collection::vec(
            (any::<u8>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..200), 0_u32..3000, 0_i64..5000, any::<u8>()),
            1..200,
        ),
        limit in 0_usize..20_000,
    ) {
        let mut streams = Streams::new(limit);
        for (flags, offset, octets, missing, at, port) in segments {
            let mut packet = packet(at, flags, usize::from(offset), octets.len());
            packet.payload_octets += missing;
            packet.to_port = u16::from(port % 8);
            streams.take(&packet, &octets, |octets| octets.len() > 2, |message| assert!(message.len() >= 12));
            let held: usize = streams.streams.values().map(Stream::held).sum();
            prop_assert_eq!(held, streams.held);
            prop_assert!(streams.held + streams.streams.len() * ENTRY <= limit);
            prop_assert!(streams.order.len() >= streams.streams.len());
        }
        streams.mark(Timestamp(0).plus(Span::hours(1)));
        prop_assert_eq!((streams.streams.len(), streams.order.len(), streams.held), (0, 0, 0));
    }
}

#[test]
fn a_stream_first_seen_in_the_middle_is_read_from_a_segment_that_looks_like_a_message() {
    let (mut streams, mut found) = (streams(), Found::default());
    found.take(&mut streams, &packet(0, TcpFlags::ACK, 0, 9), &[9; 9]);
    let (one, two) = (message(2, 40), message(3, 20));
    found.take(&mut streams, &packet(1, TcpFlags::ACK, 9, one.len()), &one);
    found.take(&mut streams, &packet(2, TcpFlags::ACK, 9 + one.len(), 5), &two[..5]);
    found.take(
        &mut streams,
        &packet(3, TcpFlags::ACK, 9 + one.len() + 5, two.len() - 5),
        &two[5..],
    );
    assert_eq!(found.0, [one[2..].to_vec(), two[2..].to_vec()]);
}

#[test]
fn a_message_with_a_gap_is_given_as_far_as_it_came_and_the_next_ones_are_found() {
    let (mut streams, mut found) = (streams(), Found::default());
    found.take(&mut streams, &packet(0, TcpFlags::SYN, 0, 0), &[]);
    let (one, two) = (message(2, 100), message(3, 30));
    found.take(&mut streams, &packet(1, TcpFlags::ACK, 0, 50), &one[..50]);
    found.take(&mut streams, &packet(2, TcpFlags::ACK, one.len(), two.len()), &two);
    assert!(found.0.is_empty());
    found.take(
        &mut streams,
        &packet(1500, TcpFlags::ACK, one.len() + two.len(), two.len()),
        &two,
    );
    assert_eq!(found.0, [one[2..50].to_vec(), two[2..].to_vec(), two[2..].to_vec()]);
}

#[test]
fn a_snapped_segment_gives_what_it_holds_and_the_stream_goes_on() {
    let (mut streams, mut found) = (streams(), Found::default());
    found.take(&mut streams, &packet(0, TcpFlags::SYN, 0, 0), &[]);
    let (one, two) = (message(2, 100), message(3, 30));
    found.take(&mut streams, &packet(1, TcpFlags::ACK, 0, 60), &one[..40]);
    found.take(&mut streams, &packet(2, TcpFlags::ACK, 60, 42), &one[60..]);
    found.take(&mut streams, &packet(3, TcpFlags::ACK, one.len(), two.len()), &two);
    assert_eq!(found.0, [one[2..40].to_vec(), two[2..].to_vec()]);
}

#[test]
fn a_connection_that_ends_gives_what_there_is() {
    for flag in [TcpFlags::FIN, TcpFlags::RST] {
        let (mut streams, mut found) = (streams(), Found::default());
        found.take(&mut streams, &packet(0, TcpFlags::SYN, 0, 0), &[]);
        let one = message(2, 100);
        found.take(&mut streams, &packet(1, TcpFlags::ACK, 0, 50), &one[..50]);
        found.take(&mut streams, &packet(2, flag | TcpFlags::ACK, 50, 0), &[]);
        assert_eq!(found.0, [one[2..50].to_vec()]);
        assert!(streams.streams.is_empty());
    }
}

#[test]
fn ports_used_again_begin_a_new_stream_and_a_repeated_syn_does_not() {
    let (mut streams, mut found) = (streams(), Found::default());
    let one = message(2, 30);
    found.take(&mut streams, &packet(0, TcpFlags::SYN, 0, 0), &[]);
    found.take(&mut streams, &packet(1, TcpFlags::ACK, 0, 20), &one[..20]);
    found.take(&mut streams, &packet(2, TcpFlags::SYN, 0, 0), &[]);
    found.take(&mut streams, &packet(3, TcpFlags::ACK, 20, 12), &one[20..]);
    found.take(&mut streams, &packet(4, TcpFlags::ACK, 32, 20), &one[..20]);
    found.take(&mut streams, &packet(5, TcpFlags::SYN, 90_000, 0), &[]);
    found.take(&mut streams, &packet(6, TcpFlags::ACK, 90_000, 32), &one);
    assert_eq!(found.0, [one[2..].to_vec(), one[2..].to_vec()]);
}

#[test]
fn a_full_table_drops_the_oldest_stream_and_counts_it() {
    let mut streams = Streams::new(3 * ENTRY);
    for port in 0..5 {
        let mut packet = packet(i64::from(port), TcpFlags::SYN, 0, 0);
        packet.to_port = port;
        streams.take(&packet, &[], begins, |_| {});
    }
    assert_eq!((streams.streams.len(), streams.mark(Timestamp(0))), (3, 2));
}

#[test]
fn connections_that_end_take_no_place_from_one_that_goes_on() {
    let (mut streams, mut found) = (streams(), Found::default());
    let messages = message(2, 40);
    found.take(&mut streams, &packet(0, TcpFlags::SYN, 0, 0), &[]);
    found.take(&mut streams, &packet(1, TcpFlags::ACK, 0, 9), &messages[..9]);
    for (at, port) in (2..).zip(1..2000_u16) {
        for flags in [TcpFlags::SYN, TcpFlags::FIN] {
            let mut packet = packet(at, flags, 0, 0);
            packet.to_port = port % 50;
            found.take(&mut streams, &packet, &[]);
        }
    }
    assert!(streams.order.len() <= 2 + ENDED);
    found.take(&mut streams, &packet(3000, TcpFlags::ACK, 9, 33), &messages[9..]);
    assert_eq!(found.0, [messages[2..].to_vec()]);
    assert_eq!(streams.mark(Timestamp(0)), 0);
}

#[test]
fn ports_used_again_are_kept_as_long_as_the_latest_connection_speaks() {
    let mut streams = streams();
    for at in [0, 100_000, 200_000] {
        streams.take(&packet(at, TcpFlags::SYN, 0, 0), &[], begins, |_| {});
        streams.take(&packet(at + 1, TcpFlags::FIN, 0, 0), &[], begins, |_| {});
    }
    streams.take(&packet(250_000, TcpFlags::SYN, 0, 0), &[], begins, |_| {});
    streams.mark(Timestamp(0).plus(Span::seconds(350)));
    assert_eq!((streams.streams.len(), streams.order.len()), (1, 1));
    streams.mark(Timestamp(0).plus(Span::seconds(371)));
    assert_eq!((streams.streams.len(), streams.order.len()), (0, 0));
}
