//! A worker: the partitions that one thread serves, and what they tell the judge.

use std::hash::{BuildHasher, Hash};
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::flow::{FlowReport, FlowTable, FlowUpdate};
use crate::identity::Network;
use crate::model::{
    Address, BySource, Counter, Counters, Ledger, MacAddress, NameWriter, Packet, PortSet, Segment, Span,
};
use crate::names::{Found, Interner, Names};

use super::limits::Limits;
use super::partition::PARTITIONS;
use super::report::{Answered, Ending, Fact, Mark, Report, telling};

mod dns;
mod part;

use part::Part;

/// Whether the run writes `--records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// They are written.
    Wanted,
    /// They are not, and nothing is kept for them.
    NotWanted,
}

/// What a worker is made with.
#[derive(Clone)]
pub struct WorkerSetup {
    /// What is internal.
    pub network: Arc<Network>,
    /// Ports that carry DNS.
    pub dns_ports: PortSet,
    /// How long a contact waits for its name at most.
    pub settle: Span,
    /// Limits of the tables.
    pub limits: Limits,
    /// Whether records are written.
    pub records: Records,
    /// The names that all workers write.
    pub names: Arc<Names>,
    /// Where names go across restarts.
    pub ledger: Arc<dyn Ledger + Sync>,
}

/// What the partitions of a worker share.
struct Shared {
    setup: WorkerSetup,
    interner: Interner,
    /// Answers of this epoch, written at its mark.
    found: Found,
    writer: Box<dyn NameWriter>,
    report: Report,
    /// What was missing in what each source delivered in this epoch.
    delivered: BySource,
    /// When facts were told, each by a seeded 64-bit hash: two that share one are as likely as a disk's undetected read
    /// error.
    told: HashMap<u64, i32, foldhash::fast::RandomState>,
    hasher: foldhash::quality::RandomState,
    /// What was told last of each host, by a seeded 64-bit hash of it.
    hosts: HashMap<u64, Host, foldhash::fast::RandomState>,
    /// Of the facts that are true of a whole source or link, the one told last of each kind.
    latest: [Option<(Fact, i32)>; 3],
}

/// What was told last of a host. Nearly always it is what is to be told again, and one look tells that; each value is 32
/// bits of its seeded hash.
#[derive(Debug, Clone, Copy, Default)]
struct Host {
    mac: u32,
    mac_told: i32,
    server: u32,
    server_told: i32,
}

/// How many facts a worker remembers to have told; all are forgotten when it is more, and told again.
const TOLD_LIMIT: usize = 1 << 18;

/// One worker.
pub struct Worker {
    parts: Vec<Option<Part>>,
    shared: Shared,
}

impl Worker {
    /// Returns worker `index` of `workers`: it serves the partitions `p` with `p % workers == index`.
    #[must_use]
    pub fn new(index: usize, workers: usize, setup: WorkerSetup) -> Self {
        let workers = workers.max(1);
        let part = |p: usize| (p % workers == index).then(|| Part::new(&setup));
        Self {
            parts: (0..PARTITIONS).map(part).collect(),
            shared: Shared {
                interner: setup.names.interner(),
                found: Found::default(),
                writer: setup.ledger.name_writer(),
                setup,
                report: Report::default(),
                delivered: BySource::default(),
                told: HashMap::default(),
                hasher: foldhash::quality::RandomState::default(),
                hosts: HashMap::default(),
                latest: [None; 3],
            },
        }
    }

    /// Brings near where the next packets will look for their flows, all at once, so that none waits for another.
    pub fn look_ahead<'a>(&self, packets: impl Iterator<Item = (usize, &'a Packet)>) {
        let near = packets.filter_map(|(partition, packet)| {
            let part = self.parts.get(partition)?.as_ref()?;
            Some(part.flows.touch(packet))
        });
        black_box(near.fold(0, std::ops::BitXor::bitxor));
    }

    /// Takes a packet of one of the worker's partitions, with the payload that the decoder handed on.
    pub fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        if let Some(Some(part)) = self.parts.get_mut(partition) {
            part.packet(packet, payload, &mut self.shared);
        }
    }

    /// Ends an epoch in every partition.
    pub fn end_epoch(&mut self, mark: &Mark) {
        let Shared {
            setup,
            report,
            told,
            hosts,
            latest,
            delivered,
            ..
        } = &mut self.shared;
        let Report { flows, counters, .. } = report;
        for part in self.parts.iter_mut().flatten() {
            part.end_epoch(mark, flows, counters, delivered);
        }
        for (source, octets) in flows.gaps.drain(..) {
            let octets = u64::from(octets);
            counters.add(Counter::TcpMissing, octets);
            delivered.count(source, |delivered| delivered.tcp_missing += octets);
        }
        delivered.hand_over(&mut report.delivered);
        let has_ended = |update: &&FlowUpdate| update.end.is_some() && !update.key.segment().is_tunnel();
        let ends = |updates: &[FlowUpdate]| updates.iter().filter(has_ended).count();
        let ended = ends(&flows.candidates) + ends(&flows.others_ended);
        counters.add(Counter::FlowsEnded, ended as u64);
        counters.add(Counter::FlowsEvicted, flows.evicted_candidates + flows.evicted_others);
        if matches!(mark.ending, Ending::Stretch(_)) {
            told.clear();
            hosts.clear();
            *latest = [None; 3];
        }
        if setup.records == Records::NotWanted {
            flows.others_ended.clear();
        }
    }

    /// Writes what the epoch's answers gave and returns the report; the next one goes into `next`, which is empty. Only to
    /// be called once the judge is done with the epoch before: it reads the names while nobody writes.
    pub fn report(&mut self, mut next: Report) -> Report {
        let Shared {
            setup,
            interner,
            found,
            writer,
            report,
            ..
        } = &mut self.shared;
        next.spare.drain(..).for_each(|octets| writer.reuse(octets));
        report.answered.extend(found.addresses());
        setup.names.write_found(found, interner, &mut **writer);
        report.save = writer.take();
        std::mem::replace(report, next)
    }
}

impl Shared {
    /// Tells that a hardware address sends for the sender of a packet.
    fn tell_mac(&mut self, mac: MacAddress, packet: &Packet) {
        let (tag, now) = (self.tag(mac), telling(packet.time));
        let host = self.host(packet.segment, packet.from);
        if (host.mac, host.mac_told) != (tag, now) {
            (host.mac, host.mac_told) = (tag, now);
            self.tell(Fact::MacInternal(packet.segment, mac, packet.from), packet);
        }
    }

    /// Tells that a server answered a client.
    fn tell_answered(&mut self, answered: Answered, packet: &Packet) {
        let (tag, now) = (self.tag(answered.server), telling(packet.time));
        let host = self.host(answered.segment, answered.client);
        if (host.server, host.server_told) != (tag, now) {
            (host.server, host.server_told) = (tag, now);
            self.tell(Fact::Answered(answered), packet);
        }
    }

    fn host(&mut self, segment: Segment, address: Address) -> &mut Host {
        if self.hosts.len() >= TOLD_LIMIT {
            self.hosts.clear();
        }
        self.hosts
            .entry(self.hasher.hash_one((segment, address)))
            .or_insert(Host {
                mac_told: i32::MIN,
                server_told: i32::MIN,
                ..Host::default()
            })
    }

    fn tag(&self, value: impl Hash) -> u32 {
        self.hasher.hash_one(value) as u32
    }

    /// Tells a fact, unless it was told in this stretch of time.
    fn tell(&mut self, fact: Fact, packet: &Packet) {
        let now = telling(packet.time);
        let kind = match fact {
            Fact::Outbound(_) => Some(0),
            Fact::Queries(_) => Some(1),
            Fact::MacRouter(..) => Some(2),
            _ => None,
        };
        if let Some(latest) = kind.and_then(|kind: usize| self.latest.get_mut(kind)) {
            // Nearly every packet comes from the same source, or through the same router, as the one before.
            if *latest == Some((fact, now)) {
                return;
            }
            *latest = Some((fact, now));
        }
        let hash = self.hasher.hash_one(fact);
        if let Some(told) = self.told.get_mut(&hash) {
            if *told == now {
                return;
            }
            *told = now;
        } else {
            if self.told.len() >= TOLD_LIMIT {
                self.told.clear();
            }
            self.told.insert(hash, now);
        }
        self.report.facts.push((fact, packet.time));
    }

    /// Counts a flow of a segment, and whether both its ends are outside (rule S1).
    fn count_opened(&mut self, segment: Segment, is_external: bool) {
        let external = u64::from(is_external);
        match self.report.opened.iter_mut().find(|opened| opened.0 == segment) {
            Some(opened) => {
                opened.1 += 1;
                opened.2 += external;
            }
            None => self.report.opened.push((segment, 1, external)),
        }
    }
}

/// Ends a table of a partition as a mark says.
fn end_flows(table: &mut FlowTable, mark: &Mark, report: &mut FlowReport) {
    match mark.ending {
        Ending::Epoch => table.mark(mark.now, report),
        Ending::Stretch(_) => table.time_step(report),
        Ending::Input | Ending::Run => table.finish(report),
    }
}

/// Counts a flow by where its ends are.
fn count_flow(counters: &mut Counters, counter: Counter) {
    counters.count(Counter::Flows);
    counters.count(counter);
}
