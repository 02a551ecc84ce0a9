//! `sensor baseline`: what is known of workloads, out of the ledger and into it (rules B1 to B5).

mod changed;
mod imported;
mod merged;
mod shown;
mod told;
mod unread;

use std::path::Path;

use crate::support::programs::{Replay, said, sensor, text};
use crate::support::{Capture, frames};

/// A day of two workloads: a named one by name, by a bare address and by an attempt, and one that goes by its address.
fn traffic(day: i64) -> Capture {
    let mut capture = Capture::new();
    let from = day * 86_400 * frames::SECOND;
    // A port of its own each day: an equal SYN is the same flow.
    let client = |host: &str, n: i64| format!("{host}:{}", 40_000 + 10 * day + n);
    capture.resolve(from, "10.1.0.5", "10.1.0.2", "www.example.com", "203.0.113.7");
    capture.tcp(
        from + 20 * frames::STEP,
        &client("10.1.0.5", 0),
        "203.0.113.7:443",
        500,
        2000,
    );
    capture.resolve(
        from + frames::SECOND,
        "10.1.0.6",
        "10.1.0.2",
        "b.s3.eu-west-1.amazonaws.com",
        "203.0.113.9",
    );
    capture.tcp(
        from + frames::SECOND + 20 * frames::STEP,
        &client("10.1.0.6", 1),
        "203.0.113.9:443",
        70,
        80,
    );
    capture.tcp(
        from + 2 * frames::SECOND,
        &client("10.9.0.1", 2),
        "198.51.100.1:8443",
        10,
        20,
    );
    capture.exchange(
        from + 3 * frames::SECOND,
        frames::endpoint(&client("10.9.0.1", 3)),
        frames::endpoint("198.51.100.2:22"),
        1000,
        [0, 0],
        frames::FIN,
    );
    capture
}

const SETTINGS: &str = r#"
[[workload]]
name = "web"
prefixes = ["10.1.0.0/24"]
group = "frontend"

[[workload]]
name = "api"
prefixes = ["10.1.1.0/24"]
group = "frontend"
"#;

/// Replays into a state folder, learning.
fn learn(state: &Path, capture: &Capture) {
    let replay = Replay {
        settings: Some(SETTINGS.to_owned()),
        state: Some(state.to_owned()),
        learns: true,
        without_records: true,
        ..Replay::default()
    };
    let seen = replay.run(capture);
    assert_eq!(seen.status, 0, "{}", seen.said);
}

/// What a command gave.
#[derive(Debug, PartialEq)]
struct Ran {
    status: i32,
    out: String,
    said: String,
}

/// Runs `sensor baseline …` over a state folder.
fn baseline(command: &str, state: &Path, more: &[&str]) -> Ran {
    let output = sensor(&["baseline", command, "--state", text(state)])
        .args(more)
        .output()
        .expect("sensor can be run");
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        said: said(&output),
    }
}

/// Returns what `sensor baseline export` writes.
fn export(state: &Path) -> String {
    let ran = baseline("export", state, &[]);
    assert_eq!(ran.status, 0, "{}", ran.said);
    ran.out
}
