//! Who the originator is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::time::{Span, Timestamp};

/// A workload's number in one ledger, given in the order of first contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(pub u32);

/// What a workload is known by in the baseline and in alert ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKey {
    /// A name from the inventory.
    Named(Arc<str>),
    /// The segment, as records write it, and the address itself.
    Address(Arc<str>, Address),
}

/// The name, or `segment/address`.
impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Address(segment, address) => write!(f, "{segment}/{address}"),
        }
    }
}

/// What the ledger keeps of a workload beside its pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRecord {
    /// What it is known by.
    pub key: WorkloadKey,
    /// The segment in which it was first seen, as records write it.
    pub segment: Arc<str>,
    /// Its group when last seen.
    pub group: Option<Arc<str>>,
    /// When its first contact was.
    pub since: Timestamp,
    /// Until when it learns; at or before `since` if it never did (rule B4).
    pub learns_until: Timestamp,
    /// Its last contact, up to [`WorkloadRecord::LAST_STEP`] late.
    pub last: Timestamp,
}

impl WorkloadRecord {
    /// How far the last contact moves before the record is written anew.
    pub const LAST_STEP: Span = Span::days(30);
}
