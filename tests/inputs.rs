//! What `replay` reads: several files in a row or merged by time, standard input, and compressed captures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firstcontact::capture::CaptureFile;
use firstcontact::identity::{Locality, Network};
use firstcontact::model::{Policy, SourceId};
use firstcontact::wire;
use serde_json::Value;

use crate::support::programs::{Replay, replay, skip, text};
use crate::support::{Capture, Seen, checkout, frames, recipe};

/// A frame as the rules that split a capture see it.
struct Shown<'a> {
    number: usize,
    /// The addresses, from and to, and whether each is internal.
    ends: Option<[(String, bool); 2]>,
    octets: &'a [u8],
}

/// A rule that splits a capture: into how many parts, and which frame goes where.
struct Split {
    name: &'static str,
    parts: usize,
    part: fn(&Shown<'_>) -> usize,
}

const SPLITS: [Split; 4] = [
    Split {
        name: "round robin",
        parts: 3,
        part: |frame| frame.number % 3,
    },
    Split {
        name: "by direction",
        parts: 2,
        part: |frame| match &frame.ends {
            Some([(_, true), (_, false)]) => 1,
            Some([(_, false), (_, true)]) => 0,
            Some([(from, _), (to, _)]) => usize::from(from < to),
            None => 0,
        },
    },
    Split {
        name: "by host",
        parts: 4,
        part: |frame| match &frame.ends {
            Some([(inside, true), _] | [_, (inside, true)]) => inside.bytes().map(usize::from).sum::<usize>() % 4,
            _ => 3,
        },
    },
    Split {
        name: "by length, one part without frames",
        parts: 3,
        part: |frame| 2 * (frame.octets.len() % 2),
    },
];

/// Returns the frames of a capture file, with which each rule would split it.
fn read(path: &Path) -> (Capture, Vec<Vec<usize>>) {
    let policy = Policy::default().network;
    let network = Network::new(&policy);
    let ports = wire::Ports::new(&policy.vxlan_ports, &policy.geneve_ports, &policy.dns_ports);
    let mut file = CaptureFile::open(path, SourceId(0)).expect("a capture");
    let mut whole = Capture::new();
    let mut parts = vec![Vec::new(); SPLITS.len()];
    while let Some(frame) = file.next().expect("a whole capture") {
        let decoded = wire::decode(frame.link, frame.octets, &ports).ok();
        let end = |address| (format!("{address}"), network.locality(address) == Locality::Internal);
        let shown = Shown {
            number: whole.frames.len(),
            ends: decoded.map(|decoded| [end(decoded.from), end(decoded.to)]),
            octets: frame.octets,
        };
        for (split, parts) in SPLITS.iter().zip(&mut parts) {
            parts.push((split.part)(&shown));
        }
        whole.frames.push(frames::Frame {
            time: frame.time.0,
            octets: frame.octets.to_vec(),
            length: frame.octets.len(),
        });
    }
    (whole, parts)
}

/// Writes the parts of a capture into files.
fn split(whole: &Capture, rule: &[usize], parts: usize, folder: &Path) -> Vec<PathBuf> {
    let mut split = vec![Capture::new(); parts];
    for (frame, part) in whole.frames.iter().zip(rule) {
        split[*part].frames.push(frame.clone());
    }
    let name = |part| folder.join(format!("part-{part}.pcap"));
    let paths: Vec<_> = (0..parts).map(name).collect();
    for (part, path) in split.iter().zip(&paths) {
        part.write(path);
    }
    paths
}

/// Returns records without the place of their frames, and the places that they name.
fn without_places(records: &[Value]) -> (Vec<Value>, Vec<(Option<String>, u64)>) {
    let mut places = Vec::new();
    let bare = records.iter().map(|record| {
        let mut record = record.clone();
        let fields = record.as_object_mut().expect("an object");
        let file = fields
            .remove("file")
            .map(|file| file.as_str().expect("a name").to_owned());
        places.push((
            file,
            fields
                .remove("frame")
                .and_then(|frame| frame.as_u64())
                .expect("a number"),
        ));
        record
    });
    (bare.collect(), places)
}

fn merged(paths: &[PathBuf], threads: u16) -> Seen {
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let replay = Replay {
        threads: Some(threads),
        more: vec!["--merge".to_owned()],
        ..Replay::default()
    };
    replay.run_files(&paths)
}

/// Returns what of a capture that was split and merged differs from the whole.
fn differences(whole: &Seen, parts: &Seen, rule: &[usize], paths: &[PathBuf]) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let mut expect = |is_right: bool, what| {
        if !is_right {
            wrong.push(what);
        }
    };
    expect(parts.status == 0, "status");
    expect(parts.octets[0] == whole.octets[0], "alerts");
    expect(parts.octets[3] == whole.octets[3], "contacts");
    expect(parts.stats == whole.stats, "counters");
    for (parts, whole, what) in [(&parts.dns, &whole.dns, "dns"), (&parts.flows, &whole.flows, "flows")] {
        let (parts, places) = without_places(parts);
        let (whole, numbers) = without_places(whole);
        expect(parts == whole, what);
        let expected = numbers.iter().map(|(_, number)| {
            let at = usize::try_from(*number).expect("a number") - 1;
            let before = rule[..at].iter().filter(|part| **part == rule[at]).count() as u64;
            (Some(text(&paths[rule[at]]).to_owned()), before + 1)
        });
        expect(places == expected.collect::<Vec<_>>(), "places");
    }
    wrong
}

#[test]
fn rule_t2_a_capture_that_was_split_and_is_merged_gives_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut captures: Vec<PathBuf> = checkout("captures")
        .read_dir()
        .expect("captures/")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    captures.sort();
    assert!(captures.len() >= 10);
    let mut wrong = Vec::new();
    for path in captures {
        let (whole, rules) = read(&path);
        let seen = Replay::default().run_files(&[&path]);
        for (split_by, rule) in SPLITS.iter().zip(&rules) {
            let paths = split(&whole, rule, split_by.parts, folder.path());
            for threads in [1, 3] {
                let parts = merged(&paths, threads);
                let found = differences(&seen, &parts, rule, &paths);
                if !found.is_empty() {
                    wrong.push(format!("{} {} at {threads}: {found:?}", path.display(), split_by.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A capture with an alert, whose file is large enough to compress.
fn some() -> Capture {
    let recipe = "0.000 dns 10.1.0.5 > 10.1.0.2 a.example.com A 203.0.113.7
                  0.100 tcp 10.1.0.5:40000 > 203.0.113.7:443 out 100
                  9.000 tcp 10.1.0.5:40001 > 203.0.113.8:443 out 90000
                  30    udp 10.1.0.6:9 > 203.0.113.8:9";
    recipe::parse(recipe).remove(0).capture
}

#[test]
fn standard_input_may_be_one_of_several_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = some();
    let rule: Vec<usize> = (0..whole.frames.len()).map(|number| number % 2).collect();
    let paths = split(&whole, &rule, 2, folder.path());
    let expected = Replay::default().run(&whole);
    let replay = Replay {
        input: Some(paths[0].clone()),
        more: vec!["--merge".to_owned()],
        ..Replay::default()
    };
    let seen = replay.run_files(&[Path::new("-"), &paths[1]]);
    assert_eq!(
        (seen.status, &seen.octets[0]),
        (0, &expected.octets[0]),
        "{}",
        seen.said
    );
    let (_, places) = without_places(&seen.dns);
    // The query is the first frame of one file, the response that of the other.
    assert_eq!(places, [(Some(text(&paths[1]).to_owned()), 1)]);
    let files: BTreeSet<_> = without_places(&seen.flows)
        .1
        .into_iter()
        .map(|(file, _)| file)
        .collect();
    assert!(files.contains(&Some("standard input".to_owned())), "{files:?}");
}

#[test]
fn rule_f3_a_file_for_each_direction_makes_no_one_way_mirror() {
    let recipe = std::fs::read_to_string(checkout("tests/scenarios/f3_backscatter_is_no_contact/recipe"));
    let capture = recipe::parse(&recipe.expect("a recipe")).remove(0).capture;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("whole.pcap");
    capture.write(&path);
    let (whole, rules) = read(&path);
    let [_, by_direction, ..] = &SPLITS;
    let paths = split(&whole, &rules[1], by_direction.parts, folder.path());
    let seen = Replay::default().run_files(&[&path]);
    assert_eq!(differences(&seen, &merged(&paths, 2), &rules[1], &paths), [""; 0]);
}

#[test]
fn one_file_merged_is_the_file() {
    let capture = some();
    let replay = Replay {
        more: vec!["--merge".to_owned()],
        ..Replay::default()
    };
    assert_eq!(replay.run(&capture).octets, Replay::default().run(&capture).octets);
}

/// Returns what a program writes for this file; `None` if it is not there.
fn packed_by(program: &[&str], path: &Path) -> Option<Vec<u8>> {
    let [name, options @ ..] = program else { return None };
    let output = Command::new(name).args(options).arg(path).stdin(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(output.stdout)
}

#[test]
fn what_compressors_write_is_read_from_files_and_standard_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain = folder.path().join("plain");
    let packed = folder.path().join("packed");
    some().write(&plain);
    let expected = Replay::default().run_files(&[&plain]);
    assert_eq!(expected.alerts.len(), 3, "{}", expected.said);
    for program in [
        &["gzip", "-c"][..],
        &["gzip", "-1", "-c"],
        &["gzip", "-9", "-c"],
        &["pigz", "-c", "-b", "128"],
        &["zstd", "-c", "-q"],
        &["zstd", "-c", "-q", "-1", "--no-check"],
        &["zstd", "-c", "-q", "-19", "--long=27"],
        &["zstd", "-c", "-q", "--ultra", "-22"],
        &["pzstd", "-c", "-q"],
    ] {
        let Some(octets) = packed_by(program, &plain) else {
            skip(&format!("captures compressed by {program:?}: it does not run"));
            continue;
        };
        std::fs::write(&packed, &octets).expect("a file can be written");
        let from_file = Replay::default().run_files(&[&packed]);
        let from_input = Replay {
            input: Some(packed.clone()),
            ..Replay::default()
        }
        .run_files(&[Path::new("-")]);
        for seen in [from_file, from_input] {
            assert_eq!(seen.status, 0, "{program:?}: {}", seen.said);
            assert_eq!(seen.octets, expected.octets, "{program:?}");
        }
    }
}

#[test]
fn a_run_without_a_state_folder_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let output = replay(&[])
        .env("TMPDIR", temporary.path())
        .arg(checkout("captures/refused.pcap"))
        .output()
        .expect("replay can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty(), "it raises an alert");
    assert_eq!(std::fs::read_dir(temporary.path()).expect("it is there").count(), 0);
}
