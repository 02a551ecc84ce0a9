use std::ops::Range;

use proptest::prelude::*;

use super::super::decoder::{Decoder, Packets};
use super::super::report::{DecodeReport, Ending, Mark};
use super::*;
use crate::model::{Frame, LinkType, Packet, Policy};
use crate::wire::{self, build};

const CLIENT: [u8; 4] = [10, 1, 0, 5];
const SERVER: [u8; 4] = [10, 1, 0, 2];
/// A millisecond.
const STEP: i64 = 1_000_000;

/// What the decoder gave.
#[derive(Default)]
struct Given {
    packets: Vec<(Packet, Vec<u8>)>,
    counters: Counters,
}

impl Packets for Given {
    fn packet(&mut self, _: usize, packet: &Packet, payload: &[u8]) {
        self.packets.push((*packet, payload.to_vec()));
    }

    fn mark(&mut self, _: Mark, report: DecodeReport) {
        self.counters.merge(&report.counters);
    }
}

impl Given {
    /// Returns the packets without what tells frames apart.
    fn told(&self) -> Vec<(Packet, Vec<u8>)> {
        let packets = self.packets.iter().cloned();
        packets
            .map(|(packet, payload)| {
                let same = Packet {
                    time: Timestamp(0),
                    arrival: Arrival(0),
                    ..packet
                };
                (same, payload)
            })
            .collect()
    }

    fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }

    /// Asserts that every frame is counted once.
    fn assert_balanced(&self) {
        let sum = self.count(Counter::Packets) + self.count(Counter::FragmentsJoined);
        let sum = sum + self.counters.malformed() + self.counters.ignored();
        assert_eq!(sum, self.count(Counter::Frames), "{:#}", self.counters.to_json());
        assert!(self.packets.windows(2).all(|two| two[0].0.time <= two[1].0.time));
    }
}

/// Decodes frames that come at these times.
fn decode(frames: &[(i64, Vec<u8>)]) -> Given {
    let mut given = Given::default();
    let mut decoder = Decoder::new(&Policy::default(), Span::ZERO, 1);
    for (time, octets) in frames {
        let frame = Frame {
            time: Timestamp(*time),
            source: SourceId(0),
            link: LinkType::Ethernet,
            octets,
        };
        decoder.frame(frame, &mut given);
    }
    decoder.finish(Ending::Input, &mut given);
    given.assert_balanced();
    given
}

/// Decodes frames that follow one another by a millisecond.
fn decode_row(frames: &[Vec<u8>]) -> Given {
    let times = (0..).map(|n| n * STEP);
    let frames: Vec<_> = times.zip(frames.iter().cloned()).collect();
    decode(&frames)
}

/// Returns an IP packet's fragment of this range of its payload.
fn piece(packet: &[u8], range: Range<usize>) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        let payload = &packet[20..];
        let more = if range.end < payload.len() { 0x2000 } else { 0 };
        let field = u16::try_from(range.start / 8).unwrap() | more;
        let total = u16::try_from(20 + range.len()).unwrap();
        let mut cut = packet[..20].to_vec();
        cut[2..4].copy_from_slice(&total.to_be_bytes());
        cut[6..8].copy_from_slice(&field.to_be_bytes());
        return [&cut, &payload[range]].concat();
    }
    let payload = &packet[40..];
    let field = u16::try_from(range.start).unwrap() | u16::from(range.end < payload.len());
    let length = u16::try_from(8 + range.len()).unwrap();
    let mut cut = packet[..40].to_vec();
    cut[4..6].copy_from_slice(&length.to_be_bytes());
    cut[6] = 44;
    let [high, low] = field.to_be_bytes();
    [&cut, &[packet[6], 0, high, low, 0, 0, 0, 77][..], &payload[range]].concat()
}

/// Returns an IP packet's payload cut into two or more ranges at places in units of eight octets.
fn ranges(length: usize, cuts: &[usize]) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut * 8 % length / 8 * 8).collect();
    cuts.extend([0, length]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|two| two[0]..two[1]).collect()
}

fn pieces(packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let length = packet.len() - if packet[0] >> 4 == 4 { 20 } else { 40 };
    ranges(length, cuts)
        .into_iter()
        .map(|range| piece(packet, range))
        .collect()
}

/// Returns an Ethernet frame of an IP packet.
fn framed(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    build::ethernet(1, ethertype, packet)
}

fn all_framed(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| framed(packet)).collect()
}

/// Returns a response on the port of DNS, with a payload whose octets differ from their neighbours.
fn response(octets: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..octets).map(|n| (n * 7 % 251) as u8).collect();
    build::udp(53, 4000, &payload)
}

fn four(payload: &[u8]) -> Vec<u8> {
    build::ipv4(SERVER, CLIENT, if payload[1] == 53 { 17 } else { 6 }, payload)
}

fn syn() -> Vec<u8> {
    build::ipv4(CLIENT, SERVER, 6, &build::tcp(40_000, 443, 9, 2, &[0x16; 40]))
}

#[test]
fn rule_w4_fragments_are_joined_in_any_order_and_the_last_to_come_is_the_frame() {
    let packet = four(&response(60));
    let whole = decode_row(&[framed(&packet)]);
    let mut frames = all_framed(&pieces(&packet, &[2, 5]));
    for _ in 0..3 {
        frames.rotate_left(1);
        let given = decode_row(&frames);
        assert_eq!(given.told(), whole.told());
        assert_eq!(
            (given.packets[0].0.time, given.packets[0].0.arrival),
            (Timestamp(2 * STEP), Arrival(3))
        );
        assert_eq!(
            (
                given.count(Counter::FragmentsJoined),
                given.count(Counter::FragmentsWhole)
            ),
            (2, 1)
        );
        assert_eq!((given.count(Counter::Packets), given.counters.ignored()), (1, 0));
    }
}

#[test]
fn rule_w4_an_outer_and_an_inner_packet_may_both_be_in_fragments() {
    let inner = four(&response(400));
    let whole = decode_row(&[build::vxlan(42, &framed(&inner))]);
    let outer = pieces(&inner, &[20]).into_iter().enumerate().flat_map(|(n, inner)| {
        let mut frame = build::vxlan(42, &framed(&inner));
        frame[18] = n as u8;
        all_framed(&pieces(&frame[14..], &[9, 18]))
    });
    let mut frames: Vec<_> = outer.collect();
    assert_eq!(decode_row(&frames).told(), whole.told());
    frames.reverse();
    let given = decode_row(&frames);
    assert_eq!(given.told(), whole.told());
    assert_eq!(
        (
            given.count(Counter::FragmentsJoined),
            given.count(Counter::FragmentsWhole)
        ),
        (5, 3)
    );
}

#[test]
fn rule_w2_a_tunnel_in_fragments_with_fragments_inside_leads_outside_once_a_packet() {
    let inner = pieces(&four(&response(100)), &[5, 9]);
    let tunnelled = inner.iter().enumerate().map(|(n, piece)| {
        let carrier = [&[0, 0, 8, 0][..], piece].concat();
        let mut outer = build::ipv4([10, 1, 0, 9], [203, 0, 113, 9], 47, &carrier);
        outer[5] = n as u8;
        outer
    });
    let outer: Vec<Vec<u8>> = tunnelled.collect();
    let octets: Vec<u32> = outer.iter().map(|packet| packet.len() as u32 - 20).collect();
    let cut: Vec<Vec<u8>> = outer.iter().flat_map(|packet| pieces(packet, &[24])).collect();
    for given in [decode_row(&all_framed(&outer)), decode_row(&all_framed(&cut))] {
        given.assert_balanced();
        assert_eq!(given.count(Counter::Tunnels), 3);
        let (inside, carriers): (Vec<_>, Vec<_>) =
            given.packets.iter().partition(|(packet, _)| packet.segment.is_tunnel());
        assert!(
            carriers
                .iter()
                .map(|(packet, _)| packet.payload_octets)
                .eq(octets.iter().copied())
        );
        assert_eq!(inside.len(), 1);
        assert_eq!(
            (inside[0].0.from_port, inside[0].1.len()),
            (53, inside[0].0.payload_octets as usize)
        );
    }
}

#[test]
fn rule_w3_fragments_of_two_segments_are_two_datagrams() {
    let halves = pieces(&four(&response(60)), &[4]);
    let mirrored = |vni, half: &Vec<u8>| build::vxlan(vni, &framed(half));
    let given = decode_row(&[mirrored(1, &halves[0]), mirrored(2, &halves[1])]);
    assert_eq!(given.count(Counter::FragmentsIncomplete), 2);
    let given = decode_row(&[mirrored(1, &halves[0]), mirrored(1, &halves[1])]);
    assert_eq!((given.count(Counter::FragmentsIncomplete), given.packets.len()), (0, 1));
}

#[test]
fn rule_w4_who_mirrored_a_fragment_does_not_matter() {
    let halves = pieces(&four(&response(60)), &[4]);
    let one = build::vxlan(1, &framed(&halves[0]));
    let mut other = build::vxlan(1, &framed(&halves[1]));
    other[29] = 77;
    assert_eq!(decode_row(&[one, other]).count(Counter::FragmentsWhole), 1);
}

#[test]
fn rule_w5_frames_that_are_mirrored_twice_give_one_packet() {
    let frames = all_framed(&pieces(&four(&response(60)), &[2, 5]));
    let mut twice = Vec::new();
    for frame in &frames {
        twice.extend([frame.clone(), frame.clone()]);
    }
    twice.extend(frames);
    let given = decode_row(&twice);
    assert_eq!((given.packets.len(), given.counters.ignored()), (1, 6));
    assert_eq!(given.count(Counter::FragmentsIncomplete), 0);
}

#[test]
fn an_identification_may_be_used_again() {
    let mut frames = all_framed(&pieces(&four(&response(60)), &[4]));
    frames.extend(all_framed(&pieces(&four(&response(61)), &[4])));
    frames.extend(all_framed(&pieces(&four(&response(59)), &[4])));
    let given = decode_row(&frames);
    let octets: Vec<u32> = given.packets.iter().map(|(packet, _)| packet.payload_octets).collect();
    assert_eq!(octets, [60, 61, 59]);
}

#[test]
fn rule_w4_what_contradicts_keeps_the_first_octets_in_ipv4() {
    let packet = four(&response(60));
    let mut other = packet.clone();
    other[40..64].fill(0xff);
    let frames = [piece(&packet, 0..40), piece(&other, 16..48), piece(&packet, 48..68)];
    let given = decode_row(&all_framed(&frames));
    let payload = &given.packets[0].1;
    assert_eq!(payload[..32], packet[28..60], "the first came first");
    assert_eq!(payload[32..36], [0xff; 4], "and of the second the rest");
    assert_eq!(
        (
            given.count(Counter::FragmentsOverlapping),
            given.count(Counter::FragmentsWhole)
        ),
        (1, 1)
    );
}

#[test]
fn rule_w4_what_contradicts_is_dropped_in_ipv6() {
    let packet = build::ipv6(17, &response(60));
    let mut other = packet.clone();
    other[60..64].fill(0xff);
    let frames = [
        piece(&packet, 0..40),
        piece(&other, 16..48),
        piece(&packet, 40..68),
        piece(&packet, 0..40),
    ];
    let given = decode_row(&all_framed(&frames));
    assert_eq!((given.packets.len(), given.counters.ignored()), (0, 4));
    assert_eq!(
        (
            given.count(Counter::FragmentsOverlapping),
            given.count(Counter::FragmentsWhole)
        ),
        (1, 0)
    );
}

#[test]
fn a_last_fragment_that_contradicts_another_is_malformed() {
    let packet = four(&response(60));
    let shorter = &packet[..80];
    let frames = [piece(&packet, 40..68), piece(shorter, 40..60), piece(&packet, 0..40)];
    let given = decode_row(&all_framed(&frames));
    assert_eq!((given.packets[0].0.payload_octets, given.counters.malformed()), (60, 1));
    let frames = [piece(shorter, 40..60), piece(&packet, 40..68), piece(&packet, 0..40)];
    assert_eq!(decode_row(&all_framed(&frames)).counters.malformed(), 1);
    let longer = four(&response(200));
    let frames = [piece(&longer, 64..72), piece(&packet, 40..68), piece(&longer, 40..64)];
    assert_eq!(decode_row(&all_framed(&frames)).counters.malformed(), 1);
}

#[test]
fn rule_w4_an_atomic_fragment_is_whole() {
    let packet = build::ipv6(17, &response(60));
    let given = decode_row(&[framed(&piece(&packet, 0..68))]);
    assert_eq!((given.packets.len(), given.count(Counter::FragmentsWhole)), (1, 0));
}

#[test]
fn rule_w4_the_first_fragment_gives_its_packet_after_a_second_at_the_clocks_time() {
    let first = framed(&pieces(&syn(), &[3])[0]);
    let tick = |at: i64| {
        (
            at * STEP,
            framed(&build::ipv4(CLIENT, SERVER, 17, &build::udp(1, 9, b""))),
        )
    };
    let given = decode(&[(0, first), tick(950), tick(1040)]);
    let ports: Vec<_> = given
        .packets
        .iter()
        .map(|(packet, _)| (packet.time.0 / STEP, packet.to_port))
        .collect();
    assert_eq!(ports, [(950, 9), (950, 443), (1040, 9)]);
    assert_eq!(given.packets[1].0.arrival, Arrival(1));
    assert_eq!(
        (given.count(Counter::FragmentsIncomplete), given.counters.ignored()),
        (1, 0)
    );
}

#[test]
fn rule_w4_a_first_fragment_without_ports_or_flags_waits_half_a_minute() {
    let parts = pieces(&syn(), &[1]);
    let tick = |at: i64| {
        (
            at * STEP,
            framed(&build::ipv4(CLIENT, SERVER, 17, &build::udp(1, 9, b""))),
        )
    };
    let given = decode(&[(0, framed(&parts[0])), tick(20_000), (29_999 * STEP, framed(&parts[1]))]);
    assert_eq!(
        (given.packets[1].0.to_port, given.packets[1].0.payload_octets),
        (443, 40)
    );
    let given = decode(&[(0, framed(&parts[0])), tick(30_000), (30_101 * STEP, framed(&parts[1]))]);
    assert_eq!(
        (
            given.packets.len(),
            given.counters.malformed(),
            given.counters.ignored()
        ),
        (1, 1, 1)
    );
    assert_eq!(given.count(Counter::FragmentsIncomplete), 2);
}

#[test]
fn rule_t1_a_break_gives_up_what_is_incomplete() {
    let parts = pieces(&syn(), &[3]);
    let given = decode(&[(100_000 * STEP, framed(&parts[0])), (0, framed(&parts[1]))].map(|(at, frame)| (at, frame)));
    assert_eq!((given.packets.len(), given.count(Counter::FragmentsIncomplete)), (1, 2));
}

#[test]
fn a_snapped_fragment_gives_what_is_before_the_cut() {
    let packet = four(&response(100));
    let mut frames = all_framed(&pieces(&packet, &[6]));
    frames[0].truncate(14 + 20 + 30);
    let given = decode_row(&frames);
    assert_eq!((given.packets[0].0.payload_octets, given.packets[0].1.len()), (100, 22));
    assert_eq!(
        (given.count(Counter::Snapped), given.count(Counter::FragmentsWhole)),
        (1, 1)
    );
}

fn framings() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let four = prop_oneof![
        (0usize..3000).prop_map(|octets| four(&response(octets + 1))),
        Just(syn())
    ];
    let six = prop_oneof![
        (0usize..3000).prop_map(|octets| build::ipv6(17, &response(octets + 1))),
        Just(build::ipv6(6, &build::tcp(1, 443, 9, 2, &[0x16; 400]))),
    ];
    (prop_oneof![four, six], any::<bool>())
}

proptest! {
    #[test]
    fn rule_w4_a_datagram_in_fragments_is_the_datagram(
        (packet, is_mirrored) in framings(),
        cuts in prop::collection::vec(0usize..500, 1..12),
        others in prop::collection::vec(0usize..500, 0..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let envelope = |frame: Vec<u8>| if is_mirrored { build::vxlan(42, &frame) } else { frame };
        let whole = decode_row(&[envelope(framed(&packet))]);
        // Two ways to cut it, so that they overlap, in any order and with duplicates.
        let mut frames = all_framed(&pieces(&packet, &cuts));
        frames.extend(all_framed(&pieces(&packet, &others)));
        for (n, index) in order.iter().enumerate() {
            let frame = frames[index.index(frames.len())].clone();
            match n % 2 {
                0 => frames.insert(n % frames.len(), frame),
                _ => {
                    let (a, b) = (n % frames.len(), index.index(frames.len()));
                    frames.swap(a, b);
                }
            }
        }
        let frames: Vec<_> = frames.into_iter().map(envelope).collect();
        let given = decode_row(&frames);
        let told = given.told();
        prop_assert!(told.iter().all(|packet| *packet == whole.told()[0]), "{:?}", told);
        prop_assert!(!told.is_empty());
    }

    #[test]
    fn rule_w4_an_envelope_in_fragments_is_the_envelope(
        (packet, is_mirrored) in framings(),
        cuts in prop::collection::vec(0usize..500, 1..12),
        is_reversed in any::<bool>(),
    ) {
        let mut frame = build::vxlan(42, &framed(&packet));
        if is_mirrored {
            frame = build::vxlan(43, &frame);
        }
        let whole = decode_row(std::slice::from_ref(&frame));
        let mut frames = all_framed(&pieces(&frame[14..], &cuts));
        if is_reversed {
            frames.reverse();
        }
        prop_assert_eq!(decode_row(&frames).told(), whole.told());
    }

    #[test]
    fn a_flood_of_fragments_stays_within_its_bound(
        fragments in prop::collection::vec((0u16..4, 0u16..40, 0usize..80, any::<bool>(), any::<u8>(), 0i64..2_000), 1..400),
        limit in 2_000usize..40_000,
    ) {
        let mut table = Fragments::new(limit);
        let mut counters = Counters::default();
        let (mut now, mut units) = (0, 0);
        for (n, (identification, offset, length, more, value, gap)) in fragments.iter().enumerate() {
            now += gap * STEP;
            let mut packet = build::ipv4(CLIENT, SERVER, 17, &vec![*value; *length]);
            let field = offset | if *more { 0x2000 } else { 0 };
            packet[4..6].copy_from_slice(&identification.to_be_bytes());
            packet[6..8].copy_from_slice(&field.to_be_bytes());
            let met = wire::meet(LinkType::Raw, &packet, &wire::Ports::default());
            let Ok(wire::Met::Fragment(fragment)) = met else { continue };
            units += 1;
            let came = Came { time: Timestamp(now), source: SourceId(0), arrival: Arrival(n as u64) };
            if table.take(Segment::NONE, &fragment, came, &mut counters).is_some() {
                counters.count(Counter::Packets);
            }
            let given_up = std::iter::from_fn(|| table.evict(&mut counters)).collect::<Vec<_>>();
            given_up.iter().for_each(|given_up| given_up.count(false, &mut counters));
            prop_assert!(table.octets <= limit);
            prop_assert_eq!(table.octets, table.datagrams.values().map(Datagram::octets).sum::<usize>());
            prop_assert_eq!(table.datagrams.len(), table.numbers.len());
            prop_assert_eq!(table.datagrams.len(), table.due.len());
        }
        while let Some(given_up) = table.due(None) {
            given_up.count(false, &mut counters);
        }
        prop_assert!(table.datagrams.is_empty() && table.octets == 0);
        let sum = counters.get(Counter::Packets) + counters.get(Counter::FragmentsJoined);
        prop_assert_eq!(sum + counters.malformed() + counters.ignored(), units);
    }
}
