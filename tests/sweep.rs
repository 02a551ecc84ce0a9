//! Every capture of the project, cut at every octet and with every octet changed, through the real way: files, decoder,
//! fragments, partitions and judge. Nothing panics or hangs, and every frame ends in exactly one counter.
//!
//! Frames are swept by themselves, in one run a capture; files and fragments whole, one run for each change. `make fuzz` does
//! all of it (`FIRSTCONTACT_SWEEP=whole`), `make test` a part that is the same each time.

use std::path::{Path, PathBuf};

use firstcontact::capture::CaptureFile;
use firstcontact::engine::{DecodeReport, Decoder, Ending, Mark, Packets, Records};
use firstcontact::model::{Counter, Counters, Frame, LinkType, Packet, Policy, SourceId, Span, Timestamp};

use crate::support::checkout;
use crate::support::engine::{Engine, assert_balanced};

/// The fewest captures that there have to be, so that a folder that is not there is no success.
const FEWEST: usize = 45;
/// Files up to this length are swept as files; a longer one has nothing that a shorter one has not.
const SMALL: usize = 4096;
/// How many microseconds lie between two changed frames, so that epochs and time-outs come and go.
const STEP: i64 = 700_000;

/// What becomes of an octet.
const CHANGES: [fn(u8) -> u8; 5] = [|_| 0, |_| 0xff, |octet| octet ^ 1, |octet| octet ^ 0x80, |octet| !octet];

/// One frame of a capture.
struct Taken {
    link: LinkType,
    time: Timestamp,
    octets: Vec<u8>,
}

/// Says what was done last if that did not end well.
struct Doing(String);

impl Drop for Doing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

fn is_whole() -> bool {
    std::env::var("FIRSTCONTACT_SWEEP").is_ok_and(|form| form == "whole")
}

fn captures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["captures", "captures/envelopes", "captures/fragments"] {
        let entries = std::fs::read_dir(checkout(folder)).expect("the captures can be read");
        found.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    found.sort();
    assert!(found.len() >= FEWEST, "{} captures", found.len());
    found
}

fn frames(path: &Path) -> Vec<Taken> {
    let mut capture = CaptureFile::open(path, SourceId(0)).expect("a capture");
    let mut taken = Vec::new();
    while let Some(frame) = capture.next().expect("a frame") {
        taken.push(Taken {
            link: frame.link,
            time: frame.time,
            octets: frame.octets.to_vec(),
        });
    }
    taken
}

fn decoder() -> Decoder {
    Decoder::new(
        &Policy {
            memory: 1 << 20,
            ..Policy::default()
        },
        Span::ZERO,
        1,
    )
}

/// Hands every change of some octets to `take`: cut before each, and each changed in every way.
fn sweep(octets: &[u8], every: usize, mut take: impl FnMut(usize, &[u8])) {
    let mut changed = octets.to_vec();
    for at in (0..octets.len()).step_by(every) {
        take(at, &octets[..at]);
        for (n, change) in CHANGES.iter().enumerate() {
            // A part takes two of the changes at each place, others at the next.
            if every > 1 && !(at / every + n).is_multiple_of(3) {
                continue;
            }
            changed[at] = change(octets[at]);
            if changed[at] != octets[at] {
                take(at, &changed);
            }
            changed[at] = octets[at];
        }
    }
}

#[test]
fn every_octet_of_every_frame_may_be_cut_or_changed() {
    let mut total = 0;
    for path in captures() {
        let taken = frames(&path);
        let octets: usize = taken.iter().map(|frame| frame.octets.len()).sum();
        // About as many changes for each capture.
        let every = if is_whole() { 1 } else { 1 + octets / 12_000 };
        let mut engine = Engine::new(2, 0, Records::NotWanted);
        let mut decoder = decoder();
        let mut doing = Doing(String::new());
        let (mut count, mut time) = (0, taken.first().expect("frames").time);
        for (number, frame) in taken.iter().enumerate() {
            sweep(&frame.octets, every, |at, octets| {
                doing.0.clear();
                let _ = std::fmt::Write::write_fmt(
                    &mut doing.0,
                    format_args!("{}: frame {}, octet {at}", path.display(), number + 1),
                );
                count += 1;
                time = time.plus(Span(STEP));
                let frame = Frame {
                    time,
                    source: SourceId(0),
                    link: frame.link,
                    octets,
                };
                decoder.frame(frame, &mut engine);
            });
        }
        decoder.finish(Ending::Input, &mut engine);
        assert_balanced(&engine.counters, count);
        total += count;
    }
    println!("{total} frames");
}

#[test]
fn every_octet_of_fragments_may_be_cut_or_changed() {
    let mut runs = 0;
    for path in captures() {
        if !path.parent().is_some_and(|folder| folder.ends_with("fragments")) {
            continue;
        }
        let taken = frames(&path);
        let every = if is_whole() { 1 } else { 7 };
        for (number, changed) in taken.iter().enumerate() {
            sweep(&changed.octets, every, |at, octets| {
                let _doing = Doing(format!("{}: frame {}, octet {at}", path.display(), number + 1));
                let mut counted = Counted::default();
                let mut decoder = decoder();
                for (n, frame) in taken.iter().enumerate() {
                    let octets = if n == number { octets } else { &frame.octets };
                    let frame = Frame {
                        time: frame.time,
                        source: SourceId(0),
                        link: frame.link,
                        octets,
                    };
                    decoder.frame(frame, &mut counted);
                }
                decoder.finish(Ending::Input, &mut counted);
                let counters = counted.0;
                let joined = counters.get(Counter::FragmentsJoined);
                let sum = counters.get(Counter::Packets) + counters.malformed() + counters.ignored() + joined;
                assert_eq!(
                    (counters.get(Counter::Frames), sum),
                    (taken.len() as u64, taken.len() as u64)
                );
                runs += 1;
            });
        }
    }
    println!("{runs} runs");
}

/// Takes what the decoder counts, for runs that are too many for a judge.
#[derive(Default)]
struct Counted(Counters);

impl Packets for Counted {
    fn packet(&mut self, _: usize, _: &Packet, _: &[u8]) {}

    fn mark(&mut self, _: Mark, report: DecodeReport) {
        self.0.merge(&report.counters);
    }
}

#[test]
fn every_octet_of_a_small_file_may_be_cut_or_changed() {
    // In memory where the system has a folder for that: no disk shall have to keep up.
    let in_memory = Path::new("/dev/shm");
    let folder = if in_memory.is_dir() {
        tempfile::tempdir_in(in_memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder");
    let changed = folder.path().join("changed.pcap");
    let mut runs = 0;
    for path in captures() {
        let octets = std::fs::read(&path).expect("a capture");
        if octets.len() > SMALL {
            continue;
        }
        let mut engine = Engine::new(2, 0, Records::NotWanted);
        let mut count = 0;
        let mut decoder = decoder();
        // Every octet of the headers of the file and of its first frames, and a part of what the other sweeps change too.
        let every = if is_whole() { 1 } else { 23 };
        let head = &octets[..octets.len().min(256)];
        let mut take = |at: usize, octets: &[u8]| {
            let _doing = Doing(format!("{}: octet {at}", path.display()));
            std::fs::write(&changed, octets).expect("the file can be written");
            runs += 1;
            let Ok(mut capture) = CaptureFile::open(&changed, SourceId(0)) else {
                return;
            };
            while let Ok(Some(frame)) = capture.next() {
                decoder.frame(frame, &mut engine);
                count += 1;
            }
        };
        sweep(head, 1, |at, changed| {
            let rest = if changed.len() == head.len() {
                &octets[head.len()..]
            } else {
                &[]
            };
            take(at, &[changed, rest].concat());
        });
        sweep(&octets, every, take);
        decoder.finish(Ending::Input, &mut engine);
        assert_balanced(&engine.counters, count);
    }
    println!("{runs} files");
}
