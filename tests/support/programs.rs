//! Running the programs as users do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Capture;

/// Returns the `replay` program with these arguments, to be run.
pub fn replay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// Returns the `sensor` program with these arguments, to be run.
pub fn sensor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensor"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// Returns what `sensor alerts --json --all` prints.
pub fn ledger(state: &Path) -> Vec<Value> {
    let output = sensor(&["alerts", "--json", "--all", "--state", text(state)]).output();
    let output = output.expect("sensor can be run");
    assert!(output.status.success(), "{}", said(&output));
    lines(&String::from_utf8_lossy(&output.stdout))
}

/// A replay of one capture.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    pub settings: Option<String>,
    pub state: Option<PathBuf>,
    pub learns: bool,
    pub shift: Option<String>,
    pub threads: Option<u16>,
    pub without_records: bool,
    /// What comes from standard input.
    pub input: Option<PathBuf>,
    pub more: Vec<String>,
}

/// What a replay gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub status: i32,
    /// Standard error.
    pub said: String,
    pub alerts: Vec<Value>,
    pub dns: Vec<Value>,
    pub flows: Vec<Value>,
    pub contacts: Vec<Value>,
    pub stats: Value,
    /// Alerts and records, octet for octet.
    pub octets: Vec<Vec<u8>>,
}

impl Replay {
    /// Replays a capture; whatever the program says is returned.
    pub fn run(&self, capture: &Capture) -> Seen {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("frames.pcap");
        capture.write(&path);
        self.run_files(&[&path])
    }

    /// Replays capture files.
    pub fn run_files(&self, files: &[&Path]) -> Seen {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = |name: &str| folder.path().join(name);
        let mut command = replay(&[
            "--alerts",
            text(&place("alerts.jsonl")),
            "--stats",
            text(&place("stats.json")),
        ]);
        if !self.without_records {
            command.args(["--records", text(&place("records"))]);
        }
        if let Some(settings) = &self.settings {
            std::fs::write(place("settings.toml"), settings).expect("settings can be written");
            command.args(["--config", text(&place("settings.toml"))]);
        }
        if let Some(state) = &self.state {
            command.args(["--state", text(state)]);
        }
        if self.learns {
            command.arg("--learn");
        }
        if let Some(shift) = &self.shift {
            command.args(["--shift", shift]);
        }
        command.args(["--threads", &self.threads.unwrap_or(2).to_string()]);
        command.args(&self.more).args(files);
        if let Some(input) = &self.input {
            command.stdin(std::fs::File::open(input).expect("the input"));
        }
        let output = command.output().expect("replay can be run");
        let read = |name: &str| std::fs::read(place(name)).unwrap_or_default();
        let parsed = |name: &str| lines(&String::from_utf8_lossy(&read(name)));
        let names = [
            "alerts.jsonl",
            "records/dns.jsonl",
            "records/flows.jsonl",
            "records/contacts.jsonl",
        ];
        Seen {
            status: output.status.code().unwrap_or(-1),
            said: said(&output),
            alerts: parsed(names[0]),
            dns: parsed(names[1]),
            flows: parsed(names[2]),
            contacts: parsed(names[3]),
            stats: serde_json::from_slice(&read("stats.json")).unwrap_or_default(),
            octets: names.into_iter().map(read).collect(),
        }
    }
}

/// Returns JSON Lines as values.
pub fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}")))
        .collect()
}

/// Returns what a program said for people.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns a path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Says in the test's output that something was not tested, so that nobody takes silence for success.
pub fn skip(what: &str) {
    // The test harness holds back what `println!` writes, but not this.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {what}");
}
