//! `show`, `stats` and `export`: read-only, beside a sensor that runs.

use serde_json::{Value, json};

use super::{baseline, export, learn, traffic};
use crate::support::programs::{Replay, lines, text};

#[test]
fn an_export_says_all_that_is_known_and_nothing_that_one_ledger_made_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    let all = lines(&export(&state));
    let kinds: Vec<&str> = all.iter().map(|line| line["record"].as_str().unwrap()).collect();
    let expected = "baseline segment resolver workload pair pair pair pair pair workload pair pair";
    assert_eq!(kinds.join(" "), expected);
    assert_eq!(all[0]["format"], "firstcontact baseline");
    let domain = all.iter().find(|line| line["destination"] == "example.com").unwrap();
    let expected = json!({
        "record": "pair", "kind": "domain", "destination": "example.com",
        "first": "2026-03-02T12:00:00.020000000Z", "last": domain["last"],
        "count": 1, "octets_out": 500, "octets_in": 2000, "days": "1", "ports": [443],
        "names": [{"name": "www.example.com", "server": "10.1.0.2"}],
        "novelty": {"at": "2026-03-02T12:00:00.020000000Z", "fate": "learned"},
    });
    assert_eq!(*domain, expected);
    let pairs: Vec<(&Value, &Value)> = all
        .iter()
        .filter(|line| line["record"] == "pair")
        .map(|line| (&line["kind"], &line["destination"]))
        .collect();
    assert!(
        pairs.contains(&(&json!("tenant"), &json!("b.s3.amazonaws.com"))),
        "{pairs:?}"
    );
}

#[test]
fn equal_baselines_export_the_same_octets_whatever_their_history() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    learn(&one, &traffic(0));
    learn(&one, &traffic(2));
    let mut both = traffic(0);
    both.frames.extend(traffic(2).frames);
    let replay = Replay {
        settings: Some(super::SETTINGS.to_owned()),
        state: Some(other.clone()),
        learns: true,
        threads: Some(1),
        ..Replay::default()
    };
    assert_eq!(replay.run(&both).status, 0);
    assert_eq!(export(&one), export(&other));

    let file = folder.path().join("export.jsonl");
    let ran = baseline("export", &one, &["--out", text(&file)]);
    assert_eq!((ran.status, ran.out.as_str()), (0, ""), "{}", ran.said);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), export(&one));
    let nowhere = folder.path().join("nowhere/export.jsonl");
    let ran = baseline("export", &one, &["--out", text(&nowhere)]);
    assert_eq!((ran.status, ran.said.lines().count()), (1, 1), "{}", ran.said);
}

#[test]
fn show_lists_workloads_and_the_pairs_of_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    let all = baseline("show", &state, &[]);
    assert_eq!(all.status, 0, "{}", all.said);
    let listed: Vec<&str> = all
        .out
        .lines()
        .map(|line| line.split(',').next().unwrap_or_default())
        .collect();
    assert_eq!(listed, ["segment -", "web", "-/10.9.0.1"]);
    let group = baseline("show", &state, &["--group", "frontend", "--json"]);
    assert_eq!(lines(&group.out).len(), 1);
    for name in ["10.9.0.1", "-/10.9.0.1"] {
        let one = baseline("show", &state, &["--workload", name]);
        assert!(one.out.contains("address 198.51.100.1\n"), "{}", one.out);
        assert!(!one.out.contains("example.com"), "{}", one.out);
    }
    let pairs = lines(&baseline("show", &state, &["--workload", "web", "--json"]).out);
    assert_eq!(pairs.iter().filter(|line| line["record"] == "pair").count(), 5);
    let wrong = baseline("show", &state, &["--workload", "wep"]);
    assert_eq!(
        (wrong.status, wrong.said.as_str()),
        (2, "error: no workload is called wep: did you mean web?\n")
    );
    let absent = baseline("show", &folder.path().join("absent"), &[]);
    assert_eq!((absent.status, absent.said.lines().count()), (1, 1), "{}", absent.said);
}

#[test]
fn stats_count_what_the_export_lists() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    let stats: Value = serde_json::from_str(&baseline("stats", &state, &["--json"]).out).unwrap();
    let exported = lines(&export(&state));
    for (kind, count) in stats["pairs"].as_object().unwrap() {
        let listed = exported
            .iter()
            .filter(|line| line["record"] == "pair" && line["kind"] == **kind);
        assert_eq!(*count, listed.count(), "{kind}");
    }
    assert_eq!(
        (&stats["workloads"], &stats["groups"]["frontend"]),
        (&json!(2), &json!(1))
    );
    assert!(stats["journal"]["changes"].as_u64() >= Some(7), "{stats}");
    let text = baseline("stats", &state, &[]).out;
    assert!(text.contains("workloads    2, of which 0 learn"), "{text}");
}
