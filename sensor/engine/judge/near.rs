//! Bringing near what is about to be asked for.
//!
//! What the judge remembers is far larger than any cache, and a contact asks for some twenty lines of it, one after the
//! other. Asked for in steps, many contacts at a time, they arrive together. Nothing here decides or changes anything.

use std::hint::black_box;

use smallvec::SmallVec;

use crate::flow::FlowUpdate;
use crate::model::{Address, Arrival, PairKey, Segment, WorkloadId};
use crate::names::AHEAD;

use super::Judge;
use super::follow::Due;
use super::judged::Judged;

impl Judge {
    /// Brings near what was recorded of the contacts of flows that go on.
    pub(super) fn look_back(&self, updates: &[(Arrival, &FlowUpdate)]) {
        let mut near = updates.iter().fold(0, |near, (_, update)| near ^ update.touch());
        let judged: SmallVec<[&Judged; AHEAD]> = updates
            .iter()
            .filter(|(_, update)| !update.is_first)
            .filter_map(|(flow, _)| self.contacts.judged.get(*flow))
            .collect();
        for place in judged.iter().flat_map(|judged| &judged.places) {
            near ^= self.baseline.touch(*place);
        }
        black_box(near);
    }

    /// Brings near what the next contacts will be judged by.
    pub(super) fn look_ahead(&self, due: &[Due<'_>]) {
        let mut asked: SmallVec<[(Segment, Address, Address); AHEAD]> = SmallVec::new();
        let mut who: SmallVec<[Option<WorkloadId>; AHEAD]> = SmallVec::new();
        for due in due.iter().take(AHEAD) {
            let Due::Fresh(update, side, _) = due else { continue };
            let (segment, client) = (update.key.segment(), update.key.endpoint(*side).ip);
            asked.push((segment, client, update.key.endpoint(side.other()).ip));
            who.push(self.registry.found(segment, client).map(|who| who.id));
        }
        let mut near = 0;
        let mut hashes: SmallVec<[(WorkloadId, u32); 3 * AHEAD]> = SmallVec::new();
        let mut touch = |workload: WorkloadId, key: &PairKey| {
            let (hash, touched) = self.baseline.touch_index(workload, key);
            hashes.push((workload, hash));
            near ^= touched;
        };
        for ((_, _, address), who) in asked.iter().zip(&who) {
            if let Some(who) = who {
                touch(*who, &PairKey::Address(*address));
            }
        }
        self.names.look_ahead(&asked, |n, provenance| {
            if let Some(keys) = provenance.known_destination()
                && let Some(Some(who)) = who.get(n)
            {
                touch(*who, &keys.domain);
                if let Some(tenant) = &keys.tenant {
                    touch(*who, tenant);
                }
            }
        });
        for (workload, hash) in hashes {
            near ^= self.baseline.touch_pair(workload, hash);
        }
        black_box(near);
    }
}
