//! What `[[sink]]` and `[delivery]` may say.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::model::{SinkStart, Timestamp};
use crate::settings::{Refused, Settings};

/// A folder with an authority, a certificate of it, its key, and another key.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let pem = params.self_signed(&key).unwrap().pem();
    for (name, text) in [
        ("ca.pem", pem.as_str()),
        ("key.pem", &key.serialize_pem()),
        ("other.pem", &other.serialize_pem()),
        ("empty.pem", ""),
        (
            "broken.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn parse(folder: &Path, text: &str) -> Result<Settings, Refused> {
    Settings::parse(text, &folder.join("sensor.toml"))
}

#[test]
fn a_sink_says_where_it_begins() {
    let folder = folder();
    let begins = |from: &str| {
        let text = format!("[[sink]]\nurl = \"udp://a\"\nfrom = {from}");
        parse(folder.path(), &text).map(|settings| settings.sinks[0].from)
    };
    let date = SinkStart::At(Timestamp(1_769_817_600 * crate::model::SECOND));
    assert_eq!(begins("\"now\"").unwrap(), SinkStart::Now);
    for from in [
        "\"2026-01-31T00:00:00Z\"",
        "2026-01-31T00:00:00Z",
        "\"2026-01-31T01:00:00+01:00\"",
    ] {
        assert_eq!(begins(from).unwrap(), date, "{from}");
    }
    for from in ["\"yesterday\"", "\"2026-01-31\"", "2026-01-31", "7"] {
        let line = begins(from).unwrap_err().to_string();
        assert!(
            line.contains("sensor.toml:3: sink[0].from: found ")
                && line.ends_with("\"now\" or a time such as \"2026-01-31T00:00:00Z\""),
            "{line}"
        );
    }
}

#[test]
fn lines_are_kept_as_many_as_a_connection_may_have_under_way_at_least() {
    let folder = folder();
    assert_eq!(
        parse(folder.path(), "[delivery]\nlines = 10_000").unwrap().kept_lines,
        10_000
    );
    for lines in ["9999", "-1", "\"10000\""] {
        let line = parse(folder.path(), &format!("[delivery]\nlines = {lines}")).unwrap_err();
        assert!(
            line.to_string().ends_with("expected a number of lines, at least 10000"),
            "{line}"
        );
    }
}

#[test]
fn certificates_and_keys_are_read_from_the_settings_folder() {
    let folder = folder();
    let text = "[[sink]]\nurl = \"tls://a\"\nca = \"ca.pem\"\ncertificate = \"ca.pem\"\nkey = \"key.pem\"\nserver_name = \"b\"";
    let settings = parse(folder.path(), text).unwrap();
    let tls = &settings.sinks[0].tls;
    let identity = tls.identity.as_ref().unwrap();
    assert_eq!(tls.authorities.as_ref().unwrap(), &identity.chain);
    assert_eq!(tls.server_name.as_deref(), Some("b"));
    // Nobody reads a key in a log.
    assert!(!format!("{settings:?}").contains("key:"));
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_its_key() {
    let folder = folder();
    let file = folder.path().join("sensor.toml");
    let file = file.display();
    for (keys, problem) in [
        ("ca = \"absent.pem\"", "3: sink[0].ca: "),
        (
            "ca = \"empty.pem\"",
            "3: sink[0].ca: holds no certificates in PEM: there is none in it",
        ),
        ("ca = \"broken.pem\"", "3: sink[0].ca: holds no certificates in PEM: "),
        (
            "ca = \"key.pem\"",
            "3: sink[0].ca: holds no certificates in PEM: there is none in it",
        ),
        (
            "certificate = \"ca.pem\"",
            "3: sink[0].certificate: `key` is missing, the key of this certificate",
        ),
        (
            "key = \"key.pem\"",
            "3: sink[0].key: `certificate` is missing, which this key is of",
        ),
        (
            "certificate = \"ca.pem\"\nkey = \"other.pem\"",
            "4: sink[0].key: is not the key of the certificate: ",
        ),
        (
            "certificate = \"ca.pem\"\nkey = \"ca.pem\"",
            "4: sink[0].key: holds no private key in PEM that can be used: ",
        ),
        (
            "server_name = \"a b\"",
            "3: sink[0].server_name: found \"a b\", expected a host's name or an address",
        ),
    ] {
        let line = parse(folder.path(), &format!("[[sink]]\nurl = \"tls://a\"\n{keys}")).unwrap_err();
        let line = line.to_string();
        assert!(
            line.starts_with(&format!("{file}:{problem}")) && !line.contains('\n'),
            "{line}"
        );
    }
    let line = parse(folder.path(), "[[sink]]\nurl = \"tcp://a\"\nca = \"ca.pem\"").unwrap_err();
    assert!(
        line.to_string()
            .ends_with("sink[0].ca: tcp://a:601 has no use for it, only tls:// has"),
        "{line}"
    );
}
