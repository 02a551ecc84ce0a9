//! Rule T2: the same packets and the same starting ledger give the same alerts and records, octet for octet, at any
//! number of threads.

use std::path::{Path, PathBuf};

use firstcontact::capture::CaptureFile;
use firstcontact::model::SourceId;

use crate::scenarios;
use crate::support::programs::{Replay, skip};
use crate::support::{Seen, checkout, recipe};

/// How many threads are compared, over an empty ledger and over one that has learnt.
const THREADS: [u16; 4] = [1, 2, 3, 8];
/// How many captures of the corpus are replayed in a row: one run for each would take an hour.
const IN_A_ROW: usize = 40;

/// Returns the captures below a folder, in order.
pub fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(captures(&path));
        } else if path
            .extension()
            .is_some_and(|extension| ["pcap", "pcapng", "cap"].iter().any(|other| extension == *other))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn replay(paths: &[&Path], threads: u16, state: Option<PathBuf>) -> Seen {
    let replay = Replay {
        threads: Some(threads),
        state,
        ..Replay::default()
    };
    replay.run_files(paths)
}

/// Compares what captures in a row give at every number of threads; returns what differs.
fn differences(row: &[PathBuf]) -> Vec<String> {
    let paths: Vec<&Path> = row.iter().map(PathBuf::as_path).collect();
    let name = match paths.as_slice() {
        [one] => one.display().to_string(),
        [one, .., last] => format!("{} to {}", one.display(), last.display()),
        [] => return Vec::new(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    let [first, others @ ..] = THREADS;
    let plain = replay(&paths, first, None);
    if plain.status < 0 || plain.status > 2 || plain.said.contains("panicked") {
        wrong.push(format!("{name}: status {}: {}", plain.status, plain.said));
    }
    // One ledger is learnt at each number of threads, and then judged over with another number.
    let learnt = |threads: u16| {
        let state = folder.path().join(threads.to_string());
        let learn = Replay {
            threads: Some(threads),
            state: Some(state.clone()),
            learns: true,
            without_records: true,
            ..Replay::default()
        };
        learn.run_files(&paths);
        Replay {
            threads: Some(9 - threads),
            state: Some(state),
            shift: Some("+91d".to_owned()),
            ..Replay::default()
        }
        .run_files(&paths)
    };
    let over = learnt(first);
    for threads in others {
        let again = replay(&paths, threads, None);
        for (what, one, other) in [
            ("plain", &plain, &again),
            ("over a learnt ledger", &over, &learnt(threads)),
        ] {
            if one.octets != other.octets || one.status != other.status {
                let names = ["alerts", "dns", "flows", "contacts"];
                let which = names.iter().zip(one.octets.iter().zip(&other.octets));
                let which: Vec<_> = which
                    .filter(|(_, (one, other))| one != other)
                    .map(|(name, _)| *name)
                    .collect();
                wrong.push(format!("{name}: {what}: {which:?} differ at {threads} threads"));
            }
        }
    }
    wrong
}

/// Compares rows of captures, two at a time.
fn compare(rows: &[&[PathBuf]]) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let look = || {
            let mut wrong = Vec::new();
            while let Some(row) = rows.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                wrong.extend(differences(row));
            }
            wrong
        };
        let others = scope.spawn(look);
        let mut wrong = look();
        wrong.extend(others.join().expect("the other thread"));
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rule_t2_our_captures_give_the_same_octets_at_any_number_of_threads() {
    let paths = captures(&checkout("captures"));
    assert!(!paths.is_empty());
    compare(&paths.chunks(1).collect::<Vec<_>>());
}

#[test]
fn rule_t2_the_corpus_gives_the_same_octets_at_any_number_of_threads() {
    let folder = checkout("../shared/corpus");
    if !folder.is_dir() {
        skip("determinism over the corpus: there is no ../shared/corpus");
        return;
    }
    let mut paths = captures(&folder);
    // One that is refused would refuse its whole row.
    paths.retain(|path| CaptureFile::open(path, SourceId(0)).is_ok());
    compare(&paths.chunks(IN_A_ROW).collect::<Vec<_>>());
}

#[test]
fn rule_t2_scenarios_give_the_same_at_one_and_eight_threads() {
    let wrong: Vec<String> = scenarios::folders()
        .iter()
        .filter(|folder| {
            let octets = |threads| -> Vec<_> {
                let (_, given) = scenarios::run(folder, threads);
                given.into_iter().map(|step| (step.seen.octets, step.ledger)).collect()
            };
            octets(1) != octets(8)
        })
        .map(|folder| scenarios::name(folder))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn rule_t2_files_in_a_row_are_one_stream() {
    let recipe = "0.000 dns 10.1.0.5 > 10.1.0.2 a.example.com A 203.0.113.7
                  0.100 tcp 10.1.0.5:40000 > 203.0.113.7:443 out 100
                  9.000 tcp 10.1.0.5:40001 > 203.0.113.8:443 out 100
                  30    udp 10.1.0.6:9 > 203.0.113.8:9";
    let whole = recipe::parse(recipe).remove(0).capture;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = ["one.pcap", "two.pcap"].map(|name| folder.path().join(name));
    let (mut one, mut two) = (whole.clone(), whole.clone());
    let cut = whole.frames.len() / 2;
    one.frames.truncate(cut);
    two.frames.drain(..cut);
    one.write(&paths[0]);
    two.write(&paths[1]);
    let parts = Replay::default().run_files(&[&paths[0], &paths[1]]);
    let whole = Replay::default().run(&whole);
    let ids = |seen: &Seen| -> Vec<_> { seen.alerts.iter().map(|alert| alert["id"].clone()).collect() };
    assert_eq!(ids(&parts), ids(&whole));
    assert_eq!(parts.contacts, whole.contacts);
}
