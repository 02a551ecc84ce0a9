//! `import`: logs of others give the pairs that the packets of the same traffic give.

use std::path::{Path, PathBuf};

use firstcontact::capture::CaptureFile;
use firstcontact::model::{LinkType, SourceId};
use serde_json::Value;

use super::{Ran, SETTINGS, baseline, export};
use crate::support::dns::{self, Message, Record};
use crate::support::frames::{ACK, Frame, RST, SECOND, STEP, SYN, Segment, endpoint, id_of, ip};
use crate::support::logs::{self, DnsVersion};
use crate::support::programs::{Replay, lines, text};
use crate::support::{Capture, checkout};

const DAY: i64 = 86_400 * SECOND;

/// What a capture gives: its export, and the material of logs.
struct Told {
    folder: tempfile::TempDir,
    settings: String,
    export: String,
    flows: Vec<logs::Flow>,
    lookups: Vec<logs::Lookup>,
}

impl Told {
    fn by(capture: &Path, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("replayed");
        let replay = Replay {
            settings: Some(settings.to_owned()),
            state: Some(state.clone()),
            learns: true,
            ..Replay::default()
        };
        let seen = replay.run_files(&[capture]);
        assert_eq!(seen.status, 0, "{}", seen.said);
        let mut file = CaptureFile::open(capture, SourceId(0)).expect("a capture");
        let mut frames = Vec::new();
        let mut link = LinkType::Ethernet;
        while let Some(frame) = file.next().expect("a whole capture") {
            link = frame.link;
            frames.push(Frame {
                time: frame.time.0,
                octets: frame.octets.to_vec(),
                length: frame.octets.len(),
            });
        }
        Self {
            settings: settings.to_owned(),
            export: export(&state),
            flows: logs::flows(&frames, link),
            lookups: logs::lookups(&seen.dns, &frames, link),
            folder,
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Imports files with this content into a ledger of their own.
    fn import(&self, name: &str, files: &[(&str, String)]) -> PathBuf {
        let state = self.place(name);
        let done = self.import_into(&state, files);
        assert_eq!(done.status, 0, "{name}: {}", done.said);
        state
    }

    fn import_into(&self, state: &Path, files: &[(&str, String)]) -> Ran {
        let config = self.place("settings.toml");
        std::fs::write(&config, &self.settings).expect("a file");
        let mut arguments = vec!["--config".to_owned(), text(&config).to_owned()];
        for (name, content) in files {
            let path = self.place(name);
            std::fs::write(&path, content).expect("a file");
            arguments.push(text(&path).to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        baseline("import", state, &arguments)
    }

    /// The logs of a format.
    fn logs(&self, format: &str) -> Vec<(&'static str, String)> {
        let (flows, lookups) = (&self.flows, &self.lookups);
        match format {
            // Flows first: rows of all files are put in order.
            "zeek" => vec![
                ("conn.log", logs::zeek_conn(flows)),
                ("dns.log", logs::zeek_dns(lookups)),
            ],
            "zeek-json" => vec![("zeek.json", logs::zeek_json(flows, lookups))],
            "eve-1" => vec![("eve.json", logs::eve(flows, lookups, DnsVersion::One))],
            "eve-2" => vec![("eve.json", logs::eve(flows, lookups, DnsVersion::Two))],
            "eve-3" => vec![("eve.json", logs::eve(flows, lookups, DnsVersion::Three))],
            other => panic!("no format {other}"),
        }
    }
}

/// Returns segments, workloads and pairs of an export, without the fields that a format cannot hold. The header says when
/// the last packet came, and a resolver when it was found, which logs tell only roughly.
fn comparable(export: &str, without: &[&str]) -> Vec<Value> {
    let kept = lines(export)
        .into_iter()
        .filter(|line| line["record"] != "baseline" && line["record"] != "resolver");
    kept.map(|mut line| {
        for field in without {
            line.as_object_mut().unwrap().remove(*field);
        }
        line
    })
    .collect()
}

fn assert_same(what: &str, imported: &str, replayed: &str, without: &[&str]) {
    let (imported, replayed) = (comparable(imported, without), comparable(replayed, without));
    for line in &replayed {
        assert!(imported.contains(line), "{what}: not imported: {line}\n{imported:#?}");
    }
    for line in &imported {
        assert!(replayed.contains(line), "{what}: made up: {line}");
    }
    assert_eq!(imported, replayed, "{what}");
}

/// Named, bare, refused and attempted contacts, UDP, DNS over UDP with a server outside, IPv6, a chain of CNAMEs, a flow
/// over three days, and a second day.
fn crafted() -> Capture {
    let mut capture = Capture::new();
    let segment = |flags, sequence, payload| Segment {
        flags,
        sequence,
        payload,
        captured: payload,
    };
    let day = |capture: &mut Capture, from: i64, port: u16| {
        let at = |host: &str, n: u16| format!("{host}:{}", port + n);
        capture.resolve(from, "10.1.0.5", "10.1.0.2", "www.example.com", "203.0.113.7");
        capture.tcp(from + 20 * STEP, &at("10.1.0.5", 0), "203.0.113.7:443", 500, 20_000);
        // The same name once more, for another host, later than its contact but within settle.
        capture.tcp(from + SECOND, &at("10.1.0.6", 1), "203.0.113.8:443", 40, 50);
        capture.resolve(
            from + 3 * SECOND,
            "10.1.0.6",
            "10.1.0.2",
            "api.example.org",
            "203.0.113.8",
        );
        // Nobody asked for these.
        capture.tcp(from + 10 * SECOND, &at("10.9.0.1", 2), "198.51.100.1:8443", 10, 20);
        let client = endpoint(&at("10.9.0.1", 3));
        capture.segment(
            from + 11 * SECOND,
            client,
            endpoint("198.51.100.2:22"),
            segment(SYN, 1000, 0),
        );
        capture.segment(
            from + 11 * SECOND + STEP,
            endpoint("198.51.100.2:22"),
            client,
            segment(RST | ACK, 0, 0),
        );
        let client = endpoint(&at("10.9.0.1", 4));
        for n in 0..3 {
            let at = from + (12 + 4 * n) * SECOND;
            capture.segment(at, client, endpoint("198.51.100.3:25"), segment(SYN, 2000, 0));
        }
        capture.udp(
            from + 30 * SECOND,
            endpoint(&at("10.9.0.1", 5)),
            endpoint("198.51.100.4:123"),
            &[0x23; 48],
        );
        capture.udp(
            from + 30 * SECOND + STEP,
            endpoint("198.51.100.4:123"),
            endpoint(&at("10.9.0.1", 5)),
            &[0x24; 48],
        );
        capture.udp(
            from + 31 * SECOND,
            endpoint(&at("10.9.0.1", 6)),
            endpoint("198.51.100.5:514"),
            &[0x20; 99],
        );
        // A server outside, asked three times a day: one contact.
        for n in 0..3 {
            capture.resolve(
                from + (40 + n) * SECOND,
                "10.9.0.2",
                "9.9.9.9",
                &format!("n{n}.example.net"),
                "203.0.113.20",
            );
        }
        capture.tcp(from + 43 * SECOND, &at("10.9.0.2", 7), "203.0.113.20:443", 1, 2);
        // A chain, over IPv6.
        let name = "shop.example.edu";
        let message = Message {
            id: id_of("fd00:1::5", "fd00:1::2", name),
            name: name.to_owned(),
            qtype: dns::AAAA,
            records: vec![
                Record::alias(name, dns::CNAME, 300, "shop.hosting.example"),
                Record::alias("shop.hosting.example", dns::CNAME, 300, "lb.hosting.example"),
                Record::address("lb.hosting.example", 30, ip("2001:db8::7")),
            ],
            ..Message::default()
        };
        capture.dns(from + 50 * SECOND, ip("fd00:1::5"), ip("fd00:1::2"), &message);
        capture.tcp(
            from + 51 * SECOND,
            &format!("[fd00:1::5]:{}", port + 8),
            "[2001:db8::7]:443",
            300,
            400,
        );
        // Inside, and from outside: no contacts.
        capture.tcp(from + 60 * SECOND, &at("10.1.0.5", 9), "10.9.0.1:80", 7, 8);
        capture.tcp(from + 61 * SECOND, "198.51.100.200:33333", "10.1.0.5:80", 7, 8);
    };
    day(&mut capture, 0, 40_000);
    // Open for three days.
    let (client, server) = (endpoint("10.1.0.6:45000"), endpoint("203.0.113.8:8883"));
    capture.segment(2 * 3600 * SECOND, client, server, segment(SYN, 5000, 0));
    capture.segment(2 * 3600 * SECOND + STEP, server, client, segment(SYN | ACK, 7000, 0));
    for n in 0..60_u32 {
        let at = 2 * 3600 * SECOND + i64::from(n + 1) * 3000 * SECOND;
        capture.segment(at, client, server, segment(ACK, 5001 + 100 * n, 100));
    }
    let after = 3 * DAY;
    day(&mut capture, after, 41_000);
    capture
}

#[test]
fn logs_of_a_capture_give_the_pairs_of_its_packets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    let mut capture = crafted();
    capture.frames.sort_by_key(|frame| frame.time);
    capture.write(&path);
    let told = Told::by(&path, SETTINGS);
    let replayed = told.export.as_str();
    for part in [
        "www.example.com",
        "attempted_address",
        "shop.example.edu",
        r#""destination":"9.9.9.9""#,
        r#""days":"f""#,
    ] {
        assert!(replayed.contains(part), "{part} in {replayed}");
    }
    for format in ["zeek", "zeek-json", "eve-1", "eve-2", "eve-3"] {
        let state = told.import(format, &told.logs(format));
        assert_same(format, &export(&state), replayed, &[]);
    }
}

#[test]
fn rule_n2_a_log_without_queries_is_as_a_mirror_of_one_direction() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    let mut capture = crafted();
    capture.frames.sort_by_key(|frame| frame.time);
    capture.write(&path);
    let mut told = Told::by(&path, SETTINGS);
    for lookup in &mut told.lookups {
        lookup.is_matched = false;
    }
    for format in ["zeek", "zeek-json"] {
        let state = told.import(format, &told.logs(format));
        assert_same(format, &export(&state), &told.export, &[]);
    }
    // Where some queries were seen, a response without one counts for nothing.
    told.lookups[0].is_matched = true;
    let state = told.import("some", &told.logs("zeek"));
    assert!(!export(&state).contains("shop.example.edu"));
}

#[test]
fn a_second_import_changes_nothing_nor_does_one_of_what_the_sensor_saw() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    let mut capture = crafted();
    capture.frames.sort_by_key(|frame| frame.time);
    capture.write(&path);
    let told = Told::by(&path, SETTINGS);
    let once = told.import("state", &told.logs("zeek"));
    let before = export(&once);
    let again = told.import_into(&once, &told.logs("zeek"));
    assert!(again.said.contains(" 0 pairs new or changed"), "{}", again.said);
    assert_eq!(export(&once), before);
    // One format after another, and into the ledger of the sensor itself.
    for format in ["eve-2", "zeek-json"] {
        told.import_into(&once, &told.logs(format));
        assert_same(format, &export(&once), &told.export, &[]);
    }
    let replayed = told.place("replayed");
    told.import_into(&replayed, &told.logs("zeek"));
    assert_same("into the sensor's", &export(&replayed), &told.export, &[]);
    // An exported baseline is a log like any other.
    let copy = told.import(
        "copy",
        &[
            ("export.jsonl", before.clone()),
            ("eve.json", told.logs("eve-2").remove(0).1),
        ],
    );
    assert_eq!(export(&copy), before);
}

#[test]
fn logs_of_recorded_captures_give_the_pairs_of_their_packets() {
    let settings = std::fs::read_to_string(checkout("config/demo.toml")).expect("the demo's settings");
    // Hints of HTTPS records are in no log, so https-hints.pcap has no like.
    let captures = [
        "day-one",
        "day-two",
        "ipv6",
        "cname-chain",
        "strangers-bucket",
        "refused",
        "midstream",
        "dns-over-tcp",
    ];
    for name in captures {
        let told = Told::by(&checkout(&format!("captures/{name}.pcap")), &settings);
        for (format, without) in [
            ("zeek", &[][..]),
            ("zeek-json", &[]),
            // Microseconds; headers of TCP that have options, and padding of short frames, count as payload.
            (
                "eve-2",
                &["first", "last", "since", "novelty", "octets_out", "octets_in"],
            ),
        ] {
            let state = told.import(&format!("{name}-{format}"), &told.logs(format));
            assert_same(&format!("{name} by {format}"), &export(&state), &told.export, without);
        }
    }
}

#[test]
fn flow_logs_of_aws_give_the_pairs_to_the_second() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    let mut capture = crafted();
    capture.frames.sort_by_key(|frame| frame.time);
    capture.write(&path);
    let told = Told::by(&path, SETTINGS);
    let files = [
        ("flows.log", logs::vpc_flows(&told.flows)),
        ("queries.log", logs::route53(&told.lookups)),
    ];
    let state = told.import("aws", &files);
    // Seconds; and the log does not say which of the resolver's addresses was asked.
    let without = ["first", "last", "since", "novelty", "names"];
    assert_same("aws", &export(&state), &told.export, &without);
    let names = |export: &str| {
        let all = lines(export);
        let mut names: Vec<String> = all
            .iter()
            .flat_map(|line| line["names"].as_array().cloned().unwrap_or_default())
            .map(|name| name["name"].to_string())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&export(&state)), names(&told.export));
    let again = told.import_into(&state, &files);
    assert!(again.said.contains(" 0 pairs new or changed"), "{}", again.said);
}

#[test]
fn rows_that_cannot_be_read_are_told_by_file_and_line_and_the_rest_is_taken_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    super::traffic(0).write(&path);
    let told = Told::by(&path, SETTINGS);
    let [mut conn, dns] = <[_; 2]>::try_from(told.logs("zeek")).expect("two logs");
    conn.1 = conn.1.replace("#close", "1.0\tbroken\n#close");
    // Lookups alone: flows that are given twice count twice.
    let mixed = format!("{}{}", logs::eve(&[], &told.lookups, DnsVersion::Two), conn.1);
    let state = told.place("state");
    let ran = told.import_into(&state, &[conn, dns, ("mixed.log", mixed)]);
    assert_eq!(ran.status, 1, "{}", ran.said);
    let said: Vec<&str> = ran.said.lines().filter(|line| !line.contains("INFO")).collect();
    let broken = said
        .iter()
        .filter(|line| line.contains("conn.log:") && line.ends_with("it has 2 cells where #fields names 14"));
    let mixed = said
        .iter()
        .filter(|line| line.contains("mixed.log:") && line.contains("from here on it is a log of Zeek"));
    assert_eq!((broken.count(), mixed.count(), said.len()), (1, 1, 4), "{}", ran.said);
    assert_eq!(said[3], "error: 2 rows cannot be read; the rest was taken over");
    assert_same("the rest", &export(&state), &told.export, &[]);
}

#[test]
fn what_is_no_log_is_refused_before_anything_is_imported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    super::traffic(0).write(&path);
    let told = Told::by(&path, SETTINGS);
    let good = || told.logs("zeek").remove(0);
    let state = told.place("state");
    let ran = told.import_into(&state, &[good(), ("notes.txt", "who knows\n".to_owned())]);
    assert_eq!((ran.status, ran.said.lines().count()), (2, 1), "{}", ran.said);
    assert!(
        ran.said.contains("notes.txt: it begins as no log that can be imported"),
        "{}",
        ran.said
    );
    let absent = told.place("absent.log");
    let ran = baseline("import", &state, &[text(&absent)]);
    assert_eq!((ran.status, ran.said.lines().count()), (1, 1), "{}", ran.said);
    let ran = baseline("import", &state, &["--format", "zeke", text(&absent)]);
    assert_eq!(ran.status, 2, "{}", ran.said);
    assert!(!state.exists());
    // A quiet hour is no mistake, and a log may be of another kind than it looks.
    let ran = told.import_into(&state, &[("empty.log", String::new())]);
    assert_eq!(ran.status, 0, "{}", ran.said);
    let conn = told.place("conn.log");
    std::fs::write(&conn, good().1).expect("a file");
    let ran = baseline("import", &state, &["--format", "eve", text(&conn)]);
    assert_eq!(ran.status, 1, "{}", ran.said);
    assert!(ran.said.contains("from here on it is a log of Zeek"), "{}", ran.said);
}

#[test]
fn logs_are_imported_compressed_into_a_named_segment_and_not_beside_a_sensor() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    super::traffic(0).write(&path);
    let told = Told::by(&path, SETTINGS);
    let mut files = Vec::new();
    for (name, content) in told.logs("zeek") {
        let path = told.place(&format!("{name}.gz"));
        let file = std::fs::File::create(&path).expect("a file");
        let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packer.write_all(content.as_bytes()).expect("gzip");
        packer.finish().expect("gzip");
        files.push(text(&path).to_owned());
    }
    let state = told.place("state");
    let config = told.place("settings.toml");
    std::fs::write(&config, SETTINGS).expect("a file");
    let mut arguments = vec!["--segment", "lab", "--config", text(&config)];
    arguments.extend(files.iter().map(String::as_str));
    let held =
        firstcontact::store::Store::open(&state, 8 << 20, firstcontact::model::Span::days(180)).expect("a ledger");
    let ran = baseline("import", &state, &arguments);
    assert_eq!((ran.status, ran.said.lines().count()), (1, 1), "{}", ran.said);
    assert!(ran.said.contains("in use by another process"), "{}", ran.said);
    drop(held);
    let ran = baseline("import", &state, &arguments);
    assert_eq!(ran.status, 0, "{}", ran.said);
    // A file that is cut is told of, and what stands before is taken over.
    let cut = told.place("cut.gz");
    let whole = std::fs::read(&files[0]).expect("a file");
    std::fs::write(&cut, &whole[..whole.len() - 10]).expect("a file");
    let ran = baseline("import", &told.place("cut"), &[text(&cut), &files[1]]);
    assert_eq!(ran.status, 1, "{}", ran.said);
    assert!(ran.said.ends_with("cut.gz: cannot be read: it is compressed and ends before its end\n"), "{}", ran.said);
    assert!(!ran.said.contains(" 0 contacts"), "{}", ran.said);
    let renamed = told.export.replace(r#""segment":"-""#, r#""segment":"lab""#);
    assert_same("lab", &export(&state), &renamed, &[]);
}
