//! Budgets of pairs (rule A5): what there is no room for, at any number of threads, over restarts, and as the tools show it.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::programs::{Replay, Seen, sensor, text};
use crate::support::{Capture, frames};

/// A workload may have so many pairs here.
const LIMIT: usize = 300;
/// Hosts that scan, and how many addresses each contacts.
const SCANNERS: i64 = 3;
const ADDRESSES: i64 = 500;

/// Settings with this much disk.
fn settings(disk: &str) -> String {
    format!("[baseline]\ndestinations = {LIMIT}\ndisk = \"{disk}\"\nalerts_a_minute = 10000\n")
}

/// Hosts that scan at once, by name and by bare address, and contact a known one now and then; parts of it, from one
/// address to another.
fn scan(from: i64, to: i64) -> Capture {
    let mut capture = Capture::new();
    for n in from..to {
        for host in 0..SCANNERS {
            let at = n * 10 * frames::SECOND + host * frames::SECOND;
            let client = format!("10.1.0.{host}");
            let from = format!("{client}:{}", 20_000 + n);
            let address = format!("198.51.{n}.{host}", n = n % 100, host = 10 * host + n / 100);
            if n % 5 == 0 {
                capture.resolve(at, &client, "10.1.0.53", &format!("www.site-{n}.example"), &address);
            }
            capture.tcp(at + 10 * frames::STEP, &from, &format!("{address}:443"), 100, 200);
            if n % 7 == 0 {
                let again = format!("{client}:{}", 30_000 + n);
                capture.tcp(
                    at + 500 * frames::STEP,
                    &again,
                    &format!("198.51.1.{}:443", 10 * host),
                    10,
                    20,
                );
            }
        }
    }
    // Time goes on, so that nothing waits at the end of a part.
    let end = to * 10 * frames::SECOND - frames::SECOND;
    let nobody = ["10.9.9.9:9", "10.9.9.8:9"].map(frames::endpoint);
    capture.udp(end, nobody[0], nobody[1], b"x");
    capture
}

fn replay(state: &Path, threads: u16, disk: &str, capture: &Capture) -> Seen {
    let replay = Replay {
        settings: Some(settings(disk)),
        state: Some(state.to_owned()),
        threads: Some(threads),
        ..Replay::default()
    };
    let seen = replay.run(capture);
    assert_eq!(seen.status, 0, "{}", seen.said);
    seen
}

/// Runs a command of `sensor baseline` over a state folder and returns what it prints.
fn baseline(command: &str, state: &Path, more: &[&str]) -> String {
    let mut command = sensor(&["baseline", command, "--state", text(state)]);
    let output = command.args(more).output().expect("sensor can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stats(state: &Path) -> Value {
    serde_json::from_str(&baseline("stats", state, &["--json"])).expect("an object")
}

/// Returns what of alerts and contacts does not depend on when a run began: how long a source was watched does.
fn told(parts: &[&Seen]) -> Vec<String> {
    let alerts = parts.iter().flat_map(|seen| &seen.alerts).map(|alert| {
        let says = Some(&alert["summary"]).filter(|_| alert["kind"] == "burst");
        json!([
            alert["id"],
            alert["event"],
            alert["kind"],
            alert["ts"],
            alert["destination"],
            says
        ])
    });
    let contacts = parts.iter().flat_map(|seen| &seen.contacts);
    let contacts = contacts.map(|contact| json!([contact["ts"], contact["destination"], contact["verdict"]]));
    let mut told: Vec<String> = alerts.chain(contacts).map(|line| line.to_string()).collect();
    told.sort();
    told
}

#[test]
fn rule_a5_a_scan_over_budget_gives_the_same_at_any_number_of_threads_and_over_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    // With a mebibyte of disk, the second budget is full before the first.
    for (name, disk) in [("destinations", "1GiB"), ("disk", "1MiB")] {
        let whole = replay(&place(name), 1, disk, &scan(0, ADDRESSES));
        let bursts = whole.alerts.iter().filter(|alert| alert["kind"] == "burst");
        let setting = format!("`[baseline] {name}`");
        let bursts: Vec<&Value> = bursts.collect();
        assert_eq!(bursts.len() as i64, SCANNERS, "{bursts:?}");
        for burst in &bursts {
            assert!(burst["summary"].as_str().unwrap().contains(&setting), "{burst}");
        }
        for threads in [2, 4] {
            let again = replay(&place(&format!("{name}-{threads}")), threads, disk, &scan(0, ADDRESSES));
            assert!(whole.octets == again.octets, "{name}: {threads} threads");
            assert_eq!(
                stats(&place(name))["budgets"],
                stats(&place(&format!("{name}-{threads}")))["budgets"]
            );
        }
        // A restart when the budget is full, and one before.
        for cut in [40, 290] {
            let state = place(&format!("{name}-cut-{cut}"));
            let first = replay(&state, 2, disk, &scan(0, cut));
            let second = replay(&state, 4, disk, &scan(cut, ADDRESSES));
            assert_eq!(told(&[&whole]), told(&[&first, &second]), "{name}: cut at {cut}");
            assert_eq!(
                stats(&state)["budgets"],
                stats(&place(name))["budgets"],
                "{name}: cut at {cut}"
            );
            assert_eq!(baseline("export", &state, &[]), baseline("export", &place(name), &[]));
        }
        // The same packets once more raise nothing.
        let again = replay(&place(name), 2, disk, &scan(0, ADDRESSES));
        assert_eq!(again.alerts, [] as [Value; 0]);
    }
}

#[test]
fn rule_a5_the_fill_of_budgets_is_shown_and_follows_what_tools_change() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (state, other) = (folder.path().join("state"), folder.path().join("other"));
    let seen = replay(&state, 2, "1GiB", &scan(0, ADDRESSES));
    let over = seen.stats["contacts"]["over_destinations"].as_u64().expect("a counter");
    assert!(over > 0 && seen.said.contains(&format!("{over} contacts were not recorded")));
    let shown = stats(&state);
    let budgets = &shown["budgets"];
    let full = |n: i64| json!({"workload": format!("-/10.1.0.{n}"), "pairs": LIMIT});
    assert_eq!(
        budgets["destinations"],
        json!({"limit": LIMIT, "most_pairs": LIMIT, "percent": 100, "full": [full(0), full(1), full(2)]})
    );
    let (pairs, alerts) = (
        LIMIT as i64 * SCANNERS,
        seen.stats["alerts"]["raised"].as_i64().expect("a counter"),
    );
    let octets = pairs * 64 + alerts * 2048;
    assert_eq!(
        budgets["disk"],
        json!({"limit": 1 << 30, "octets": octets, "percent": (octets * 100) >> 30, "pairs": pairs, "alerts": alerts})
    );
    assert_eq!(budgets["contacts_unrecorded"], over);
    assert_eq!(budgets["unrecorded"].as_array().map(Vec::len), Some(3));
    let as_text = baseline("stats", &state, &[]);
    assert!(as_text.contains(&format!(
        "{LIMIT} pairs of the workload that has most, 100 % of {LIMIT}; at the limit: 3"
    )));
    assert!(as_text.contains(&format!("contacts not recorded {over}")));

    // What is forgotten makes room.
    baseline("forget", &state, &["--workload", "10.1.0.1"]);
    let disk = &stats(&state)["budgets"]["disk"];
    assert_eq!(disk["pairs"], pairs - LIMIT as i64);
    let again = replay(&state, 2, "1GiB", &scan(ADDRESSES, ADDRESSES + 20));
    let recorded = again.contacts.iter().filter(|contact| contact["verdict"] == "new");
    assert!(recorded.clone().count() > 0 && recorded.clone().all(|contact| contact["workload"] == "10.1.0.1"));

    // A merge takes everything over, and counts it; merging again changes nothing.
    for _ in 0..2 {
        baseline("merge", &other, &[text(&state)]);
        let counted = |state: &Path| {
            stats(state)["pairs"]
                .as_object()
                .map(|kinds| kinds.values().filter_map(Value::as_i64).sum())
        };
        let pairs: Option<i64> = counted(&state);
        assert_eq!(counted(&other), pairs);
        assert_eq!(
            stats(&other)["budgets"]["disk"],
            Value::Null,
            "no run has said what it goes by"
        );
    }
    replay(&other, 2, "1GiB", &scan(ADDRESSES + 20, ADDRESSES + 21));
    let (merged, own) = (stats(&other), stats(&state));
    let known = merged["budgets"]["disk"]["pairs"]
        .as_i64()
        .zip(own["budgets"]["disk"]["pairs"].as_i64());
    // One host has room for what is new in that minute.
    assert!(
        known.is_some_and(|(merged, own)| (own..own + 3).contains(&merged)),
        "{known:?}"
    );
}
