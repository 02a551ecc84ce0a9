//! `merge`: two sensors' baselines make one, in any order and any number of times (rule B5).

use std::io::Write;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{baseline, export, learn, traffic};
use crate::support::Capture;
use crate::support::programs::{Replay, sensor, text};

#[test]
fn two_sensors_baselines_make_one_whichever_comes_first() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    let mut second = traffic(3);
    // Another workload, which only the second sensor sees.
    second.tcp(4 * 86_400_000_000_000, "10.9.0.7:50000", "198.51.100.9:443", 5, 6);
    let halves = [traffic(0), second];
    for (name, half) in ["a", "b", "ab", "ba"].into_iter().zip([0, 1, 0, 1]) {
        learn(&place(name), &halves[half]);
    }
    let merged = baseline("merge", &place("ab"), &[text(&place("b"))]);
    assert_eq!(merged.status, 0, "{}", merged.said);
    // The other way round, and from a file.
    let file = place("a.jsonl");
    std::fs::write(&file, export(&place("a"))).expect("a file");
    let merged = baseline("merge", &place("ba"), &[text(&file)]);
    assert_eq!(merged.status, 0, "{}", merged.said);
    let both = export(&place("ab"));
    assert_eq!(both, export(&place("ba")));
    assert!(
        both.contains("10.9.0.7") && both.contains(r#""days":"9""#),
        "days 0 and 3 of the same pairs: {both}"
    );

    // Into nothing, both at once, in either order, one of them twice; and once more into what has it all.
    for sources in [["a", "b", "a"], ["b", "a", "b"]] {
        let state = place(&sources.concat());
        let sources = sources.map(|name| text(&place(name)).to_owned());
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        for run in 0..2 {
            let merged = baseline("merge", &state, &sources);
            assert_eq!(merged.status, 0, "{}", merged.said);
            assert_eq!(export(&state), both);
            assert_eq!(
                merged.said.contains(" 0 pairs new or changed"),
                run == 1,
                "{}",
                merged.said
            );
        }
    }
}

#[test]
fn what_was_merged_is_known_to_the_judge() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, into) = (folder.path().join("from"), folder.path().join("into"));
    learn(&from, &traffic(0));
    let merged = baseline("merge", &into, &[text(&from)]);
    assert_eq!(merged.status, 0, "{}", merged.said);
    let replay = Replay {
        settings: Some(super::SETTINGS.to_owned()),
        state: Some(into.clone()),
        ..Replay::default()
    };
    assert_eq!(replay.run(&traffic(1)).alerts, Vec::<serde_json::Value>::new());
    let mut other = Capture::new();
    other.tcp(2 * 86_400_000_000_000, "10.1.0.5:41000", "192.0.2.1:443", 5, 6);
    assert_eq!(replay.run(&other).alerts.len(), 1);
}

#[test]
fn rule_b4_a_new_member_of_a_group_starts_from_the_baseline_that_was_merged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, into) = (folder.path().join("from"), folder.path().join("into"));
    learn(&from, &traffic(0));
    let merged = baseline("merge", &into, &[text(&from)]);
    assert_eq!(merged.status, 0, "{}", merged.said);
    let member = "\n[[workload]]\nname = \"new\"\nprefixes = [\"10.1.0.99/32\"]\n";
    let mut capture = Capture::new();
    let day = 86_400_000_000_000;
    capture.resolve(day, "10.1.0.99", "10.1.0.2", "www.example.com", "203.0.113.7");
    capture.tcp(day + 20_000_000, "10.1.0.99:40000", "203.0.113.7:443", 5, 6);
    for (group, alerts) in [("group = \"frontend\"\n", 0), ("group = \"backend\"\n", 1)] {
        let state = folder.path().join(format!("{alerts}"));
        let merged = baseline("merge", &state, &[text(&into)]);
        assert_eq!(merged.status, 0, "{}", merged.said);
        let replay = Replay {
            settings: Some(format!("{}{member}{group}", super::SETTINGS)),
            state: Some(state),
            ..Replay::default()
        };
        assert_eq!(replay.run(&capture).alerts.len(), alerts, "{group}");
    }
}

/// Six thousand pairs of a few workloads.
fn many() -> Capture {
    let mut capture = Capture::new();
    for n in 0..6000_i64 {
        let client = format!("10.1.{}.{}:40000", n % 7, 1 + n % 3);
        let server = format!("198.51.{}.{}:443", n / 250, 1 + n % 250);
        capture.tcp(n * 5_000_000, &client, &server, 1, 1);
    }
    capture
}

#[test]
fn a_larger_ledger_is_merged_in_batches() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, into) = (folder.path().join("from"), folder.path().join("into"));
    learn(&from, &many());
    let merged = baseline("merge", &into, &[text(&from)]);
    assert!(
        merged.said.contains("6000 pairs read, 6000 pairs new or changed"),
        "{}",
        merged.said
    );
    assert_eq!(export(&from), export(&into));
}

#[test]
fn compressed_exports_are_merged_and_damage_is_told_by_file_and_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    learn(&place("from"), &traffic(0));
    let whole = export(&place("from"));

    let packed = |octets: &[u8]| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(octets).unwrap();
        packer.finish().unwrap()
    };
    let gzip = packed(whole.as_bytes());
    std::fs::write(place("whole.gz"), &gzip).unwrap();
    let merged = baseline("merge", &place("a"), &[text(&place("whole.gz"))]);
    assert_eq!(
        (merged.status, export(&place("a"))),
        (0, whole.clone()),
        "{}",
        merged.said
    );

    // A frame of zstd with one raw block (RFC 8878 section 3.1.1).
    let short = whole
        .lines()
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let size = u32::try_from(short.len()).unwrap();
    let block = (size << 3 | 1).to_le_bytes();
    let zstd = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0xa0],
        &size.to_le_bytes()[..],
        &block[..3],
        short.as_bytes(),
    ]
    .concat();
    std::fs::write(place("short.zst"), &zstd).unwrap();
    let merged = baseline("merge", &place("short"), &[text(&place("short.zst"))]);
    assert_eq!((merged.status, export(&place("short"))), (0, short), "{}", merged.said);

    std::fs::write(place("cut.gz"), &gzip[..gzip.len() - 20]).unwrap();
    let merged = baseline("merge", &place("b"), &[text(&place("cut.gz"))]);
    assert_eq!(merged.status, 1);
    assert!(
        merged
            .said
            .contains("cut.gz: cannot be read: it is compressed and ends"),
        "{}",
        merged.said
    );

    let lines: Vec<&str> = whole.lines().collect();
    let damaged = lines
        .iter()
        .enumerate()
        .map(|(n, line)| if n == 5 { "{\"record\":\"pair\"}" } else { line })
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(place("damaged.jsonl"), damaged).unwrap();
    let merged = baseline("merge", &place("c"), &[text(&place("damaged.jsonl"))]);
    assert_eq!(merged.status, 1);
    assert!(
        merged.said.contains("damaged.jsonl:6: missing field"),
        "{}",
        merged.said
    );
    assert!(
        merged.said.contains("1 row cannot be read; the rest was taken over"),
        "{}",
        merged.said
    );
    assert_eq!(export(&place("c")).lines().count(), lines.len() - 1);

    for (name, content) in [("other.jsonl", "{\"a\":1}\n"), ("empty", "")] {
        std::fs::write(place(name), content).unwrap();
        let merged = baseline("merge", &place("d"), &[text(&place("whole.gz")), text(&place(name))]);
        assert_eq!((merged.status, merged.said.lines().count()), (2, 1), "{}", merged.said);
        assert!(!place("d").exists(), "nothing is begun with a source that is none");
    }
    let merged = baseline("merge", &place("d"), &[text(&place("absent"))]);
    assert_eq!((merged.status, merged.said.lines().count()), (1, 1), "{}", merged.said);
}

#[test]
fn a_merge_that_is_killed_is_made_whole_by_the_same_merge() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    learn(&place("from"), &many());
    let whole = export(&place("from"));
    let file = place("from.jsonl");
    std::fs::write(&file, &whole).expect("a file");
    let mut met = Vec::new();
    for percent in [20, 50, 80, 99] {
        let state = place(&percent.to_string());
        let mut command = sensor(&["baseline", "merge", "--state", text(&state), "/dev/stdin"]);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("sensor can be run");
        let mut input = child.stdin.take().expect("a pipe");
        // A pipe holds 64 KiB: once the write is through, the rest was read.
        input
            .write_all(&whole.as_bytes()[..whole.len() * percent / 100])
            .expect("merge reads its input");
        child.kill().expect("merge can be killed");
        child.wait().expect("merge ended");
        drop(input);
        met.push(baseline("export", &state, &[]).out.lines().count());
        let merged = baseline("merge", &state, &[text(&file)]);
        assert_eq!(merged.status, 0, "{percent}: {}", merged.said);
        assert_eq!(export(&state), whole, "killed at {percent} %");
    }
    assert!(met.iter().any(|lines| *lines > 1000 && *lines < 6000), "{met:?}");
}
