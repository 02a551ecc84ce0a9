//! Tables that are less than they were are refused, and stay as they are: what RocksDB would open with is an older ledger,
//! and it would delete what that one does not know of.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::model::{Batch, Ledger};

use super::tests::{MEMORY, Plain, RETENTION, open};
use super::{Beginning, Store, folder, samples};

/// Every file below a folder, by its path.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path(), folder));
        } else {
            files.insert(entry.file_name().into(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn files_below(path: &Path, folder: &Path) -> Files {
    let below = path.strip_prefix(folder).unwrap();
    files(path)
        .into_iter()
        .map(|(name, octets)| (below.join(name), octets))
        .collect()
}

fn put(files: &Files, folder: &Path) {
    for (name, octets) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, octets).unwrap();
    }
}

fn batches() -> impl Iterator<Item = Batch> {
    let mut runner = TestRunner::deterministic();
    (1..).map(move |sequence| Batch {
        sequence,
        folded_through: sequence.checked_sub(5),
        ..samples::batch().new_tree(&mut runner).unwrap().current()
    })
}

/// A ledger whose rows are in many tables, which came one after the other, and what it holds.
struct Written {
    closed: Files,
    /// As it stood when its process was killed before it could close it.
    killed: Files,
    plain: Plain,
}

fn written() -> Written {
    let dir = tempfile::tempdir().unwrap();
    let mut plain = Plain::default();
    let mut all = batches();
    for _ in 0..2 {
        let store = open(dir.path());
        for batch in all.by_ref().take(5) {
            store.commit(&batch).unwrap();
            plain.commit(&batch);
            if batch.sequence % 4 == 0 {
                store.rows.flush().unwrap();
            }
        }
    }
    let store = open(dir.path());
    for batch in all.by_ref().take(6) {
        store.commit(&batch).unwrap();
        plain.commit(&batch);
        match batch.sequence {
            12 => store.rows.flush().unwrap(),
            14 => store.sync().unwrap(),
            _ => {}
        }
    }
    let killed = files(dir.path());
    drop(store);
    Written {
        closed: files(dir.path()),
        killed,
        plain,
    }
}

fn named(files: &Files, part: &str) -> PathBuf {
    let mut found = files.keys().filter(|name| name.to_str().unwrap().contains(part));
    found
        .next_back()
        .unwrap_or_else(|| panic!("no {part} in {files:?}"))
        .clone()
}

/// What an opening says, and whether it was refused with everything as it was.
fn refusal(files_before: &Files) -> Result<(tempfile::TempDir, Store), String> {
    let dir = tempfile::tempdir().unwrap();
    put(files_before, dir.path());
    let to_read = Store::open_read_only(dir.path()).map(drop);
    match (Store::open(dir.path(), MEMORY, RETENTION), to_read) {
        (Ok(store), Ok(())) => Ok((dir, store)),
        (Err(error), Err(_)) => {
            assert!(files(dir.path()) == *files_before, "something was changed: {error}");
            Err(error.to_string())
        }
        (write, read) => panic!("to write: {write:?}, to read: {read:?}"),
    }
}

/// Refuses one ledger again and again, with one file after the other changed.
struct Changed<'a> {
    whole: &'a Files,
    dir: tempfile::TempDir,
    what: String,
}

impl<'a> Changed<'a> {
    fn of(whole: &'a Files, what: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        put(whole, dir.path());
        let what = what.to_owned();
        Self { whole, dir, what }
    }

    fn is_refused(&self, name: &Path, octets: &[u8], how: &dyn std::fmt::Display) {
        let what = format!("{}: {name:?} {how}", self.what);
        let path = self.dir.path().join(name);
        fs::write(&path, octets).unwrap();
        let before = stamps(self.dir.path());
        let to_write = Store::open(self.dir.path(), MEMORY, RETENTION).map(drop);
        let to_read = Store::open_read_only(self.dir.path()).map(drop);
        for opened in [to_write, to_read] {
            is_damage(&opened.expect_err(&what).to_string(), &what);
        }
        assert!(stamps(self.dir.path()) == before, "{what}: something was changed");
        fs::write(&path, &self.whole[name]).unwrap();
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                files(self.dir.path()) == *self.whole,
                "{}: something was changed",
                self.what
            );
        }
    }
}

/// When the files of a ledger were written last, and how long they are.
fn stamps(folder: &Path) -> BTreeMap<PathBuf, (std::time::SystemTime, u64)> {
    let both = [folder.to_owned(), folder::tables(folder)];
    let entries = both
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(Result::unwrap));
    let stamp = |entry: fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        (entry.path(), (metadata.modified().unwrap(), metadata.len()))
    };
    entries.map(stamp).collect()
}

fn is_damage(said: &str, what: &str) {
    for part in ["the ledger is damaged", "docs/state.md"] {
        assert!(said.contains(part), "{what}: {said}");
    }
}

fn is_refused(files: &Files, what: &str) {
    is_damage(&refusal(files).map(drop).expect_err(what), what);
}

#[test]
fn a_ledger_with_a_manifest_or_a_log_that_was_cut_is_refused() {
    let Written { closed, killed, plain } = written();
    for (how, whole) in [("closed", &closed), ("killed", &killed)] {
        let (_dir, store) = refusal(whole).unwrap();
        plain.check(&store);
        let ledger = Changed::of(whole, how);
        for name in [named(whole, "MANIFEST"), named(whole, "CURRENT"), named(whole, ".log")] {
            // Of a process that was killed, the log is known as far as it was synced for the last time.
            let octets = &whole[&name];
            let known = match how {
                "killed" if name == named(whole, ".log") => listed(whole, &name),
                _ => octets.len(),
            };
            assert!(known > 0, "{name:?}");
            for length in places(known) {
                ledger.is_refused(&name, &octets[..length], &format_args!("with {length} octets"));
            }
            let mut gone = whole.clone();
            gone.remove(&name);
            is_refused(&gone, &format!("{how}: without {name:?}"));
        }
    }
}

/// Returns places in a file: all of its beginning and of its end, and some on the way.
fn places(length: usize) -> impl Iterator<Item = usize> {
    const ENDS: usize = 48;
    (0..length).filter(move |place| *place < ENDS || place + ENDS >= length || place % (length / ENDS) == 0)
}

/// Returns how long a file was when it was listed.
fn listed(files: &Files, name: &Path) -> usize {
    let list = String::from_utf8(files[Path::new(folder::LENGTHS)].clone()).unwrap();
    let name = name.file_name().unwrap().to_str().unwrap();
    let mut lines = list.lines().filter_map(|line| line.strip_prefix(name));
    let line = lines.next().unwrap_or_else(|| panic!("{name} is not in {list}"));
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_ledger_with_an_octet_changed_in_what_grows_is_refused() {
    let Written { closed, killed, .. } = written();
    for (how, whole) in [("closed", closed), ("killed", killed)] {
        let ledger = Changed::of(&whole, how);
        for name in ["MANIFEST", "CURRENT", ".log", folder::LENGTHS].map(|part| named(&whole, part)) {
            let known = match whole[&name].len() {
                _ if how == "killed" && name == named(&whole, ".log") => listed(&whole, &name),
                length => length,
            };
            for place in places(known) {
                let mut changed = whole[&name].clone();
                changed[place] ^= 1 << (place % 8);
                ledger.is_refused(&name, &changed, &format_args!("with octet {place} changed"));
            }
        }
    }
}

#[test]
fn a_ledger_whose_tables_lead_to_what_they_were_before_is_refused() {
    let Written { closed, .. } = written();
    let dir = tempfile::tempdir().unwrap();
    put(&closed, dir.path());
    drop(open(dir.path()));
    let mut back = files(dir.path());
    let manifest = named(&closed, "MANIFEST");
    assert_ne!(named(&back, "MANIFEST"), manifest, "each opening begins one");
    back.insert(manifest.clone(), closed[&manifest].clone());
    let current = named(&back, "CURRENT");
    back.insert(current.clone(), closed[&current].clone());
    is_refused(&back, "an older manifest");
    back.insert(current.clone(), b"MANIFEST-999999\n".to_vec());
    is_refused(&back, "a manifest that is not there");
    let without: Files = back
        .into_iter()
        .filter(|(name, _)| !name.starts_with(folder::TABLES))
        .collect();
    is_refused(&without, "no tables at all");
}

#[test]
fn what_a_kill_or_a_power_cut_leaves_while_tables_are_opened_is_opened() {
    let Written { closed, plain, .. } = written();
    let dir = tempfile::tempdir().unwrap();
    put(&closed, dir.path());
    drop(open(dir.path()));
    let opened = files(dir.path());
    let list = Path::new(folder::LENGTHS);
    let before = |mut files: Files| {
        files.insert(list.to_owned(), closed[list].clone());
        files
    };
    let half = closed[list][..closed[list].len() / 2].to_vec();
    let left: [(&str, Files); 5] = [
        (
            "the new manifest is named, the list is the one before",
            before(opened.clone()),
        ),
        ("the manifest before is still there", {
            let mut files = before(opened.clone());
            let manifest = named(&closed, "MANIFEST");
            files.insert(manifest.clone(), closed[&manifest].clone());
            files
        }),
        ("a list was being written", {
            let mut files = closed.clone();
            files.insert(list.with_extension("tmp"), half);
            files
        }),
        ("a manifest was begun and is not named yet", {
            let mut files = closed.clone();
            files.insert(Path::new(folder::TABLES).join("MANIFEST-000999"), b"half".to_vec());
            files
        }),
        ("there is no list yet", {
            let mut files = opened;
            files.remove(list);
            files
        }),
    ];
    for (what, files) in left {
        let (_dir, store) = refusal(&files).unwrap_or_else(|said| panic!("{what}: {said}"));
        plain.check(&store);
    }
}

#[test]
fn a_list_is_renewed_when_tables_came_and_when_all_is_synced_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    let is_whole = |what: &str| {
        let now = files(dir.path());
        for name in [named(&now, "MANIFEST"), named(&now, ".log")] {
            assert_eq!(listed(&now, &name), now[&name].len(), "{what}: {name:?}");
        }
    };
    let mut all = batches();
    let store = open(dir.path());
    is_whole("opened");
    for batch in all.by_ref().take(3) {
        store.commit(&batch).unwrap();
    }
    store.sync().unwrap();
    is_whole("synced");
    store.rows.flush().unwrap();
    store.commit(&all.next().unwrap()).unwrap();
    let now = files(dir.path());
    let manifest = named(&now, "MANIFEST");
    assert_eq!(listed(&now, &manifest), now[&manifest].len(), "tables came");
    drop(store);
    is_whole("closed");
}

#[test]
fn a_run_that_is_given_again_does_not_begin_with_less_than_was_kept_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut all = batches();
    let mut commit = |count: usize| {
        for batch in all.by_ref().take(count) {
            store.commit(&batch).unwrap();
        }
    };
    commit(6);
    store.rows.flush().unwrap();
    commit(1);
    store.begin_run("replay", "alerts").unwrap();
    commit(3);
    drop(store);
    let whole = files(dir.path());
    let manifest = named(&whole, "unfinished/tables/MANIFEST");
    for length in [0, whole[&manifest].len() / 2, whole[&manifest].len() - 1] {
        let mut cut = whole.clone();
        cut.get_mut(&manifest).unwrap().truncate(length);
        let (_dir, store) = refusal(&cut).unwrap();
        let said = store.begin_run("replay", "alerts").unwrap_err().to_string();
        assert!(
            said.contains("unfinished") && said.contains("the ledger is damaged"),
            "{said}"
        );
    }
    let (_dir, store) = refusal(&whole).unwrap();
    assert_eq!(store.begin_run("replay", "alerts").unwrap(), Beginning::Again(3));
    assert_eq!(store.opening().unwrap().next_sequence, 8);
}
