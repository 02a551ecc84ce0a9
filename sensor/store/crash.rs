//! A process that is killed loses nothing that was committed, and nothing of a batch by halves.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::model::{Batch, Ledger};

use super::samples;
use super::tests::{Plain, open};

/// Names the folder to the process that is to be killed.
const FOLDER: &str = "FIRSTCONTACT_CRASH_FOLDER";

/// How many batches are committed before the first kill; each later one comes one batch later, until it starts anew.
const BATCHES: usize = 40;

/// Says how often a process is killed, for a longer test: once if it says nothing.
const KILLS: &str = "FIRSTCONTACT_KILLS";

/// The same batches in both processes.
fn batches() -> impl Iterator<Item = Batch> {
    let mut runner = TestRunner::deterministic();
    (1..).map(move |sequence| Batch {
        sequence,
        folded_through: sequence.checked_sub(5),
        ..samples::batch().new_tree(&mut runner).unwrap().current()
    })
}

#[test]
#[ignore = "is run by the test below, in a process of its own"]
fn commits_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = open(folder.as_ref());
    for batch in batches() {
        store.commit(&batch).unwrap();
        println!("committed {}", batch.sequence);
    }
}

#[test]
fn everything_that_was_committed_survives_a_kill_and_nothing_is_there_by_halves() {
    let kills = std::env::var(KILLS).map_or(1, |text| text.parse().expect(KILLS));
    for round in 0..kills {
        kill_after(BATCHES + round % BATCHES);
    }
}

/// Kills a process that commits once it has told of so many batches, and checks what its ledger holds.
fn kill_after(batches_told: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::crash::commits_until_it_is_killed"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("committed "))
        .take(batches_told)
        .count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told, batches_told);

    let store = open(folder.path());
    let last = store.opening().unwrap().next_sequence - 1;
    assert!(last >= batches_told as u64, "batch {last} is the last");
    let mut plain = Plain::default();
    for batch in batches().take_while(|batch| batch.sequence <= last) {
        plain.commit(&batch);
    }
    plain.check(&store);
}
