//! The flow table of one partition, bounded and timed in packet time (rules F1 to F6).

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::hint::black_box;

use crate::model::{Arrival, FlowEnd, Layer4, Packet, Places, SECOND, SourceId, Span, Timestamp, Transport};

use super::closed::Closed;
use super::key::{FlowKey, Side};
use super::slab::{MOST, NEVER, Slab};
use super::state::{Change, Flow, FlowUpdate, Shown, is_syn};

/// What was sent twice, or came late, fills a gap within this time; what did not come by then was not captured.
const GAP_PATIENCE: Span = Span::seconds(1);
/// Flows that are looked at for their gaps; those of more are told when they end.
const GAPS: usize = 1 << 12;

/// In the handle of a flow: it stands among the others.
const OTHER_BIT: u32 = MOST;

/// Which of the two tables a flow stands in; each has its own limit, so that neither can crowd out the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// One end internal, one external, and not clearly inbound: it may be a contact.
    Candidate,
    /// Everything else.
    Other,
}

/// What a packet is known to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// A DNS query (rule S3), or the part of one over TCP with which it begins.
    Query,
    /// A DNS response.
    Response,
    /// Anything else.
    Other,
}

impl Payload {
    const fn is_dns(self) -> bool {
        matches!(self, Self::Query | Self::Response)
    }
}

/// What taking a packet said beside the flow itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The packet opened a flow.
    Opened,
    /// The packet is the first one from the side that did not open the flow.
    Answered {
        /// Whether that shows that the side listens on its port (rule F3).
        listens: bool,
    },
    /// The packet belongs to a flow.
    Continued,
}

/// What a table hands out at the end of an epoch.
#[derive(Debug, Default)]
pub struct FlowReport {
    /// Flows that may be contacts and changed in a way that the judge must know.
    pub candidates: Vec<FlowUpdate>,
    /// Other flows that ended.
    pub others_ended: Vec<FlowUpdate>,
    /// How many flows that may be contacts were evicted.
    pub evicted_candidates: u64,
    /// How many other flows were evicted.
    pub evicted_others: u64,
    /// Octets of TCP that did not come, by who delivers their flow (rule N5).
    pub gaps: Vec<(SourceId, u32)>,
}

impl FlowReport {
    /// Empties the report; the memory that it took is kept.
    pub fn clear(&mut self) {
        self.candidates.clear();
        self.others_ended.clear();
        self.gaps.clear();
        (self.evicted_candidates, self.evicted_others) = (0, 0);
    }
}

/// The flow table of one partition.
#[derive(Debug)]
pub struct FlowTable {
    index: Places,
    hasher: foldhash::fast::RandomState,
    candidates: Slab,
    others: Slab,
    closed: Closed,
    /// Flows with octets missing, and since when: what fills a gap is given some time.
    gaps: VecDeque<(u32, Arrival, Timestamp)>,
    /// When to look at which flow again, by second of packet time.
    timers: BTreeMap<i64, Vec<u32>>,
    report: FlowReport,
}

impl FlowTable {
    /// Returns an empty table that keeps this many flows of each class. A contact is judged within `settle` of its first
    /// packet, after which its flow is the first to go.
    #[must_use]
    pub fn new(candidates: usize, others: usize, settle: Span) -> Self {
        Self {
            index: Places::new(),
            hasher: foldhash::fast::RandomState::default(),
            candidates: Slab::new(candidates, Some(settle)),
            others: Slab::new(others, None),
            closed: Closed::new(candidates),
            gaps: VecDeque::new(),
            timers: BTreeMap::new(),
            report: FlowReport::default(),
        }
    }

    /// Takes a packet; `class` is asked only if the packet opens a flow.
    pub fn take(&mut self, packet: &Packet, payload: Payload, class: impl FnOnce() -> Class) -> Taken {
        let (key, side) = FlowKey::of(packet);
        let hash = self.hasher.hash_one(key);
        let found = self.find(hash, &key);
        if let Some(handle) = found {
            let (slab, slot) = self.slab(handle);
            if let Some(flow) = slab.get_mut(slot) {
                if !flow.is_replaced_by(packet) {
                    let before = flow.shown(side);
                    let was_open = flow.end.is_none();
                    let mut change = flow.take(side, packet);
                    if payload.is_dns() && flow.show_dns(side) {
                        change = Change::Notable;
                    }
                    let gap = flow.opens_gap(side).then_some((handle, flow.arrival, packet.time));
                    let now = flow.shown(side);
                    let is_answer = !before.has(Shown::SENT);
                    let listens = is_answer
                        && match key.transport() {
                            Transport::Tcp => now.has(Shown::SYN_ACK),
                            Transport::Udp => flow.opener() != side,
                            Transport::Gre | Transport::Ipip => false,
                        };
                    // The end of a flow is the last that is told of it: what trickles in afterwards, such as a reset
                    // after both FIN, is no news and no other contact.
                    if change == Change::Notable && was_open {
                        slab.list(slot);
                    }
                    if gap.is_some() && self.gaps.len() < GAPS {
                        self.gaps.extend(gap);
                    }
                    return if is_answer {
                        Taken::Answered { listens }
                    } else {
                        Taken::Continued
                    };
                }
                let why = match packet.transport() {
                    Transport::Tcp if packet.time.since(flow.last) <= super::TCP_IDLE => FlowEnd::Replaced,
                    _ => FlowEnd::Idle,
                };
                self.end(hash, handle, why);
            }
        }
        if self.closed.holds(&key, packet) {
            return Taken::Continued;
        }
        self.open(hash, key, side, packet, payload, class());
        Taken::Opened
    }

    /// Touches where a packet that opens a TCP flow will look for it; others follow shortly on one that was just there.
    #[must_use]
    pub fn touch(&self, packet: &Packet) -> u64 {
        if !matches!(packet.layer4, Layer4::Tcp { flags, .. } if is_syn(flags)) {
            return 0;
        }
        let (key, _) = FlowKey::of(packet);
        self.index.touch(self.hasher.hash_one(key)) ^ u64::from(self.closed.has(&key))
    }

    /// Says whether a packet belongs to a flow of the table; one that it would replace is another flow.
    #[must_use]
    pub fn knows(&self, packet: &Packet) -> bool {
        let (key, _) = FlowKey::of(packet);
        let found = self.find(self.hasher.hash_one(key), &key);
        let flow = found.and_then(|handle| self.flow(handle));
        flow.is_some_and(|flow| !flow.is_replaced_by(packet))
    }

    fn open(&mut self, hash: u64, key: FlowKey, side: Side, packet: &Packet, payload: Payload, class: Class) {
        let bit = match class {
            Class::Candidate => 0,
            Class::Other => OTHER_BIT,
        };
        let (slab, _) = self.slab(bit);
        if slab.is_full()
            && let Some(victim) = slab.victim(packet.time)
            && let Some(key) = slab.get(victim).map(|flow| flow.key)
        {
            let hash = self.hasher.hash_one(key);
            *match class {
                Class::Candidate => &mut self.report.evicted_candidates,
                Class::Other => &mut self.report.evicted_others,
            } += 1;
            self.end(hash, victim | bit, FlowEnd::Evicted);
        }
        let mut flow = Flow::open(key, side, packet, payload);
        flow.take(side, packet);
        if payload.is_dns() {
            flow.show_dns(side);
        }
        let due = flow.last.plus(flow.patience());
        let (slab, _) = self.slab(bit);
        let slot = match class {
            Class::Candidate => slab.insert_listed(flow),
            Class::Other => slab.insert(flow),
        };
        self.index.insert(hash, slot | bit);
        self.set_timer(due, slot | bit);
    }

    fn find(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        let matches = |&handle: &u32| self.flow(handle).is_some_and(|flow| flow.key == *key);
        self.index.of(hash).find(matches)
    }

    fn flow(&self, handle: u32) -> Option<&Flow> {
        if handle & OTHER_BIT == 0 {
            self.candidates.get(handle)
        } else {
            self.others.get(handle & !OTHER_BIT)
        }
    }

    fn slab(&mut self, handle: u32) -> (&mut Slab, u32) {
        if handle & OTHER_BIT == 0 {
            (&mut self.candidates, handle)
        } else {
            (&mut self.others, handle & !OTHER_BIT)
        }
    }

    /// Sees to it that a flow is looked at once it is due. A slot has one timer that counts, so that a flood of flows
    /// that drive each other out leaves few timers behind (rule F6).
    fn set_timer(&mut self, due: Timestamp, handle: u32) {
        // Rounded up, so that the timer never goes off before the flow is due.
        let second = due.0.div_euclid(SECOND) + 1;
        let (slab, slot) = self.slab(handle);
        let slot = slot as usize;
        if slab.timers.len() <= slot {
            slab.timers.resize(slot + 1, NEVER);
        }
        if let Some(next) = slab.timers.get_mut(slot)
            && second < *next
        {
            *next = second;
            self.timers.entry(second).or_default().push(handle);
        }
    }

    /// Takes a flow out of the table; one that had not ended yet ends for this reason.
    fn end(&mut self, hash: u64, handle: u32, why: FlowEnd) {
        self.index.remove(hash, handle);
        let (slab, slot) = self.slab(handle);
        let Some(mut flow) = slab.remove(slot) else { return };
        self.report.gaps.extend(flow.take_missing());
        let had_ended = flow.end.is_some();
        flow.end.get_or_insert(why);
        // What is listed is still to be told, even if it had ended before within this epoch.
        if had_ended && !flow.is_listed {
            return;
        }
        let update = flow.report();
        if handle & OTHER_BIT == 0 {
            self.report.candidates.push(update);
        } else {
            self.report.others_ended.push(update);
        }
    }

    /// Ends what has been silent for too long at `now`, and adds what changed since the last call to `report`.
    pub fn mark(&mut self, now: Timestamp, report: &mut FlowReport) {
        while let Some(entry) = self.timers.first_entry()
            && *entry.key() <= now.0.div_euclid(SECOND)
        {
            let second = *entry.key();
            for handle in entry.remove() {
                let (slab, slot) = self.slab(handle);
                match slab.timers.get_mut(slot as usize) {
                    Some(next) if *next == second => *next = NEVER,
                    // Another one, set later for an earlier second, took its place.
                    _ => continue,
                }
                let Some(flow) = slab.get(slot) else { continue };
                let (key, due) = (flow.key, flow.last.plus(flow.patience()));
                if due < now {
                    self.end(self.hasher.hash_one(key), handle, FlowEnd::Idle);
                } else {
                    self.set_timer(due, handle);
                }
            }
        }
        while let Some(&(handle, arrival, at)) = self.gaps.front()
            && now.since(at) > GAP_PATIENCE
        {
            self.gaps.pop_front();
            let (slab, slot) = self.slab(handle);
            let flow = slab.get_mut(slot).filter(|flow| flow.arrival == arrival);
            let missing = flow.and_then(Flow::take_missing);
            self.report.gaps.extend(missing);
        }
        // What ended just now is not forgotten by a long step.
        self.closed.mark(now);
        self.hand_over(report);
        self.collect(report);
    }

    /// Ends every flow because time went back (rule T1), and adds what changed to `report`.
    pub fn time_step(&mut self, report: &mut FlowReport) {
        self.drain(Some(FlowEnd::TimeStep), report);
    }

    /// Adds every flow that is still open, without an end (rule T3), to `report` and empties the table.
    pub fn finish(&mut self, report: &mut FlowReport) {
        self.drain(None, report);
    }

    /// Hands over what ended within the epoch.
    fn hand_over(&mut self, report: &mut FlowReport) {
        report.gaps.append(&mut self.report.gaps);
        report.candidates.append(&mut self.report.candidates);
        report.others_ended.append(&mut self.report.others_ended);
        report.evicted_candidates += std::mem::take(&mut self.report.evicted_candidates);
        report.evicted_others += std::mem::take(&mut self.report.evicted_others);
    }

    fn drain(&mut self, why: Option<FlowEnd>, report: &mut FlowReport) {
        self.index.clear();
        self.timers.clear();
        self.closed.clear();
        self.gaps.clear();
        self.hand_over(report);
        for (slab, updates) in [
            (&mut self.candidates, &mut report.candidates),
            (&mut self.others, &mut report.others_ended),
        ] {
            slab.free.clear();
            slab.changed.clear();
            slab.timers.clear();
            slab.hand = 0;
            for mut flow in std::mem::take(&mut slab.flows).into_iter().flatten() {
                report.gaps.extend(flow.take_missing());
                if flow.end.is_none() || flow.is_listed {
                    flow.end = flow.end.or(why);
                    updates.push(flow.report());
                }
            }
        }
    }

    /// Reports what changed; flows that ended go.
    fn collect(&mut self, report: &mut FlowReport) {
        let Self {
            index,
            hasher,
            candidates,
            others,
            closed,
            ..
        } = self;
        for (slab, bit) in [(candidates, 0), (others, OTHER_BIT)] {
            let mut changed = std::mem::take(&mut slab.changed);
            // All lines at once, so that no flow waits for another.
            let near = |near: i64, slot: &u32| slab.get(*slot).map_or(near, |flow| near ^ flow.first.0 ^ flow.last.0);
            black_box(changed.iter().fold(0, near));
            let ended = changed
                .iter()
                .filter_map(|slot| slab.get(*slot).filter(|flow| flow.end.is_some()));
            let near = |flow: &Flow| index.touch(hasher.hash_one(flow.key)) ^ u64::from(closed.has(&flow.key));
            black_box(ended.fold(0, |all, flow| all ^ near(flow)));
            for slot in changed.drain(..) {
                let Some(flow) = slab.get_mut(slot) else { continue };
                if !std::mem::take(&mut flow.is_listed) {
                    continue;
                }
                if bit == 0 {
                    report.candidates.push(flow.report());
                } else if flow.end.is_some() {
                    report.others_ended.push(flow.report());
                }
                if flow.end.is_some() {
                    report.gaps.extend(flow.take_missing());
                    closed.add(&flow.key, flow.syn_sequence);
                    let hash = hasher.hash_one(flow.key);
                    index.remove(hash, slot | bit);
                    slab.remove(slot);
                }
            }
            slab.changed = changed;
        }
    }

    /// Returns how many flows the table holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Says whether the table holds no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}
