//! What the tools ask a ledger beside its pairs: where it stands, and how much it is.

use crate::model::{JudgeState, Ledger, LedgerError, Timestamp, WorkloadId, WorkloadRecord};

use super::Store;
use super::commit::{COMMITTED, STATE};
use super::table::Table;
use super::v1;

/// Where a ledger stands, pairs left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// The packet time of the last batch; none if there was none.
    pub at: Option<Timestamp>,
    /// Every workload by its number.
    pub workloads: Vec<(WorkloadId, WorkloadRecord)>,
    /// Segments and resolvers.
    pub state: JudgeState,
}

/// How much a ledger is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// Journal rows that are not in pages.
    pub journal_rows: usize,
    /// Changes of pairs in them.
    pub journal_changes: usize,
    /// Octets of each table's files; what is still in the log is in none of them.
    pub octets: Vec<(&'static str, u64)>,
}

impl Store {
    /// Returns where the ledger stands.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when a row cannot be read.
    pub fn standing(&self) -> Result<Standing, LedgerError> {
        let committed = self.rows.read(Table::Meta, COMMITTED, v1::decode_committed)?;
        let state = self.rows.read(Table::State, STATE, v1::decode_json)?;
        Ok(Standing {
            at: committed.map(|committed| committed.at),
            workloads: self.rows.read_all(Table::Workloads, .., |key, row| {
                Some((v1::from_workload_key(key)?, v1::decode_workload(row)?))
            })?,
            state: state.unwrap_or_default(),
        })
    }

    /// Returns how much the ledger is.
    ///
    /// # Errors
    ///
    /// As [`Store::standing`].
    pub fn extent(&self) -> Result<Extent, LedgerError> {
        let (mut journal_rows, mut journal_changes) = (0, 0);
        self.journal(&mut |_, changes| {
            journal_rows += 1;
            journal_changes += changes.len();
        })?;
        let octets = Table::ALL
            .into_iter()
            .map(|table| Ok((table.name(), self.rows.octets(table)?)));
        Ok(Extent {
            journal_rows,
            journal_changes,
            octets: octets.collect::<Result<_, LedgerError>>()?,
        })
    }
}
