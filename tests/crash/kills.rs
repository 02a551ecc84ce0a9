//! Rules A1 and T2 at random moments: a long replay is killed again and again, also while it catches up, and given again
//! until it ends; then nothing may tell what it left from what an undisturbed run leaves, octet for octet.
//!
//! How often is said by `FIRSTCONTACT_KILLS` (`make crash`), else a few times. The moments follow from a seed, which is
//! printed and can be given as `FIRSTCONTACT_SEED`. What a run has done by then is for the machine to say, and counted;
//! what comes out in the end does not depend on it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use firstcontact::model::Ledger;
use firstcontact::store::Store;

use crate::support::Capture;
use crate::support::chance::Chance;
use crate::support::frames::{self, FIN, RST, SECOND, STEP, SYN, Segment};
use crate::support::programs::{self, lines, text};

/// Says how often replays are killed, for a longer test.
const KILLS: &str = "FIRSTCONTACT_KILLS";
const A_FEW: usize = 8;
/// How many contacts of the estate a run has, and how far apart they are.
const CONTACTS: i64 = 4000;
const APART: i64 = 12 * STEP;
/// How many workloads there are.
const WORKLOADS: i64 = 80;

/// Contacts of all kinds by many workloads, and one that floods.
fn capture() -> Capture {
    let mut capture = Capture::new();
    let endpoint = frames::endpoint;
    let resolver = "10.1.0.2";
    for n in 0..CONTACTS {
        let at = n * APART;
        let client = format!("10.1.1.{}", 5 + n % WORKLOADS);
        let here = format!("{client}:{}", 20_000 + n);
        let bare = format!("198.18.{}.{}", n / 250, n % 250);
        let after = at + 5 * STEP;
        match n % 12 {
            // A domain of its own, and then ones that many share.
            0 => {
                capture.resolve(at, &client, resolver, &format!("www.domain-{n}.example"), &bare);
                capture.tcp(after, &here, &format!("{bare}:443"), 100, 2000);
            }
            1..=3 => {
                let (name, there) = (
                    format!("www.shared-{}.example", n % 50),
                    format!("203.0.113.{}", n % 50),
                );
                capture.resolve(at, &client, resolver, &name, &there);
                capture.tcp(after, &here, &format!("{there}:443"), 100, 300);
            }
            4 => {
                capture.tcp(at, &here, &format!("{bare}:8443"), 10, 10);
            }
            5 => {
                let segment = Segment {
                    flags: SYN,
                    sequence: 1,
                    payload: 0,
                    captured: 0,
                };
                capture.segment(at, endpoint(&here), endpoint(&format!("{bare}:25")), segment);
            }
            6 => {
                capture.exchange(at, endpoint(&here), endpoint(&format!("{bare}:25")), 1, [0, 0], RST);
            }
            7 => {
                let there = endpoint(&format!("{bare}:4433"));
                capture.udp(at, endpoint(&here), there, &[1; 200]);
                capture.udp(at + STEP, there, endpoint(&here), &[2; 400]);
            }
            8 => {
                let name = format!("bucket-{n}.s3.eu-west-1.amazonaws.com");
                capture.resolve(at, &client, resolver, &name, &bare);
                capture.tcp(after, &here, &format!("{bare}:443"), 100, 300);
            }
            // The answer comes after the alert, which is withdrawn.
            9 => {
                capture.tcp(at, &here, &format!("{bare}:443"), 100, 300);
                capture.resolve(at + 9 * SECOND, &client, resolver, &format!("late-{n}.example"), &bare);
            }
            // Its octets, and its end, come after the alert.
            10 => {
                let (from, to) = (endpoint(&here), endpoint(&format!("{bare}:443")));
                capture.exchange(at, from, to, 1000, [100, 100], 0);
                capture.exchange(at + 10 * SECOND, from, to, 1000, [100, 14_000], FIN);
            }
            _ => {
                capture.exchange(
                    at,
                    endpoint(&here),
                    endpoint(&format!("{bare}:443")),
                    1000,
                    [100, 100],
                    0,
                );
            }
        }
    }
    for n in 0..150_i64 {
        let at = 20 * SECOND + n * SECOND / 5;
        let there = format!("192.0.2.{n}");
        capture.resolve(at, "10.1.0.9", resolver, &format!("www.flood-{n}.example"), &there);
        capture.tcp(
            at + 5 * STEP,
            &format!("10.1.0.9:{}", 50_000 + n),
            &format!("{there}:443"),
            100,
            2000,
        );
    }
    capture.frames.sort_by_key(|frame| frame.time);
    capture
}

/// What is replayed.
struct Input {
    path: PathBuf,
    octets: Arc<[u8]>,
}

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So many octets went in through a pipe, and the rest is held back.
    Octets(usize),
    /// So many lines of alerts came out.
    Lines(usize),
    /// So much time went by since it was started.
    Time(Duration),
}

/// What a killed run was doing, as its ledger shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    BeforeTheFirstCommit,
    Committing,
    CatchingUp,
    AfterTheLastCommit,
    /// It was over before its moment came: that is not counted as a kill.
    Over,
}

/// How input comes to a run, and where its state is.
struct Run<'a> {
    input: &'a Input,
    folder: PathBuf,
    is_piped: bool,
}

/// Writes to a run's input.
type Feeder = JoinHandle<Option<std::process::ChildStdin>>;

impl<'a> Run<'a> {
    fn new(input: &'a Input, folder: PathBuf, is_piped: bool) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        Self {
            input,
            folder,
            is_piped,
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts it; at most so many octets go in if its input is a pipe.
    fn start(&self, threads: usize, octets: usize, output: Stdio) -> (Child, Feeder) {
        let (state, records) = (self.place("state"), self.place("records"));
        let file = if self.is_piped { "-" } else { text(&self.input.path) };
        let threads = threads.to_string();
        let places = ["--state", text(&state), "--records", text(&records)];
        let mut command = programs::replay(&[&places[..], &["--threads", &threads, file]].concat());
        command.stdin(Stdio::piped()).stdout(output);
        command.stderr(File::create(self.place("said")).expect("a file"));
        let mut child = command.spawn().expect("replay can be run");
        let mut input = child.stdin.take();
        let all = if self.is_piped {
            Arc::clone(&self.input.octets)
        } else {
            Arc::default()
        };
        let feeder = std::thread::spawn(move || {
            let given = all.get(..octets.min(all.len())).unwrap_or_default();
            // A run that is killed reads no more.
            let whole = input.as_mut().is_some_and(|input| input.write_all(given).is_ok());
            input.filter(|_| !whole || given.len() < all.len())
        });
        (child, feeder)
    }

    /// Runs it to its end.
    fn whole(&self, threads: usize) -> Left {
        let output = File::create(self.place("alerts")).expect("a file");
        let (mut child, feeder) = self.start(threads, usize::MAX, output.into());
        let status = child.wait().expect("replay ended");
        assert!(status.success(), "{}", self.said());
        feeder.join().expect("a thread that writes");
        self.left()
    }

    /// Runs it until it is killed; returns how it ended, and what it was doing.
    fn killed(&self, threads: usize, moment: Moment, undisturbed: &Left) -> Phase {
        let before = self.committed();
        let octets = match moment {
            Moment::Octets(octets) => octets,
            Moment::Lines(_) | Moment::Time(_) => usize::MAX,
        };
        let mut seen = Vec::new();
        let status = if let Moment::Lines(count) = moment {
            let (mut child, feeder) = self.start(threads, octets, Stdio::piped());
            let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
            for _ in 0..count {
                if output.read_until(b'\n', &mut seen).expect("a pipe can be read") == 0 {
                    break;
                }
            }
            let status = end(child, feeder);
            output.read_to_end(&mut seen).expect("what is left in the pipe");
            fs::write(self.place("alerts"), &seen).expect("a file");
            status
        } else {
            let output = File::create(self.place("alerts")).expect("a file");
            let begun = Instant::now();
            let (child, feeder) = self.start(threads, octets, output.into());
            match moment {
                Moment::Time(time) => {
                    std::thread::sleep(time.saturating_sub(begun.elapsed()));
                    end(child, feeder)
                }
                _ => {
                    // A pipe holds 64 KiB: once the write is through, what is before them was read.
                    let held_back = feeder.join().expect("a thread that writes");
                    end(child, std::thread::spawn(move || held_back))
                }
            }
        };
        seen = fs::read(self.place("alerts")).expect("alerts");
        let whole = seen.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        assert!(
            undisturbed.alerts.starts_with(&seen[..whole]),
            "{moment:?}: what a killed run gave is what an undisturbed one gives up to there: {}",
            self.folder.display()
        );
        let after = self.committed();
        assert!(
            after >= before,
            "{moment:?}: what was committed stays: {before}, {after}"
        );
        let is_unfinished = self.place("state").join("unfinished").exists();
        if status.success() || (after == undisturbed.committed && !is_unfinished) {
            return Phase::Over;
        }
        assert_eq!(status.code(), None, "{}", self.said());
        match after {
            0 => Phase::BeforeTheFirstCommit,
            _ if before == after => Phase::CatchingUp,
            _ if after == undisturbed.committed => Phase::AfterTheLastCommit,
            _ => Phase::Committing,
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.place("said")).unwrap_or_default()
    }

    /// Returns the number of the last batch in the ledger, 0 if there is none yet.
    fn committed(&self) -> u64 {
        let store = Store::open_read_only(&self.place("state"));
        store.map_or(0, |store| store.opening().expect("a ledger").next_sequence - 1)
    }

    /// Returns what a run left that has ended.
    fn left(&self) -> Left {
        let state = self.place("state");
        assert!(
            !state.join("unfinished").exists(),
            "nothing is kept of a run that has ended"
        );
        let read = |name: &str| fs::read(self.place(name)).expect("what a run wrote");
        let printed = |arguments: &[&str]| {
            let output = programs::sensor(&[arguments, &["--state", text(&state)]].concat()).output();
            let output = output.expect("sensor can be run");
            assert!(output.status.success(), "{}", programs::said(&output));
            output.stdout
        };
        Left {
            alerts: read("alerts"),
            records: ["dns", "flows", "contacts"].map(|name| read(&format!("records/{name}.jsonl"))),
            ledger: printed(&["alerts", "--json", "--all"]),
            baseline: printed(&["baseline", "export"]),
            committed: self.committed(),
        }
    }
}

/// Kills a run, if it has not ended.
fn end(mut child: Child, feeder: Feeder) -> ExitStatus {
    child.kill().expect("replay can be killed");
    let status = child.wait().expect("replay ended");
    feeder.join().expect("a thread that writes");
    status
}

/// Everything that a run leaves, as octets.
struct Left {
    alerts: Vec<u8>,
    records: [Vec<u8>; 3],
    ledger: Vec<u8>,
    baseline: Vec<u8>,
    committed: u64,
}

impl Left {
    fn check(&self, other: &Self, story: &str, folder: &Path) {
        let same = [
            ("the alerts", self.alerts == other.alerts),
            ("the records", self.records == other.records),
            ("what the ledger says of alerts", self.ledger == other.ledger),
            ("the baseline", self.baseline == other.baseline),
            ("the number of batches", self.committed == other.committed),
        ];
        let differ: Vec<_> = same
            .iter()
            .filter(|(_, is_same)| !is_same)
            .map(|(what, _)| what)
            .collect();
        if !differ.is_empty() {
            // So that one can look at it.
            let kept = std::env::temp_dir().join(format!("fc-kills-{}", std::process::id()));
            let _ = fs::rename(folder, &kept);
            panic!(
                "{differ:?} differ from an undisturbed run; {story}; see {}",
                kept.display()
            );
        }
    }
}

/// Holds that a run without a kill raised alerts of every kind and each once.
fn check_undisturbed(left: &Left) {
    let said = String::from_utf8_lossy(&left.alerts);
    let alerts = lines(&said);
    for event in ["raised", "updated", "withdrawn"] {
        let count = alerts.iter().filter(|alert| alert["event"] == event).count();
        assert!(count > 100, "{count} {event}");
    }
    for kind in ["new_external_domain", "new_external_ip", "new_tenant", "burst"] {
        assert!(alerts.iter().any(|alert| alert["kind"] == kind), "{kind}");
    }
    let keys: BTreeSet<_> = alerts
        .iter()
        .map(|alert| (alert["id"].to_string(), alert["revision"].as_u64()))
        .collect();
    assert_eq!(keys.len(), alerts.len(), "a line twice");
    let ledger = String::from_utf8_lossy(&left.ledger);
    let ledger = lines(&ledger);
    let ids: BTreeSet<_> = ledger.iter().map(|alert| alert["id"].to_string()).collect();
    assert_eq!(ids.len(), ledger.len(), "an alert twice");
}

#[test]
fn rule_a1_a_replay_that_is_killed_at_random_moments_ends_as_an_undisturbed_one() {
    let wanted: usize = std::env::var(KILLS).map_or(A_FEW, |text| text.parse().expect(KILLS));
    let mut chance = Chance::of_this_run();
    let seed = chance.seed;
    println!("FIRSTCONTACT_SEED={seed}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture();
    let input = Input {
        path: folder.path().join("frames.pcap"),
        octets: capture.file().into(),
    };
    capture.write(&input.path);
    let begun = Instant::now();
    let undisturbed = Run::new(&input, folder.path().join("undisturbed"), false).whole(2);
    let usual = begun.elapsed();
    check_undisturbed(&undisturbed);
    let line_count = undisturbed.alerts.iter().filter(|octet| **octet == b'\n').count();

    let (mut kills, mut runs, mut most) = (0, 0, 0);
    let mut phases = [0; 5];
    while kills < wanted {
        let place = folder.path().join("run");
        let run = Run::new(&input, place.clone(), chance.below(2) == 0);
        let mut story = format!("FIRSTCONTACT_SEED={seed}, run {runs}:");
        let (mut in_a_row, mut is_over) = (0, false);
        // Three kills on average, now and then many.
        while kills < wanted && !is_over && chance.below(4) > 0 {
            let moment = match chance.below(if run.is_piped { 3 } else { 2 }) {
                0 => Moment::Lines(match chance.below(8) {
                    0 => line_count,
                    _ => 1 + chance.below(line_count),
                }),
                // A quarter of these while it opens its ledger.
                1 => Moment::Time(match chance.below(4) {
                    0 => usual * chance.below(150) as u32 / 1000,
                    _ => usual * chance.below(1000) as u32 / 1000,
                }),
                _ => Moment::Octets(chance.below(input.octets.len())),
            };
            let threads = 1 + chance.below(4);
            let phase = run.killed(threads, moment, &undisturbed);
            story.push_str(&format!(" {moment:?} {threads} threads {phase:?};"));
            phases[phase as usize] += 1;
            is_over = phase == Phase::Over;
            if !is_over {
                (kills, in_a_row) = (kills + 1, in_a_row + 1);
            }
        }
        let left = if is_over {
            run.left()
        } else {
            run.whole(1 + chance.below(4))
        };
        left.check(&undisturbed, &story, &place);
        fs::remove_dir_all(&place).expect("a folder that can be removed");
        runs += 1;
        most = most.max(in_a_row);
    }
    let [first, committing, catching_up, last, over] = phases;
    let told = format!(
        "replay: {kills} kills in {runs} runs (up to {most} in a row; FIRSTCONTACT_SEED={seed}): {first} before the first commit, \
         {committing} while committing, {catching_up} while catching up, {last} after the last commit; {over} moments came \
         too late. Every run ended with the octets of an undisturbed one ({line_count} lines, {} batches)",
        undisturbed.committed
    );
    if std::env::var_os(KILLS).is_some() {
        let _ = writeln!(std::io::stderr().lock(), "{told}");
    }
}
