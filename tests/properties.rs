//! What holds for any frames at all: the engine in this process, with random octets and random traffic.

use firstcontact::destination::Aggregation;
use firstcontact::engine::{Decoder, Ending, Records};
use firstcontact::model::{Frame, LinkType, Policy, SourceId, Span, Timestamp};
use proptest::prelude::*;

use crate::support::Capture;
use crate::support::dns::{Message, Record};
use crate::support::engine::{Engine, assert_balanced};
use crate::support::frames::{ACK, FIN, NOON, RST, SYN, Segment, endpoint, ip};

/// Runs frames through the engine.
fn run(frames: &[(LinkType, i64, Vec<u8>)], workers: usize, turn: usize) -> Engine {
    let mut engine = Engine::new(workers, turn, Records::Wanted);
    let mut decoder = Decoder::new(&Policy::default(), Span::ZERO, 1);
    for (link, time, octets) in frames {
        let frame = Frame {
            time: Timestamp(*time),
            source: SourceId(0),
            link: *link,
            octets,
        };
        decoder.frame(frame, &mut engine);
    }
    decoder.finish(Ending::Input, &mut engine);
    engine
}

/// Something that a small world does.
fn event() -> impl Strategy<Value = (i64, u8, u8, u8, u8, u16)> {
    let gap = prop_oneof![
        20 => 0_i64..50_000_000,
        6 => 0_i64..8_000_000_000,
        2 => 0_i64..4_000_000_000_000,
        1 => -100_000_000_000_i64..0,
        1 => Just(7_200_000_000_000_i64),
    ];
    (gap, 0_u8..10, 0_u8..5, 0_u8..5, 0_u8..4, 0_u16..3)
}

/// Returns the frames of a small world: few hosts, addresses, names and ports, so that they meet.
fn traffic(events: &[(i64, u8, u8, u8, u8, u16)]) -> Capture {
    let mut capture = Capture::new();
    let mut at = 0;
    for (gap, what, client, server, name, port) in events {
        at += gap;
        let client = format!("10.1.0.{}", 5 + client);
        let outside = format!("203.0.113.{}", 7 + server);
        let from = endpoint(&format!("{client}:{}", 40_000 + port));
        let to = endpoint(&format!("{outside}:{}", [443, 53, 40_001, 9][usize::from(*name)]));
        let names = ["a.example.com", "b.example.com", "c.example.net", "t.s3.amazonaws.com"];
        let name = names[usize::from(*name)];
        let message = Message {
            id: *port,
            name: name.to_owned(),
            is_iterative: *port == 2,
            records: vec![Record::address(name, 60, ip(&outside))],
            ..Message::default()
        };
        // Port 2 stands for an external server that is now and then a contact as well.
        let resolver = if *port == 1 { ip("203.0.113.8") } else { ip("10.1.0.6") };
        let segment = |flags, payload| Segment {
            flags,
            sequence: 1000 + u32::from(*port),
            payload,
            captured: payload,
        };
        match what {
            0 | 1 => capture.dns(at, ip(&client), resolver, &message),
            2 => capture.udp(at, endpoint(&format!("{resolver}:53")), from, &message.response()),
            3 => {
                capture.exchange(at, from, to, 1000 + u32::from(*port), [100, 12_000], FIN);
            }
            4 => capture.segment(at, from, to, segment(SYN, 0)),
            5 => capture.segment(at, to, from, segment(RST | ACK, 0)),
            6 => capture.segment(at, from, to, segment(ACK, 700)),
            7 => capture.segment(at, to, from, segment(ACK, 1400)),
            8 => capture.udp(at, from, to, b"hello"),
            _ => capture.udp(at, to, from, b"hello"),
        }
    }
    capture
}

fn frames(capture: &Capture) -> Vec<(LinkType, i64, Vec<u8>)> {
    let frames = capture.frames.iter();
    frames
        .map(|frame| (LinkType::Ethernet, frame.time, frame.octets.clone()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_frames_never_panic_and_every_one_is_counted_once(
        octets in prop::collection::vec((0..LinkType::ALL.len(), 0_i64..200_000_000, prop::collection::vec(any::<u8>(), 0..200)), 0..40),
    ) {
        let frames: Vec<_> = octets.into_iter().map(|(link, at, octets)| (LinkType::ALL[link], NOON + at, octets)).collect();
        let engine = run(&frames, 2, 0);
        assert_balanced(&engine.counters, frames.len());
    }

    #[test]
    fn damaged_frames_never_panic_and_every_one_is_counted_once(
        events in prop::collection::vec(event(), 1..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..60),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..10),
    ) {
        let mut frames = frames(&traffic(&events));
        for (frame, octet, value) in damage {
            let (_, _, octets) = frame.get_mut(&mut frames);
            if !octets.is_empty() {
                *octet.get_mut(octets) = value;
            }
        }
        for (frame, length) in cuts {
            let (_, _, octets) = frame.get_mut(&mut frames);
            if !octets.is_empty() {
                octets.truncate(length.index(octets.len()));
            }
        }
        let engine = run(&frames, 3, 1);
        assert_balanced(&engine.counters, frames.len());
    }

    #[test]
    fn rule_t2_neither_the_number_of_workers_nor_their_order_changes_anything(
        events in prop::collection::vec(event(), 1..120),
        turn in 0_usize..8,
    ) {
        let frames = frames(&traffic(&events));
        let one = run(&frames, 1, 0);
        assert_balanced(&one.counters, frames.len());
        for workers in [2, 3, 8] {
            let other = run(&frames, workers, turn);
            prop_assert_eq!(&one.given, &other.given, "{} workers, turn {}", workers, turn);
            prop_assert_eq!(&one.counters, &other.counters);
        }
    }

    #[test]
    fn rule_a1_no_alert_is_raised_twice(events in prop::collection::vec(event(), 1..120)) {
        let given = run(&frames(&traffic(&events)), 2, 0).given;
        let raised: Vec<_> = given.iter().filter(|line| line.contains("event: Raised")).collect();
        let id = |line: &str| line.split("revision").next().map(str::to_owned);
        let mut ids: Vec<_> = raised.iter().map(|line| id(line)).collect();
        ids.sort();
        let before = ids.len();
        ids.dedup();
        prop_assert_eq!(ids.len(), before);
    }

    #[test]
    fn rule_d1_aggregation_is_total_and_aggregating_again_changes_nothing(name in "[ -~]{0,80}|([a-z0-9-]{1,9}\\.){1,6}(amazonaws\\.com|co\\.uk|github\\.io|com)|\\PC{0,40}") {
        let aggregation = Aggregation::new(&Policy::default()).expect("the built-in rules");
        let once = aggregation.destination(&name);
        let twice = aggregation.destination(&once.domain);
        prop_assert_eq!(&twice.domain, &once.domain);
    }
}
