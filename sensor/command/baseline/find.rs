//! Which workloads an argument names.

use std::collections::BTreeSet;

use crate::model::{WorkloadId, WorkloadKey, WorkloadRecord};
use crate::store::Standing;

use super::super::exit::Error;

/// How alike a known name has to be to be suggested, from 0 to 1 by Jaro and Winkler.
const ALIKE: f64 = 0.8;
/// How many names are suggested.
const SUGGESTED: usize = 3;

/// Returns the workloads that a name means: one of the inventory, segment and address, or an address in any segment.
///
/// # Errors
///
/// When there is none; the error says what is near.
pub(super) fn workloads<'a>(
    standing: &'a Standing,
    name: &str,
) -> Result<Vec<&'a (WorkloadId, WorkloadRecord)>, Error> {
    let found = standing
        .workloads
        .iter()
        .filter(|(_, record)| is_called(&record.key, name));
    let found: Vec<_> = found.collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let known = standing.workloads.iter().map(|(_, record)| record.key.to_string());
    Err(unknown("workload", name, known))
}

/// Returns the workloads of a group.
///
/// # Errors
///
/// As [`workloads`].
pub(super) fn group<'a>(standing: &'a Standing, group: &str) -> Result<Vec<&'a (WorkloadId, WorkloadRecord)>, Error> {
    let of = |record: &'a WorkloadRecord| record.group.as_deref();
    let found = standing
        .workloads
        .iter()
        .filter(|(_, record)| of(record) == Some(group));
    let found: Vec<_> = found.collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let known = standing.workloads.iter().filter_map(|(_, record)| of(record));
    Err(unknown("group", group, known.map(str::to_owned)))
}

/// Returns the error for a name that nobody has.
pub(super) fn unknown(what: &str, name: &str, known: impl Iterator<Item = String>) -> Error {
    let known: BTreeSet<String> = known.collect();
    let mut alike: Vec<(f64, &String)> = known
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let alike: Vec<&str> = alike
        .into_iter()
        .take(SUGGESTED)
        .map(|(_, known)| known.as_str())
        .collect();
    let near = if known.is_empty() {
        format!("the ledger has no {what}")
    } else if alike.is_empty() {
        "`sensor baseline show` lists what there is".to_owned()
    } else {
        format!("did you mean {}?", alike.join(", "))
    };
    Error::Argument(format!("no {what} is called {name}: {near}"))
}

fn is_called(key: &WorkloadKey, name: &str) -> bool {
    match key {
        WorkloadKey::Named(known) => **known == *name,
        WorkloadKey::Address(_, address) => address.to_string() == name || key.to_string() == name,
    }
}
