//! What holds for any frames at all: the engine in this process, with random octets and random traffic.

use std::sync::Arc;

use firstcontact::destination::Aggregation;
use firstcontact::engine::{
    DecodeReport, Decoder, Ending, Judge, Limits, Mark, Packets, Records, Report, Setup, Worker, WorkerSetup,
};
use firstcontact::identity::Network;
use firstcontact::model::{
    AlertId, AlertRecord, BaselineMode, Counter, Counters, Frame, JournalRow, Ledger, LedgerError, LinkType, NameRow,
    NameView, NameWriter, Opening, Packet, PairView, Policy, SavedNames, SourceId, Span, StoredPage, Timestamp,
    WorkloadId,
};
use firstcontact::names::Names;
use proptest::prelude::*;

use crate::support::Capture;
use crate::support::dns::{Message, Record};
use crate::support::frames::{ACK, FIN, NOON, RST, SYN, Segment, endpoint, ip};

const LINKS: [LinkType; 9] = [
    LinkType::Ethernet,
    LinkType::Raw,
    LinkType::Null,
    LinkType::Loop,
    LinkType::LinuxCooked,
    LinkType::LinuxCooked2,
    LinkType::Ppp,
    LinkType::PppSerial,
    LinkType::PppEther,
];

/// A ledger that holds nothing: the judge keeps what it decided in memory.
struct Nothing;

impl Ledger for Nothing {
    fn opening(&self) -> Result<Opening, LedgerError> {
        Ok(Opening::default())
    }

    fn names(&self, _: Timestamp) -> Result<SavedNames, LedgerError> {
        Ok(SavedNames::default())
    }

    fn name_writer(&self) -> Box<dyn NameWriter> {
        Box::new(Self)
    }

    fn end_names(&self, _: &mut NameRow, _: &dyn Fn(firstcontact::model::Segment) -> Arc<str>) {}

    fn pages(&self, _: WorkloadId) -> Result<Vec<StoredPage>, LedgerError> {
        Ok(Vec::new())
    }

    fn add_to_journal(&self, row: &mut JournalRow, _: PairView<'_>) {
        row.octets.push(0);
    }

    fn page_row(&self, _: u64, _: &mut dyn Iterator<Item = PairView<'_>>) -> Vec<u8> {
        Vec::new()
    }

    fn holders(&self, _: u64) -> Result<Vec<WorkloadId>, LedgerError> {
        Ok(Vec::new())
    }

    fn alert(&self, _: AlertId) -> Result<Option<AlertRecord>, LedgerError> {
        Ok(None)
    }
}

impl NameWriter for Nothing {
    fn add(&mut self, _: &NameView<'_>) {}

    fn take(&mut self) -> Vec<NameRow> {
        Vec::new()
    }

    fn reuse(&mut self, _: Vec<u8>) {}
}

/// The engine with some workers, without threads. `turn` chooses in which order workers write names and report.
struct Engine {
    workers: Vec<Worker>,
    /// Reports of the epoch before, for the next.
    spare: Vec<Report>,
    judge: Judge,
    turn: usize,
    /// Alerts, records and events, as text.
    given: Vec<String>,
    counters: Counters,
}

impl Engine {
    fn new(workers: usize, turn: usize) -> Self {
        let mut policy = Policy::default();
        policy.baseline.learning = Span::ZERO;
        policy.baseline.learning_new = Span::ZERO;
        policy.baseline.mode = BaselineMode::Judge;
        let network = Arc::new(Network::new(&policy.network));
        let limits = Limits::of(1 << 20);
        let names = Arc::new(Names::new());
        let setup = WorkerSetup {
            network: Arc::clone(&network),
            dns_ports: policy.network.dns_ports.clone().into(),
            settle: policy.names.settle,
            limits,
            records: Records::Wanted,
            names: Arc::clone(&names),
            ledger: Arc::new(Nothing),
        };
        let judge = Judge::new(Setup {
            aggregation: Aggregation::new(&policy).expect("the built-in rules"),
            policy,
            network,
            limits,
            records: Records::Wanted,
            ledger: Arc::new(Nothing),
            names: Arc::clone(&names),
        });
        Self {
            workers: (0..workers).map(|n| Worker::new(n, workers, setup.clone())).collect(),
            spare: Vec::new(),
            judge: judge.expect("an empty ledger can be read"),
            turn,
            given: Vec::new(),
            counters: Counters::default(),
        }
    }
}

impl Packets for Engine {
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        let worker = partition % self.workers.len();
        self.workers[worker].packet(partition, packet, payload);
    }

    fn mark(&mut self, mark: Mark, report: DecodeReport) {
        self.workers.iter_mut().for_each(|worker| worker.end_epoch(&mark));
        let count = self.workers.len();
        let order = (0..count).map(|n| (n + self.turn) % count);
        let mut reports: Vec<Report> = order
            .map(|n| self.workers[n].report(self.spare.pop().unwrap_or_default()))
            .collect();
        let outcome = self.judge.epoch(&mark, report, &mut reports).expect("nothing is read");
        reports.iter_mut().for_each(Report::clear);
        self.spare = reports;
        self.counters.merge(&outcome.counters);
        let alerts = outcome.batch.deliver.iter().map(|alert| format!("{alert:?}"));
        self.given.extend(alerts);
        self.given
            .extend(outcome.records.iter().map(|record| format!("{record:?}")));
        self.given
            .extend(outcome.events.iter().map(|event| format!("{event:?}")));
    }
}

/// Runs frames through the engine.
fn run(frames: &[(LinkType, i64, Vec<u8>)], workers: usize, turn: usize) -> Engine {
    let mut engine = Engine::new(workers, turn);
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

fn assert_balanced(counters: &Counters, frames: usize) -> Result<(), TestCaseError> {
    let given = counters.get(Counter::Packets) + counters.get(Counter::FragmentsJoined);
    let sum = given + counters.malformed() + counters.ignored();
    prop_assert_eq!(counters.get(Counter::Frames), frames as u64);
    prop_assert_eq!(sum, frames as u64);
    let flows = [
        Counter::FlowsCandidates,
        Counter::FlowsInternal,
        Counter::FlowsInbound,
        Counter::FlowsExternal,
        Counter::FlowsNeither,
    ];
    let flows: u64 = flows.into_iter().map(|counter| counters.get(counter)).sum();
    prop_assert_eq!(counters.get(Counter::Flows), flows);
    let verdicts = [
        Counter::ContactsKnown,
        Counter::ContactsNew,
        Counter::ContactsLearned,
        Counter::ContactsAttempt,
        Counter::ContactsResolver,
        Counter::ContactsBurst,
    ];
    let verdicts: u64 = verdicts.into_iter().map(|counter| counters.get(counter)).sum();
    prop_assert_eq!(counters.get(Counter::Contacts), verdicts);
    let responses = counters.get(Counter::DnsMatched) + counters.get(Counter::DnsUnmatched);
    prop_assert_eq!(counters.get(Counter::DnsResponses), responses);
    Ok(())
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
        octets in prop::collection::vec((0..LINKS.len(), 0_i64..200_000_000, prop::collection::vec(any::<u8>(), 0..200)), 0..40),
    ) {
        let frames: Vec<_> = octets.into_iter().map(|(link, at, octets)| (LINKS[link], NOON + at, octets)).collect();
        let engine = run(&frames, 2, 0);
        assert_balanced(&engine.counters, frames.len())?;
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
        assert_balanced(&engine.counters, frames.len())?;
    }

    #[test]
    fn rule_t2_neither_the_number_of_workers_nor_their_order_changes_anything(
        events in prop::collection::vec(event(), 1..120),
        turn in 0_usize..8,
    ) {
        let frames = frames(&traffic(&events));
        let one = run(&frames, 1, 0);
        assert_balanced(&one.counters, frames.len())?;
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
