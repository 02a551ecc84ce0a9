//! What receivers of syslog get from a replay: RFC 5424 messages whose MSG is the alert (DESIGN, section 6).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::support::programs::{self, lines, said, text};
use crate::support::{Capture, Replay, frames, recipe};

/// Two alerts that are raised and one that is updated: three lines.
const RECIPE: &str = "
0.000 dns 10.1.0.5 > 10.1.0.2 a.example.com A 203.0.113.7
0.100 tcp 10.1.0.5:40000 > 203.0.113.7:443 out 100 open
1.000 tcp 10.1.0.6:40000 > 203.0.113.8:8443 out 20000
9.000 segment 10.1.0.5:40000 > 203.0.113.7:443 psh ack seq 1101 len 1400
9.500 segment 10.1.0.5:40000 > 203.0.113.7:443 psh ack seq 11000 len 1400
20    udp 10.1.0.6:9 > 10.1.0.7:9
";
const LINES: usize = 3;

/// Takes a message apart as RFC 5424, section 6 has it; panics at anything that it does not allow.
fn parts(message: &str) -> (u8, Vec<&str>, Value) {
    assert!(message.len() <= 2048, "{} octets", message.len());
    assert!(message.bytes().all(|octet| (0x20..0x7f).contains(&octet)), "{message}");
    let (priority, mut rest) = message
        .strip_prefix('<')
        .and_then(|rest| rest.split_once(">1 "))
        .unwrap_or_else(|| panic!("no header: {message}"));
    let mut fields = Vec::new();
    for limit in [32, 255, 48, 128, 32, 1] {
        let (field, behind) = rest.split_once(' ').expect("a further field");
        assert!(!field.is_empty() && field.len() <= limit, "{field}");
        fields.push(field);
        rest = behind;
    }
    (
        priority.parse().expect("a priority"),
        fields,
        serde_json::from_str(rest).expect("JSON"),
    )
}

/// Holds messages against the lines of the alerts' file.
fn assert_are(messages: &[String], alerts: &[Value]) {
    assert_eq!((messages.len(), alerts.len()), (LINES, LINES));
    for (message, alert) in messages.iter().zip(alerts) {
        let (priority, fields, json) = parts(message);
        let severity = match alert["severity"].as_str().expect("a severity") {
            "critical" => 2,
            "high" => 3,
            "medium" => 4,
            "low" => 5,
            _ => 6,
        };
        assert_eq!(priority, 16 * 8 + severity);
        let at = alert["at"].as_str().expect("a time");
        assert_eq!(fields[0], format!("{}Z", &at[..26]));
        assert_eq!(fields[2], "firstcontact");
        assert_eq!(fields[4], alert["kind"].as_str().expect("a kind"));
        assert_eq!(fields[5], "-");
        for key in ["id", "revision", "kind", "event", "ts", "severity"] {
            assert_eq!(json[key], alert[key], "{key} in {message}");
        }
        for (group, key) in [("workload", "name"), ("destination", "domain"), ("destination", "ip")] {
            let (given, wanted) = (&json[group][key], &alert[group][key]);
            assert_eq!(given, wanted, "{group}.{key} in {message}");
        }
    }
}

/// Takes messages apart as their lengths say.
fn counted(mut rest: &str) -> Vec<String> {
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_once(' ').expect("a count");
        let (message, behind) = behind.split_at(length.parse().expect("a count"));
        messages.push(message.to_owned());
        rest = behind;
    }
    messages
}

fn replay(url: String) -> Vec<Value> {
    let capture = recipe::parse(RECIPE).remove(0).capture;
    let replay = Replay {
        more: vec!["--syslog".to_owned(), url],
        ..Replay::default()
    };
    let seen = replay.run(&capture);
    assert_eq!(seen.status, 0, "{}", seen.said);
    seen.alerts
}

#[test]
fn alerts_arrive_as_datagrams_over_udp() {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let alerts = replay(format!("udp://{}", socket.local_addr().expect("an address")));
    let messages: Vec<_> = (0..LINES)
        .map(|_| {
            let mut octets = [0; 4096];
            let length = socket.recv(&mut octets).expect("a datagram");
            String::from_utf8(octets[..length].to_vec()).expect("ASCII")
        })
        .collect();
    assert_are(&messages, &alerts);
}

#[test]
fn alerts_arrive_counted_over_tcp() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("tcp://{}", listener.local_addr().expect("an address"));
    let received = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut octets = String::new();
        stream.read_to_string(&mut octets).expect("messages");
        octets
    });
    let alerts = replay(url);
    assert_are(&counted(&received.join().expect("the receiver")), &alerts);
}

/// A receiver over TLS of one connection, which wants to know who sends; and settings that know it.
fn sealed(folder: &Path) -> (JoinHandle<String>, String, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("a certificate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, authority_key).expect("an authority");
    let identity = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a certificate");
        (params.signed_by(&key, &authority).expect("a certificate"), key)
    };
    let (own, own_key) = identity("127.0.0.1");
    let (sensor, sensor_key) = identity("sensor.example");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::try_from(own_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients.build().expect("a verifier"))
        .with_single_cert(vec![own.der().clone()], key)
        .expect("an identity");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("tls://{}", listener.local_addr().expect("an address"));
    let receiver = std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a connection");
        let connection = ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = StreamOwned::new(connection, socket);
        let mut octets = String::new();
        stream.read_to_string(&mut octets).expect("messages");
        stream.conn.send_close_notify();
        stream.flush().expect("the end");
        octets
    });
    let place = |name: &str, pem: String| {
        let path = folder.join(name);
        std::fs::write(&path, pem).expect("a file");
        format!("\"{}\"", path.display())
    };
    let settings = format!(
        "[[sink]]\nurl = \"{url}\"\nca = {}\ncertificate = {}\nkey = {}\n",
        place("authority.pem", authority.pem()),
        place("sensor.pem", sensor.pem()),
        place("sensor.key", sensor_key.serialize_pem()),
    );
    (receiver, url, settings)
}

#[test]
fn alerts_arrive_sealed_with_the_certificates_of_the_settings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (receiver, url, settings) = sealed(folder.path());
    let seen = Replay {
        settings: Some(settings),
        more: vec!["--syslog".to_owned(), url],
        ..Replay::default()
    }
    .run(&recipe::parse(RECIPE).remove(0).capture);
    assert_eq!(seen.status, 0, "{}", seen.said);
    assert_are(&counted(&receiver.join().expect("the receiver")), &seen.alerts);
}

#[test]
fn alerts_arrive_at_a_local_socket() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("log.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let receiver = std::thread::spawn(move || {
        let receive = |_| {
            let mut octets = [0; 4096];
            let length = socket.recv(&mut octets).expect("a datagram");
            String::from_utf8(octets[..length].to_vec()).expect("ASCII")
        };
        (0..LINES).map(receive).collect::<Vec<_>>()
    });
    let alerts = replay(format!("unix://{}", path.display()));
    assert_are(&receiver.join().expect("the receiver"), &alerts);
}

/// A bare address each second for some minutes: one alert each.
fn addresses() -> Capture {
    let mut capture = Capture::new();
    for n in 0..200_i64 {
        let here = format!("10.1.0.{}:{}", 5 + n % 5, 40_000 + n);
        capture.tcp(n * frames::SECOND, &here, &format!("203.0.113.{n}:8443"), 10, 10);
    }
    capture
}

#[test]
fn rule_a4_a_file_has_every_line_once_whenever_the_run_was_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    addresses().write(&path);
    let key = |alert: &Value| (alert["id"].to_string(), alert["revision"].as_u64());
    for kill_after in [1, 20, 90, 150] {
        let place = |name: &str| folder.path().join(format!("{name}-{kill_after}"));
        let (state, file) = (place("state"), place("alerts"));
        let url = format!("file://{}", file.display());
        let arguments = ["--state", text(&state), "--threads", "1", "--syslog", &url, text(&path)];
        let mut command = programs::replay(&arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("replay");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let seen = output.lines().take(kill_after).count();
        child.kill().expect("replay can be killed");
        child.wait().expect("replay ended");
        assert_eq!(seen, kill_after);
        // As if the machine had died too: whole lines that no position counts, and one that is torn.
        if let Ok(mut octets) = std::fs::read(&file)
            && let Some(first) = octets.split_inclusive(|octet| *octet == b'\n').next()
        {
            let again = first.to_vec();
            octets.extend([again.as_slice(), &again[..again.len() / 2]].concat());
            std::fs::write(&file, octets).expect("the file can be written");
        }
        let output = programs::replay(&arguments).output().expect("replay can be run");
        assert!(output.status.success(), "{}", said(&output));
        let written = lines(&std::fs::read_to_string(&file).expect("the file"));
        let mut keys: Vec<_> = written.iter().map(key).collect();
        assert!(keys.len() >= 200, "{} lines", keys.len());
        keys.sort();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count, "a line stands in the file twice");
    }
}
