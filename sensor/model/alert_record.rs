//! Alerts as the ledger keeps them: how they stand, and what they rest on (rule A1).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::alert::{Alert, Scope};
use super::time::Timestamp;

/// How an alert stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It went out.
    Raised,
    /// It was learnt instead (rule B4).
    Learned,
    /// A rule of the operator suppressed it.
    Suppressed,
    /// It was over budget (rule A5).
    Burst,
    /// A late answer explained it.
    Withdrawn,
    /// An operator expected it.
    Acknowledged,
    /// An operator closed it.
    Closed,
}

/// An alert in the ledger: the latest line and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// How it stands.
    pub state: AlertState,
    /// The latest line.
    pub alert: Alert,
    /// What `explain` needs later.
    pub considered: Vec<Considered>,
    /// What made it less severe when it was raised, so that an update weighs the same facts.
    #[serde(default)]
    pub lowered: Lowered,
}

/// What makes an alert less severe and is decided once, when it is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lowered {
    /// Three other workloads of the group had the destination in the window.
    pub known_to_group: bool,
    /// Expired evidence names a domain that the workload knew.
    pub expired_known_domain: bool,
}

/// One piece of evidence that was considered, and why it did or did not explain (rule A1; at most 16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// The name that was asked.
    pub name: Arc<str>,
    /// Who asked.
    pub client: Address,
    /// Who answered.
    pub server: Address,
    /// When it was last answered.
    pub ts: Timestamp,
    /// Whose answer it was to this contact, if it is in a scope.
    pub scope: Option<Scope>,
    /// Why it did or did not explain.
    pub reason: Reason,
}

/// Why a piece of evidence did or did not explain a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was chosen.
    Chosen,
    /// Another one came before it.
    NotFirst,
    /// Its life was over.
    Expired,
    /// Nobody asked for it.
    Unsolicited,
    /// Its client is in no scope of the contact.
    OutOfScope,
    /// It came from the server that the contact is with.
    FromResponder,
}
