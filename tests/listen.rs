//! `sensor run --listen`: what mirrors send to UDP sockets raises what a replay of the same frames raises (rules W2, W3).

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::programs::{ledger, sensor, text};
use crate::support::{Replay, checkout};

/// Learning takes no time and settling little, so that a test need not wait.
const SETTINGS: &str = "\n[baseline]\nlearning = \"0s\"\nlearning_new = \"0s\"\n";

/// How a mirror wraps a frame.
type Wrap = fn(&[u8]) -> Vec<u8>;

fn in_vxlan(frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, 42, 0], frame].concat()
}

/// With options, as a mirror that says more would send them (RFC 8926 section 3.5).
fn in_geneve(frame: &[u8]) -> Vec<u8> {
    let header = [0x03, 0, 0x65, 0x58, 0, 0, 42, 0];
    let options = [0x01, 0x02, 0x80, 0x01, 0xde, 0xad, 0xbe, 0xef, 0x01, 0x02, 0x01, 0x00];
    [&header[..], &options, frame].concat()
}

/// An address of the loopback network that only this process listens on.
fn place(n: u8, port: u16) -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 100 + n, high, low], port))
}

/// Returns the frames of a recording in classic pcap.
fn frames(path: &Path) -> Vec<Vec<u8>> {
    let octets = std::fs::read(path).expect("a capture");
    let (_, mut rest) = octets.split_at(24);
    let mut frames = Vec::new();
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let [.., a, b, c, d, _, _, _, _] = *header;
        let (frame, behind) = behind.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
        frames.push(frame.to_vec());
        rest = behind;
    }
    frames
}

/// A sensor that listens, and what it says.
struct Sensor {
    child: Child,
    says: BufReader<ChildStderr>,
}

impl Sensor {
    /// Starts one and waits until it receives.
    fn start(arguments: &[&str]) -> Self {
        let mut child = sensor(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("sensor can be run");
        let says = BufReader::new(child.stderr.take().expect("standard error"));
        let mut sensor = Self { child, says };
        sensor.line("watching");
        sensor
    }

    /// Returns the next line with these words.
    fn line(&mut self, words: &str) -> String {
        let mut line = String::new();
        while self.says.read_line(&mut line).expect("standard error") > 0 {
            if line.contains(words) {
                return line;
            }
            line.clear();
        }
        panic!("the sensor ended without a word of {words:?}");
    }

    /// Stops it in order; returns its counters.
    fn stop(mut self) -> Value {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().expect("kill").success());
        let line = self.line("counters: ");
        let (_, json) = line.split_once("counters: ").expect("counters");
        let status = self.child.wait().expect("the sensor ends");
        assert!(status.success(), "{status}");
        serde_json::from_str(json).expect("JSON")
    }
}

/// What an alert says, but for its segment and for what follows from the time of its packets.
fn facts(alerts: &[Value]) -> Vec<Value> {
    let mut facts: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            let mut alert = alert.clone();
            let object = alert.as_object_mut().expect("an object");
            for name in [
                "id",
                "ts",
                "at",
                "revision",
                "event",
                "state",
                "baseline",
                "observation",
                "summary",
            ] {
                object.remove(name);
            }
            for (name, part) in [
                ("workload", "segment"),
                ("workload", "since"),
                ("evidence", "ts"),
                ("flow", "duration"),
            ] {
                if let Some(part_of) = object.get_mut(name).and_then(Value::as_object_mut) {
                    part_of.remove(part);
                }
            }
            if let Some(others) = object.get_mut("other_names").and_then(Value::as_array_mut) {
                for other in others.iter_mut().filter_map(Value::as_object_mut) {
                    other.remove("ts");
                }
            }
            alert
        })
        .collect();
    facts.sort_by_key(Value::to_string);
    facts
}

/// Sends a recording to a sensor that was told to listen by `arguments` or `settings`, and compares.
fn assert_raises_what_a_replay_raises(capture: &str, to: SocketAddr, wrap: Wrap, arguments: &[&str], settings: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = checkout(capture);
    let demo = std::fs::read_to_string(checkout("config/demo.toml")).expect("the demo's settings");
    let demo = demo.replace("[names]\n", "[names]\nsettle = \"1s\"\n") + SETTINGS;

    let state = folder.path().join("replayed");
    let replayed = Replay {
        settings: Some(demo.clone()),
        state: Some(state.clone()),
        ..Replay::default()
    };
    let replayed = replayed.run_files(&[&capture]);
    assert_eq!(replayed.status, 0, "{}", replayed.said);
    let expected = ledger(&state);
    let raised = replayed
        .alerts
        .iter()
        .filter(|alert| alert["event"] == "raised")
        .count();
    assert!(raised > 1 && raised == expected.len());

    let sink = folder.path().join("sink");
    let receiver = UnixDatagram::bind(&sink).expect("a socket");
    // Never waited for in full unless something is wrong.
    receiver
        .set_read_timeout(Some(Duration::from_secs(120)))
        .expect("a limit");
    let config = folder.path().join("sensor.toml");
    let live = format!("{demo}\n{settings}\n[[sink]]\nurl = \"unix://{}\"\n", text(&sink));
    std::fs::write(&config, live).expect("settings can be written");
    let state = folder.path().join("live");
    let mut all = vec![
        "run",
        "--threads",
        "2",
        "--config",
        text(&config),
        "--state",
        text(&state),
    ];
    all.extend(arguments);
    let sensor = Sensor::start(&all);

    // Two mirrors take turns. What else may come to a port is sent in between.
    let mirrors = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    let frames = frames(&capture);
    let noise: [&[u8]; 4] = [b"", b"\0", b"keepalive", &[0xff; 7]];
    for (number, frame) in frames.iter().enumerate() {
        let sent = mirrors[number % 2].send_to(&wrap(frame), to);
        sent.expect("a datagram can be sent");
        if let Some(octets) = noise.get(number) {
            mirrors[0].send_to(octets, to).expect("a datagram can be sent");
        }
    }

    let mut octets = vec![0; 1 << 16];
    let mut come = 0;
    while come < raised {
        let n = receiver.recv(&mut octets).expect("a further alert");
        let line = String::from_utf8_lossy(&octets[..n]);
        come += usize::from(line.contains("\"event\":\"raised\""));
    }
    let counters = sensor.stop();
    let alerts = ledger(&state);
    assert!(alerts.iter().all(|alert| alert["workload"]["segment"] == "vni=42"));
    assert_eq!(facts(&alerts), facts(&expected));

    assert_eq!(counters["loss"]["kernel"], 0);
    assert_eq!(counters["frames"], frames.len() + noise.len());
    assert_eq!(counters["packets"], replayed.stats["packets"]);
    let malformed = |stats: &Value| -> u64 {
        let layers = stats["malformed"].as_object().expect("layers");
        layers.values().filter_map(Value::as_u64).sum()
    };
    assert_eq!(malformed(&counters), malformed(&replayed.stats) + noise.len() as u64);
}

#[test]
fn vxlan_on_a_port_that_the_url_names_raises_what_a_replay_raises() {
    let to = place(0, 14789);
    let url = format!("vxlan://{to}");
    assert_raises_what_a_replay_raises("captures/day-two.pcap", to, in_vxlan, &["--listen", &url], "");
}

#[test]
fn geneve_on_a_port_of_the_settings_raises_what_a_replay_raises() {
    let to = place(1, 6081);
    let settings = format!("[capture]\nlisten = [\"udp://{}\", \"udp://{to}\"]\n", place(2, 4789));
    assert_raises_what_a_replay_raises("captures/ipv6.pcap", to, in_geneve, &[], &settings);
}
