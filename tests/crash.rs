//! Rules A1 and A4: `kill -9` at any point loses no alert and doubles none.
//!
//! A replay is killed after so many lines of its own output, or with so much of its input given; then the same command
//! runs again, and nothing may tell the result from that of a run that was not disturbed. Nothing here waits for a clock.

mod damage;
mod kills;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use firstcontact::model::{Ledger, StoredPair};
use firstcontact::store::Store;

use serde_json::Value;

use crate::support::programs::{self, ledger, lines, text};
use crate::support::{Capture, frames};

/// New domains, bare addresses that wait for settle, attempts and known ones, for some minutes; and a host with more new
/// domains in one of these minutes than the budget lets through.
fn capture() -> Capture {
    let mut capture = Capture::new();
    for n in 0..240_i64 {
        let at = n * frames::SECOND;
        let client = format!("10.1.0.{}", 5 + n % 3);
        let (here, there) = (format!("{client}:{}", 40_000 + n), format!("198.51.100.{}", n % 250));
        match n % 4 {
            0 | 1 => {
                capture.resolve(at, &client, "10.1.0.2", &format!("www.domain-{n}.example"), &there);
                capture.tcp(at + 5 * frames::STEP, &here, &format!("{there}:443"), 100, 2000);
            }
            2 => {
                capture.tcp(at, &here, &format!("203.0.113.{}:8443", n % 250), 10, 10);
            }
            _ => {
                capture.tcp(at, &here, "203.0.113.2:8443", 10, 10);
            }
        }
    }
    for n in 0..100_i64 {
        let at = 120 * frames::SECOND + n * frames::SECOND / 2;
        let there = format!("192.0.2.{n}");
        capture.resolve(at, "10.1.0.9", "10.1.0.2", &format!("www.burst-{n}.example"), &there);
        capture.tcp(
            at + 5 * frames::STEP,
            &format!("10.1.0.9:{}", 50_000 + n),
            &format!("{there}:443"),
            100,
            2000,
        );
    }
    capture
}

/// What the ledger says of each alert, by id.
fn standing(state: &Path) -> BTreeMap<String, [Value; 4]> {
    by_id(ledger(state))
}

fn standing_in(left: &Left) -> BTreeMap<String, [Value; 4]> {
    by_id(left.standing.clone())
}

fn by_id(all: Vec<Value>) -> BTreeMap<String, [Value; 4]> {
    let count = all.len();
    let by_id: BTreeMap<_, _> = all
        .into_iter()
        .map(|alert| {
            let id = alert["id"].as_str().expect("an id").to_owned();
            (
                id,
                ["state", "kind", "destination", "count"].map(|field| alert[field].clone()),
            )
        })
        .collect();
    assert_eq!(by_id.len(), count, "an alert stands twice in the ledger");
    by_id
}

fn raised(alerts: &[Value]) -> BTreeSet<String> {
    let raised: Vec<_> = alerts.iter().filter(|alert| alert["event"] == "raised").collect();
    let ids: BTreeSet<_> = raised
        .iter()
        .map(|alert| alert["id"].as_str().expect("an id").to_owned())
        .collect();
    ids
}

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// After so many lines of alerts.
    AfterLines(usize),
    /// After so many percent of the capture went in, while the rest is held back, and something came out.
    AfterInput(usize),
}

impl Kill {
    /// How the capture is named to the run: held back input has to come from a pipe.
    fn file(self, path: &Path) -> &str {
        match self {
            Self::AfterLines(_) => text(path),
            Self::AfterInput(_) => "-",
        }
    }
}

fn command(folder: &Path, threads: &str, file: &str) -> Command {
    let [state, records] = ["state", "records"].map(|name| folder.join(name));
    let places = ["--state", text(&state), "--records", text(&records)];
    let mut command = programs::replay(&[&places[..], &["--threads", threads, file]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Everything that a run leaves: what it put out, its records, what the ledger says of alerts, and every pair.
#[derive(Debug, PartialEq)]
struct Left {
    alerts: String,
    records: Vec<String>,
    standing: Vec<Value>,
    pairs: Vec<(String, Vec<StoredPair>)>,
}

impl Left {
    fn by(child: Child, folder: &Path) -> Self {
        let output = child.wait_with_output().expect("replay ended");
        assert!(output.status.success(), "{}", programs::said(&output));
        let records = ["dns", "flows", "contacts"].map(|name| folder.join("records").join(format!("{name}.jsonl")));
        let records = records.map(|path| std::fs::read_to_string(path).expect("a record"));
        let state = folder.join("state");
        assert!(
            !state.join("unfinished").exists(),
            "nothing is kept of a run that has ended"
        );
        Self {
            alerts: String::from_utf8(output.stdout).expect("alerts"),
            records: records.into(),
            standing: ledger(&state),
            pairs: pairs(&state),
        }
    }
}

/// Every pair of a ledger with its counts, by workload.
fn pairs(state: &Path) -> Vec<(String, Vec<StoredPair>)> {
    let store = Store::open_read_only(state).expect("the ledger");
    let all = store.all_pairs().expect("its pairs");
    let workloads = store.opening().expect("its workloads").workloads;
    let pairs = workloads.into_iter().map(|(id, record)| {
        let pairs = all.of(id).expect("its pairs");
        (record.key.to_string(), pairs)
    });
    pairs.collect()
}

/// Runs a replay to its end, with its input given whole.
fn whole(folder: &Path, threads: &str, path: &Path, kill: Kill) -> Left {
    let mut child = command(folder, threads, kill.file(path))
        .spawn()
        .expect("replay can be run");
    let mut input = child.stdin.take().expect("a pipe");
    if let Kill::AfterInput(_) = kill {
        let octets = std::fs::read(path).expect("the capture");
        std::thread::spawn(move || input.write_all(&octets));
    }
    Left::by(child, folder)
}

/// Runs a replay until it is killed; returns the whole lines that it put out.
fn killed(folder: &Path, path: &Path, kill: Kill) -> Vec<Value> {
    let mut command = command(folder, "2", kill.file(path));
    command.stderr(Stdio::null());
    let mut child = command.spawn().expect("replay can be run");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut seen = String::new();
    match kill {
        Kill::AfterLines(count) => {
            for _ in 0..count {
                if output.read_line(&mut seen).expect("a pipe can be read") == 0 {
                    break;
                }
            }
        }
        Kill::AfterInput(percent) => {
            let octets = std::fs::read(path).expect("the capture");
            // A pipe holds 64 KiB: once the write is through, the rest has been read.
            input
                .write_all(&octets[..octets.len() * percent / 100])
                .expect("replay reads its input");
            // So that something of it is committed, however slow the machine is.
            output.read_line(&mut seen).expect("a pipe can be read");
        }
    }
    child.kill().expect("replay can be killed");
    child.wait().expect("replay ended");
    drop(input);
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).expect("what is left in the pipe");
    seen.push_str(&String::from_utf8_lossy(&rest));
    let whole = seen.rfind('\n').map_or(0, |end| end + 1);
    lines(&seen[..whole])
}

#[test]
fn rule_a1_a_killed_run_that_is_run_again_ends_as_if_it_had_not_been_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    // Through the pipe goes a capture that is far larger than the pipe holds.
    capture().write(&path);
    let undisturbed = whole(&folder.path().join("undisturbed"), "2", &path, Kill::AfterLines(0));
    assert!(
        raised(&lines(&undisturbed.alerts)).len() > 150,
        "{}",
        undisturbed.alerts
    );

    let after_lines = [1, 2, 5, 17, 60, 119].map(Kill::AfterLines);
    let after_input = [30, 50, 70, 90, 100].map(Kill::AfterInput);
    for (n, kill) in after_lines.into_iter().chain(after_input).enumerate() {
        let folder = folder.path().join(n.to_string());
        killed(&folder, &path, kill);
        // However many threads the next run has.
        let threads = ["1", "2", "3"][n % 3];
        assert!(whole(&folder, threads, &path, kill) == undisturbed, "{kill:?}");
    }
}

#[test]
fn rule_a1_a_run_that_is_killed_again_while_it_catches_up_ends_as_if_it_had_not_been_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    capture().write(&path);
    let undisturbed = whole(&folder.path().join("undisturbed"), "2", &path, Kill::AfterInput(0));
    let again = folder.path().join("again");
    for percent in [80, 40, 100, 20, 60] {
        let before = standing_of(&again);
        killed(&again, &path, Kill::AfterInput(percent));
        let after = standing_of(&again);
        assert!(after.is_superset(&before), "what was recorded stays recorded");
    }
    assert!(whole(&again, "2", &path, Kill::AfterInput(0)) == undisturbed);
}

/// The ids of alerts in a ledger that may not be there yet.
fn standing_of(folder: &Path) -> BTreeSet<String> {
    let state = folder.join("state");
    match state.join("FORMAT").exists() {
        true => standing(&state).into_keys().collect(),
        false => BTreeSet::new(),
    }
}

#[test]
fn rule_a1_another_input_under_the_name_of_a_killed_run_is_told_and_takes_nothing_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    capture().write(&path);
    let run = folder.path().join("run");
    killed(&run, &path, Kill::AfterInput(90));
    let before = standing_of(&run);
    assert!(!before.is_empty());
    // Whatever the pipe gives, `-` names it.
    let mut other = Capture::new();
    other.tcp(0, "10.1.0.5:40000", "203.0.113.99:443", 10, 10);
    other.write(&path);
    let give = || {
        let mut child = command(&run, "2", "-")
            .stderr(Stdio::piped())
            .spawn()
            .expect("replay can be run");
        let octets = std::fs::read(&path).expect("the capture");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(&octets)
            .expect("replay reads its input");
        child.wait_with_output().expect("replay ended")
    };
    let refused = give();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        programs::said(&refused).contains("the input is not what it was"),
        "{}",
        programs::said(&refused)
    );
    assert_eq!(standing_of(&run), before);
    let taken = give();
    assert!(taken.status.success(), "{}", programs::said(&taken));
    // Contacts that waited when the run was killed are judged as well.
    assert!(standing_of(&run).is_superset(&before));
    let said = String::from_utf8_lossy(&taken.stdout);
    assert!(
        lines(&said)
            .iter()
            .any(|alert| alert["destination"]["ip"] == "203.0.113.99"),
        "{said}"
    );
}

#[test]
fn rule_a1_another_run_goes_on_from_what_a_killed_one_committed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    capture().write(&path);
    let undisturbed = whole(&folder.path().join("undisturbed"), "2", &path, Kill::AfterLines(0));
    let all = raised(&lines(&undisturbed.alerts));
    for percent in [30, 90] {
        let folder = folder.path().join(percent.to_string());
        let before = killed(&folder, &path, Kill::AfterInput(percent));
        // The path is another name than `-`.
        let after = whole(&folder, "2", &path, Kill::AfterLines(0));
        let both: BTreeSet<_> = raised(&before).union(&raised(&lines(&after.alerts))).cloned().collect();
        assert_eq!(both, all, "{percent} %");
        assert_eq!(
            standing(&folder.join("state")),
            standing_in(&undisturbed),
            "{percent} %"
        );
    }
}

#[test]
fn rule_a4_a_run_that_is_killed_twice_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    capture().write(&path);
    let run = folder.path().join("run");
    let mut delivered = BTreeSet::new();
    for kill in [Kill::AfterLines(10), Kill::AfterInput(60), Kill::AfterLines(1)] {
        delivered.extend(raised(&killed(&run, &path, kill)));
    }
    let left = whole(&run, "2", &path, Kill::AfterLines(0));
    delivered.extend(raised(&lines(&left.alerts)));
    let standing = standing(&run.join("state")).into_iter();
    // What a burst stands for is a flag on its pair and went out in its count.
    let alerts = standing.filter(|(_, [state, ..])| state != "burst");
    let standing: BTreeSet<_> = alerts.map(|(id, _)| id).collect();
    assert_eq!(delivered, standing);
}
