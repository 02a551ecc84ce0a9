//! `[[sink]]` and `[delivery]`: where alerts go.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;

use super::document::{Table, Value};
use super::refused::Refused;
use crate::model::{SinkRule, SinkStart, SinkUrl, Timestamp, TlsIdentity, TlsRule};

const URL: &str = "a URL such as \"tcp://siem.example:601\"";
const FROM: &str = "\"now\" or a time such as \"2026-01-31T00:00:00Z\"";
const LINES: &str = "a number of lines, at least 10000";
const SERVER_NAME: &str = "a host's name or an address";

/// The fewest lines that may be kept: one connection has up to 8,192 under way, which must not be taken for lost.
const FEWEST_LINES: u64 = 10_000;

/// Reads how many lines are kept for delivery.
pub(super) fn kept_lines(root: &Table<'_>) -> Result<Option<u64>, Refused> {
    let Some(value) = root.table("delivery")?.and_then(|table| table.get("lines")) else {
        return Ok(None);
    };
    match value.number(LINES)? {
        lines if lines >= FEWEST_LINES => Ok(Some(lines)),
        _ => Err(value.refused(LINES)),
    }
}

/// Reads every sink. Paths start from `folder`.
pub(super) fn sinks(root: &Table<'_>, folder: &Path) -> Result<Vec<SinkRule>, Refused> {
    let mut sinks: Vec<SinkRule> = Vec::new();
    for table in root.tables("sink")? {
        let value = table.required("url", URL)?;
        let url: SinkUrl = value
            .text(URL)?
            .parse()
            .map_err(|expected: String| value.refused(&expected))?;
        if sinks.iter().any(|sink| sink.url == url) {
            return Err(value.refused_for(format!("{url} stands here twice")));
        }
        let from = table.get("from").map(|value| start(&value)).transpose()?;
        sinks.push(SinkRule {
            tls: tls(&table, &url, folder)?,
            from: from.unwrap_or_default(),
            url,
        });
    }
    Ok(sinks)
}

fn start(value: &Value<'_>) -> Result<SinkStart, Refused> {
    let text = value.text_or_time(FROM)?;
    if text == "now" {
        return Ok(SinkStart::Now);
    }
    let time: Option<Timestamp> = serde_json::from_value(text.into()).ok();
    time.map(SinkStart::At).ok_or_else(|| value.refused(FROM))
}

fn tls(table: &Table<'_>, url: &SinkUrl, folder: &Path) -> Result<TlsRule, Refused> {
    let [ca, certificate, key, server_name] = ["ca", "certificate", "key", "server_name"].map(|key| table.get(key));
    let given = [&ca, &certificate, &key, &server_name].into_iter().flatten().next();
    if let Some(value) = given
        && !matches!(url, SinkUrl::Tls { .. })
    {
        return Err(value.refused_for(format!("{url} has no use for it, only tls:// has")));
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(identity(&certificate, &key, folder)?),
        (Some(value), None) => return Err(value.refused_for("`key` is missing, the key of this certificate".into())),
        (None, Some(value)) => return Err(value.refused_for("`certificate` is missing, which this key is of".into())),
        (None, None) => None,
    };
    let server_name = server_name.map(|value| {
        value.read(SERVER_NAME, |text| {
            ServerName::try_from(text).is_ok().then(|| text.to_owned())
        })
    });
    Ok(TlsRule {
        authorities: ca.map(|value| authorities(&value, folder)).transpose()?,
        identity,
        server_name: server_name.transpose()?,
    })
}

fn authorities(value: &Value<'_>, folder: &Path) -> Result<Vec<Arc<[u8]>>, Refused> {
    let certificates = certificates(value, folder)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        let added = store.add(certificate.clone());
        added.map_err(|error| value.refused_for(format!("holds what is no certificate of an authority: {error}")))?;
    }
    Ok(der(&certificates))
}

fn identity(certificate: &Value<'_>, key: &Value<'_>, folder: &Path) -> Result<TlsIdentity, Refused> {
    let chain = certificates(certificate, folder)?;
    let octets = file(key, folder, "a private key in PEM")?;
    let no_key = |why: String| key.refused_for(format!("holds no private key in PEM that can be used: {why}"));
    let private = PrivateKeyDer::from_pem_slice(&octets).map_err(|error| no_key(error.to_string()))?;
    let signing = any_supported_type(&private).map_err(|error| no_key(error.to_string()))?;
    CertifiedKey::new(chain.clone(), signing)
        .keys_match()
        .map_err(|error| key.refused_for(format!("is not the key of the certificate: {error}")))?;
    Ok(TlsIdentity {
        chain: der(&chain),
        key: private.secret_der().into(),
    })
}

fn certificates(value: &Value<'_>, folder: &Path) -> Result<Vec<CertificateDer<'static>>, Refused> {
    let octets = file(value, folder, "certificates in PEM")?;
    let no_certificate = |why: &str| value.refused_for(format!("holds no certificates in PEM: {why}"));
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let certificates = certificates.map_err(|error| no_certificate(&error.to_string()))?;
    if certificates.is_empty() {
        return Err(no_certificate("there is none in it"));
    }
    for certificate in &certificates {
        // Read as far as is needed to tell that it is one.
        rustls::server::ParsedCertificate::try_from(certificate).map_err(|error| no_certificate(&error.to_string()))?;
    }
    Ok(certificates)
}

fn file(value: &Value<'_>, folder: &Path, expected: &str) -> Result<Vec<u8>, Refused> {
    let path = folder.join(value.text(&format!("the path of a file with {expected}"))?);
    std::fs::read(&path).map_err(|error| value.refused_for(format!("{} cannot be read: {error}", path.display())))
}

fn der(certificates: &[CertificateDer<'_>]) -> Vec<Arc<[u8]>> {
    certificates
        .iter()
        .map(|certificate| Arc::from(certificate.as_ref()))
        .collect()
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
