//! Rules A1, A2, B1 to B5 and D3 over long and strange lives: random sequences of runs, kills, steps of the clock, merges,
//! imports and what operators change, against the rules as plain words (`model/rules.rs`).
//!
//! The short form runs the same few sequences each time. `make model` runs as many as it is asked for.

mod rules;
mod steps;
mod system;
mod world;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::support::frames::NOON;
use crate::support::programs::text;
use rules::{Alert, DAY, Ledger, Line};
use steps::{Learns, Life, Step, life};
use system::{How, Shown, System};
use world::{Contact, Stretch, Traffic};

/// Sequences of the short form.
const SEQUENCES: u32 = 12;
/// What "the least of its last 600 epochs" takes (B5).
const BATCHES: u64 = 600;
/// How many contacts, a minute apart, make more batches than that; and how many hours they take, rounded up.
const AGING: usize = 700;
const AGING_HOURS: i64 = 20;

/// A ledger, the real one and the one by the rules.
struct Side {
    system: System,
    ledger: Ledger,
    /// When the last run ended.
    clock: i64,
    answers: Vec<(usize, i64)>,
    /// The captures and contacts of the last run.
    before: Option<(Vec<PathBuf>, Vec<Traffic>, Learns)>,
}

struct Test {
    sides: [Side; 2],
    folder: PathBuf,
    settings: PathBuf,
    port: u16,
    files: usize,
}

impl Test {
    fn new(folder: &Path, hours: [i64; 2]) -> Self {
        let settings = folder.join("settings.toml");
        let [learning, learning_new] = hours;
        let learns = format!("[baseline]\nlearning = \"{learning}h\"\nlearning_new = \"{learning_new}h\"\n");
        std::fs::write(&settings, learns + world::SETTINGS).expect("the settings");
        let [learning, learning_new] = hours.map(|hours| hours * DAY / 24);
        let ledger = Ledger {
            learning,
            learning_new,
            ..Ledger::default()
        };
        let side = |name: &str| Side {
            system: System {
                folder: folder.join(name),
                settings: settings.clone(),
            },
            ledger: ledger.clone(),
            clock: NOON,
            answers: Vec::new(),
            before: None,
        };
        Self {
            sides: [side("first"), side("second")],
            folder: folder.to_owned(),
            settings: settings.clone(),
            port: 20_000,
            files: 0,
        }
    }

    fn place(&mut self, name: &str) -> PathBuf {
        self.files += 1;
        self.folder.join(format!("{}-{name}", self.files))
    }

    /// Makes the captures of a run.
    fn captures(&mut self, on: usize, run: &[Stretch]) -> (Vec<PathBuf>, Vec<Traffic>) {
        let mut all = (Vec::new(), Vec::new());
        for (n, stretch) in run.iter().enumerate() {
            let side = &mut self.sides[on];
            let start = side.clock + stretch.days * DAY;
            if n > 0 && stretch.days < 0 {
                // Names keep their remaining life (T1).
                let by = start - side.clock;
                let shifted: Vec<_> = side.answers.iter().map(|(name, at)| (*name, at + by)).collect();
                side.answers.extend(shifted);
            }
            let alone = run.len() == 1;
            let traffic = world::traffic(&stretch.contacts, start, &mut self.port, &mut side.answers, alone);
            side.clock = traffic.end;
            let path = self.place("frames.pcap");
            traffic.capture.write(&path);
            all.0.push(path);
            all.1.push(traffic);
        }
        all
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Run(on, learns, run) => {
                let (files, traffic) = self.captures(*on, run);
                self.run(*on, files, traffic, *learns)?;
                self.compare(*on)
            }
            Step::Repeat(on, forgets) => {
                if let Some(client) = forgets {
                    self.step(&Step::Forget(*on, *client, None))?;
                }
                let Some((files, traffic, learns)) = self.sides[*on].before.take() else {
                    return Ok(());
                };
                self.sides[*on].clock = traffic.last().map_or(0, |traffic| traffic.end);
                self.run(*on, files, traffic, learns)?;
                self.compare(*on)
            }
            Step::KillAndAgain(on, percent, run) => self.kill_and_again(*on, *percent, run),
            Step::KillAndOther(on, percent, run, other) => self.kill_and_other(*on, *percent, run, other),
            Step::Merge(on) | Step::Import(on) => {
                let [own, other] = self.pair_of(*on);
                if other.ledger.at.is_none() {
                    return Ok(());
                }
                if let Step::Merge(_) = step {
                    own.system.baseline("merge", &[text(&other.system.state())]);
                } else {
                    let file = own.system.folder.with_extension("export");
                    other.system.baseline("export", &["--out", text(&file)]);
                    own.system.baseline("import", &[text(&file)]);
                }
                own.ledger.merge(&other.ledger);
                self.compare(*on)
            }
            Step::Age(days) => self.age(*days),
            Step::Unite(on) => self.unite(*on),
            Step::Forget(on, client, what) => {
                let side = &mut self.sides[*on];
                let workload = world::workload(*client);
                if !side.ledger.workloads.contains_key(&workload) {
                    return Ok(());
                }
                let key = what.map(world::destination);
                let mut arguments = vec!["--workload".to_owned(), workload.clone()];
                if let Some(key) = &key {
                    let option = if key.kind == "address" { "ip" } else { &key.kind };
                    arguments.extend([format!("--{option}"), key.text.clone()]);
                }
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                side.system.baseline("forget", &arguments);
                side.ledger.forget(&workload, key.as_ref());
                self.compare(*on)
            }
            Step::Learn(on, client, days) => {
                let side = &mut self.sides[*on];
                let workload = world::workload(*client);
                let Some(at) = side.ledger.at.filter(|_| side.ledger.workloads.contains_key(&workload)) else {
                    return Ok(());
                };
                let until = at + days * DAY;
                let written = serde_json::to_value(firstcontact::model::Timestamp(until)).expect("a time");
                let written = written.as_str().expect("a time");
                side.system
                    .baseline("learn", &["--workload", &workload, "--until", written]);
                side.ledger.learn(&workload, until);
                self.compare(*on)
            }
        }
    }

    fn pair_of(&mut self, on: usize) -> [&mut Side; 2] {
        let [first, second] = &mut self.sides;
        if on == 0 { [first, second] } else { [second, first] }
    }

    /// Compares what the ledger shows with what it should.
    fn compare(&mut self, on: usize) -> Result<(), String> {
        let side = &mut self.sides[on];
        let shown = side.system.shown(&side.ledger);
        shown.settle(&mut side.ledger);
        same(&shown, &Shown::by_rules(&side.ledger))
    }

    /// Lets both ledgers age to the same time, by contacts of one workload with one address.
    fn age(&mut self, days: i64) -> Result<(), String> {
        let mut start = self.sides.iter().map(|side| side.clock).max().unwrap_or(NOON) + days * DAY;
        while self
            .sides
            .iter()
            .any(|side| side.ledger.is_undecided(start, AGING_HOURS))
        {
            start += DAY / 2;
        }
        for on in 0..2 {
            let side = &mut self.sides[on];
            side.clock = start;
            let before = side.ledger.at.map_or(0, |_| side.system.batches());
            let (files, traffic) = self.captures(on, &[world::many(AGING)]);
            self.run(on, files, traffic, Learns::AsSet)?;
            let side = &mut self.sides[on];
            side.before = None;
            assert!(side.system.batches() - before > BATCHES, "they are too few");
            assert!(side.clock - start < AGING_HOURS * DAY / 24, "they take too long");
            side.ledger.age(start);
            self.compare(on)?;
        }
        Ok(())
    }

    fn run(&mut self, on: usize, files: Vec<PathBuf>, traffic: Vec<Traffic>, learns: Learns) -> Result<(), String> {
        let side = &mut self.sides[on];
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let seen = side.system.replay(&how(&paths, learns), None);
        let expected = side.judge(&traffic, learns);
        side.before = Some((files, traffic, learns));
        same_run(seen, expected)
    }

    fn kill_and_again(&mut self, on: usize, percent: i64, run: &Stretch) -> Result<(), String> {
        let (_, traffic) = self.captures(on, std::slice::from_ref(run));
        let side = &mut self.sides[on];
        let (input, part, alerts) = side.part(&traffic[0], percent);
        let input_name = [Path::new("-")];
        let how = how(&input_name, Learns::AsSet);
        side.system.kill(&how, &input[..part], alerts);
        let seen = side.system.replay(&how, Some(&input));
        let expected = side.judge(&traffic, Learns::AsSet);
        same_run(seen, expected)?;
        self.compare(on)
    }

    fn kill_and_other(&mut self, on: usize, percent: i64, run: &Stretch, other: &Stretch) -> Result<(), String> {
        let (_, killed) = self.captures(on, std::slice::from_ref(run));
        let (files, after) = self.captures(on, std::slice::from_ref(other));
        let side = &mut self.sides[on];
        let (input, part, alerts) = side.part(&killed[0], percent);
        side.system
            .kill(&how(&[Path::new("-")], Learns::AsSet), &input[..part], alerts);
        let (contacts, _) = side.system.replay(&how(&[&files[0]], Learns::AsSet), None);
        let shown = side.system.shown(&side.ledger);
        // A kill leaves what was committed: contacts up to some point, the next of them perhaps as an attempt only.
        let before = side.ledger.clone();
        let all = &killed[0].contacts;
        let mut nearest: Option<String> = None;
        for count in (0..=all.len()).rev() {
            let attempt = all.get(count).filter(|contact| contact.has_attempt());
            for attempt in [attempt.map(|contact| contact.attempt()), None] {
                let committed: Vec<_> = all[..count].iter().chain(&attempt).collect();
                for losses in Losses::any(committed.len()) {
                    side.ledger = before.clone();
                    losses.contacts(&committed, &mut side.ledger);
                    // Fewer than what was sure to be committed would be a loss.
                    if side.ledger.alerts.len() < before.alerts.len() + alerts {
                        continue;
                    }
                    let expected = side.judge(&after, Learns::AsSet);
                    shown.settle(&mut side.ledger);
                    // Those that waited are judged first; a break of the clock may put the others before them in time.
                    let waited = |line: &Line| {
                        let mut times = all.iter().flat_map(|contact| [contact.first, contact.attempt().first]);
                        times.any(|at| at == line.0)
                    };
                    let contacts = contacts.iter().filter(|line| !waited(line)).cloned().collect();
                    let found =
                        same(&shown, &Shown::by_rules(&side.ledger)).and_then(|()| same_lines(contacts, expected.0));
                    let Err(differences) = found else {
                        return Ok(());
                    };
                    let is_nearer = |nearest: &String| differences.len() < nearest.len();
                    if nearest.as_ref().is_none_or(is_nearer) {
                        nearest = Some(differences);
                    }
                }
            }
        }
        Err(format!(
            "what was committed is no beginning of the run: {}",
            nearest.unwrap_or_default()
        ))
    }

    /// Merges both into new folders, in either order and twice; the ledger goes on as one of these.
    fn unite(&mut self, on: usize) -> Result<(), String> {
        if self.sides.iter().any(|side| side.ledger.at.is_none()) {
            return Ok(());
        }
        let states = [0, 1].map(|n: usize| self.sides[n].system.state());
        let mut united = Ledger {
            pairs: Default::default(),
            workloads: Default::default(),
            alerts: Default::default(),
            segment: None,
            at: None,
            present: None,
            ..self.sides[0].ledger.clone()
        };
        self.sides.iter().for_each(|side| united.merge(&side.ledger));
        let mut exports = Vec::new();
        for order in [[0, 1, 0], [1, 0, 0]] {
            let system = System {
                folder: self.place("united"),
                settings: self.settings.clone(),
            };
            let sources = order.map(|n| text(&states[n]));
            system.baseline("merge", &sources);
            let shown = system.shown(&united);
            shown.settle(&mut united);
            same(&shown, &Shown::by_rules(&united))?;
            exports.push(system.baseline("export", &[]));
            self.sides[on].system = system;
        }
        if exports[0] != exports[1] {
            return Err(format!("the order of a merge matters: {}\n{}", exports[0], exports[1]));
        }
        let side = &mut self.sides[on];
        side.ledger = united;
        side.before = None;
        // Names are no part of a baseline.
        side.answers.clear();
        Ok(())
    }
}

/// What a kill leaves of contacts with known pairs: their counts wait in memory for a page, "once a day of packet time at
/// the latest" (docs/state.md, "When something is on disk").
#[derive(Debug, Clone, Copy)]
struct Losses {
    /// After so many contacts all of it was written.
    written: usize,
    /// After so many the run was killed; what waited then is judged in the next run.
    killed: usize,
}

impl Losses {
    fn any(contacts: usize) -> impl Iterator<Item = Self> {
        let killed = contacts.saturating_sub(1)..=contacts;
        killed.flat_map(|killed| (0..=killed).map(move |written| Self { written, killed }))
    }

    fn contacts(self, committed: &[&Contact], ledger: &mut Ledger) {
        for n in 0..=committed.len() {
            if n == self.written {
                ledger.write();
            }
            if n == self.killed {
                ledger.lose();
            }
            if let Some(contact) = committed.get(n) {
                ledger.contact(contact, false);
            }
        }
    }
}

impl Side {
    /// Judges contacts by the rules; returns lines and the alerts that are new.
    fn judge(&mut self, traffic: &[Traffic], learns: Learns) -> (Vec<Line>, Vec<Alert>) {
        let before = self.ledger.alerts.clone();
        let contacts = traffic.iter().flat_map(|traffic| &traffic.contacts);
        let lines = contacts.flat_map(|contact| self.ledger.contact(contact, learns == Learns::Only));
        let lines = lines.collect();
        let at = traffic.iter().rev().find(|traffic| !traffic.contacts.is_empty());
        if let Some(traffic) = at {
            self.ledger.at = Some(traffic.end);
        }
        // What waits in memory is written when a run ends.
        self.ledger.write();
        (lines, self.ledger.alerts.difference(&before).cloned().collect())
    }

    /// Returns the file of a capture, where a part of it ends, and how many alerts that part raises for sure.
    fn part(&self, traffic: &Traffic, percent: i64) -> (Vec<u8>, usize, usize) {
        let file = traffic.capture.file();
        let part = file.len() * percent as usize / 100;
        // A contact is judged when the frames of the next one show that its time is over.
        let mut octets = 24;
        let mut starts = traffic.capture.frames.iter().map(|frame| {
            octets += 16 + frame.octets.len();
            octets
        });
        let given = starts.by_ref().take_while(|end| *end <= part).count();
        let whole = traffic.frames.iter().filter(|frames| **frames <= given).count();
        let sure = whole.saturating_sub(1);
        let mut ledger = self.ledger.clone();
        for contact in &traffic.contacts[..sure] {
            ledger.contact(contact, false);
        }
        (file, part, ledger.alerts.len() - self.ledger.alerts.len())
    }
}

fn how<'a>(files: &'a [&'a Path], learns: Learns) -> How<'a> {
    let learns = learns == Learns::Only;
    let threads = "2";
    How { files, learns, threads }
}

fn same(shown: &Shown, should: &Shown) -> Result<(), String> {
    if shown == should {
        return Ok(());
    }
    Err(shown.differences(should))
}

fn same_run(seen: (Vec<Line>, Vec<Alert>), expected: (Vec<Line>, Vec<Alert>)) -> Result<(), String> {
    same_lines(seen.0, expected.0)?;
    let (mut seen, mut expected) = (seen.1, expected.1);
    seen.sort();
    expected.sort();
    if seen != expected {
        return Err(format!("alerts: {seen:#?}\nby the rules: {expected:#?}"));
    }
    Ok(())
}

fn same_lines(mut seen: Vec<Line>, mut expected: Vec<Line>) -> Result<(), String> {
    seen.sort();
    expected.sort();
    if seen != expected {
        return Err(format!("contacts: {seen:#?}\nby the rules: {expected:#?}"));
    }
    Ok(())
}

fn live(life: &Life) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut test = Test::new(folder.path(), life.hours);
    for (n, step) in life.steps.iter().enumerate() {
        test.step(step)
            .map_err(|fault| format!("step {n}: {step:?}: {fault}"))?;
    }
    Ok(())
}

fn setting(name: &str) -> Option<u32> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}: a number is expected")))
}

#[test]
fn rules_a2_and_b1_to_b5_hold_over_any_sequence_of_runs_kills_and_merges() {
    let cases = setting("FIRSTCONTACT_SEQUENCES").unwrap_or(SEQUENCES);
    let seed = setting("FIRSTCONTACT_SEED").unwrap_or(1);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut octets = [0; 32];
    octets[..4].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&life(), |life| {
        live(&life).map_err(TestCaseError::fail)?;
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, life)) => panic!("learning {:?} h, {:#?}\n{reason}", life.hours, life.steps),
        Err(other) => panic!("{other}"),
    }
}
