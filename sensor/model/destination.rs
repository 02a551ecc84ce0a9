//! What a workload contacts, by name.

use std::sync::Arc;

/// What a name stands for in the baseline (rules D1 to D3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The domain after aggregation: lower case, A-labels, no trailing dot; `.` for the root.
    pub domain: Arc<str>,
    /// Whose part of a shared service it is (rule D3); written as a name under the domain.
    pub tenant: Option<Arc<str>>,
}
