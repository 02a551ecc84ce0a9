//! Whole replays as processes, as ratios to a bare libpcap counting loop over the same file in the same run.
//!
//! `FIRSTCONTACT_CAPTURES=DIR` names a folder of captures (every `.pcap` of it is measured); without it two are made.
//! Each pair is one counting loop and one `replay --learn` on a fresh ledger; printed are medians. Nothing here fails
//! on time.

#![expect(clippy::disallowed_methods, reason = "a bench measures by the clock")]

mod traffic;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use traffic::{Made, Plan};

/// How many pairs are measured of each capture.
const PAIRS: usize = 5;
/// The argument that makes this program the counting loop.
const COUNT: &str = "--count-frames-of";

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == COUNT) {
        let file = arguments.next().expect("a capture");
        println!("{}", count(Path::new(&file)));
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!(
        "{:<24}{:>12}{:>14}{:>14}{:>10}{:>10}",
        "capture", "loop CPU s", "replay CPU s", "replay wall s", "CPU x", "wall x"
    );
    for capture in captures(folder.path()) {
        let (mut loops, mut replays) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let this = std::env::current_exe().expect("this program's path");
            loops.push(measure(Command::new(this).arg(COUNT).arg(&capture)));
            let state = folder.path().join("state");
            let mut replay = Command::new(env!("CARGO_BIN_EXE_replay"));
            replay
                .args(["--learn", "--state"])
                .arg(&state)
                .arg("--alerts")
                .arg(folder.path().join("alerts.jsonl"));
            replays.push(measure(replay.arg(&capture)));
            std::fs::remove_dir_all(&state).expect("the ledger just written");
        }
        let (own, bare) = (median(replays), median(loops));
        let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64().max(0.01);
        println!(
            "{:<24}{:>12.2}{:>14.2}{:>14.2}{:>10.2}{:>10.2}",
            capture.file_stem().unwrap_or_default().to_string_lossy(),
            bare.0.as_secs_f64(),
            own.0.as_secs_f64(),
            own.1.as_secs_f64(),
            ratio(own.0, bare.0),
            ratio(own.1, bare.1),
        );
    }
}

/// The bare loop: every frame is read and nothing is done with it.
fn count(file: &Path) -> u64 {
    let mut capture = pcap::Capture::from_file(file).expect("a capture");
    let mut frames = 0;
    while capture.next_packet().is_ok() {
        frames += 1;
    }
    frames
}

/// Returns the CPU time and wall time of a process.
fn measure(command: &mut Command) -> (Duration, Duration) {
    let before = children_cpu();
    let started = Instant::now();
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a program that starts");
    assert!(status.success(), "{command:?} failed");
    (children_cpu() - before, started.elapsed())
}

/// Returns the CPU time of all children that ended so far, from proc(5): fields 16 and 17 of stat, in hundredths.
fn children_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux system");
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split(' ')
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the medians of both times.
fn median(mut runs: Vec<(Duration, Duration)>) -> (Duration, Duration) {
    runs.sort_unstable();
    let cpu = runs[runs.len() / 2].0;
    runs.sort_unstable_by_key(|run| run.1);
    (cpu, runs[runs.len() / 2].1)
}

/// Returns the captures to measure.
fn captures(folder: &Path) -> Vec<PathBuf> {
    if let Some(given) = std::env::var_os("FIRSTCONTACT_CAPTURES") {
        let entries = std::fs::read_dir(given).expect("the folder that FIRSTCONTACT_CAPTURES names");
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
        found.sort();
        return found;
    }
    let plans = [
        (
            "data",
            Plan {
                flows: 15_000,
                workloads: 500,
                names: 20_000,
                segments: 60,
            },
        ),
        (
            "starts",
            Plan {
                flows: 200_000,
                workloads: 1000,
                names: 50_000,
                segments: 0,
            },
        ),
    ];
    let made = plans.map(|(name, plan)| {
        let path = folder.join(format!("{name}.pcap"));
        let file = std::fs::File::create(&path).expect("a writable temporary folder");
        write(&traffic::make(plan), std::io::BufWriter::new(file)).expect("space for the capture");
        path
    });
    made.to_vec()
}

/// Writes frames as a nanosecond pcap file.
fn write(frames: &[Made], mut to: impl Write) -> std::io::Result<()> {
    to.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
    to.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])?;
    for frame in frames {
        let (seconds, rest) = (frame.time / 1_000_000_000, frame.time % 1_000_000_000);
        let length = (frame.octets.len() as u32).to_le_bytes();
        to.write_all(&(seconds as u32).to_le_bytes())?;
        to.write_all(&(rest as u32).to_le_bytes())?;
        to.write_all(&length)?;
        to.write_all(&length)?;
        to.write_all(&frame.octets)?;
    }
    to.flush()
}
