//! Logs of others through the judge (rule B4: everything is learnt).
//!
//! Rows of all files are put in the order of time first, since a contact in one file goes by the name that another file
//! has. Then they take the way of packets from where workers report: the judge makes the baseline in a temporary ledger,
//! and that is merged into the real one. So what is imported twice counts once, and it does not matter whether logs are
//! imported before or after the sensor saw the same traffic.

use std::io::{self, BufRead};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::destination::Aggregation;
use crate::engine::{ImportSetup, Imported, Judge, Judged, Lasting, Limits, Mark, Records, Report, Setup};
use crate::identity::Network;
use crate::import::{Faults, LogFile, Sorter};
use crate::model::{
    BaselineMode, Counter, Counters, Day, Event, ImportedExtent, ImportedFlow, ImportedRow, Policy, PortSet, Timestamp,
};
use crate::names::Names;
use crate::store::Store;

use super::error::RunError;

/// Days that a pair remembers: those before the last so many of a flow are of no use.
const DAYS: i32 = 128;

/// What takes its place in time.
#[derive(Debug, Serialize, Deserialize)]
enum Entry {
    /// A flow that ends on the day on which it begins, or part of one, or a response.
    Row(ImportedRow),
    /// A flow that lasts until a later day, under this number.
    Long(u64, ImportedFlow),
    /// It lasts on, until then.
    GoesOn(u64, Timestamp),
}

/// Rows on their way to the judge.
#[derive(Default)]
pub struct Import {
    sorter: Sorter<Entry>,
    long: u64,
    /// Rows that were taken.
    rows: u64,
}

/// What an import gave.
#[derive(Debug)]
pub struct ImportTally {
    /// Rows that say something.
    pub rows: u64,
    /// What was counted.
    pub counters: Counters,
}

impl Import {
    /// Takes all rows of a log; what cannot be read is added to `faults` under the file's name.
    ///
    /// # Errors
    ///
    /// When the file cannot be read on, or the temporary file that holds rows cannot be written.
    pub fn take(&mut self, name: &str, file: &mut LogFile<impl BufRead>, faults: &mut Faults) -> Result<(), RunError> {
        let cannot = |source| RunError::Import {
            file: name.to_owned(),
            source,
        };
        while let Some(row) = file.next_row().map_err(cannot)? {
            match row {
                Ok(row) => self.add(row).map_err(RunError::Rows)?,
                Err(fault) => faults.add(name, &fault),
            }
        }
        Ok(())
    }

    fn add(&mut self, row: ImportedRow) -> io::Result<()> {
        self.rows += 1;
        let at = row.at();
        let flow = match row {
            ImportedRow::Flow(flow) if flow.extent == ImportedExtent::Whole && flow.last.day() > at.day() => flow,
            row => return self.sorter.add(at, &Entry::Row(row)),
        };
        self.long += 1;
        let (id, last) = (self.long, flow.last);
        let from = (at.day().0 + 1).max(last.day().0.saturating_sub(DAYS));
        self.sorter.add(at, &Entry::Long(id, flow))?;
        for day in from..=last.day().0 {
            self.sorter.add(Day(day).start(), &Entry::GoesOn(id, last))?;
        }
        Ok(())
    }

    /// Lets the judge decide on everything and returns the ledger that it makes, which vanishes with its value. The judge
    /// learns whatever the policy says; `segment` is the address space of all rows.
    ///
    /// # Errors
    ///
    /// When the temporary files cannot be read or written, or the settings for aggregation cannot be used.
    pub fn judge(self, mut policy: Policy, segment: Arc<str>) -> Result<(Arc<Store>, ImportTally), RunError> {
        policy.baseline.mode = BaselineMode::LearnOnly;
        let store = Arc::new(Store::temporary(policy.ledger_memory(), policy.baseline.retention)?);
        let (names, network) = (Arc::new(Names::new()), Arc::new(Network::new(&policy.network)));
        let limits = Limits::of(policy.memory);
        let imported = Imported::new(ImportSetup {
            network: Arc::clone(&network),
            dns_ports: PortSet::new(&policy.network.dns_ports),
            limits,
            names: Arc::clone(&names),
            ledger: Arc::clone(&store) as _,
            segment,
        });
        let judge = Judge::new(Setup {
            aggregation: Aggregation::new(&policy).map_err(RunError::Aggregation)?,
            network,
            limits,
            records: Records::NotWanted,
            ledger: Arc::clone(&store) as _,
            names,
            policy,
        })?;
        let mut stages = Stages {
            imported,
            judge,
            store: Arc::clone(&store),
            spare: Report::default(),
            counters: Counters::default(),
        };
        let rows = self.rows;
        let mut entries = self.sorter.finish().map_err(RunError::Rows)?;
        while let Some((at, entry)) = entries.next_row().map_err(RunError::Rows)? {
            if let Some(mark) = stages.imported.ending(at) {
                stages.mark(&mark)?;
            }
            match entry {
                Entry::Row(ImportedRow::Flow(flow)) => stages.imported.flow(&flow, Lasting::Over),
                Entry::Row(ImportedRow::Lookup(lookup)) => stages.imported.lookup(&lookup),
                Entry::Long(id, flow) => stages.imported.flow(&flow, Lasting::GoesOn(id)),
                Entry::GoesOn(id, last) => stages.imported.go_on(id, at, last),
            }
        }
        let counters = stages.finish(rows)?;
        Ok((store, ImportTally { rows, counters }))
    }
}

/// What rows go through.
struct Stages {
    imported: Imported,
    judge: Judge,
    store: Arc<Store>,
    spare: Report,
    counters: Counters,
}

impl Stages {
    fn mark(&mut self, mark: &Mark) -> Result<(), RunError> {
        let (decoded, report) = self.imported.report(mark, std::mem::take(&mut self.spare));
        let mut reports = [report];
        let mut early = Vec::new();
        let last = self
            .judge
            .epoch(mark, decoded, &mut reports, &mut |outcome| early.push(outcome))?;
        for outcome in early.into_iter().chain([last]) {
            self.commit(outcome)?;
        }
        let [mut report] = reports;
        report.clear();
        self.spare = report;
        Ok(())
    }

    fn commit(&mut self, outcome: Judged) -> Result<(), RunError> {
        let Judged {
            batch,
            events,
            counters,
            ..
        } = outcome;
        if !batch.is_empty() {
            self.store.commit(&batch)?;
        }
        self.counters.merge(&counters);
        events.iter().for_each(tell);
        self.judge.reuse(batch.journal);
        self.spare
            .spare
            .extend(batch.names.rows.into_iter().map(|row| row.octets));
        Ok(())
    }

    fn finish(mut self, rows: u64) -> Result<Counters, RunError> {
        if rows > 0 {
            let mark = self.imported.last_mark();
            self.mark(&mark)?;
        }
        for batch in self.judge.finish()? {
            self.commit(Judged::of(batch))?;
        }
        self.judge.leave();
        Ok(self.counters)
    }
}

fn tell(event: &Event) {
    tracing::info!(event = event.kind.name(), ts = %event.ts, "{}", event.text);
}

impl ImportTally {
    /// Returns how many contacts were recorded, attempts among them.
    #[must_use]
    pub fn contacts(&self) -> u64 {
        self.counters.get(Counter::Contacts)
    }

    /// Returns of how many contacts something was not recorded, since a budget was full (rule A5).
    #[must_use]
    pub fn unrecorded(&self) -> u64 {
        let count = |counter| self.counters.get(counter);
        count(Counter::ContactsOverDestinations) + count(Counter::ContactsOverDisk)
    }
}
