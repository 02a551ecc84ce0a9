//! A ledger that is damaged is told in one line, and nothing in it is taken away: by no command, however often it is given.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::programs::{self, text};
use crate::support::{Capture, frames};

/// What the tables of a ledger are in: octets by the names of their files. RocksDB's own logs are not among them.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Makes a ledger whose rows are in files: what a run wrote to the log, the next one writes there.
fn ledger(folder: &Path) -> PathBuf {
    let state = folder.join("state");
    for day in 0..2 {
        let mut capture = Capture::new();
        capture.start += day * 3600 * frames::SECOND;
        for n in 0..300_i64 {
            let (here, there) = (
                format!("10.1.{}.{}:{}", n / 40, n % 40, 40_000 + n),
                format!("198.18.{day}.{}", n % 250),
            );
            capture.resolve(
                n * frames::SECOND,
                &format!("10.1.{}.{}", n / 40, n % 40),
                "10.2.0.2",
                &format!("d{n}.example"),
                &there,
            );
            capture.tcp(
                n * frames::SECOND + 5 * frames::STEP,
                &here,
                &format!("{there}:443"),
                100,
                200,
            );
        }
        let path = folder.join("frames.pcap");
        capture.write(&path);
        let output = programs::replay(&["--state", text(&state), text(&path)]).output();
        assert!(output.expect("replay can be run").status.success());
    }
    state
}

fn files(state: &Path) -> Files {
    let entries = fs::read_dir(state.join("rocksdb"))
        .expect("tables")
        .map(|entry| entry.expect("a file").path());
    let is_kept = |path: &PathBuf| {
        let extension = path
            .extension()
            .is_some_and(|extension| extension == "sst" || extension == "log");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        extension || name == "CURRENT" || name.starts_with("MANIFEST")
    };
    let list = std::iter::once(state.join("LENGTHS"));
    let kept = entries.filter(is_kept).chain(list).map(|path| {
        let octets = fs::read(&path).expect("a file");
        (path, octets)
    });
    kept.collect()
}

/// Gives three commands, each of which has to fail with one line that names the folder and what can be done.
fn refused(state: &Path, pcap: &Path, what: &str) {
    let commands: [&dyn Fn() -> Output; 3] = [
        &|| output(programs::replay(&["--state", text(state), text(pcap)])),
        &|| output(programs::sensor(&["alerts", "--json", "--all", "--state", text(state)])),
        &|| output(programs::sensor(&["baseline", "export", "--state", text(state)])),
    ];
    for command in commands {
        let output = command();
        let said = programs::said(&output);
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert_eq!(said.lines().count(), 1, "{what}: {said}");
        assert!(said.starts_with(&format!("error: {}", state.display())), "{said}");
        for part in ["the ledger is damaged", "docs/state.md"] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        assert_eq!(output.stdout, b"", "{what}");
    }
}

fn output(mut command: std::process::Command) -> Output {
    command.output().expect("the program can be run")
}

#[test]
fn a_ledger_with_a_file_that_is_missing_or_cut_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (state, pcap) = (ledger(folder.path()), folder.path().join("frames.pcap"));
    let printed = || {
        let output = output(programs::sensor(&[
            "alerts",
            "--json",
            "--all",
            "--state",
            text(&state),
        ]));
        assert!(output.status.success(), "{}", programs::said(&output));
        output.stdout
    };
    let before = printed();
    let whole = files(&state);
    let (tables, others): (Vec<_>, Vec<_>) = whole
        .keys()
        .partition(|path| path.extension().is_some_and(|e| e == "sst"));
    assert!(tables.len() > 5, "{tables:?}");
    let named = |name: &str| {
        let mut found = others.iter().filter(|path| text(path).contains(name));
        (*found.next().expect(name)).clone()
    };
    let grown = ["CURRENT", "MANIFEST", ".log", "LENGTHS"].map(named);
    let mut damages: Vec<(&PathBuf, Option<usize>)> = Vec::new();
    for path in &grown {
        let length = whole[path].len();
        assert!(length > 0, "{}", path.display());
        damages.extend([0, length / 2, length - 1].map(|kept| (path, Some(kept))));
        if !path.ends_with("LENGTHS") {
            damages.push((path, None));
        }
    }
    for table in &tables {
        damages.extend([(*table, None), (*table, Some(whole[*table].len() / 2))]);
    }
    for (path, kept) in damages {
        match kept {
            None => fs::remove_file(path).expect("a file"),
            Some(kept) => fs::write(path, &whole[path][..kept]).expect("a file"),
        }
        let damaged = files(&state);
        // A service manager starts it again and again.
        for _ in 0..2 {
            refused(&state, &pcap, &format!("{} to {kept:?}", path.display()));
            assert!(files(&state) == damaged, "{}: something was written", path.display());
        }
        fs::write(path, &whole[path]).expect("a file");
    }
    assert!(printed() == before, "it can be read again");
}

#[test]
fn octets_that_changed_are_never_taken_for_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = ledger(folder.path());
    let print = |arguments: &[&str]| output(programs::sensor(&[arguments, &["--state", text(&state)]].concat()));
    let commands: [&[&str]; 2] = [&["alerts", "--json", "--all"], &["baseline", "export"]];
    let right = commands.map(|command| print(command).stdout);
    let whole = files(&state);
    let mut refused = 0;
    for (path, octets) in whole
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "sst"))
    {
        for part in 0..4 {
            let mut changed = octets.clone();
            let place = octets.len() * part / 4;
            changed[place] ^= 0xff;
            fs::write(path, &changed).expect("a file");
            for (command, right) in commands.iter().zip(&right) {
                let seen = print(command);
                let said = programs::said(&seen);
                if seen.status.success() {
                    assert!(
                        seen.stdout == *right,
                        "{} at {place}: {command:?} prints something else",
                        path.display()
                    );
                    continue;
                }
                assert_eq!(seen.status.code(), Some(1), "{said}");
                assert_eq!(said.lines().count(), 1, "{said}");
                assert!(said.contains("the ledger is damaged"), "{said}");
                refused += 1;
            }
        }
        fs::write(path, octets).expect("a file");
    }
    assert!(refused > 5, "{refused} were refused");
}

#[test]
fn a_sensor_ends_when_a_line_for_a_sink_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = ledger(folder.path());
    let tables = state.join("rocksdb");
    let options = rocksdb::Options::default();
    let names = rocksdb::DB::list_cf(&options, &tables).expect("tables");
    let db = rocksdb::DB::open_cf(&options, &tables, names).expect("tables");
    let outbox = db.cf_handle("outbox").expect("a table");
    let mut lines = db.iterator_cf(outbox, rocksdb::IteratorMode::End);
    let (last, _) = lines.next().expect("a line").expect("a line");
    drop(lines);
    db.put_cf(outbox, last, b"no line").expect("a write");
    drop(db);

    let settings = folder.path().join("settings.toml");
    let sink = format!(
        "[[sink]]\nurl = \"file://{}\"\nfrom = \"1970-01-01T00:00:00Z\"\n",
        folder.path().join("alerts.jsonl").display()
    );
    fs::write(&settings, sink).expect("a file");
    let port = UdpSocket::bind("127.0.0.1:0")
        .expect("a socket")
        .local_addr()
        .expect("an address")
        .port();
    let listen = format!("vxlan://127.0.0.1:{port}");
    let seen = output(programs::sensor(&[
        "run",
        "--listen",
        &listen,
        "--config",
        text(&settings),
        "--state",
        text(&state),
    ]));
    let said = programs::said(&seen);
    assert_eq!(seen.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: ") && last.contains("a record of outbox cannot be read; the ledger is damaged"),
        "{said}"
    );
}
