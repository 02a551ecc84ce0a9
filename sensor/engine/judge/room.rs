//! Contacts for which the baseline has no room (rule A5).
//!
//! What is over budget is counted and told of once a day for each workload, and nothing of it is recorded: each further
//! destination of a scan would cost memory, disk and an alert. Pairs that are known go on as ever.

use hashbrown::HashSet;

use crate::alerting::{FULL, full_id, full_summary, links};
use crate::baseline::{Full, Need};
use crate::model::{
    Alert, AlertDestination, AlertKind, AlertRecord, AlertState, AlertWorkload, BaselineMode, Counter, Day, EventKind,
    LedgerError, Lowered, PairKey, Severity, Timestamp, WorkloadId, WorkloadKey,
};

use super::Judge;
use super::contacts::Contact;
use super::registry::{Learning, Who};

/// Of so many workloads and days it is remembered that they were told of; of more the ledger says it.
const TOLD: usize = 1 << 16;

/// When the disk is full, so many workloads a day are told of one by one: it is full for everybody, and each alert takes some
/// of it.
const WORKLOADS_A_DAY: usize = 20;

/// So full is the disk when that is told the first time: early enough to give it more.
const NEARLY_FULL: u64 = 80;
/// Once it is as empty as that it is told again when it fills up.
const EMPTIER: u64 = 75;

/// What was told of budgets that are full.
#[derive(Debug, Default)]
pub(super) struct Told {
    workloads: HashSet<(WorkloadId, Day, Full), foldhash::fast::RandomState>,
    disk: Level,
}

/// How full the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Level {
    #[default]
    HasRoom,
    NearlyFull,
    Full,
}

impl Told {
    /// Forgets what was told of workloads, since their numbers may be somebody else's from now on.
    pub fn forget(&mut self) {
        self.workloads.clear();
    }
}

/// Returns the setting of a budget.
const fn setting(full: Full) -> &'static str {
    match full {
        Full::Destinations => "[baseline] destinations",
        Full::Disk => "[baseline] disk",
    }
}

impl Judge {
    /// Says whether there is room for what is new of a contact and its alert. If not, no new pair of it is recorded either:
    /// what is recorded once is known, and nobody would be told.
    pub(super) fn has_room(&mut self, who: Who, key: &PairKey) -> Result<bool, LedgerError> {
        let full = self.baseline.no_room(&*self.ledger, who.id, key, Need::Novelty)?;
        Ok(full.is_none())
    }

    /// Counts a contact of which something is not recorded, and puts out the workload's alert of the day.
    pub(super) fn leave_out(&mut self, contact: &Contact, who: Who, full: Full) -> Result<(), LedgerError> {
        let at = contact.first;
        self.out.counters.count(match full {
            Full::Destinations => Counter::ContactsOverDestinations,
            Full::Disk => Counter::ContactsOverDisk,
        });
        if self.room.workloads.len() >= TOLD {
            self.room.workloads.clear();
        }
        let is_first = self.room.workloads.insert((who.id, at.day(), full));
        // The ledger has these counts, so that a restart tells of no more.
        let kept = self.baseline.kept_mut();
        let is_one_of_many = is_first
            && full == Full::Disk
            && kept.others_unrecorded(who.id, at.day(), WORKLOADS_A_DAY) == WORKLOADS_A_DAY;
        kept.add_unrecorded(who.id, at);
        if !is_first || is_one_of_many {
            return Ok(());
        }
        let segment = self.text_of(contact.segment);
        let learns = self.policy.baseline.mode == BaselineMode::LearnOnly
            || self.registry.learning(who.id, &segment, at) == Learning::Segment;
        let alert = self.full_alert(contact, who, full)?;
        if learns {
            // Nothing is raised meanwhile (rule B4), but somebody has to know that the baseline is not whole.
            let text = alert.summary;
            self.tell(self.out.batch.at, EventKind::BudgetFull, text);
        } else if self.alert_record(alert.id)?.is_none() {
            self.out.counters.count(Counter::AlertsRaised);
            self.put_out(AlertRecord {
                state: AlertState::Raised,
                alert,
                considered: Vec::new(),
                lowered: Lowered::default(),
            });
        }
        Ok(())
    }

    /// Returns the alert that a workload has no room on the day of this contact.
    fn full_alert(&mut self, contact: &Contact, who: Who, full: Full) -> Result<Alert, LedgerError> {
        let pairs = self.baseline.counted_pairs(&*self.ledger, who.id)?;
        let record = self.registry.record(who.id);
        let key = record.map(|record| record.key.to_string()).unwrap_or_default();
        let rule = who.rule.and_then(|rule| self.rules.rule(rule));
        let workload = AlertWorkload {
            name: self.workload_name(who, contact.originator.ip),
            address: match record.map(|record| &record.key) {
                Some(WorkloadKey::Address(_, address)) => Some(*address),
                _ => None,
            },
            group: record.and_then(|record| record.group.clone()),
            owner: rule.and_then(|rule| rule.owner.clone()),
            segment: self.text_of(contact.segment),
            since: record.map(|record| record.since),
        };
        let nobody = AlertDestination {
            domain: None,
            tenant: None,
            name: None,
            ip: None,
            port: None,
            transport: None,
        };
        let kept = match full {
            Full::Destinations => format!("it has {pairs} pairs"),
            Full::Disk => {
                let (octets, _) = self.baseline.kept().disk().unwrap_or_default();
                format!("all pairs and alerts take {octets} octets")
            }
        };
        let id = full_id(setting(full), &key, contact.first.day());
        let mut alert = Alert::without_flow(id, AlertKind::Burst, contact.first, workload, nobody);
        alert.at = self.out.batch.at;
        alert.severity = Severity::High;
        alert.confidence = FULL;
        alert.links = links(&alert.destination);
        alert.baseline.window_days = u32::try_from(self.policy.baseline.window.whole_days()).unwrap_or(u32::MAX);
        alert.baseline.destinations = self.baseline.destinations(&*self.ledger, who.id)?;
        alert.attack = vec!["T1568".to_owned()];
        alert.summary = full_summary(&alert, setting(full), &kept);
        Ok(alert)
    }

    /// Tells once that the disk is nearly full, and once that it is.
    pub(super) fn tell_disk(&mut self, now: Timestamp) {
        let kept = self.baseline.kept();
        let Some((used, most)) = kept.disk() else { return };
        let is_over = |percent: u64| u128::from(used) * 100 >= u128::from(most) * u128::from(percent);
        let level = if kept.is_disk_full(Need::Novelty) {
            Level::Full
        } else if is_over(NEARLY_FULL) {
            Level::NearlyFull
        } else {
            Level::HasRoom
        };
        if level <= self.room.disk {
            if !is_over(EMPTIER) {
                self.room.disk = Level::HasRoom;
            }
            return;
        }
        self.room.disk = level;
        let percent = u128::from(used) * 100 / u128::from(most.max(1));
        let so = match level {
            Level::Full => "contacts with new destinations are not recorded",
            Level::NearlyFull | Level::HasRoom => {
                "when it is full, contacts with new destinations will not be recorded"
            }
        };
        let text = format!(
            "pairs and alerts take {used} octets, {percent} % of `[baseline] disk`: {so}; raise it, or shorten `retention`"
        );
        self.tell(now, EventKind::BudgetFull, text);
    }
}
