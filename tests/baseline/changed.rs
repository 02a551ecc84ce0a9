//! `forget` and `learn`: what operators change (rule B4).

use serde_json::{Value, json};

use super::{Ran, SETTINGS, baseline, export, learn, traffic};
use crate::support::programs::{Replay, lines, text};
use crate::support::{Capture, Seen, frames};

const DAY: i64 = 86_400 * frames::SECOND;

/// Replays as a sensor that has no learning of its own would judge.
fn judge(state: &std::path::Path, capture: &Capture) -> Seen {
    let replay = Replay {
        settings: Some(SETTINGS.to_owned()),
        state: Some(state.to_owned()),
        ..Replay::default()
    };
    let seen = replay.run(capture);
    assert_eq!(seen.status, 0, "{}", seen.said);
    seen
}

/// The destinations of alerts.
fn raised(seen: &Seen) -> Vec<String> {
    let alerts = seen.alerts.iter().filter(|alert| alert["event"] == "raised");
    let destination = |alert: &Value| {
        let destination = &alert["destination"];
        let named = destination["domain"].as_str().or(destination["ip"].as_str());
        named.unwrap_or_default().to_owned()
    };
    alerts.map(destination).collect()
}

fn ended(said: &str) -> usize {
    said.matches("learning_ended").count()
}

fn done(ran: &Ran) {
    assert_eq!(ran.status, 0, "{}", ran.said);
}

#[test]
fn what_is_forgotten_is_new_again_and_nothing_else_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    let before = export(&state);
    let ran = baseline("forget", &state, &["--workload", "web", "--domain", "Example.com."]);
    assert_eq!((ran.status, ran.said.as_str()), (0, "1 pair forgotten\n"));
    let after = export(&state);
    let gone: Vec<&str> = before.lines().filter(|line| !after.contains(line)).collect();
    assert_eq!(gone.len(), 1);
    assert!(gone[0].contains(r#""destination":"example.com""#), "{gone:?}");
    assert_eq!(raised(&judge(&state, &traffic(1))), ["example.com"]);
    // Not a second time.
    assert_eq!(raised(&judge(&state, &traffic(2))), Vec::<String>::new());
}

#[test]
fn rule_a2_what_is_forgotten_and_seen_again_touches_no_alert_that_an_answer_may_still_explain() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    let mut capture = Capture::new();
    let [from, to] = ["10.1.0.5:41000", "192.0.2.1:443"];
    let filler = |capture: &mut Capture, at: i64| {
        let [from, to] = ["10.1.9.9:5000", "10.1.9.8:5000"].map(frames::endpoint);
        capture.udp(at, from, to, &at.to_be_bytes());
    };
    // Nobody answers for longer than settle, then it gets through.
    let syn = frames::Segment {
        flags: frames::SYN,
        sequence: 1000,
        payload: 0,
        captured: 0,
    };
    capture.segment(0, frames::endpoint(from), frames::endpoint(to), syn);
    filler(&mut capture, 7 * frames::SECOND);
    capture.tcp(10 * frames::SECOND, from, to, 1, 1);
    filler(&mut capture, 12 * frames::SECOND);
    let first = judge(&state, &capture);
    assert_eq!(raised(&first), ["192.0.2.1"]);
    done(&baseline("forget", &state, &["--workload", "web", "--ip", "192.0.2.1"]));
    let again = judge(&state, &capture);
    assert_eq!(again.alerts, Vec::<Value>::new());
    let verdicts: Vec<&Value> = again.contacts.iter().map(|contact| &contact["verdict"]).collect();
    assert_eq!(verdicts, ["attempt", "new"]);
}

#[test]
fn a_whole_workload_and_all_before_a_time_are_forgotten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    let mut later = Capture::new();
    later.tcp(5 * DAY, "10.1.0.5:41000", "192.0.2.1:443", 1, 1);
    later.tcp(5 * DAY + frames::SECOND, "10.9.0.1:41001", "198.51.100.1:8443", 1, 1);
    learn(&state, &later);
    let pairs = |text: &str| lines(text).iter().filter(|line| line["record"] == "pair").count();
    assert_eq!(pairs(&export(&state)), 8);

    let none = baseline("forget", &state, &["--workload", "web", "--ip", "192.0.2.99"]);
    assert_eq!((none.status, none.said.as_str()), (0, "0 pairs forgotten\n"));
    let old = baseline("forget", &state, &["--before", "2026-03-05T00:00:00Z"]);
    assert_eq!(
        (old.status, old.said.as_str()),
        (0, "6 pairs forgotten\n"),
        "{}",
        old.said
    );
    assert_eq!(pairs(&export(&state)), 2);
    let one = baseline("forget", &state, &["--workload", "10.9.0.1"]);
    assert_eq!((one.status, one.said.as_str()), (0, "1 pair forgotten\n"));
    // Pages without pairs are left behind; what comes into them later stands.
    let mut back = Capture::new();
    back.tcp(6 * DAY, "10.9.0.1:42000", "198.51.100.1:8443", 1, 1);
    assert_eq!(raised(&judge(&state, &back)), ["198.51.100.1"]);
    assert_eq!(pairs(&export(&state)), 2);
    assert_eq!(raised(&judge(&state, &back)), Vec::<String>::new());
}

#[test]
fn nothing_is_forgotten_without_saying_what_nor_beside_a_sensor() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    let before = export(&state);
    for (arguments, status) in [
        (&[][..], 2),
        (&["--domain", "example.com"], 2),
        (&["--workload", "wep"], 2),
        (&["--workload", "web", "--ip", "example.com"], 2),
        (&["--before", "yesterday"], 2),
    ] {
        let ran = baseline("forget", &state, arguments);
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.said);
    }
    let absent = folder.path().join("absent");
    assert_eq!(baseline("forget", &absent, &["--workload", "web"]).status, 2);
    assert!(!absent.exists());
    let held =
        firstcontact::store::Store::open(&state, 8 << 20, firstcontact::model::Span::days(180)).expect("a ledger");
    for (command, arguments) in [
        ("forget", ["--workload", "web", "--domain", "example.com"]),
        ("learn", ["--workload", "web", "--for", "1d"]),
    ] {
        let ran = baseline(command, &state, &arguments);
        assert_eq!((ran.status, ran.said.lines().count()), (1, 1), "{}", ran.said);
        assert!(ran.said.contains("in use by another process"), "{}", ran.said);
    }
    let ran = baseline("merge", &state, &[text(&state)]);
    assert!(
        ran.status == 1 && ran.said.contains("in use by another process"),
        "{}",
        ran.said
    );
    drop(held);
    assert_eq!(export(&state), before);
}

/// Two workloads meet what is new to their whole segment, at a day.
fn news(day: i64, server: &str) -> Capture {
    let mut capture = Capture::new();
    capture.tcp(day * DAY, "10.1.0.5:43000", server, 1, 1);
    capture.tcp(day * DAY + 10 * frames::SECOND, "10.9.0.1:43001", server, 1, 1);
    // So that the epoch in which learning ends comes to its end.
    capture.tcp(
        day * DAY + 60 * frames::SECOND,
        "10.1.0.5:43002",
        "203.0.113.7:443",
        1,
        1,
    );
    capture
}

#[test]
fn rule_b4_a_segment_learns_as_long_as_it_is_told_to_and_its_end_is_one_event() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    done(&baseline("learn", &state, &["--segment", "-", "--for", "36h"]));
    let shown = baseline("show", &state, &[]).out;
    assert!(
        shown.starts_with("segment -, since 2026-03-02 12:00:00 UTC, learns until 2026-03-04"),
        "{shown}"
    );
    let first = judge(&state, &news(1, "192.0.2.1:443"));
    assert_eq!((raised(&first).len(), ended(&first.said)), (0, 0), "{}", first.said);
    let second = judge(&state, &news(2, "192.0.2.2:443"));
    assert_eq!((raised(&second).len(), ended(&second.said)), (2, 1), "{}", second.said);
    let third = judge(&state, &news(3, "192.0.2.3:443"));
    assert_eq!((raised(&third).len(), ended(&third.said)), (2, 0), "{}", third.said);
}

#[test]
fn rule_b4_a_workload_learns_what_its_segment_knows_and_its_end_is_one_event() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    done(&baseline(
        "learn",
        &state,
        &["--workload", "10.9.0.1", "--until", "2026-03-04T00:00:00Z"],
    ));
    // The first to meet it is the one that does not learn; the second learns what its segment knows by then.
    let first = judge(&state, &news(1, "192.0.2.1:443"));
    assert_eq!((raised(&first).len(), ended(&first.said)), (1, 0), "{}", first.said);
    let second = judge(&state, &news(2, "192.0.2.2:443"));
    assert_eq!((raised(&second).len(), ended(&second.said)), (2, 1), "{}", second.said);
}

#[test]
fn rule_b4_a_group_learns_and_stops_on_demand() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    let on = baseline("learn", &state, &["--group", "frontend", "--for", "5d"]);
    assert!(
        on.said.contains("1 workload: learning until 2026-03-07 12:00:"),
        "{}",
        on.said
    );
    let stats: Value = serde_json::from_str(&baseline("stats", &state, &["--json"]).out).unwrap();
    assert_eq!(stats["learning"], json!(1));
    let mut known = Capture::new();
    known.tcp(DAY, "10.1.0.5:43000", "198.51.100.1:8443", 1, 1);
    assert_eq!(raised(&judge(&state, &known)).len(), 0, "known to the segment");
    let off = baseline("learn", &state, &["--group", "frontend", "--for", "0s"]);
    assert_eq!(ended(&off.said), 2, "{}", off.said);
    assert!(off.said.contains("group frontend has learnt"), "{}", off.said);
    assert!(off.said.ends_with("1 workload: learning has ended\n"), "{}", off.said);
    let again = baseline("learn", &state, &["--group", "frontend", "--for", "0s"]);
    assert_eq!((again.status, again.said.as_str()), (0, "nothing changed\n"));
    let mut known = Capture::new();
    known.tcp(2 * DAY, "10.1.0.5:44000", "198.51.100.2:22", 1, 1);
    let seen = judge(&state, &known);
    assert_eq!((raised(&seen).len(), ended(&seen.said)), (1, 0), "{}", seen.said);
    // In its own time, with the first member of several.
    let mut joined = Capture::new();
    joined.tcp(3 * DAY, "10.1.0.5:45000", "203.0.113.7:443", 1, 1);
    joined.tcp(3 * DAY + frames::SECOND, "10.1.1.5:45000", "203.0.113.7:443", 1, 1);
    judge(&state, &joined);
    done(&baseline("learn", &state, &["--group", "frontend", "--for", "12h"]));
    let seen = judge(&state, &news(4, "192.0.2.1:443"));
    assert_eq!(
        seen.said.matches("group frontend has learnt").count(),
        1,
        "{}",
        seen.said
    );
    let seen = judge(&state, &news(5, "192.0.2.1:443"));
    assert_eq!(ended(&seen.said), 0, "{}", seen.said);
}

#[test]
fn learn_says_who_is_not_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    learn(&state, &traffic(0));
    for (arguments, words) in [
        (["--group", "frontent", "--for", "1d"], "did you mean frontend?"),
        (["--segment", "vni=42", "--for", "1d"], "no segment is called vni=42"),
        (["--workload", "web", "--for", "soon"], "expected a duration"),
    ] {
        let ran = baseline("learn", &state, &arguments);
        assert_eq!(ran.status, 2, "{}", ran.said);
        assert!(ran.said.contains(words), "{}", ran.said);
    }
    assert_eq!(baseline("learn", &state, &["--for", "1d"]).status, 2);
    assert_eq!(baseline("learn", &state, &["--workload", "web"]).status, 2);
}
