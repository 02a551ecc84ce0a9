//! The flows of one class of a partition, in slots, with a limit (rule F6).

use crate::model::{Span, Timestamp};

use super::state::Flow;

/// No timer is set.
pub(super) const NEVER: i64 = i64::MAX;
/// How many flows one class of a partition can have at most.
pub(super) const MOST: u32 = 1 << 31;

/// How many flows eviction looks at to find the one to drop.
const SAMPLE: usize = 16;

/// How many flows of one class a partition keeps, and where evicting goes on.
#[derive(Debug)]
pub(super) struct Slab {
    pub flows: Vec<Option<Flow>>,
    pub free: Vec<u32>,
    limit: usize,
    /// How long after its first packet a flow is judged; absent if these flows never are.
    settle: Option<Span>,
    pub hand: usize,
    pub changed: Vec<u32>,
    /// The second at which a timer of each slot goes off next; an earlier one serves whatever flow stands there then.
    pub timers: Vec<i64>,
}

impl Slab {
    pub fn new(limit: usize, settle: Option<Span>) -> Self {
        Self {
            flows: Vec::new(),
            free: Vec::new(),
            limit: limit.clamp(1, MOST as usize - 1),
            settle,
            hand: 0,
            changed: Vec::new(),
            timers: Vec::new(),
        }
    }

    pub fn get(&self, slot: u32) -> Option<&Flow> {
        self.flows.get(slot as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Flow> {
        self.flows.get_mut(slot as usize)?.as_mut()
    }

    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.flows.len() >= self.limit
    }

    pub fn insert(&mut self, flow: Flow) -> u32 {
        if let Some(slot) = self.free.pop() {
            if let Some(place) = self.flows.get_mut(slot as usize) {
                *place = Some(flow);
            }
            return slot;
        }
        self.flows.push(Some(flow));
        (self.flows.len() - 1) as u32
    }

    /// Inserts a flow that stands in the list of changed ones.
    pub fn insert_listed(&mut self, mut flow: Flow) -> u32 {
        flow.is_listed = true;
        let slot = self.insert(flow);
        self.changed.push(slot);
        slot
    }

    pub fn remove(&mut self, slot: u32) -> Option<Flow> {
        let flow = self.flows.get_mut(slot as usize)?.take();
        if flow.is_some() {
            self.free.push(slot);
        }
        flow
    }

    /// Returns the flow to evict at `now`: of the next few, one that has ended, else one whose contact is judged by now,
    /// else any; of several, the longest silent (rule F6).
    pub fn victim(&mut self, now: Timestamp) -> Option<u32> {
        let mut best: Option<(bool, bool, Timestamp, u32)> = None;
        for _ in 0..SAMPLE.min(self.flows.len()) {
            self.hand = (self.hand + 1) % self.flows.len();
            let slot = self.hand as u32;
            if let Some(flow) = self.get(slot) {
                let rank = (flow.end.is_none(), self.may_wait(flow, now), flow.last, slot);
                best = Some(best.map_or(rank, |best| best.min(rank)));
            }
        }
        best.map(|(_, _, _, slot)| slot)
    }

    /// Says whether the judge may not have judged a flow: something of it is still to be told, or its contact may wait for
    /// its name. No partition knows what the judge did, but settle after its first packet a contact waits no longer.
    fn may_wait(&self, flow: &Flow, now: Timestamp) -> bool {
        self.settle
            .is_some_and(|settle| flow.is_listed || now.since(flow.first) < settle)
    }

    pub fn list(&mut self, slot: u32) {
        if let Some(flow) = self.get_mut(slot)
            && !flow.is_listed
        {
            flow.is_listed = true;
            self.changed.push(slot);
        }
    }
}
