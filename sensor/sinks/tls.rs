//! TLS for syslog, RFC 5425: who may be at the other end, and what is said when somebody else is.
//!
//! The receiver's certificate has to lead to a trusted authority, be in force, and be for the name or address that the
//! settings give (sections 4.2 and 5.2); there is no way to turn that off. Versions 1.2 and 1.3.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, SignatureScheme,
};

use crate::model::{SECOND, Timestamp, TlsIdentity, TlsRule};

/// What connections to one receiver go by.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    authorities: &'static str,
    has_identity: bool,
    /// Whether the receiver asked who we are, and we had nothing to show.
    asked: Arc<Asked>,
}

/// Shows no certificate, and remembers that one was asked for.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl Tls {
    /// Takes the rule of a receiver.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the host is nothing that a certificate can be for, when the system has no authorities and none
    /// are given, or when key and certificates cannot be used.
    pub fn new(host: &str, rule: &TlsRule) -> io::Result<Self> {
        let name = rule.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| refused(format!("{name} is no name that a certificate can be for")))?;
        let mut roots = RootCertStore::empty();
        let authorities = match &rule.authorities {
            Some(given) => {
                for certificate in given {
                    roots.add(CertificateDer::from(certificate.to_vec())).map_err(refused)?;
                }
                "of `ca`"
            }
            None => {
                // What the system has and nobody can read is no reason to refuse the rest.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(refused("this system has no certificates of authorities: give `ca`"));
                }
                "of this system"
            }
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots);
        let asked = Arc::<Asked>::default();
        let mut config = match &rule.identity {
            Some(TlsIdentity { chain, key }) => {
                let chain = chain
                    .iter()
                    .map(|octets| CertificateDer::from(octets.to_vec()))
                    .collect();
                let key = PrivateKeyDer::try_from(key.to_vec()).map_err(refused)?;
                config.with_client_auth_cert(chain, key).map_err(refused)?
            }
            None => config.with_client_cert_resolver(Arc::clone(&asked) as _),
        };
        // A session that is resumed checks nobody's certificate again, and one a minute costs little.
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            name,
            authorities,
            has_identity: rule.identity.is_some(),
            asked,
        })
    }

    /// Begins a connection.
    pub fn begin(&self) -> io::Result<ClientConnection> {
        let begun = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let mut connection = begun.map_err(|error| self.explained(&error))?;
        connection.set_buffer_limit(None);
        Ok(connection)
    }

    /// Says in one line which certificate was wrong and what was expected.
    pub fn explained(&self, error: &Error) -> io::Error {
        let name = self.name.to_str();
        let words = match error {
            Error::InvalidCertificate(wrong) => match wrong {
                // An authority of the same name with another key signed it in the second case.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    format!(
                        "the receiver's certificate is not signed by an authority {}",
                        self.authorities
                    )
                }
                CertificateError::ExpiredContext { not_after, .. } => {
                    format!("the receiver's certificate expired at {}", shown(*not_after))
                }
                CertificateError::NotValidYetContext { not_before, .. } => {
                    format!("the receiver's certificate is in force from {} on", shown(*not_before))
                }
                CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                    format!("the receiver's certificate is for no name, expected {name}")
                }
                CertificateError::NotValidForNameContext { presented, .. } => {
                    format!(
                        "the receiver's certificate is for {}, expected {name}",
                        names(presented)
                    )
                }
                other => format!("the receiver's certificate is wrong: {other}"),
            },
            Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::NoCertificate) => {
                "the receiver requires a certificate of ours: give `certificate` and `key`".to_owned()
            }
            Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::BadCertificate)
                if !self.has_identity =>
            {
                "the receiver refuses us, probably for want of a certificate: give `certificate` and `key`".to_owned()
            }
            Error::AlertReceived(alert) if self.has_identity && is_about_certificates(*alert) => {
                format!("the receiver refuses our `certificate`: {alert:?}")
            }
            Error::InvalidMessage(_) => "the receiver does not speak TLS".to_owned(),
            other => other.to_string(),
        };
        io::Error::new(io::ErrorKind::InvalidData, words)
    }

    /// Says of a connection that broke what it may have broken for: some receivers end it without a word if they are shown
    /// no certificate.
    pub fn broken(&self, error: io::Error) -> io::Error {
        if !self.asked.0.load(Ordering::Relaxed) {
            return error;
        }
        let why = "the receiver had asked for a certificate of ours: give `certificate` and `key`";
        io::Error::new(error.kind(), format!("{error}; {why}"))
    }
}

const fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// Returns the names of a certificate without the kind that stands around each, as in `DnsName("siem.example")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let name = name
            .split_once('(')
            .map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        name.trim_matches('"').to_owned()
    };
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

fn shown(time: UnixTime) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp(seconds.saturating_mul(SECOND))
}

fn refused(why: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_string())
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
