//! Who may be at the other end, held against receivers with certificates of every kind.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::model::{Sink, SinkError, sample};
use crate::sinks::{Syslog, SyslogSink, Tcp};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Makes a certificate for a name or address.
fn identity(authority: &Authority, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsIdentity {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    TlsIdentity {
        chain: vec![certificate.der().to_vec().into()],
        key: key.serialize_der().into(),
    }
}

/// A receiver of one connection; it ends with what it read.
fn receiver(of: TlsIdentity, clients: Option<&Authority>) -> (u16, JoinHandle<io::Result<Vec<u8>>>) {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => config.with_no_client_auth(),
    };
    let chain = of
        .chain
        .iter()
        .map(|octets| CertificateDer::from(octets.to_vec()))
        .collect();
    let key = PrivateKeyDer::try_from(of.key.to_vec()).unwrap();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = std::thread::spawn(move || {
        let (socket, _) = listener.accept()?;
        let connection = ServerConnection::new(config).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets)?;
        stream.conn.send_close_notify();
        stream.flush()?;
        Ok(octets)
    });
    (port, receiver)
}

fn rule(authority: &Authority) -> TlsRule {
    TlsRule {
        authorities: Some(vec![authority.der().to_vec().into()]),
        ..TlsRule::default()
    }
}

/// Sends one alert to its end.
fn send(host: &str, port: u16, rule: &TlsRule) -> Result<(), SinkError> {
    let tls = Tls::new(host, rule).unwrap();
    let mut sink = SyslogSink::new(
        "tls".to_owned(),
        Syslog::new("h", 1),
        Tcp::new("127.0.0.1", port).with_tls(tls),
    );
    sink.deliver(1, &sample::revision(1))?;
    sink.end();
    let until = Instant::now() + Duration::from_secs(30);
    while sink.position().line == 0 {
        assert!(Instant::now() < until, "nothing happened: {sink:?}");
        sink.turn(Duration::from_millis(10))?;
    }
    Ok(())
}

#[test]
fn a_line_arrives_sealed_and_the_end_is_its_receipt() {
    let authority = authority("ours");
    for host in ["siem.example", "127.0.0.1", "::1"] {
        let (port, receiver) = receiver(identity(&authority, host, |_| {}), None);
        send(host, port, &rule(&authority)).unwrap();
        let message = Syslog::new("h", 1).message(&sample::revision(1));
        let octets = receiver.join().unwrap().unwrap();
        assert_eq!(octets, format!("{} {message}", message.len()).into_bytes());
    }
}

#[test]
fn a_receiver_may_want_to_know_who_we_are() {
    let authority = authority("ours");
    let (port, receiver) = receiver(identity(&authority, "siem.example", |_| {}), Some(&authority));
    let rule = TlsRule {
        identity: Some(identity(&authority, "sensor.example", |_| {})),
        ..rule(&authority)
    };
    send("siem.example", port, &rule).unwrap();
    assert!(!receiver.join().unwrap().unwrap().is_empty());
}

#[test]
fn a_wrong_certificate_is_named_in_one_line_and_nothing_is_sent() {
    let (ours, other) = (authority("ours"), authority("other"));
    let name = "siem.example";
    let cases: [(TlsIdentity, &str); 6] = [
        (
            identity(&authority("ours"), name, |_| {}),
            "tls: the receiver's certificate is not signed by an authority of `ca`",
        ),
        (
            identity(&other, name, |_| {}),
            "tls: the receiver's certificate is not signed by an authority of `ca`",
        ),
        (
            identity(&ours, "other.example", |_| {}),
            "tls: the receiver's certificate is for other.example, expected siem.example",
        ),
        (
            identity(&ours, "192.0.2.1", |_| {}),
            "tls: the receiver's certificate is for 192.0.2.1, expected siem.example",
        ),
        (
            identity(&ours, name, |params| params.not_after = date_time_ymd(2001, 2, 3)),
            "tls: the receiver's certificate expired at 2001-02-03T00:00:00.000000000Z",
        ),
        (
            identity(&ours, name, |params| params.not_before = date_time_ymd(2100, 1, 1)),
            "tls: the receiver's certificate is in force from 2100-01-01T00:00:00.000000000Z on",
        ),
    ];
    for (identity, words) in cases {
        let (port, receiver) = receiver(identity, None);
        assert_eq!(send(name, port, &rule(&ours)).unwrap_err().to_string(), words);
        assert!(receiver.join().unwrap().is_err());
    }
}

#[test]
fn what_a_receiver_has_against_us_is_said() {
    let (ours, other) = (authority("ours"), authority("other"));
    let name = "siem.example";
    let stranger = TlsRule {
        identity: Some(identity(&other, "sensor.example", |_| {})),
        ..rule(&ours)
    };
    for (rule, words) in [
        (
            rule(&ours),
            "tls: the receiver requires a certificate of ours: give `certificate` and `key`",
        ),
        (stranger, "tls: the receiver refuses our `certificate`: UnknownCA"),
    ] {
        let (port, receiver) = receiver(identity(&ours, name, |_| {}), Some(&ours));
        assert_eq!(send(name, port, &rule).unwrap_err().to_string(), words);
        assert!(receiver.join().unwrap().is_err());
    }
}

#[test]
fn a_receiver_that_asks_for_a_certificate_and_breaks_off_without_a_word_is_explained() {
    let authority = authority("ours");
    let tls = Tls::new("siem.example", &rule(&authority)).unwrap();
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    assert_eq!(tls.broken(reset()).to_string(), reset().to_string());
    let (port, receiver) = receiver(identity(&authority, "siem.example", |_| {}), Some(&authority));
    let mut sink = SyslogSink::new(
        "tls".to_owned(),
        Syslog::new("h", 1),
        Tcp::new("127.0.0.1", port).with_tls(tls.clone()),
    );
    // It may refuse before or after the line is on its way.
    let _ = sink.deliver(1, &sample::revision(1));
    assert_eq!(
        tls.broken(reset()).to_string(),
        "connection reset; the receiver had asked for a certificate of ours: give `certificate` and `key`"
    );
    drop(sink);
    assert!(receiver.join().unwrap().is_err());
}

#[test]
fn a_receiver_without_tls_is_an_error() {
    let authority = authority("ours");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"220 mail.example ESMTP\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
    });
    let error = send("siem.example", port, &rule(&authority)).unwrap_err();
    assert_eq!(error.to_string(), "tls: the receiver does not speak TLS");
    receiver.join().unwrap();
}

#[test]
fn a_host_that_no_certificate_can_be_for_is_refused() {
    let error = Tls::new("not a name", &TlsRule::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
