//! Rule B5: an estate that changes for 400 days of packet time takes no more than what half a year of it takes.

use std::path::Path;

use firstcontact::model::Ledger;
use firstcontact::store::Store;

use crate::support::programs::{self, text};
use crate::support::size::octets;
use crate::support::{Capture, frames};

const DAY: i64 = 86_400 * frames::SECOND;
const DAYS: i64 = 400;
const A_RUN: i64 = 25;
/// Workloads that live on, with the same destination every day.
const STEADY: i64 = 10;
/// Workloads that come up each day, have contacts once, and are never seen again.
const FLEETING: i64 = 5;
/// New domains that one of the steady workloads contacts each day.
const CURIOUS: i64 = 10;

/// Some days of the estate, with contacts evenly over each day.
fn days(from: i64, to: i64) -> Capture {
    let mut capture = Capture::new();
    for day in from..to {
        let mut at = day * DAY;
        let mut contact = |client: &str, name: Option<&str>, address: &str| {
            if let Some(name) = name {
                capture.resolve(at, client, "10.0.0.2", name, address);
            }
            let port = 20_000 + at / frames::SECOND % 40_000;
            let from = format!("{client}:{port}");
            capture.tcp(at + 5 * frames::STEP, &from, &format!("{address}:443"), 100, 2000);
            at += DAY / (STEADY + 2 * FLEETING + CURIOUS + 1);
        };
        for n in 0..STEADY {
            contact(
                &format!("10.1.0.{n}"),
                Some(&format!("www.steady-{n}.example")),
                &format!("198.51.100.{n}"),
            );
        }
        for n in 0..FLEETING {
            let client = format!("10.{}.{}.{n}", 2 + day / 200, day % 200);
            let address = format!("203.{}.{}.{n}", day / 200, day % 200);
            contact(&client, Some(&format!("www.fleeting-{day}-{n}.example")), &address);
            contact(&client, None, &format!("192.{}.{}.{n}", 10 + day / 200, day % 200));
        }
        for n in 0..CURIOUS {
            let address = format!("45.{}.{}.{n}", day / 200, day % 200);
            contact("10.1.0.1", Some(&format!("www.curious-{day}-{n}.example")), &address);
        }
    }
    capture
}

/// What a ledger takes.
#[derive(Debug, Clone, Copy)]
struct Size {
    octets: u64,
    workloads: usize,
    pairs: usize,
    alerts: usize,
}

fn size(state: &Path) -> Size {
    let store = Store::open_read_only(state).expect("the ledger");
    let workloads = store.opening().expect("its workloads").workloads;
    let all = store.all_pairs().expect("its pairs");
    Size {
        octets: octets(state),
        workloads: workloads.len(),
        pairs: workloads
            .iter()
            .map(|(id, _)| all.of(*id).expect("its pairs").len())
            .sum(),
        alerts: store.alerts().expect("its alerts").count(),
    }
}

#[test]
fn rule_b5_disk_and_tables_level_off_at_the_retention() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (state, path) = (folder.path().join("state"), folder.path().join("days.pcap"));
    let settings = folder.path().join("settings.toml");
    // What is kept for sinks that are yet to come has a bound of its own, and is full by the time that counts.
    std::fs::write(&settings, "[delivery]\nlines = 10000\n").expect("settings");
    let mut sizes = Vec::new();
    let mut raised = 0;
    for from in (0..DAYS).step_by(A_RUN as usize) {
        days(from, from + A_RUN).write(&path);
        let places = ["--state", text(&state), "--config", text(&settings)];
        let output = programs::replay(&[&places[..], &["--threads", "2", text(&path)]].concat()).output();
        let output = output.expect("replay can be run");
        assert!(output.status.success(), "{}", programs::said(&output));
        let alerts = programs::lines(&String::from_utf8_lossy(&output.stdout));
        raised += alerts.iter().filter(|alert| alert["event"] == "raised").count();
        let size = size(&state);
        println!("day {}: {size:?}", from + A_RUN);
        sizes.push(size);
    }
    // Nothing that is steady is new twice, and all else is new once.
    let new = STEADY + DAYS * (2 * FLEETING + CURIOUS);
    assert_eq!(raised as i64, new);
    let at = |day: i64| sizes[(day / A_RUN) as usize - 1];
    // Forgotten 180 days after its last contact; its record may lag by 30 more, and the present by 600 batches.
    let (full, last) = (at(250), at(DAYS));
    let a_day = |pairs: i64| pairs * 205;
    assert!(
        (full.pairs as i64) < a_day(FLEETING * 3 + CURIOUS * 2) + 4 * STEADY,
        "{full:?}"
    );
    assert!(last.pairs <= full.pairs * 21 / 20, "{full:?} {last:?}");
    assert!(last.alerts <= full.alerts * 21 / 20, "{full:?} {last:?}");
    assert!(last.workloads <= full.workloads * 21 / 20, "{full:?} {last:?}");
    // Octets go up and down with each compaction, so that two days alone say little: the crests are compared.
    let crest = |from: i64, to: i64| {
        sizes[(from / A_RUN) as usize - 1..(to / A_RUN) as usize]
            .iter()
            .map(|size| size.octets)
            .max()
    };
    let (before, after) = (crest(225, 300).expect("days"), crest(325, DAYS).expect("days"));
    assert!(after <= before * 5 / 4, "{before} {after}");
}
