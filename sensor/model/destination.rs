//! What a workload contacts, by name.

use std::sync::Arc;

use super::pair::PairKey;

/// What a name stands for in the baseline (rules D1 to D3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The domain after aggregation: lower case, A-labels, no trailing dot; `.` for the root.
    pub domain: Arc<str>,
    /// Whose part of a shared service it is (rule D3); written as a name under the domain.
    pub tenant: Option<Arc<str>>,
}

/// What a name stands for, with the keys of the baseline for it, made once for all contacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationKeys {
    /// What it stands for.
    pub destination: Destination,
    /// The key of the domain.
    pub domain: PairKey,
    /// The key of the tenant.
    pub tenant: Option<PairKey>,
}

impl From<Destination> for DestinationKeys {
    fn from(destination: Destination) -> Self {
        Self {
            domain: PairKey::Domain(Arc::clone(&destination.domain)),
            tenant: destination.tenant.clone().map(PairKey::Tenant),
            destination,
        }
    }
}
