//! Rules A1 and A4: `kill -9` at any point loses no alert and doubles none.
//!
//! A replay is killed after so many lines of its own output, or with so much of its input given; then the same command
//! runs again. Nothing here waits for a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;

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
    let all = ledger(state);
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
    /// After so many percent of the capture went in, while the rest is held back.
    AfterInput(usize),
}

/// Runs a replay until it is killed; returns the whole lines that it put out.
fn killed(state: &Path, path: &Path, kill: Kill) -> Vec<Value> {
    let file = match kill {
        Kill::AfterLines(_) => text(path),
        Kill::AfterInput(_) => "-",
    };
    let mut command = programs::replay(&["--state", text(state), "--threads", "2", file]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
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
fn rule_a1_a_killed_run_that_is_run_again_loses_no_alert_and_doubles_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    // Through the pipe goes a capture that is far larger than the pipe holds.
    capture().write(&path);
    let undisturbed = folder.path().join("undisturbed");
    let mut command = programs::replay(&["--state", text(&undisturbed), "--threads", "2", text(&path)]);
    let output = command.output().expect("replay can be run");
    assert!(output.status.success(), "{}", programs::said(&output));
    let all = raised(&lines(&String::from_utf8_lossy(&output.stdout)));
    let standing_undisturbed = standing(&undisturbed);
    assert!(all.len() > 150, "{} alerts", all.len());

    let after_lines = [1, 2, 5, 17, 60, 119].map(Kill::AfterLines);
    let after_input = [30, 50, 70, 90, 100].map(Kill::AfterInput);
    for (n, kill) in after_lines.into_iter().chain(after_input).enumerate() {
        let state = folder.path().join(n.to_string());
        let before = killed(&state, &path, kill);
        let mut command = programs::replay(&["--state", text(&state), "--threads", "2", text(&path)]);
        let output = command.output().expect("replay can be run");
        assert!(output.status.success(), "{kill:?}: {}", programs::said(&output));
        let after = lines(&String::from_utf8_lossy(&output.stdout));
        let both: BTreeSet<_> = raised(&before).union(&raised(&after)).cloned().collect();
        assert_eq!(both, all, "{kill:?}: alerts that went out");
        assert_eq!(standing(&state), standing_undisturbed, "{kill:?}: the ledger");
    }
}

#[test]
fn rule_a4_a_run_that_is_killed_twice_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    capture().write(&path);
    let state = folder.path().join("state");
    let mut delivered = BTreeSet::new();
    for kill in [Kill::AfterLines(10), Kill::AfterInput(60), Kill::AfterLines(1)] {
        delivered.extend(raised(&killed(&state, &path, kill)));
    }
    let mut command = programs::replay(&["--state", text(&state), text(&path)]);
    let output = command.output().expect("replay can be run");
    delivered.extend(raised(&lines(&String::from_utf8_lossy(&output.stdout))));
    let standing = standing(&state).into_iter();
    // What a burst stands for is a flag on its pair and went out in its count.
    let alerts = standing.filter(|(_, [state, ..])| state != "burst");
    let standing: BTreeSet<_> = alerts.map(|(id, _)| id).collect();
    assert_eq!(delivered, standing);
}
