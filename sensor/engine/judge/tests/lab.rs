//! One thread that does what a run does: frames through a decoder, a worker and the judge into a temporary ledger.

use std::sync::Arc;

use crate::destination::Aggregation;
use crate::engine::{
    DecodeReport, Decoder, Ending, Judge, Judged, Limits, Mark, Packets, Records, Report, Setup, Worker, WorkerSetup,
};
use crate::identity::Network;
use crate::model::*;
use crate::names::Names;
use crate::store::Store;
use crate::wire::build;

pub const FIN: u8 = 0x11;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const SYN_ACK: u8 = 0x12;
pub const ACK: u8 = 0x10;

pub type Ip = [u8; 4];
pub const CLIENT: Ip = [10, 0, 0, 1];
pub const RESOLVER: Ip = [10, 0, 0, 53];
pub const SERVER: Ip = [203, 0, 113, 7];

/// A noon, in milliseconds.
const NOON: i64 = 1_700_049_600_000;

/// A ledger and the settings of the runs on it.
pub struct Lab {
    pub policy: Policy,
    pub limits: Limits,
    pub store: Arc<Store>,
}

/// What a run gave.
#[derive(Debug, Default)]
pub struct Ran {
    pub alerts: Vec<Alert>,
    pub contacts: Vec<ContactRecord>,
    pub flows: Vec<FlowRecord>,
    pub events: Vec<Event>,
    pub batches: Vec<Batch>,
    pub counters: Counters,
}

impl Ran {
    /// Returns event, kind and destination of each alert, in order.
    pub fn told(&self) -> Vec<String> {
        let told = self.alerts.iter().map(|alert| {
            let event = match alert.event {
                AlertEvent::Raised => "raised",
                AlertEvent::Updated => "updated",
                AlertEvent::Withdrawn => "withdrawn",
            };
            let destination = &alert.destination;
            let domain = destination.domain.as_deref().map(str::to_owned);
            let whom = domain.or(destination.ip.map(|ip| ip.to_string())).unwrap_or_default();
            format!("{event} {} {whom}", alert.kind.name())
        });
        told.collect()
    }

    pub fn verdicts(&self) -> Vec<Verdict> {
        self.contacts.iter().map(|contact| contact.verdict).collect()
    }
}

impl Lab {
    pub fn new() -> Self {
        let mut policy = Policy::default();
        policy.baseline.learning = Span::ZERO;
        policy.baseline.learning_new = Span::ZERO;
        Self {
            store: Arc::new(Store::temporary(8 << 20, policy.baseline.retention).unwrap()),
            limits: Limits::of(64 << 20),
            policy,
        }
    }

    /// Runs frames, given by milliseconds after a noon, to the end of their input.
    pub fn run(&self, frames: &[(i64, Vec<u8>)]) -> Ran {
        self.run_to(frames, Ending::Input)
    }

    /// Runs frames until the process is killed: nothing is ended, and the epoch of the last frame is lost.
    pub fn run_killed(&self, frames: &[(i64, Vec<u8>)]) -> Ran {
        self.go(frames, None)
    }

    pub fn run_to(&self, frames: &[(i64, Vec<u8>)], ending: Ending) -> Ran {
        self.go(frames, Some(ending))
    }

    fn go(&self, frames: &[(i64, Vec<u8>)], ending: Option<Ending>) -> Ran {
        let names = Arc::new(Names::new());
        let network = Arc::new(Network::new(&self.policy.network));
        let judge = Judge::new(Setup {
            aggregation: Aggregation::new(&self.policy).unwrap(),
            network: Arc::clone(&network),
            limits: self.limits,
            records: Records::Wanted,
            ledger: Arc::clone(&self.store) as _,
            names: Arc::clone(&names),
            policy: self.policy.clone(),
        });
        let setup = WorkerSetup {
            network,
            dns_ports: PortSet::new(&self.policy.network.dns_ports),
            settle: self.policy.names.settle,
            limits: self.limits,
            records: Records::Wanted,
            names: Arc::clone(&names),
            ledger: Arc::clone(&self.store) as _,
        };
        let mut stages = Stages {
            worker: Worker::new(0, 1, setup),
            spare: Report::default(),
            judge: judge.unwrap(),
            store: Arc::clone(&self.store),
            ran: Ran::default(),
        };
        let mut decoder = Decoder::new(&self.policy, Span::ZERO, 1);
        for (at, octets) in frames {
            let frame = Frame {
                time: Timestamp(0).plus(Span::millis(NOON + at)),
                source: SourceId(0),
                link: LinkType::Ethernet,
                octets,
            };
            decoder.frame(frame, &mut stages);
        }
        if let Some(ending) = ending {
            decoder.finish(ending, &mut stages);
        }
        stages.ran
    }
}

struct Stages {
    worker: Worker,
    spare: Report,
    judge: Judge,
    store: Arc<Store>,
    ran: Ran,
}

impl Stages {
    fn take(&mut self, outcome: Judged) {
        if !outcome.batch.is_empty() {
            self.store.commit(&outcome.batch).unwrap();
        }
        self.ran.alerts.extend(outcome.batch.deliver.clone());
        self.ran.batches.push(outcome.batch);
        self.ran.counters.merge(&outcome.counters);
        self.ran.events.extend(outcome.events);
        for record in outcome.records {
            match record {
                Record::Contact(record) => self.ran.contacts.push(record),
                Record::Flow(record) => self.ran.flows.push(record),
                Record::Dns(_) => {}
            }
        }
    }
}

impl Packets for Stages {
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        self.worker.packet(partition, packet, payload);
    }

    fn mark(&mut self, mark: Mark, report: DecodeReport) {
        self.worker.end_epoch(&mark);
        let reported = self.worker.report(std::mem::take(&mut self.spare));
        let mut reports = [reported];
        let mut outcomes = Vec::new();
        let hand_over = &mut |outcome| outcomes.push(outcome);
        let last = self.judge.epoch(&mark, report, &mut reports, hand_over).unwrap();
        outcomes.push(last);
        let [mut reported] = reports;
        reported.clear();
        self.spare = reported;
        outcomes.into_iter().for_each(|outcome| self.take(outcome));
        if matches!(mark.ending, Ending::Input | Ending::Run) {
            for batch in self.judge.finish().unwrap() {
                self.take(Judged::of(batch));
            }
        }
    }
}

/// Returns an Ethernet frame; hosts inside have a hardware address each, everything outside has the router's.
fn ethernet(from: Ip, packet: &[u8]) -> Vec<u8> {
    let mac = if from[0] == 10 { from[3] } else { 0xfe };
    build::ethernet(mac, 0x0800, packet)
}

/// Returns a segment of a flow.
pub fn tcp(from: (Ip, u16), to: (Ip, u16), sequence: u32, flags: u8, payload: usize) -> Vec<u8> {
    let segment = build::tcp(from.1, to.1, sequence, flags, &vec![b'x'; payload]);
    ethernet(from.0, &build::ipv4(from.0, to.0, 6, &segment))
}

pub fn udp(from: (Ip, u16), to: (Ip, u16), payload: &[u8]) -> Vec<u8> {
    ethernet(
        from.0,
        &build::ipv4(from.0, to.0, 17, &build::udp(from.1, to.1, payload)),
    )
}

/// Returns a handshake on port 443 that begins at `at`.
pub fn handshake(at: i64, from: (Ip, u16), to: Ip) -> Vec<(i64, Vec<u8>)> {
    let to = (to, 443);
    vec![
        (at, tcp(from, to, 1000, SYN, 0)),
        (at + 1, tcp(to, from, 5000, SYN_ACK, 0)),
        (at + 2, tcp(from, to, 1001, ACK, 0)),
    ]
}

fn question(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.') {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend_from_slice(label.as_bytes());
    }
    [&octets[..], &[0, 0, 1, 0, 1]].concat()
}

/// Returns a query and its response: `name` has `address`.
pub fn lookup(at: i64, client: Ip, server: Ip, name: &str, address: Ip) -> Vec<(i64, Vec<u8>)> {
    let question = question(name);
    let port = 20_000 + u16::try_from(at.rem_euclid(10_000)).unwrap();
    let query = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &question].concat();
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address].concat();
    let answer = [&[0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..], &question, &record].concat();
    vec![
        (at, udp((client, port), (server, 53), &query)),
        (at + 1, udp((server, 53), (client, port), &answer)),
    ]
}

/// Mirrors frames by VXLAN.
pub fn in_vni(vni: u32, frames: Vec<(i64, Vec<u8>)>) -> Vec<(i64, Vec<u8>)> {
    let mirrored = frames.into_iter().map(|(at, frame)| (at, build::vxlan(vni, &frame)));
    mirrored.collect()
}

/// Moves time on to `at`, by a frame that is nobody's contact.
pub fn tick(at: i64) -> (i64, Vec<u8>) {
    (at, udp(([10, 9, 9, 9], 9), ([10, 9, 9, 8], 9), b"x"))
}
