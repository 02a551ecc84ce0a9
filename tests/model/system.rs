//! The real thing: a state folder, the programs that change it, and what they say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firstcontact::model::{Ledger as _, Timestamp};
use firstcontact::store::Store;
use serde_json::Value;

use super::rules::{Alert, DAY, Key, Ledger, Line};
use crate::support::programs::{self, lines, said, text};

/// Everything that a ledger shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    pub alerts: BTreeSet<Alert>,
    /// Of the segment (without a name) and of workloads: since when, until when they learn, and their group.
    pub learners: BTreeMap<String, (i64, Option<i64>, Option<String>)>,
    pub pairs: BTreeMap<(String, Key), ShownPair>,
}

/// First and last contact, count, octets, active days, ports, names, and novelty.
pub type ShownPair = (
    [i64; 2],
    u64,
    [u64; 2],
    BTreeSet<i64>,
    BTreeSet<u16>,
    BTreeSet<String>,
    Option<(i64, String)>,
);

impl Shown {
    /// What a ledger shows that follows the rules.
    pub fn by_rules(ledger: &Ledger) -> Self {
        let segment = ledger.segment.iter().map(|segment| (String::new(), segment));
        let workloads = ledger.workloads.iter().map(|(name, workload)| (name.clone(), workload));
        let learners = segment.chain(workloads);
        let pairs = ledger.pairs.iter().map(|(place, pair)| {
            let pair = pair.clone();
            let days = pair.kept_days();
            let times = [pair.first, pair.last];
            let shown = (
                times,
                pair.count,
                pair.octets,
                days,
                pair.ports,
                pair.names,
                pair.novelty,
            );
            (place.clone(), shown)
        });
        let alerts = ledger.alerts.iter().filter(|alert| !ledger.may_forget(alert));
        Self {
            alerts: alerts.cloned().collect(),
            learners: learners
                .map(|(name, learner)| (name, (learner.since, learner.until, learner.group.clone())))
                .collect(),
            pairs: pairs.collect(),
        }
    }

    /// Lets a ledger by the rules be without what is gone here, where the rules leave open when it goes.
    pub fn settle(&self, ledger: &mut Ledger) {
        ledger.adopt(
            |place| self.pairs.contains_key(place),
            |name| self.learners.contains_key(name),
        );
    }

    /// What this has that the other has not, and the other way round.
    pub fn differences(&self, rules: &Self) -> String {
        let mut said = String::new();
        let all = |shown: &Self| -> BTreeSet<String> {
            let alerts = shown.alerts.iter().map(|alert| format!("alert {alert:?}"));
            let learners = shown.learners.iter().map(|learner| format!("learner {learner:?}"));
            let pairs = shown.pairs.iter().map(|pair| format!("pair {pair:?}"));
            alerts.chain(learners).chain(pairs).collect()
        };
        let (own, others) = (all(self), all(rules));
        for (who, one, other) in [("the sensor", &own, &others), ("the rules", &others, &own)] {
            for line in one.difference(other) {
                said.push_str(&format!("\nonly by {who}: {line}"));
            }
        }
        said
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

pub fn time(value: &Value) -> Option<i64> {
    let time: Option<Timestamp> = serde_json::from_value(value.clone()).expect("a time");
    time.map(|time| time.0)
}

/// How a replay goes.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    pub files: &'a [&'a Path],
    pub learns: bool,
    pub threads: &'a str,
}

/// A ledger on disk.
#[derive(Debug)]
pub struct System {
    pub folder: PathBuf,
    /// Settings of the replay.
    pub settings: PathBuf,
}

impl System {
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn records(&self) -> PathBuf {
        self.folder.join("records")
    }

    fn command(&self, how: &How<'_>) -> Command {
        let (state, records) = (self.state(), self.records());
        let places = ["--config", text(&self.settings), "--state", text(&state)];
        let mut command = programs::replay(&[&places[..], &["--records", text(&records)]].concat());
        command.args(["--threads", how.threads]);
        if how.learns {
            command.arg("--learn");
        }
        command.args(how.files);
        command
    }

    /// Runs a replay to its end; returns its contacts and the alerts that it raised, in order.
    pub fn replay(&self, how: &How<'_>, input: Option<&[u8]>) -> (Vec<Line>, Vec<Alert>) {
        let mut command = self.command(how);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("replay can be run");
        let mut stdin = child.stdin.take().expect("a pipe");
        if let Some(octets) = input {
            stdin.write_all(octets).expect("replay reads its input");
        }
        drop(stdin);
        let output = child.wait_with_output().expect("replay ended");
        assert!(output.status.success(), "{}", said(&output));
        let records = std::fs::read_to_string(self.records().join("contacts.jsonl")).expect("the records");
        let contact = |line: &Value| {
            let destination = &line["destination"];
            (
                time(&line["ts"]).expect("a time"),
                string(&line["workload"]),
                string(&destination["ip"]),
                destination["domain"].as_str().map(str::to_owned),
                string(&line["verdict"]),
            )
        };
        let contacts = lines(&records).iter().map(contact).collect();
        let alerts = lines(&String::from_utf8_lossy(&output.stdout));
        let raised = alerts.iter().filter(|alert| alert["event"] == "raised");
        (contacts, raised.map(alert).collect())
    }

    /// Runs a replay that is given only the beginning of its input, and kills it once it put out so many alerts.
    pub fn kill(&self, how: &How<'_>, input: &[u8], alerts: usize) {
        let mut command = self.command(how);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("replay can be run");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input).expect("replay reads its input");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut raised = 0;
        while raised < alerts {
            let mut line = String::new();
            if output.read_line(&mut line).expect("a pipe can be read") == 0 {
                break;
            }
            raised += usize::from(line.contains(r#""event":"raised""#));
        }
        child.kill().expect("replay can be killed");
        child.wait().expect("replay ended");
        drop(stdin);
    }

    /// Runs `sensor baseline …`.
    pub fn baseline(&self, command: &str, more: &[&str]) -> String {
        let state = self.state();
        let output = programs::sensor(&["baseline", command, "--state", text(&state)])
            .args(more)
            .output()
            .expect("sensor can be run");
        assert!(output.status.success(), "{command} {more:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How many batches were committed.
    pub fn batches(&self) -> u64 {
        let store = Store::open_read_only(&self.state()).expect("the ledger");
        store.opening().expect("where it stands").next_sequence - 1
    }

    /// What the ledger shows, if there is one. Alerts that may be gone by the rules are left out.
    pub fn shown(&self, ledger: &Ledger) -> Shown {
        let mut shown = self.all_shown();
        shown.alerts.retain(|alert| !ledger.may_forget(alert));
        shown
    }

    fn all_shown(&self) -> Shown {
        let mut shown = Shown::default();
        if !self.state().join("FORMAT").exists() {
            return shown;
        }
        let alerts = programs::ledger(&self.state());
        let states = ["raised", "learned"];
        assert!(
            alerts
                .iter()
                .all(|alert| states.contains(&string(&alert["state"]).as_str())),
            "nothing is withdrawn, suppressed or over budget: {alerts:?}"
        );
        let raised = alerts.iter().filter(|alert| alert["state"] == "raised");
        for alert in raised.map(alert) {
            assert!(shown.alerts.insert(alert.clone()), "twice in the ledger: {alert:?}");
        }
        let mut workload = String::new();
        for line in lines(&self.baseline("export", &[])) {
            match line["record"].as_str() {
                Some("workload" | "segment") => {
                    let name = line["name"].as_str().or(line["address"].as_str());
                    workload = name.unwrap_or_default().to_owned();
                    let since = time(&line["since"]).expect("a time");
                    let learner = (
                        since,
                        time(&line["learns_until"]),
                        line["group"].as_str().map(str::to_owned),
                    );
                    shown.learners.insert(workload.clone(), learner);
                }
                Some("pair") => {
                    let key = Key::new(&string(&line["kind"]), &string(&line["destination"]));
                    let twice = shown.pairs.insert((workload.clone(), key), pair(&line));
                    assert!(twice.is_none(), "twice in the export: {line}");
                }
                _ => {}
            }
        }
        shown
    }
}

fn pair(line: &Value) -> ShownPair {
    let list = |name: &str| line[name].as_array().expect("a list").iter();
    let last = time(&line["last"]).expect("a time");
    let bits = u128::from_str_radix(&string(&line["days"]), 16).expect("days");
    let days = (0..128).filter(|bit| bits >> bit & 1 == 1);
    let novelty = &line["novelty"];
    (
        [time(&line["first"]).expect("a time"), last],
        number(&line["count"]),
        ["octets_out", "octets_in"].map(|way| number(&line[way])),
        days.map(|bit| last.div_euclid(DAY) - bit).collect(),
        list("ports").map(|port| number(port) as u16).collect(),
        list("names")
            .map(|name| format!("{} {}", string(&name["name"]), string(&name["server"])))
            .collect(),
        time(&novelty["at"]).map(|at| (at, string(&novelty["fate"]))),
    )
}

fn alert(alert: &Value) -> Alert {
    let destination = &alert["destination"];
    let kind = string(&alert["kind"]);
    let of = match kind.as_str() {
        "new_external_domain" => "domain",
        "new_tenant" => "tenant",
        _ => "ip",
    };
    let workload = string(&alert["workload"]["name"]);
    (
        kind,
        workload,
        string(&destination[of]),
        time(&alert["ts"]).expect("a time"),
    )
}
