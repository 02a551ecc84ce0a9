//! Taking over pairs of another ledger.

use crate::model::{Ledger, LedgerError, Pair, PairKey, StoredPair, WorkloadId};

use super::pairs::{Baseline, PairPlace, holder, stretch};
use super::part::Reader;

impl Baseline {
    /// Joins what another ledger remembers of a pair with what this one does ([`Pair::joined`]); says whether that
    /// changed anything. What is older than the retention is taken over as well, and read as absent here as there.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn merge(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
        key: &PairKey,
        pair: &Pair,
    ) -> Result<bool, LedgerError> {
        let hash = self.hash(key);
        let (loaded, shared) = self.load(ledger, workload)?;
        let (slot, indexed) = match loaded.latest_slot_of(key, hash, &mut Reader { ledger, shared })? {
            Some(slot) => {
                let Some(before) = loaded.get(slot) else {
                    return Ok(false);
                };
                let (indexed, joined) = (before.last().day(), before.joined(pair));
                if joined == *before {
                    return Ok(false);
                }
                if let Some(place) = loaded.change(slot) {
                    *place = joined;
                }
                (slot, Some(indexed))
            }
            None => {
                // Its ports and names in order, as they are after any other merge.
                let pair = pair.joined(pair);
                let mut stored = StoredPair {
                    slot: 0,
                    key: key.clone(),
                    pair,
                };
                shared.share(&mut stored);
                let slot = loaded.add(stored.key, hash, stored.pair);
                loaded.change(slot);
                self.loaded_pairs += 1;
                (slot, None)
            }
        };
        self.note_unfolded(workload);
        self.write(ledger, PairPlace { workload, slot });
        let (loaded, _) = self.load(ledger, workload)?;
        let last = loaded.get(slot).unwrap_or(pair).last().day();
        self.kept.move_pair(workload, indexed, Some(last));
        if indexed.is_none_or(|indexed| stretch(indexed) < stretch(last)) {
            self.recent.add(holder(workload, key, last));
        }
        Ok(true)
    }
}
