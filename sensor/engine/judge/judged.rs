//! Judged contacts whose flow is open.

use std::hash::BuildHasher;

use smallvec::SmallVec;

use crate::baseline::PairPlace;
use crate::flow::Side;
use crate::model::{AlertId, Arrival, Chunked, FlowStart, Places, Timestamp};

use super::contacts::Earlier;

/// A judged contact whose flow is open.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub side: Side,
    pub start: FlowStart,
    pub places: SmallVec<[PairPlace; 3]>,
    pub last: Timestamp,
    pub octets_out: u64,
    pub octets_in: u64,
    /// Boxed: hardly any flow has it, and there are as many of these as open flows.
    pub earlier: Option<Box<Earlier>>,
    pub sequel: Sequel,
}

/// What a judged contact may still lead to.
#[derive(Debug, Clone)]
pub(super) enum Sequel {
    /// Nothing but more octets.
    Nothing,
    /// Updates of this alert.
    Alert(AlertId),
    /// It was an attempt; if it gets through it is recorded then, and its alert updated (rule B3).
    Attempt(Option<AlertId>),
}

impl Sequel {
    /// Returns the alert that may be updated.
    pub const fn alert(&self) -> Option<AlertId> {
        match self {
            Self::Nothing => None,
            Self::Alert(id) => Some(*id),
            Self::Attempt(id) => *id,
        }
    }
}

/// Judged contacts whose flow is open, by the flow.
///
/// As many as there are open flows: a list in chunks with an index, which grows without being moved.
#[derive(Debug, Default)]
pub(super) struct JudgedFlows {
    list: Chunked<Option<(Arrival, Judged)>>,
    free: Vec<u32>,
    index: Places,
    hasher: foldhash::fast::RandomState,
}

impl JudgedFlows {
    /// Returns the judged contact of a flow.
    pub fn get(&self, flow: Arrival) -> Option<&Judged> {
        let entry = self.list.get(self.place(self.hash(flow), flow)? as usize)?.as_ref();
        entry.map(|(_, judged)| judged)
    }

    /// Returns the judged contact of a flow, to change it.
    pub fn get_mut(&mut self, flow: Arrival) -> Option<&mut Judged> {
        let place = self.place(self.hash(flow), flow)?;
        let entry = self.list.get_mut(place as usize)?.as_mut();
        entry.map(|(_, judged)| judged)
    }

    /// Keeps the judged contact of a flow, in place of one that is kept already.
    pub fn insert(&mut self, flow: Arrival, judged: Judged) {
        if let Some(kept) = self.get_mut(flow) {
            *kept = judged;
            return;
        }
        let entry = Some((flow, judged));
        let free = self.free.pop();
        let place = if let Some(free) = free
            && let Some(place) = self.list.get_mut(free as usize)
        {
            *place = entry;
            free
        } else {
            self.list.push(entry);
            (self.list.len() - 1) as u32
        };
        self.index.insert(self.hash(flow), place);
    }

    /// Forgets the judged contact of a flow, and returns it.
    pub fn remove(&mut self, flow: Arrival) -> Option<Judged> {
        let hash = self.hash(flow);
        let place = self.place(hash, flow)?;
        self.index.remove(hash, place);
        self.free.push(place);
        let entry = self.list.get_mut(place as usize)?.take();
        entry.map(|(_, judged)| judged)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn hash(&self, flow: Arrival) -> u64 {
        self.hasher.hash_one(flow)
    }

    /// Returns where the judged contact of a flow with this hash stands.
    fn place(&self, hash: u64, flow: Arrival) -> Option<u32> {
        let is_it = |place: &u32| matches!(self.list.get(*place as usize), Some(Some((kept, _))) if *kept == flow);
        self.index.of(hash).find(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(octets_out: u64) -> Judged {
        Judged {
            side: Side::Low,
            start: FlowStart::Midstream,
            places: SmallVec::new(),
            last: Timestamp(0),
            octets_out,
            octets_in: 0,
            earlier: None,
            sequel: Sequel::Nothing,
        }
    }

    #[test]
    fn what_is_kept_is_found_until_it_is_removed_and_its_place_is_used_again() {
        let mut flows = JudgedFlows::default();
        for n in 0..200 {
            flows.insert(Arrival(n), judged(n));
        }
        flows.insert(Arrival(7), judged(1_000));
        for n in 0..200 {
            let octets = if n == 7 { 1_000 } else { n };
            assert_eq!(flows.get(Arrival(n)).map(|judged| judged.octets_out), Some(octets));
        }
        for n in (0..200).step_by(2) {
            assert_eq!(flows.remove(Arrival(n)).map(|judged| judged.octets_out), Some(n));
            assert!(flows.remove(Arrival(n)).is_none());
        }
        for n in 200..300 {
            flows.insert(Arrival(n), judged(n));
        }
        assert_eq!((flows.list.len(), flows.index.len()), (200, 200));
        assert!((0..300).all(|n| flows.get(Arrival(n)).is_some() == (n % 2 == 1 || n >= 200)));
        flows.clear();
        assert!(flows.get(Arrival(299)).is_none());
    }
}
