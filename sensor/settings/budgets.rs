//! The budgets of `[baseline]`: how much a workload, and how much all of them, may be recorded and raised (rule A5).

use super::BaselineSettings;
use super::document::{Table, Value};
use super::refused::Refused;
use super::values::size;

/// A workload takes some hundred octets of memory for each pair while it is in use: ten million would be all of it.
const MOST_DESTINATIONS: u32 = 10_000_000;
const DESTINATIONS: &str = "a number of destinations from 1 to 10000000";

/// The least disk: some thousand pairs. Below that a ledger takes more by itself.
const LEAST_DISK: u64 = 1 << 20;

/// More is no budget: nobody reads a hundred alerts a second.
const MOST_ALERTS: u32 = 10_000;
const ALERTS: &str = "a number of alerts from 1 to 10000";

/// Reads the budgets among the keys of the table.
pub(super) fn budgets(table: &Table<'_>, baseline: &mut BaselineSettings) -> Result<(), Refused> {
    if let Some(value) = table.get("destinations") {
        baseline.destinations = number(&value, MOST_DESTINATIONS, DESTINATIONS)?;
    }
    if let Some(value) = table.get("disk") {
        baseline.disk = size(&value, LEAST_DISK)?;
    }
    if let Some(value) = table.get("alerts_a_minute") {
        baseline.alerts_a_minute = number(&value, MOST_ALERTS, ALERTS)?;
    }
    Ok(())
}

fn number(value: &Value<'_>, most: u32, expected: &str) -> Result<u32, Refused> {
    match value.number::<u32>(expected)? {
        number if number >= 1 && number <= most => Ok(number),
        _ => Err(value.refused(expected)),
    }
}
