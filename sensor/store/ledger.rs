//! What the judge reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};

use crate::model::{
    Address, AlertId, AlertRecord, BudgetCounts, JournalRow, Ledger, LedgerError, NameRecord, NameRow, NameWriter,
    Opening, PairChange, PairKeyView, PairView, PendingContact, Provenance, SavedNames, Segment, StoredPage,
    StoredPair, Timestamp, WorkloadId,
};

use super::Store;
use super::commit::{COMMITTED, STATE, recent};
use super::expiry;
use super::table::Table;
use super::v1;

/// While a run goes through what the ledger has already, it reads what the ledger held before ([`Store::begin_run`]).
impl Ledger for Store {
    fn opening(&self) -> Result<Opening, LedgerError> {
        let store = self.read_from();
        let committed = store.rows.read(Table::Meta, COMMITTED, v1::decode_committed)?;
        let state = store.rows.read(Table::State, STATE, v1::decode_json)?;
        Ok(Opening {
            next_sequence: committed.map_or(0, |committed| committed.sequence) + 1,
            at: committed.map(|committed| committed.at),
            workloads: store.rows.read_all(Table::Workloads, .., |key, row| {
                Some((v1::from_workload_key(key)?, v1::decode_workload(row)?))
            })?,
            pending: store.pending()?,
            open: store.rows.read_all(Table::Open, .., |_, row| v1::decode_json(row))?,
            state: state.unwrap_or_default(),
            counted: store.counted()?,
            kept: store.kept()?,
            recent: recent(&store.rows)?,
        })
    }

    fn journal(&self, take: &mut dyn FnMut(u64, Vec<PairChange>)) -> Result<(), LedgerError> {
        let rows = &self.read_from().rows;
        let committed = rows.read(Table::Meta, COMMITTED, v1::decode_committed)?;
        let first = committed
            .map_or(0, |committed| committed.folded_through)
            .saturating_add(1);
        for row in rows.scan_once(Table::Journal, v1::sequence_key(first).to_vec()..)? {
            let (key, row) = row?;
            let row = v1::from_sequence_key(&key).zip(v1::decode_journal(&row));
            let (batch, changes) = row.ok_or_else(|| rows.damaged(Table::Journal))?;
            take(batch, changes);
        }
        Ok(())
    }

    /// Records of the same segment, client, name and address are merged; those answered from `first_frame` on are as
    /// if they had not been written. Segments are numbered anew, since two runs may have given one number to two.
    fn names(&self, first_frame: Timestamp, used_from: Timestamp) -> Result<SavedNames, LedgerError> {
        let rows = &self.read_from().rows;
        let mut names = SavedNames::default();
        let mut numbers: HashMap<Arc<str>, Segment> = HashMap::new();
        let mut provenances: HashSet<Arc<Provenance>> = HashSet::new();
        let mut merged: HashMap<NameKey, usize> = HashMap::new();
        for row in rows.scan(Table::Names, v1::last_use_key(used_from).to_vec()..)? {
            let records = v1::decode_names(&row?.1).ok_or_else(|| rows.damaged(Table::Names))?;
            for (text, mut record) in records {
                if record.evidence.facts.last >= first_frame || expiry::last_use(&record.evidence.facts) < used_from {
                    continue;
                }
                record.segment = *numbers.entry(text).or_insert_with_key(|text| {
                    let segment = Segment::numbered(u32::try_from(names.segments.len()).unwrap_or(u32::MAX));
                    names.segments.push((segment, Arc::clone(text)));
                    segment
                });
                let shared = provenances.get_or_insert_with(&record.evidence.provenance, Arc::clone);
                record.evidence.provenance = Arc::clone(shared);
                match merged.entry(NameKey::of(&record)) {
                    Entry::Vacant(free) => {
                        free.insert(names.records.len());
                        names.records.push(record);
                    }
                    Entry::Occupied(same) => {
                        if let Some(same) = names.records.get_mut(*same.get()) {
                            join(same, record);
                        }
                    }
                }
            }
        }
        Ok(names)
    }

    fn name_writer(&self) -> Box<dyn NameWriter> {
        Box::<v1::NameRows>::default()
    }

    fn end_names(&self, row: &mut NameRow, text: &dyn Fn(Segment) -> Arc<str>) {
        v1::end_names(row, text);
    }

    fn pages(&self, workload: WorkloadId) -> Result<Vec<StoredPage>, LedgerError> {
        let key = v1::workload_key(workload);
        let rows = &self.read_from().rows;
        let mut pages = Vec::new();
        for row in rows.scan_prefix(Table::Pages, &key)? {
            let (key, row) = row?;
            let page = v1::workload_of_page(&key).and_then(|(_, number)| v1::decode_page(number, row));
            pages.push(page.ok_or_else(|| rows.damaged(Table::Pages))?);
        }
        Ok(pages)
    }

    fn slots(&self, page: &StoredPage, take: &mut dyn FnMut(u32, PairKeyView<'_>)) -> Result<(), LedgerError> {
        v1::page_slots(page, take).ok_or_else(|| self.read_from().rows.damaged(Table::Pages))
    }

    fn pairs(&self, page: &StoredPage, slot: Option<u32>, take: &mut dyn FnMut(StoredPair)) -> Result<(), LedgerError> {
        v1::page_pairs(&page.row, slot, take).ok_or_else(|| self.read_from().rows.damaged(Table::Pages))
    }

    fn add_to_journal(&self, row: &mut JournalRow, pair: PairView<'_>) {
        v1::add_to_journal(row, &pair);
    }

    fn page_row(&self, batch: u64, pairs: &mut dyn Iterator<Item = PairView<'_>>) -> Vec<u8> {
        v1::encode_page(batch, pairs)
    }

    fn holders(&self, destination: u64) -> Result<Vec<WorkloadId>, LedgerError> {
        let mut workloads = Vec::new();
        if let Some(row) = self.read_from().rows.get(Table::Holders, &v1::bucket(destination))? {
            let found = v1::decode_holders(&row).filter(|holder| holder.destination == destination);
            workloads.extend(found.map(|holder| holder.workload));
        }
        workloads.sort_unstable();
        workloads.dedup();
        Ok(workloads)
    }

    fn alert(&self, id: AlertId) -> Result<Option<AlertRecord>, LedgerError> {
        self.read_from().rows.read(Table::Alerts, &id.0, v1::decode_alert)
    }
}

impl Store {
    /// Returns the contacts that wait, by arrival.
    fn pending(&self) -> Result<Vec<PendingContact>, LedgerError> {
        let rows = self.rows.read_all(Table::Pending, .., |key, row| {
            Some((v1::from_sequence_key(key)?, v1::decode_pending(row)?))
        })?;
        let from = rows.iter().map(|(_, row)| row.from).max();
        let mut waiting = BTreeMap::new();
        for (_, row) in rows.into_iter().filter(|(batch, _)| Some(*batch) >= from) {
            for arrival in row.judged {
                waiting.remove(&arrival);
            }
            waiting.extend(row.pending.into_iter().map(|contact| (contact.arrival, contact)));
        }
        Ok(waiting.into_values().collect())
    }

    /// Returns what the alert budget counted, oldest first.
    fn counted(&self) -> Result<Vec<BudgetCounts>, LedgerError> {
        let range = rocksdb::PrefixRange(v1::COUNTED);
        let rows = self.rows.read_all(Table::State, range, |key, row| {
            Some((v1::from_counted_key(key)?, v1::decode_budget(row)?))
        })?;
        let from = rows.iter().map(|(_, row)| row.from).max();
        let counts = rows.into_iter().filter(|(batch, _)| Some(*batch) >= from);
        let counts = counts.map(|(_, row)| row.counts);
        Ok(counts.filter(|counts| !counts.is_empty()).collect())
    }
}

/// The judge and the commit thread share one store.
impl Ledger for Arc<Store> {
    fn opening(&self) -> Result<Opening, LedgerError> {
        Store::opening(self)
    }

    fn journal(&self, take: &mut dyn FnMut(u64, Vec<PairChange>)) -> Result<(), LedgerError> {
        Store::journal(self, take)
    }

    fn names(&self, first_frame: Timestamp, used_from: Timestamp) -> Result<SavedNames, LedgerError> {
        Store::names(self, first_frame, used_from)
    }

    fn name_writer(&self) -> Box<dyn NameWriter> {
        Store::name_writer(self)
    }

    fn end_names(&self, row: &mut NameRow, text: &dyn Fn(Segment) -> Arc<str>) {
        Store::end_names(self, row, text);
    }

    fn pages(&self, workload: WorkloadId) -> Result<Vec<StoredPage>, LedgerError> {
        Store::pages(self, workload)
    }

    fn slots(&self, page: &StoredPage, take: &mut dyn FnMut(u32, PairKeyView<'_>)) -> Result<(), LedgerError> {
        Store::slots(self, page, take)
    }

    fn pairs(&self, page: &StoredPage, slot: Option<u32>, take: &mut dyn FnMut(StoredPair)) -> Result<(), LedgerError> {
        Store::pairs(self, page, slot, take)
    }

    fn add_to_journal(&self, row: &mut JournalRow, pair: PairView<'_>) {
        Store::add_to_journal(self, row, pair);
    }

    fn page_row(&self, batch: u64, pairs: &mut dyn Iterator<Item = PairView<'_>>) -> Vec<u8> {
        Store::page_row(self, batch, pairs)
    }

    fn holders(&self, destination: u64) -> Result<Vec<WorkloadId>, LedgerError> {
        Store::holders(self, destination)
    }

    fn alert(&self, id: AlertId) -> Result<Option<AlertRecord>, LedgerError> {
        Store::alert(self, id)
    }
}

/// What makes two records of names the same evidence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct NameKey {
    segment: Segment,
    client: Address,
    name: Arc<str>,
    address: Address,
}

impl NameKey {
    fn of(record: &NameRecord) -> Self {
        Self {
            segment: record.segment,
            client: record.evidence.client,
            name: Arc::clone(record.evidence.name()),
            address: record.address,
        }
    }
}

/// Merges a record into an earlier one as [`crate::model::Evidence`] says; the last answer stands for the one that arrived last, since
/// arrivals of two runs cannot be compared.
fn join(into: &mut NameRecord, other: NameRecord) {
    let older = if other.evidence.facts.last >= into.evidence.facts.last {
        std::mem::replace(into, other).evidence.facts
    } else {
        other.evidence.facts
    };
    let facts = &mut into.evidence.facts;
    facts.first = facts.first.min(older.first);
    facts.expires = facts.expires.max(older.expires);
    facts.greatest_ttl = facts.greatest_ttl.max(older.greatest_ttl);
}
