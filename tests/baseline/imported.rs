//! `import`: logs of others give the pairs that the packets of the same traffic give.

use super::told::{Told, assert_same};
use super::{SETTINGS, export};
use crate::support::dns::{self, Message, Record};
use crate::support::frames::{ACK, RST, SECOND, STEP, SYN, Segment, endpoint, id_of, ip};
use crate::support::logs;
use crate::support::programs::lines;
use crate::support::{Capture, checkout};

const DAY: i64 = 86_400 * SECOND;

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

/// What the crafted capture tells, replayed and as logs.
fn told_of_crafted() -> Told {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    let mut capture = crafted();
    capture.frames.sort_by_key(|frame| frame.time);
    capture.write(&path);
    Told::by(&path, SETTINGS)
}

#[test]
fn logs_of_a_capture_give_the_pairs_of_its_packets() {
    let told = told_of_crafted();
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
    let mut told = told_of_crafted();
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
    let told = told_of_crafted();
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
    let told = told_of_crafted();
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
