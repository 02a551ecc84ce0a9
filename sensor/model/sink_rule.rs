//! A sink as the settings describe it.

use std::fmt;
use std::sync::Arc;

use super::sink_url::SinkUrl;
use super::time::Timestamp;

/// Where alerts go, from when on, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkRule {
    /// The receiver.
    pub url: SinkUrl,
    /// With what a sink begins that the ledger does not know yet.
    pub from: SinkStart,
    /// Who may be at the other end of `tls://`, and who we are.
    pub tls: TlsRule,
}

impl From<SinkUrl> for SinkRule {
    fn from(url: SinkUrl) -> Self {
        Self {
            url,
            from: SinkStart::Now,
            tls: TlsRule::default(),
        }
    }
}

/// With what a new sink begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SinkStart {
    /// With the next line.
    #[default]
    Now,
    /// With the first line kept whose alert was decided then or later.
    At(Timestamp),
}

/// What TLS goes by. Certificates and keys are DER that was found to be good.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsRule {
    /// The authorities one of which has to have signed the receiver's certificate; without them, the system's.
    pub authorities: Option<Vec<Arc<[u8]>>>,
    /// What we show to a receiver that asks who we are.
    pub identity: Option<TlsIdentity>,
    /// The name or address that the receiver's certificate has to be for; without it, the host of the URL.
    pub server_name: Option<String>,
}

/// A certificate with its chain, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate, then those that lead to its authority.
    pub chain: Vec<Arc<[u8]>>,
    /// The private key.
    pub key: Arc<[u8]>,
}

/// Without the key.
impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}
