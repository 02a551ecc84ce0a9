//! Rule W5: what is mirrored twice within one segment gives what it gives once, over every capture of the project and
//! every recipe, however the copies come.

use std::path::{Path, PathBuf};

use firstcontact::capture::CaptureFile;
use firstcontact::model::{LinkType, SourceId};
use serde_json::Value;

use crate::determinism::captures;
use crate::scenarios;
use crate::support::copies::{Way, doubled};
use crate::support::frames::{self, Frame, STEP};
use crate::support::programs::Replay;
use crate::support::{Seen, checkout, recipe};

/// Copies come at most so much later.
const LATEST: i64 = 5 * STEP;
/// VNIs of one estate.
const ESTATE: &str = "[[segment]]\nname = \"estate\"\nvni = [4001, 4002]\n";
/// One that has more envelopes than this already is not put into a further one.
const DEEPEST: &str = "eight.pcap";

/// Recipes that are about single frames, so that a second one is no copy:
const OF_SINGLE_FRAMES: [&str; 4] = [
    // Two frames agree on a time in the future.
    "t1_a_frame_far_ahead_takes_the_clocks_time_if_the_next_does_not_agree",
    // What there is of a datagram takes the clock's time, and the latest frame is a copy.
    "w4_a_flow_whose_other_fragments_are_missing_is_a_contact",
    "w4_an_incomplete_dns_response_gives_what_comes_before_the_gap",
    // A fragment that contradicts a datagram that was given belongs to the next one with its identification.
    "w4_of_fragments_that_contradict_each_other_the_first_counts_in_ipv4",
];

/// A capture that is compared with itself, doubled.
struct Original {
    link: LinkType,
    frames: Vec<Frame>,
}

/// One way to double a capture.
struct Doubling {
    name: &'static str,
    /// What is done to every frame, so that both copies are in one segment.
    first: Option<Way>,
    copy: Way,
    settings: Option<&'static str>,
}

fn doublings() -> [Doubling; 5] {
    let plain = |name, copy| Doubling {
        name,
        first: None,
        copy,
        settings: None,
    };
    [
        plain("alike", Way::Alike),
        plain("ttl", Way::Ttl(33)),
        plain("vlan", Way::Vlan(77)),
        plain("mirror", Way::Mirror(frames::ip("10.250.0.77"))),
        Doubling {
            name: "vni",
            first: Some(Way::Vni(4001)),
            copy: Way::Vni(4002),
            settings: Some(ESTATE),
        },
    ]
}

fn read(path: &Path) -> Original {
    let mut file = CaptureFile::open(path, SourceId(0)).expect("a capture");
    let mut original = Original {
        link: LinkType::Raw,
        frames: Vec::new(),
    };
    while let Some(frame) = file.next().expect("a frame") {
        original.link = frame.link;
        original.frames.push(Frame {
            time: frame.time.0,
            octets: frame.octets.to_vec(),
            length: frame.octets.len(),
        });
    }
    original
}

fn number(link: LinkType) -> u32 {
    let numbers = (0..=u16::MAX).map(i32::from);
    let mut numbers = numbers.filter(|number| LinkType::from_number(*number) == Some(link));
    numbers.next().map(i32::cast_unsigned).expect("a link type")
}

/// Writes a capture of any link type.
fn write(link: LinkType, frames: &[Frame], path: &Path) {
    let header = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 262_144, number(link)];
    let mut file: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    for frame in frames {
        let (seconds, rest) = (frame.time / frames::SECOND, frame.time % frames::SECOND);
        for value in [
            seconds as u32,
            rest as u32,
            frame.octets.len() as u32,
            frame.length as u32,
        ] {
            file.extend(value.to_le_bytes());
        }
        file.extend(&frame.octets);
    }
    std::fs::write(path, file).expect("a capture can be written");
}

/// Returns frames with a copy of each, up to 5 ms later; each has its own delay, which is the same in every run.
fn twice(frames: Vec<Frame>, way: Way) -> Vec<Frame> {
    doubled(frames, |n, frame| {
        let octets = way.copy(&frame.octets);
        let mixed = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Frame {
            time: frame.time + mixed as i64 % (LATEST + 1),
            length: octets.len(),
            octets,
        }
    })
}

/// Fields that say something of the frames, of which there are twice as many, and not of the packets in them: the number
/// of a frame, and when an epoch ended that ends with the input.
const OF_FRAMES: [&str; 2] = ["frame", "at"];

/// Says whether two durations differ by no more than copies are apart: acknowledgments that nothing tells apart are
/// handed on, and the last packet of a flow may be one.
fn is_near(one: &Value, other: &Value) -> bool {
    let differ = one.as_f64().zip(other.as_f64()).map(|(one, other)| (one - other).abs());
    differ.is_some_and(|seconds| seconds <= LATEST as f64 / frames::SECOND as f64)
}

/// Returns the fields in which two lines differ.
fn fields(one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.retain(|key| !OF_FRAMES.contains(&key.as_str()));
            let below = keys.into_iter().flat_map(|key| {
                let field = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                let (one, other) = (field(one), field(other));
                let found = if key == "duration" && is_near(&one, &other) {
                    Vec::new()
                } else {
                    fields(&one, &other)
                };
                found.into_iter().map(move |found| format!("{key} {found}"))
            });
            below.collect()
        }
        _ if one == other => Vec::new(),
        _ => vec![format!("{one} {other}")],
    }
}

/// Returns what differs between what was seen once and twice.
fn differences(name: &str, once: &Seen, twice: &Seen) -> Vec<String> {
    let pairs = [
        ("alerts", &once.alerts, &twice.alerts),
        ("dns", &once.dns, &twice.dns),
        ("flows", &once.flows, &twice.flows),
        ("contacts", &once.contacts, &twice.contacts),
    ];
    let mut wrong = Vec::new();
    for (what, one, other) in pairs {
        let found: Vec<String> = one
            .iter()
            .zip(other)
            .flat_map(|(one, other)| fields(one, other))
            .collect();
        if one.len() != other.len() || !found.is_empty() {
            let (lines, more) = (one.len(), other.len());
            wrong.push(format!("{name}: {what}: {lines} and {more}: {:.400}", found.join(", ")));
        }
    }
    if once.status != twice.status {
        wrong.push(format!("{name}: {}", twice.said));
    }
    wrong
}

fn replay(path: &Path, doubling: &Doubling, threads: u16) -> Seen {
    Replay {
        settings: doubling.settings.map(str::to_owned),
        threads: Some(threads),
        ..Replay::default()
    }
    .run_files(&[path])
}

/// Compares a capture with itself, doubled in every way.
fn compare(path: &Path) -> Vec<String> {
    let original = read(path);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (once, again) = (folder.path().join("once.pcap"), folder.path().join("twice.pcap"));
    let mut wrong = Vec::new();
    for doubling in doublings() {
        let is_plain = original.link == LinkType::Ethernet && !path.ends_with(DEEPEST);
        if !is_plain && doubling.copy != Way::Alike {
            continue;
        }
        let mut frames = original.frames.clone();
        for frame in &mut frames {
            if let Some(way) = doubling.first {
                frame.octets = way.copy(&frame.octets);
                frame.length = frame.octets.len();
            }
        }
        write(original.link, &frames, &once);
        let single = replay(&once, &doubling, 1);
        write(original.link, &twice(frames, doubling.copy), &again);
        for threads in [1, 3] {
            let name = format!("{}: {}: {threads} threads", path.display(), doubling.name);
            let seen = replay(&again, &doubling, threads);
            wrong.extend(differences(&name, &single, &seen));
            // Where all packets are in fragments, the second ones are known as such before.
            let known = [&seen.stats["duplicates"]["dropped"], &seen.stats["ignored"]["fragment"]];
            if known.iter().all(|counter| **counter == 0) && !single.flows.is_empty() {
                wrong.push(format!("{name}: nothing was dropped"));
            }
        }
    }
    wrong
}

#[test]
fn rule_w5_every_capture_gives_twice_what_it_gives_once() {
    let paths = captures(&checkout("captures"));
    assert!(paths.len() > 40, "{paths:?}");
    let wrong: Vec<String> = paths.iter().flat_map(|path| compare(path)).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn rule_w5_every_recipe_gives_twice_what_it_gives_once() {
    let mut wrong = Vec::new();
    for folder in scenarios::folders() {
        let name = scenarios::name(&folder);
        if OF_SINGLE_FRAMES.contains(&name.as_str()) {
            continue;
        }
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
        let state = tempfile::tempdir().expect("a temporary folder");
        let steps = recipe::parse(&read("recipe").expect("a recipe"));
        for (n, step) in steps.into_iter().enumerate() {
            let mut capture = step.capture;
            if !capture.frames.is_sorted_by_key(|frame| frame.time) {
                // A copy moves the clock on, and frames that step back by less take its time (rule T1).
                continue;
            }
            let run = |capture: &_, state: PathBuf| {
                let replay = Replay {
                    settings: read("settings.toml"),
                    state: Some(state),
                    learns: step.learns,
                    shift: step.shift.clone(),
                    ..Replay::default()
                };
                replay.run(capture)
            };
            let once = run(&capture, state.path().join("once"));
            capture.frames = twice(std::mem::take(&mut capture.frames), Way::Alike);
            let seen = run(&capture, state.path().join("twice"));
            wrong.extend(differences(&format!("{name}: step {}", n + 1), &once, &seen));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
