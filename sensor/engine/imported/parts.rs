//! Flows put together from rows that have one direction and one stretch of time each.

use hashbrown::HashMap;

use crate::flow::{FlowKey, FlowUpdate, Opening, Shown, TCP_IDLE, UDP_IDLE};
use crate::model::{FlowEnd, ImportedFlow, Segment, Span, Timestamp, Transport};

use super::super::judge::port_class;
use super::super::report::Report;

/// How often in packet time flows are looked for that were silent for too long.
const SWEEP: Span = Span::minutes(10);

/// A flow as its rows show it so far.
#[derive(Debug)]
struct Part {
    update: FlowUpdate,
    /// Whether rows of this epoch are not reported yet.
    is_changed: bool,
}

/// Flows that may go on.
#[derive(Debug)]
pub(super) struct Parts {
    limit: usize,
    flows: HashMap<FlowKey, Part, foldhash::quality::RandomState>,
    changed: Vec<FlowKey>,
    swept: Option<Timestamp>,
}

impl Parts {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            flows: HashMap::default(),
            changed: Vec::new(),
            swept: None,
        }
    }

    /// Returns how many flows may be held.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Says whether a row belongs to a flow that is held.
    pub fn has(&self, segment: Segment, flow: &ImportedFlow) -> bool {
        let (key, _) = FlowKey::between(segment, flow.transport, flow.opener, flow.other);
        self.flows.get(&key).is_some_and(|part| goes_on(part, flow.first))
    }

    /// Takes a row as if it were a flow by itself.
    pub fn take(&mut self, row: FlowUpdate, report: &mut Report) {
        if let Some(part) = self.flows.get_mut(&row.key) {
            if goes_on(part, row.first) {
                add(&mut part.update, &row);
                if !std::mem::replace(&mut part.is_changed, true) {
                    self.changed.push(row.key);
                }
                return;
            }
            let mut over = part.update;
            over.end = Some(FlowEnd::Idle);
            report.flows.candidates.push(over);
        } else if self.flows.len() >= self.limit {
            self.evict(report);
        }
        self.changed.push(row.key);
        self.flows.insert(
            row.key,
            Part {
                update: row,
                is_changed: true,
            },
        );
    }

    /// Ends everything that no row of this epoch is about: a log of so many flows at once has few that matter still.
    fn evict(&mut self, report: &mut Report) {
        for (_, mut part) in self.flows.extract_if(|_, part| !part.is_changed) {
            part.update.end = Some(FlowEnd::Evicted);
            report.flows.candidates.push(part.update);
            report.flows.evicted_candidates += 1;
        }
    }

    /// Reports what changed, and ends flows that were silent for too long.
    pub fn report(&mut self, now: Timestamp, report: &mut Report) {
        for key in self.changed.drain(..) {
            let Some(part) = self.flows.get_mut(&key) else { continue };
            part.is_changed = false;
            if part.update.is_first {
                choose_opener(&mut part.update);
            }
            report.flows.candidates.push(part.update);
            part.update.is_first = false;
        }
        let swept = *self.swept.get_or_insert(now);
        if now.since(swept) < SWEEP {
            return;
        }
        self.swept = Some(now);
        let reported = &mut report.flows.candidates;
        let silent = |part: &Part| part.update.last < now && !goes_on(part, now);
        for (_, mut part) in self.flows.extract_if(|_, part| silent(part)) {
            part.update.end = Some(FlowEnd::Idle);
            reported.push(part.update);
        }
    }
}

/// Says whether a row that begins at `at` belongs to the flow before it: it was not silent for longer than its transport
/// allows.
fn goes_on(part: &Part, at: Timestamp) -> bool {
    let idle = match part.update.key.transport() {
        Transport::Tcp => TCP_IDLE,
        Transport::Udp | Transport::Gre | Transport::Ipip => UDP_IDLE,
    };
    at.since(part.update.last) <= idle
}

/// Adds a row to its flow.
fn add(update: &mut FlowUpdate, row: &FlowUpdate) {
    update.last = update.last.max(row.last);
    for side in [row.opener, row.opener.other()] {
        let (of, more) = (update.sides.of_mut(side), row.sides.of(side));
        of.octets = of.octets.saturating_add(more.octets);
        for bit in [
            Shown::SENT,
            Shown::SPOKE,
            Shown::WENT_ON,
            Shown::RESET,
            Shown::SYN_ACK,
            Shown::DNS,
        ] {
            if more.shown.has(bit) {
                of.shown.add(bit);
            }
        }
    }
    // Which row says how the flow began depends on nothing but the order of rows of one second.
    if update.is_first && update.opening != Opening::Syn && matches!(row.opening, Opening::Syn | Opening::SynAck) {
        (update.opening, update.opener) = (row.opening, row.opener);
    }
}

/// Chooses who sent the first datagram where rows of both directions begin at once: the side whose port is less likely to
/// listen (rule F2).
fn choose_opener(update: &mut FlowUpdate) {
    let (opener, other) = (update.opener, update.opener.other());
    let has_sent = |side| update.sides.of(side).shown.has(Shown::SENT);
    let class_of = |side| port_class(update.key.endpoint(side).port);
    if update.opening == Opening::Datagram && has_sent(other) && class_of(opener) < class_of(other) {
        update.opener = other;
    }
}
