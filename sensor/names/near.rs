//! Bringing near what is about to be asked for.

use std::hint::black_box;

use smallvec::SmallVec;

use crate::model::{Address, Provenance, Segment};

use super::map::Names;

/// How many contacts are looked ahead for at once: what is brought near for them has to stay near.
pub const AHEAD: usize = 16;

impl Names {
    /// Brings what a few clients were told of an address each near, and hands the provenance of it to `take`, if there is
    /// one: by steps, in each of which no client waits for another, since what is looked for lies in memory that takes its
    /// time to answer.
    pub fn look_ahead(&self, asked: &[(Segment, Address, Address)], mut take: impl FnMut(usize, &Provenance)) {
        let given: SmallVec<[_; AHEAD]> = asked
            .iter()
            .map(|(segment, client, _)| self.clients.get(&(*segment, *client)))
            .collect();
        let hashes: SmallVec<[u64; AHEAD]> = asked.iter().map(|(_, _, address)| self.hash_of(*address)).collect();
        let mut near = 0;
        for (given, hash) in given.iter().zip(&hashes) {
            near ^= given.as_ref().map_or(0, |given| given.touch_index(*hash));
        }
        let mut places: SmallVec<[Option<u32>; AHEAD]> = SmallVec::new();
        for (given, hash) in given.iter().zip(&hashes) {
            places.push(given.as_ref().and_then(|given| given.touch_known(*hash)));
        }
        let mut provenances: SmallVec<[Option<&Provenance>; AHEAD]> = SmallVec::new();
        for (given, place) in given.iter().zip(&places) {
            let provenance = given
                .as_ref()
                .zip(*place)
                .and_then(|(given, place)| given.provenance(place));
            provenances.push(provenance);
        }
        for provenance in provenances.iter().flatten() {
            near ^= u64::from(provenance.known_destination().is_some()) ^ provenance.name.len() as u64;
        }
        black_box(near);
        for (n, provenance) in provenances.iter().enumerate() {
            if let Some(provenance) = provenance {
                take(n, provenance);
            }
        }
    }
}
