//! The rules as plain words: what a ledger knows, and what becomes of a contact (DESIGN, section 2: A2, B1 to B5, D3).
//!
//! No slots, pages, journals or batches; nothing is shared with the sensor. Each line names the rule that it says again.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Contact, Ending};

pub const SECOND: i64 = 1_000_000_000;
pub const DAY: i64 = 86_400 * SECOND;
/// "The first time in 90 days" (numbers).
const WINDOW: i64 = 90 * DAY;
/// "Retention 180 d" (numbers).
const RETENTION: i64 = 180 * DAY;
/// "Settle 5 s" (numbers).
const SETTLE: i64 = 5 * SECOND;
/// "The active days of the last 128" (B5).
const DAYS_KEPT: i64 = 128;

/// What kind of destination; attempts are kept apart (section 1, "pair"; B3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// As exports write it: `domain`, `tenant`, `address`, or one of these behind `attempted_`.
    pub kind: String,
    pub text: String,
}

impl Key {
    pub fn new(kind: &str, text: &str) -> Self {
        let (kind, text) = (kind.to_owned(), text.to_owned());
        Self { kind, text }
    }

    fn attempted(&self) -> Self {
        Self::new(&format!("attempted_{}", self.kind), &self.text)
    }
}

/// What a pair keeps (B5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair {
    pub first: i64,
    pub last: i64,
    pub count: u64,
    pub octets: [u64; 2],
    pub days: BTreeSet<i64>,
    pub ports: BTreeSet<u16>,
    pub names: BTreeSet<String>,
    pub novelty: Option<(i64, String)>,
    /// First and last packet of every contact, which no ledger keeps: what the approximations of B2 are held against.
    pub contacts: BTreeSet<(i64, i64)>,
}

impl Pair {
    /// Exactly the rule: a contact in the 90 days before (B2, first sentence).
    fn had_contact_before(&self, at: i64) -> bool {
        let mut contacts = self.contacts.iter();
        contacts.any(|(first, last)| *first <= at && at - last <= WINDOW)
    }

    /// What first, last and day bits say of it (B2, "With `first`, `last` and day bits …").
    fn is_known(&self, at: i64) -> bool {
        let opens = at - WINDOW;
        let kept = self.kept_days();
        // The window's first day counts if all of it is in the window.
        let mut in_window = kept
            .iter()
            .filter(|day| **day * DAY >= opens && **day <= at.div_euclid(DAY));
        let known = if self.last <= at {
            at - self.last <= WINDOW
        } else {
            self.first <= at && (self.first >= opens || in_window.next().is_some())
        };
        // Days are coarser than times, and forgotten after 128: it may be off by that, and by nothing else.
        if self.had_contact_before(at) && !known {
            let day = (opens + DAY).div_euclid(DAY);
            let newest = self.last.div_euclid(DAY);
            let sure = |(first, last): &&(i64, i64)| {
                let on = last.div_euclid(DAY);
                *first <= at && *last <= at && on >= day && newest - on < DAYS_KEPT
            };
            assert!(
                !self.contacts.iter().any(|contact| sure(&contact)),
                "B2: {self:?} at {at}"
            );
        }
        known
    }

    /// The active days that are kept (B5).
    pub fn kept_days(&self) -> BTreeSet<i64> {
        let newest = self.last.div_euclid(DAY);
        let days = self.days.iter().copied();
        days.filter(|day| newest - day < DAYS_KEPT).collect()
    }

    /// Says whether it was only seen again, with how many octets (docs/state.md).
    fn is_nothing_new(&self, before: &Self) -> bool {
        let days = |pair: &Self| (pair.first, pair.kept_days());
        days(self) == days(before) && self.ports == before.ports && self.names == before.names
    }

    /// Two sensors' pairs as one (docs/baseline.md, "Merging").
    fn merged(&self, other: &Self) -> Self {
        let order = |novelty: &(i64, String)| (novelty.1 == "raised", novelty.0);
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            count: self.count.max(other.count),
            octets: [0, 1].map(|way| self.octets[way].max(other.octets[way])),
            days: &self.kept_days() | &other.kept_days(),
            ports: &self.ports | &other.ports,
            names: &self.names | &other.names,
            novelty: (self.novelty.iter().chain(&other.novelty))
                .max_by_key(|novelty| order(novelty))
                .cloned(),
            contacts: &self.contacts | &other.contacts,
        }
    }
}

/// Since when somebody is there, and until when they learn, if they ever did (B4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learner {
    pub since: i64,
    pub until: Option<i64>,
    pub group: Option<String>,
}

impl Learner {
    fn learns(&self, at: i64) -> bool {
        self.until.is_some_and(|until| at < until)
    }

    /// The earlier beginning and the later end; who never learnt says nothing (docs/baseline.md, "Merging").
    fn merged(&self, other: &Self) -> Self {
        Self {
            since: self.since.min(other.since),
            until: self.until.max(other.until),
            group: self.group.clone().or_else(|| other.group.clone()),
        }
    }
}

/// What identifies an alert: kind, workload, destination and first packet (A2).
pub type Alert = (String, String, String, i64);
/// A line of `contacts.jsonl`: first packet, workload, address, domain and verdict.
pub type Line = (i64, String, String, Option<String>, String);

/// What a ledger holds.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Settings `learning` and `learning_new` (B4).
    pub learning: i64,
    pub learning_new: i64,
    /// The packet time at which it stands.
    pub at: Option<i64>,
    pub segment: Option<Learner>,
    pub workloads: BTreeMap<String, Learner>,
    pub pairs: BTreeMap<(String, Key), Pair>,
    pub alerts: BTreeSet<Alert>,
    /// The present of all that expires: no batch of the last 600 ended before it; nothing before there were so many (B5).
    pub present: Option<i64>,
    /// The latest time at which everything was expired.
    pub aged: Option<i64>,
    /// What is on disk of pairs that were seen again since, with nothing new about it: a kill leaves that
    /// (docs/state.md, "When something is on disk").
    pub behind: BTreeMap<(String, Key), Pair>,
}

impl Ledger {
    /// Judges a contact, with what follows of it; returns its lines of `contacts.jsonl`.
    pub fn contact(&mut self, contact: &Contact, learns_only: bool) -> Vec<Line> {
        let lines = self.judge(contact, learns_only);
        // "The least packet time of its last 600 epochs" (B5).
        self.present = self.present.map(|present| present.min(contact.first));
        lines
    }

    fn judge(&mut self, contact: &Contact, learns_only: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        self.appear(contact);
        let key = self.novelty(contact);
        match contact.ending {
            Ending::Through => {
                let verdict = self.get_through(contact, key, learns_only);
                lines.push(contact.line(&verdict));
            }
            // "Folded into that contact" (B3).
            Ending::Retried => {
                let verdict = self.get_through(contact, key, learns_only);
                lines.push(contact.line(&verdict));
                lines.push(contact.attempt().line("known"));
            }
            Ending::Refused | Ending::Attempted => {
                let (verdict, _) = self.attempt(contact, key, learns_only);
                lines.push(contact.line(&verdict));
            }
            // "If the same flow gets through later, it is recorded then and its alert updated" (B3).
            Ending::Late => {
                let (verdict, has_raised) = self.attempt(&contact.attempt(), key.clone(), learns_only);
                lines.push(contact.line(&verdict));
                if has_raised {
                    self.record(contact, key.as_ref(), Some("raised"));
                } else {
                    // It "cannot silence the first contact that gets through" (B3).
                    let verdict = self.get_through(contact, key, learns_only);
                    lines.push(contact.line(&verdict));
                }
            }
        }
        lines
    }

    /// Segment and workload begin with their first contact, and so does what they learn (B4).
    fn appear(&mut self, contact: &Contact) {
        let at = contact.first;
        let learning = self.learning;
        let segment = self.segment.get_or_insert_with(|| Learner {
            since: at,
            until: (learning > 0).then_some(at + learning),
            group: None,
        });
        let segment = segment.clone();
        let group = contact.group();
        let has_learnt = |other: &&Learner| other.group == group && other.until.unwrap_or(other.since) <= at;
        let group_has_learnt = group.is_some() && self.workloads.values().any(|other| has_learnt(&other));
        let until = if segment.learns(at) {
            segment.until
        } else if group_has_learnt || self.learning_new == 0 {
            None
        } else {
            Some(at + self.learning_new)
        };
        let since = at;
        self.workloads
            .entry(contact.workload())
            .or_insert(Learner { since, until, group });
    }

    /// What is new about a contact: its domain, else its tenant, else nothing; its address if it has no name (B2, D3).
    fn novelty(&self, contact: &Contact) -> Option<Key> {
        let mut keys = contact.judged_by().into_iter();
        let new = keys.find(|key| !self.is_known(&contact.workload(), key, contact.first))?;
        // "One novelty, one alert" (A1): it is that of a contact that begins within settle and was judged before.
        let pair = self.pair(&contact.workload(), &new, contact.first);
        let novelty = pair.and_then(|pair| pair.novelty.as_ref());
        let is_told = novelty.is_some_and(|(at, _)| (contact.first + 1..=contact.first + SETTLE).contains(at));
        (!is_told).then_some(new)
    }

    /// Known to the workload itself, or from the group that it started from (B2, B4).
    fn is_known(&self, workload: &str, key: &Key, at: i64) -> bool {
        self.knows(workload, key, at) || self.was_known_to_group(workload, key, at)
    }

    /// A pair without contact for the retention is absent, whenever it is asked for and by the present (B5).
    fn pair(&self, workload: &str, key: &Key, at: i64) -> Option<&Pair> {
        let pair = self.pairs.get(&(workload.to_owned(), key.clone()))?;
        (at - pair.last <= RETENTION && !self.is_expired(pair)).then_some(pair)
    }

    fn is_expired(&self, pair: &Pair) -> bool {
        self.present.is_some_and(|present| present - pair.last > RETENTION)
    }

    /// Says whether anything would expire or not depending on where in these hours the present is.
    pub fn is_undecided(&self, from: i64, hours: i64) -> bool {
        let lasts = self.pairs.values().map(|pair| pair.last);
        let mut times = lasts.chain(self.alerts.iter().map(|alert| alert.3));
        let opens = from - RETENTION - DAY / 24;
        times.any(|at| (opens..=opens + (hours + 2) * (DAY / 24)).contains(&at))
    }

    /// Six hundred batches from `present` on: what is expired leaves the disk, alerts with it (B5, docs/state.md).
    pub fn age(&mut self, present: i64) {
        (self.present, self.aged) = (Some(present), self.aged.max(Some(present)));
        let expired: Vec<_> = self.pairs.iter().filter(|(_, pair)| self.is_expired(pair)).collect();
        let expired: Vec<_> = expired.into_iter().map(|(place, _)| place.clone()).collect();
        expired.iter().for_each(|place| drop(self.pairs.remove(place)));
    }

    /// Leaves what may be gone or not as it is found: pairs that are expired and came from elsewhere, workloads that have
    /// no pair any more ("at most 30 days longer", docs/state.md).
    pub fn adopt(&mut self, has_pair: impl Fn(&(String, Key)) -> bool, has_workload: impl Fn(&str) -> bool) {
        let Some(aged) = self.aged else { return };
        self.pairs
            .retain(|place, pair| aged - pair.last <= RETENTION || has_pair(place));
        let pairs = &self.pairs;
        self.workloads
            .retain(|name, _| has_workload(name) || pairs.keys().any(|(of, _)| of == name));
    }

    /// Says whether an alert may be gone, since its contact began before all that is kept.
    pub fn may_forget(&self, alert: &Alert) -> bool {
        self.aged.is_some_and(|aged| aged - alert.3 > RETENTION)
    }

    fn knows(&self, workload: &str, key: &Key, at: i64) -> bool {
        self.pair(workload, key, at).is_some_and(|pair| pair.is_known(at))
    }

    /// "A workload of a group starts from the group's baseline": what a member knew before is known, for a window (B4).
    fn was_known_to_group(&self, workload: &str, key: &Key, at: i64) -> bool {
        let own = &self.workloads[workload];
        if own.group.is_none() || at - own.since > WINDOW {
            return false;
        }
        self.workloads.iter().any(|(name, member)| {
            let was_there = name != workload && member.group == own.group && member.since < own.since;
            let pair = self.pair(name, key, own.since);
            was_there && pair.is_some_and(|pair| pair.first < own.since && pair.is_known(own.since))
        })
    }

    /// What becomes of a novelty: learnt or raised (B4); whether its alert is a new one (A2).
    fn decide(&mut self, contact: &Contact, new: &Key, learns_only: bool) -> (&'static str, bool) {
        let at = contact.first;
        let own = &self.workloads[&contact.workload()];
        if learns_only || self.segment.as_ref().is_some_and(|segment| segment.learns(at)) {
            return ("learned", false);
        }
        // "Meanwhile what is new to the whole segment is raised all the same" (B4).
        let mut others = self.workloads.keys().filter(|name| **name != contact.workload());
        if own.learns(at) && others.any(|other| self.knows(other, new, at)) {
            return ("learned", false);
        }
        let kind = match new.kind.as_str() {
            "domain" => "new_external_domain",
            "tenant" => "new_tenant",
            _ => "new_external_ip",
        };
        // "An id that is stored is never raised again" (A2).
        let alert = (kind.to_owned(), contact.workload(), new.text.clone(), at);
        ("raised", self.alerts.insert(alert))
    }

    /// A contact that got through (B1, B2).
    fn get_through(&mut self, contact: &Contact, new: Option<Key>, learns_only: bool) -> String {
        let fate = new.as_ref().map(|new| self.decide(contact, new, learns_only).0);
        self.record(contact, new.as_ref(), fate);
        match fate {
            None => "known".to_owned(),
            Some("raised") => "new".to_owned(),
            Some(fate) => fate.to_owned(),
        }
    }

    /// An attempt: one that is new raises once a window, and is recorded as an attempt only (B3). The second value says
    /// whether it raised an alert.
    fn attempt(&mut self, contact: &Contact, new: Option<Key>, learns_only: bool) -> (String, bool) {
        // "If the same destination gets through within settle, the attempt is folded into that contact."
        let gets_through = |new: &Key| {
            let pair = self.pair(&contact.workload(), new, contact.first);
            pair.is_some_and(|pair| (contact.first..=contact.first + SETTLE).contains(&pair.first))
        };
        let Some(new) = new.filter(|new| !gets_through(new)) else {
            return ("known".to_owned(), false);
        };
        let attempted = new.attempted();
        let is_repeat = self.knows(&contact.workload(), &attempted, contact.first);
        let decided = (!is_repeat).then(|| self.decide(contact, &new, learns_only));
        self.add(contact, &attempted, decided.map(|(fate, _)| fate));
        match decided {
            Some(("learned", _)) => ("learned".to_owned(), false),
            Some((_, has_raised)) => ("attempt".to_owned(), has_raised),
            None => ("attempt".to_owned(), false),
        }
    }

    /// "Recorded under (workload, domain) and (workload, tenant) if it has a name, and under (workload, address) always"
    /// (B1). The novelty belongs to the pair that was new.
    fn record(&mut self, contact: &Contact, new: Option<&Key>, fate: Option<&str>) {
        for key in contact.recorded_under() {
            let fate = fate.filter(|_| new == Some(&key));
            self.add(contact, &key, fate);
        }
    }

    /// What a pair keeps of a contact (B5).
    fn add(&mut self, contact: &Contact, key: &Key, fate: Option<&str>) {
        let place = (contact.workload(), key.clone());
        // Absent in every field.
        if self.pair(&place.0, key, contact.first).is_none() {
            self.pairs.remove(&place);
        }
        let before = self.pairs.get(&place).cloned();
        let Contact { first, last, .. } = *contact;
        let pair = self.pairs.entry(place.clone()).or_insert(Pair {
            first,
            last,
            ..Pair::default()
        });
        pair.first = pair.first.min(first);
        pair.last = pair.last.max(last);
        pair.count += 1;
        pair.octets = [0, 1].map(|way| pair.octets[way] + contact.octets[way]);
        pair.days.extend([first, last].map(|at| at.div_euclid(DAY)));
        pair.ports.insert(contact.port);
        pair.names.extend(contact.name());
        pair.contacts.insert((first, last));
        if let Some(fate) = fate {
            pair.novelty = Some((first, fate.to_owned()));
        }
        match before.filter(|before| fate.is_none() && pair.is_nothing_new(before)) {
            Some(before) => drop(self.behind.entry(place).or_insert(before)),
            None => drop(self.behind.remove(&place)),
        }
    }

    /// All that waits in memory is written.
    pub fn write(&mut self) {
        self.behind.clear();
    }

    /// All that waits in memory is lost.
    pub fn lose(&mut self) {
        self.pairs.append(&mut self.behind);
    }

    /// `sensor baseline merge` and `import` of an export (B5, docs/baseline.md, "Merging"). Alerts are no part of it.
    pub fn merge(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        self.aged = self.aged.max(other.aged);
        if let Some(segment) = &other.segment {
            let joined = self.segment.as_ref().map_or(segment.clone(), |own| own.merged(segment));
            self.segment = Some(joined);
        }
        for (name, workload) in &other.workloads {
            let joined = self
                .workloads
                .get(name)
                .map_or(workload.clone(), |own| own.merged(workload));
            self.workloads.insert(name.clone(), joined);
        }
        for (place, pair) in &other.pairs {
            let joined = self.pairs.get(place).map_or(pair.clone(), |own| own.merged(pair));
            self.pairs.insert(place.clone(), joined);
        }
    }

    /// `sensor baseline forget`: contacts and attempts alike; the workload stays (docs/baseline.md, "Forgetting").
    pub fn forget(&mut self, workload: &str, key: Option<&Key>) {
        let is_meant = |own: &Key| key.is_none_or(|key| own == key || *own == key.attempted());
        self.pairs.retain(|(name, own), _| name != workload || !is_meant(own));
    }

    /// `sensor baseline learn --until` (docs/baseline.md, "On demand"): who does not learn does not stop either.
    pub fn learn(&mut self, workload: &str, until: i64) {
        let Some(at) = self.at else { return };
        if let Some(learner) = self.workloads.get_mut(workload)
            && (learner.learns(at) || until > at)
        {
            learner.until = Some(until).filter(|until| *until > learner.since);
        }
    }
}
