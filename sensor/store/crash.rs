//! A process that is killed loses nothing that was committed, and nothing of a batch by halves; nor does a power cut, of
//! what was synced.
//!
//! A power cut leaves files of rows and the manifest as they are, since RocksDB syncs them before it counts on them. Of the
//! log it leaves what was synced, and of what was written after that any part, or blocks that hold something else.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::model::{Batch, Durability, Ledger};

use super::tests::{Plain, open};
use super::{Beginning, folder, samples};

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
        if batch.durability == Durability::Synced {
            for (log, length) in logs(folder.as_ref()) {
                println!("synced {} {} {length}", batch.sequence, log.display());
            }
        }
        println!("committed {}", batch.sequence);
    }
}

/// Returns the log files of a ledger in their order, with their lengths.
fn logs(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(folder::tables(dir)).unwrap().map(Result::unwrap);
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"));
    // One that goes in between is of no more use.
    logs.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())))
        .collect()
}

/// A ledger whose process was killed.
struct Killed {
    folder: tempfile::TempDir,
    /// The last batch that the process told of, and the last synced one.
    told: u64,
    synced: u64,
    /// How long each log file was when that was synced.
    lengths: BTreeMap<PathBuf, u64>,
}

/// Kills a process that commits once it has told of so many batches.
fn killed_after(batches_told: usize) -> Killed {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::crash::commits_until_it_is_killed"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut killed = Killed {
        folder,
        told: 0,
        synced: 0,
        lengths: BTreeMap::new(),
    };
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    for line in output.by_ref() {
        // The test harness writes before the first one.
        let words: Vec<&str> = line.split(' ').collect();
        if let [.., "synced", batch, log, length] = words.as_slice() {
            killed.synced = batch.parse().unwrap();
            killed.lengths.insert(log.into(), length.parse().unwrap());
        } else if let [.., "committed", batch] = words.as_slice() {
            killed.told = batch.parse().unwrap();
            if killed.told == batches_told as u64 {
                break;
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(killed.told, batches_told as u64);
    killed
}

/// Holds that a ledger has every batch through one of them or a later one, whole; returns which was the last.
fn holds_through(dir: &Path, batch: u64) -> u64 {
    let store = open(dir);
    let last = store.opening().unwrap().next_sequence - 1;
    assert!(last >= batch, "batch {last} is the last, not {batch}");
    let mut plain = Plain::default();
    for batch in batches().take_while(|batch| batch.sequence <= last) {
        plain.commit(&batch);
    }
    plain.check(&store);
    last
}

fn kills() -> usize {
    std::env::var(KILLS).map_or(1, |text| text.parse().expect(KILLS))
}

#[test]
fn everything_that_was_committed_survives_a_kill_and_nothing_is_there_by_halves() {
    for round in 0..kills() {
        let killed = killed_after(BATCHES + round % BATCHES);
        holds_through(killed.folder.path(), killed.told);
    }
    println!("store: {} kills of a process that commits", kills());
}

/// Into how many pieces the log is cut that a power cut may lose.
const CUTS: u64 = 12;

/// What stands behind the place where the log was cut.
const BEHIND: [Option<u8>; 3] = [None, Some(0), Some(0xa5)];

#[test]
fn everything_that_was_synced_survives_a_power_cut_and_nothing_is_there_by_halves() {
    let (mut cuts, mut lost) = (0, 0);
    for round in 0..kills().div_ceil(10) {
        // One that is not synced, so that there is something to lose.
        let is_grouped = |batch: &Batch| batch.durability == Durability::Grouped;
        let mut later = batches().skip(2 * BATCHES + round % BATCHES);
        let told = later.find(is_grouped).unwrap().sequence;
        let killed = killed_after(told as usize);
        let dir = killed.folder.path();
        let (log, length) = logs(dir).pop_last().unwrap();
        // A log that was begun after the last sync may be lost whole.
        let synced = killed.lengths.get(&log).copied().unwrap_or(0);
        let left = length - synced;
        let whole = tempfile::tempdir().unwrap();
        copy_all(dir, whole.path());
        let committed = holds_through(whole.path(), killed.told);
        for cut in 0..=CUTS {
            let kept = synced + left * cut / CUTS;
            for behind in BEHIND {
                let copy = tempfile::tempdir().unwrap();
                copy_all(dir, copy.path());
                let log = copy.path().join(log.strip_prefix(dir).unwrap());
                let mut file = OpenOptions::new().write(true).open(log).unwrap();
                file.set_len(kept).unwrap();
                if let Some(octet) = behind {
                    file.seek(SeekFrom::End(0)).unwrap();
                    file.write_all(&vec![octet; usize::try_from(length - kept).unwrap()])
                        .unwrap();
                }
                let last = holds_through(copy.path(), killed.synced);
                cuts += 1;
                lost += u64::from(last < committed);
            }
        }
    }
    assert!(lost > 0, "no cut took a batch that was not synced");
    println!("power: {cuts} cuts kept every synced batch whole, and {lost} of them took what was not synced");
}

/// Copies a folder with all that is in it.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_ledger_that_was_being_made_when_the_power_went_is_made() {
    let made: [fn(&Path); 6] = [
        |dir| drop(File::create(dir.join("FORMAT.tmp")).unwrap()),
        |dir| fs::write(dir.join("FORMAT.tmp"), "firstcontact led").unwrap(),
        |dir| folder::claim(dir).unwrap(),
        |dir| {
            folder::claim(dir).unwrap();
            fs::create_dir(folder::tables(dir)).unwrap();
            drop(File::create(folder::tables(dir).join("LOCK")).unwrap());
        },
        |dir| {
            folder::claim(dir).unwrap();
            fs::create_dir(folder::tables(dir)).unwrap();
            // The manifest is written before what names it.
            fs::write(folder::tables(dir).join("MANIFEST-000001"), "half of").unwrap();
        },
        // Tables are made one after the other.
        |dir| {
            folder::claim(dir).unwrap();
            drop(rocksdb::DB::open_default(folder::tables(dir)).unwrap());
        },
    ];
    for make in made {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        let store = open(dir.path());
        let mut plain = Plain::default();
        for batch in batches().take(3) {
            store.commit(&batch).unwrap();
            plain.commit(&batch);
        }
        plain.check(&store);
    }
}

#[test]
fn an_unfinished_run_goes_on_wherever_the_power_went_while_its_folder_was_made_or_removed() {
    const COMMAND: &str = "replay";
    let begun = tempfile::tempdir().unwrap();
    let commit = |store: &super::Store, from: usize, to: usize| {
        for batch in batches().take(to).skip(from) {
            store.commit(&batch).unwrap();
        }
    };
    let store = open(begun.path());
    commit(&store, 0, 3);
    store.begin_run(COMMAND, "alerts").unwrap();
    commit(&store, 3, 9);
    drop(store);

    let (whole, partial) = ("unfinished", "unfinished.tmp");
    type Step<'a> = (Beginning, &'a dyn Fn(&Path));
    let steps: [Step<'_>; 5] = [
        (Beginning::Again(6), &|_| {}),
        // A second run was copying the tables.
        (Beginning::Again(6), &|dir| {
            let again = dir.join(whole).join("again").join("rocksdb");
            fs::create_dir_all(&again).unwrap();
            fs::write(again.join("CURRENT"), "MANI").unwrap();
        }),
        // What was left of an earlier run was being removed.
        (Beginning::Again(6), &|dir| {
            fs::create_dir_all(dir.join(partial).join("tables")).unwrap();
        }),
        // The run had ended, and this was being removed.
        (Beginning::Anew, &|dir| {
            fs::rename(dir.join(whole), dir.join(partial)).unwrap();
            fs::remove_file(dir.join(partial).join("COMMAND")).unwrap();
        }),
        // Nothing was committed, and the tables were being kept.
        (Beginning::Anew, &|dir| {
            fs::remove_dir_all(dir.join(whole)).unwrap();
            fs::create_dir_all(dir.join(partial).join("tables")).unwrap();
            fs::write(dir.join(partial).join("COMMAND"), "after bat").unwrap();
        }),
    ];
    for (n, (beginning, step)) in steps.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        copy_all(begun.path(), dir.path());
        step(dir.path());
        let store = open(dir.path());
        assert_eq!(store.begin_run(COMMAND, "alerts").unwrap(), beginning, "step {n}");
        let from = if beginning == Beginning::Anew { 9 } else { 3 };
        commit(&store, from, 12);
        store.end_run().unwrap();
        drop(store);
        assert_eq!(holds_through(dir.path(), 12), 12, "step {n}");
        for name in [whole, partial] {
            assert!(!dir.path().join(name).exists(), "step {n}: {name}");
        }
    }
}
