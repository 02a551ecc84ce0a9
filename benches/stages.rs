//! What each stage costs by itself: decoding, DNS, the flow table, names, and all of the engine on one thread.

mod traffic;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use firstcontact::destination::Aggregation;
use firstcontact::engine::{
    DecodeReport, Decoder, Ending, Judge, Limits, Mark, Packets, Records, Report, Setup, Worker, WorkerSetup,
};
use firstcontact::flow::{Class, FlowTable, Payload};
use firstcontact::identity::Network;
use firstcontact::model::{
    Address, Admission, AnswerFacts, BaselineMode, Evidence, EvidenceKind, Frame, LinkType, NameRecord, Packet, Policy,
    PortSet, Provenance, Segment, SourceId, Span, Timestamp,
};
use firstcontact::names::Names;
use firstcontact::store::Store;
use firstcontact::wire::{self, dns};
use traffic::{Made, Plan};

const PLAN: Plan = Plan {
    flows: 4000,
    workloads: 200,
    names: 2000,
    segments: 4,
};

fn frame(made: &Made) -> Frame<'_> {
    Frame {
        time: Timestamp(made.time),
        source: SourceId(0),
        link: LinkType::Ethernet,
        octets: &made.octets,
    }
}

/// Returns a frame that mirrors another by VXLAN.
fn mirrored(octets: &[u8]) -> Vec<u8> {
    let [a, b] = (36 + octets.len() as u16).to_be_bytes();
    let [c, d] = (16 + octets.len() as u16).to_be_bytes();
    let header = [
        [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 8, 0].as_slice(),
        &[0x45, 0, a, b, 0, 1, 0, 0, 64, 17, 0, 0, 10, 250, 0, 9, 10, 250, 0, 1],
        &[0xd9, 0x03, 0x12, 0xb5, c, d, 0, 0, 8, 0, 0, 0, 0, 0, 42, 0],
    ];
    [header.concat().as_slice(), octets].concat()
}

/// Keeps what the decoder gives.
#[derive(Default)]
struct Kept {
    packets: Vec<(usize, Packet, Vec<u8>)>,
    marks: Vec<(Mark, DecodeReport)>,
}

impl Packets for Kept {
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        self.packets.push((partition, *packet, payload.to_vec()));
    }

    fn mark(&mut self, mark: Mark, report: DecodeReport) {
        self.marks.push((mark, report));
    }
}

/// The whole engine on the caller's thread.
struct Engine {
    worker: Worker,
    spare: Report,
    judge: Judge,
    batches: usize,
}

impl Engine {
    fn new() -> Self {
        let mut policy = Policy::default();
        policy.baseline.mode = BaselineMode::LearnOnly;
        let names = Arc::new(Names::new());
        let network = Arc::new(Network::new(&policy.network));
        let limits = Limits::of(policy.memory);
        let store = Arc::new(Store::temporary(16 << 20, policy.baseline.retention).expect("a temporary folder"));
        let judge = Judge::new(Setup {
            aggregation: Aggregation::new(&policy).expect("the built-in rules"),
            network: Arc::clone(&network),
            limits,
            records: Records::NotWanted,
            ledger: Arc::clone(&store) as _,
            names: Arc::clone(&names),
            policy,
        });
        let setup = WorkerSetup {
            network,
            dns_ports: PortSet::new(&[53]),
            settle: Span::seconds(5),
            limits,
            records: Records::NotWanted,
            names: Arc::clone(&names),
            ledger: Arc::clone(&store) as _,
        };
        Self {
            worker: Worker::new(0, 1, setup),
            spare: Report::default(),
            judge: judge.expect("an empty ledger"),
            batches: 0,
        }
    }
}

impl Packets for Engine {
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        self.worker.packet(partition, packet, payload);
    }

    fn mark(&mut self, mark: Mark, report: DecodeReport) {
        self.worker.end_epoch(&mark);
        let mut reports = [self.worker.report(std::mem::take(&mut self.spare))];
        let mut full = 0;
        let outcome = self
            .judge
            .epoch(&mark, report, &mut reports, &mut |_| full += 1)
            .expect("a readable ledger");
        let [mut report] = reports;
        report.clear();
        self.spare = report;
        self.batches += full + usize::from(!outcome.batch.is_empty());
    }
}

fn stages(criterion: &mut Criterion) {
    let made = traffic::make(PLAN);
    let mut kept = Kept::default();
    let mut decoder = Decoder::new(&Policy::default(), Span::ZERO, 1);
    for made in &made {
        decoder.frame(frame(made), &mut kept);
    }
    decoder.finish(Ending::Input, &mut kept);

    let mut group = criterion.benchmark_group("stages");
    group.throughput(Throughput::Elements(made.len() as u64));
    let ports = wire::Ports::new(&[4789, 4790], &[6081], &[53]);
    group.bench_function("decode a frame", |bench| {
        bench.iter(|| {
            for made in &made {
                let _ = black_box(wire::decode(LinkType::Ethernet, &made.octets, &ports));
            }
        });
    });
    let mirrored: Vec<Vec<u8>> = made.iter().map(|made| mirrored(&made.octets)).collect();
    group.bench_function("decode a mirrored frame", |bench| {
        bench.iter(|| {
            for octets in &mirrored {
                let _ = black_box(wire::decode(LinkType::Ethernet, octets, &ports));
            }
        });
    });
    let responses: Vec<&[u8]> = kept
        .packets
        .iter()
        .filter(|(_, p, _)| p.from_port == 53)
        .map(|(_, _, o)| &o[..])
        .collect();
    group.throughput(Throughput::Elements(responses.len() as u64));
    group.bench_function("read a DNS response", |bench| {
        bench.iter(|| {
            for response in &responses {
                let _ = black_box(dns::parse_response(response));
            }
        });
    });
    let tcp: Vec<&Packet> = kept
        .packets
        .iter()
        .map(|(_, p, _)| p)
        .filter(|p| p.from_port != 53 && p.to_port != 53)
        .collect();
    group.throughput(Throughput::Elements(tcp.len() as u64));
    group.bench_function("take a packet into the flow table", |bench| {
        bench.iter_batched_ref(
            || FlowTable::new(1 << 16, 1 << 10, Span::seconds(5)),
            |table| {
                for packet in &tcp {
                    black_box(table.take(packet, Payload::Other, || Class::Candidate));
                }
            },
            BatchSize::LargeInput,
        );
    });
    names(&mut group);
    group.throughput(Throughput::Elements(made.len() as u64));
    group.bench_function("the engine on one thread, a frame", |bench| {
        bench.iter_batched_ref(
            || (Engine::new(), Decoder::new(&Policy::default(), Span::ZERO, 1)),
            |(engine, decoder)| {
                for made in &made {
                    decoder.frame(frame(made), engine);
                }
                decoder.finish(Ending::Input, engine);
                assert!(engine.batches > 0);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn names(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>) {
    let pieces: Vec<NameRecord> = (0_u32..10_000)
        .map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            let at = Timestamp(i64::from(n));
            let name = format!("www.site-{n}.example");
            let evidence = Evidence {
                provenance: Arc::new(Provenance::new(
                    name.into(),
                    Address::v4([10, 0, 0, 53]),
                    Box::default(),
                )),
                client: Address::v4([10, 1, 0, c]),
                facts: AnswerFacts {
                    kind: EvidenceKind::DnsAddress,
                    admission: Admission::Admitted,
                    ttl: 300,
                    greatest_ttl: 300,
                    first: at,
                    last: at,
                    expires: at.plus(Span::hours(1)),
                },
            };
            NameRecord {
                segment: Segment::NONE,
                address: Address::v4([45, a, b, c]),
                evidence,
            }
        })
        .collect();
    group.throughput(Throughput::Elements(pieces.len() as u64));
    group.bench_function("write a name", |bench| {
        bench.iter_batched(
            || (Names::new(), pieces.clone()),
            |(names, mut pieces)| {
                names.write(&mut pieces);
                (names, pieces)
            },
            BatchSize::LargeInput,
        );
    });
    let known = Names::new();
    known.write(&mut pieces.clone());
    group.bench_function("look a name up", |bench| {
        bench.iter(|| {
            for piece in &pieces {
                known.of_client(
                    Segment::NONE,
                    piece.address,
                    piece.evidence.client,
                    piece.evidence.facts.last,
                    |evidence| {
                        drop(black_box(evidence));
                    },
                );
            }
        });
    });
}

criterion_group!(benches, stages);
criterion_main!(benches);
