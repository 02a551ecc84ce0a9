//! Bad input: one clear line on standard error (what, where, what to do), the exit status of DESIGN, section 6, and
//! nothing recorded is lost.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::programs::{self, ledger, said, text};
use crate::support::{Capture, FileFormat, Link};

/// A folder with a good capture in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        one_alert().write(&place.path("good.pcap"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), content).expect("a file can be written");
        self.path(name)
    }
}

fn one_alert() -> Capture {
    let mut capture = Capture::new();
    capture.resolve(0, "10.1.0.5", "10.1.0.2", "a.example.com", "203.0.113.7");
    capture.tcp(100_000_000, "10.1.0.5:40000", "203.0.113.7:443", 10, 10);
    capture
}

/// Runs a program that has to refuse; returns its only line of error.
fn refused(mut command: Command, status: i32) -> String {
    let output = command.output().expect("the program can be run");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(status), "{command:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one line says it: {said}");
    errors[0].to_owned()
}

fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

#[test]
fn what_is_no_capture_is_refused() {
    let place = Place::new();
    let text_file = place.file(
        "notes.txt",
        b"these are not the packets that you are looking for, really",
    );
    let error = refused(programs::replay(&[text(&text_file)]), 2);
    assert_says(&error, &["notes.txt", "not a capture"]);
    let empty = place.file("empty.pcap", b"");
    assert_says(
        &refused(programs::replay(&[text(&empty)]), 2),
        &["empty.pcap", "not a capture"],
    );
}

#[test]
fn a_capture_that_is_not_there_fails() {
    let place = Place::new();
    let error = refused(programs::replay(&[text(&place.path("absent.pcap"))]), 1);
    assert_says(&error, &["absent.pcap", "No such file"]);
}

#[test]
fn rule_w1_an_unknown_link_type_is_refused_by_name() {
    let place = Place::new();
    let path = place.path("odd.pcap");
    for format in [FileFormat::Nanoseconds, FileFormat::PcapNg] {
        let mut capture = one_alert();
        capture.link = Link::Unknown;
        capture.format = format;
        capture.write(&path);
        let error = refused(programs::replay(&[text(&path)]), 2);
        assert_says(&error, &["odd.pcap", "link type", "IEEE802_11"]);
    }
}

#[test]
fn a_cut_capture_is_judged_up_to_the_cut_and_fails() {
    let place = Place::new();
    let octets = one_alert().file();
    let cut = place.file("cut.pcap", &octets[..octets.len() - 3]);
    let alerts = place.path("alerts.jsonl");
    let error = refused(programs::replay(&["--alerts", text(&alerts), text(&cut)]), 1);
    let frames = one_alert().frames.len().to_string();
    assert_says(&error, &["cut.pcap", "cut in frame", &frames]);
    let alerts = std::fs::read_to_string(alerts).expect("alerts");
    assert_eq!(programs::lines(&alerts).len(), 1);
}

#[test]
fn a_cut_compressed_capture_is_judged_up_to_the_cut_and_fails_in_the_same_words() {
    let place = Place::new();
    let capture = one_alert();
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed.write_all(&capture.file()).expect("memory can be written");
    let octets = packed.finish().expect("memory can be written");
    // Eight octets end a gzip file, and three more are of the last frame.
    let cut = place.file("cut", &octets[..octets.len() - 11]);
    let alerts = place.path("alerts.jsonl");
    for more in [&[][..], &["--merge", text(&place.path("good.pcap"))]] {
        let arguments = [&["--alerts", text(&alerts), text(&cut)], more].concat();
        let error = refused(programs::replay(&arguments), 1);
        let expected = format!("error: {} is cut in frame {}", cut.display(), capture.frames.len());
        assert_eq!(error, expected);
        let alerts = std::fs::read_to_string(&alerts).expect("alerts");
        assert_eq!(programs::lines(&alerts).len(), 1);
    }
}

#[test]
fn what_takes_too_much_to_unpack_is_refused() {
    let place = Place::new();
    // A zstd frame of 2 GiB that asks for all of it to be held.
    let wide = place.file("wide.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0]);
    let error = refused(programs::replay(&[text(&wide)]), 2);
    assert_says(
        &error,
        &["wide.zst", "2048 MiB", "128 MiB", "unpack it with its own program"],
    );
}

#[test]
fn settings_are_refused_with_file_and_key() {
    let place = Place::new();
    let good = place.path("good.pcap");
    for (settings, words) in [
        ("[network]\ninternl = []\n", ["internl", "settings.toml"]),
        ("[network]\ninternal = [\"10.0.0.0/33\"]\n", ["internal", "10.0.0.0/33"]),
        ("[names]\nsettle = 5\n", ["settle", "duration"]),
        ("[baseline]\nwindow = \"a while\"\n", ["window", "a while"]),
        ("[names\n", ["settings.toml", "1"]),
        (
            "[[sink]]\nurl = \"carrier-pigeon://here\"\n",
            ["sink", "carrier-pigeon"],
        ),
        (
            "[[sink]]\nurl = \"tls://siem.example\"\nca = \"nowhere.pem\"\n",
            ["settings.toml:3: sink[0].ca", "nowhere.pem"],
        ),
    ] {
        let path = place.file("settings.toml", settings.as_bytes());
        let error = refused(programs::replay(&["--config", text(&path), text(&good)]), 2);
        assert_says(&error, &words);
        let error = refused(programs::sensor(&["check", "--config", text(&path)]), 2);
        assert_says(&error, &words);
    }
}

#[test]
fn arguments_are_refused() {
    let place = Place::new();
    let good = place.path("good.pcap");
    for arguments in [
        &["--shift", "tomorrow"][..],
        &["--threads", "0"],
        &["--syslog", "carrier-pigeon://here"],
        &["--no-such-option"],
        &["-", "-"],
    ] {
        let output = programs::replay(arguments)
            .arg(&good)
            .output()
            .expect("replay can be run");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(arguments[0]), "{}", said(&output));
    }
    let output = programs::replay(&[]).output().expect("replay can be run");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn tls_without_any_authority_is_refused() {
    let place = Place::new();
    let none = place.file("none.pem", b"");
    let mut command = programs::replay(&["--syslog", "tls://siem.example", text(&place.path("good.pcap"))]);
    command.env("SSL_CERT_FILE", &none).env_remove("SSL_CERT_DIR");
    let error = refused(command, 2);
    assert_says(&error, &["tls://siem.example:6514", "authorities", "`ca`"]);
}

#[test]
fn a_ledger_of_another_version_is_refused_and_left_alone() {
    let place = Place::new();
    let state = place.path("state");
    std::fs::create_dir(&state).expect("a folder");
    std::fs::write(state.join("FORMAT"), "firstcontact ledger 99\n").expect("a marker");
    let good = place.path("good.pcap");
    let error = refused(programs::replay(&["--state", text(&state), text(&good)]), 2);
    assert_says(&error, &["state", "99", "another folder"]);
    let held: Vec<_> = std::fs::read_dir(&state).expect("the folder").collect();
    assert_eq!(held.len(), 1, "nothing was added");
}

#[test]
fn a_folder_that_is_no_ledger_is_refused_and_left_alone() {
    let place = Place::new();
    let state = place.path("state");
    std::fs::create_dir(&state).expect("a folder");
    std::fs::write(state.join("thesis.tex"), "years of work").expect("a file");
    let good = place.path("good.pcap");
    let error = refused(programs::replay(&["--state", text(&state), text(&good)]), 2);
    assert_says(&error, &["state", "not a ledger"]);
    assert_eq!(
        std::fs::read_to_string(state.join("thesis.tex")).expect("the file"),
        "years of work"
    );
}

#[test]
fn a_ledger_in_use_fails_and_its_user_goes_on() {
    let place = Place::new();
    let state = place.path("state");
    let mut command = programs::replay(&[
        "--state",
        text(&state),
        "--alerts",
        text(&place.path("alerts.jsonl")),
        "-",
    ]);
    let mut first = command
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("replay can be run");
    let mut input = first.stdin.take().expect("a pipe");
    let octets = long();
    // More than a pipe holds: once it is through, the first run has its ledger open and reads.
    input.write_all(&octets).expect("replay reads its input");
    let good = place.path("good.pcap");
    let error = refused(programs::replay(&["--state", text(&state), text(&good)]), 1);
    assert_says(&error, &["state", "in use"]);
    drop(input);
    assert!(first.wait().expect("replay ends").success());
    assert_eq!(ledger(&state).len(), 1);
}

/// A capture of over 128 KiB that gives one alert.
fn long() -> Vec<u8> {
    let mut capture = one_alert();
    for n in 0..100 {
        capture.tcp((200 + n) * 1_000_000, "10.1.0.5:40001", "10.1.0.6:80", 1400, 1400);
    }
    let octets = capture.file();
    assert!(octets.len() > 128 << 10);
    octets
}

#[test]
fn what_cannot_be_listened_on_is_refused() {
    let place = Place::new();
    let state = place.path("state");
    let refused_with = |arguments: &[&str], status| {
        let start = ["run", "--state", text(&state)];
        refused(programs::sensor(&[&start, arguments].concat()), status)
    };
    let port = "udp://0.0.0.0:9";
    for (arguments, words) in [
        (&[][..], &["--interface", "--listen", "[capture]"][..]),
        (&["--interface", "lo", "--listen", port], &["cannot be used with"]),
        (&["--listen", "4789"], &["--listen", "udp://0.0.0.0:4789"]),
        (
            &["--listen", "udp://localhost:4789"],
            &["localhost", "address of this machine"],
        ),
        (&["--listen", port], &[port, "network.vxlan_ports", "vxlan://0.0.0.0:9"]),
        (&["--listen", "geneve://0.0.0.0:4789"], &["port 4789 is one of vxlan"]),
        (
            &["--listen", "vxlan://[::]", "--listen", "udp://[::]:4789"],
            &["udp://[::]:4789", "twice"],
        ),
    ] {
        assert_says(&refused_with(arguments, 2), words);
    }
    assert!(!state.exists(), "what is refused leaves nothing behind");
    let settings = place.file(
        "sensor.toml",
        b"[capture]\nlisten = [\"udp://0.0.0.0:4789\", \"udp://0.0.0.0:9\"]\n",
    );
    let error = refused_with(&["--config", text(&settings)], 2);
    assert_says(&error, &["sensor.toml:2", "capture.listen[1]", "vxlan://0.0.0.0:9"]);
}

#[test]
fn an_address_that_cannot_be_had_fails_and_says_what_to_do() {
    let place = Place::new();
    let state = place.path("state");
    let fails_on = |url: &str| refused(programs::sensor(&["run", "--state", text(&state), "--listen", url]), 1);
    let taken = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("vxlan://{}", taken.local_addr().expect("an address"));
    assert_says(&fails_on(&url), &[&url, "the port is taken", "ss -lunp", "in use"]);
    // An address of RFC 5737, which no machine has.
    let error = fails_on("udp://192.0.2.1:4789");
    assert_says(&error, &["udp://192.0.2.1:4789", "no interface has", "0.0.0.0"]);
}

#[test]
fn rule_a4_a_receiver_that_is_not_there_loses_nothing() {
    let place = Place::new();
    let (state, good) = (place.path("state"), place.path("good.pcap"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let url = format!("tcp://127.0.0.1:{port}");
    let run = |alerts: &Path| {
        programs::replay(&[
            "--state",
            text(&state),
            "--alerts",
            text(alerts),
            "--syslog",
            &url,
            text(&good),
        ])
    };
    let alerts = place.path("alerts.jsonl");
    let error = refused(run(&alerts), 1);
    assert_says(&error, &[&format!("127.0.0.1:{port}"), "refused", "kept in the ledger"]);
    let alerts = programs::lines(&std::fs::read_to_string(alerts).expect("alerts"));
    assert_eq!(alerts.len(), 1, "the other sink got it");
    assert_eq!(ledger(&state).len(), 1);

    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    let received = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut octets = String::new();
        std::io::Read::read_to_string(&mut stream, &mut octets).expect("messages");
        octets
    });
    let output = run(&place.path("again.jsonl")).output().expect("replay can be run");
    assert!(output.status.success(), "{}", said(&output));
    let received = received.join().expect("the receiver");
    let id = alerts[0]["id"].as_str().expect("an id");
    assert_eq!(received.matches(id).count(), 1, "{received}");
}
