//! The settings file: TOML to the model's types, or one line that says what is wrong with it.
//!
//! Every default is that of [`Policy::default`], or a constant here. Nothing is looked up, opened or bound but the
//! files that the settings name; a value that is read is a value that can be used.

mod budgets;
mod document;
mod refused;
mod sections;
mod sinks;
mod values;

use std::path::Path;
use std::sync::Arc;

pub use refused::Refused;

use crate::model::{
    AggregateRule, BaselineMode, BaselinePolicy, ListenUrl, NamesPolicy, NetworkPolicy, Policy, SegmentPolicy,
    SinkRule, Span, TimeSource, WorkloadRule,
};

/// What a settings file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How much memory the tables may hold, in octets.
    pub memory: u64,
    /// What is internal, and which ports carry what.
    pub network: NetworkPolicy,
    /// What makes a segment.
    pub segment: SegmentPolicy,
    /// How names explain contacts.
    pub names: NamesPolicy,
    /// How long contacts are remembered and learnt.
    pub baseline: BaselineSettings,
    /// The inventory.
    pub workloads: Vec<WorkloadRule>,
    /// Aggregation rules beside the built-in ones.
    pub aggregates: Vec<AggregateRule>,
    /// The text of a public suffix list that replaces the one compiled in.
    pub public_suffix_list: Option<Arc<str>>,
    /// Where alerts go, each once.
    pub sinks: Vec<SinkRule>,
    /// How many lines the ledger keeps for them.
    pub kept_lines: u64,
    /// What `sensor run` listens to.
    pub capture: CaptureSettings,
}

/// `[baseline]`, with learning as the file gives it: live and replay differ in what its absence means (rule B4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaselineSettings {
    /// A destination without a contact for longer than this is new.
    pub window: Span,
    /// A pair without a contact for longer than this is forgotten.
    pub retention: Span,
    /// How long a segment learns, if the file says so.
    pub learning: Option<Span>,
    /// How long a workload learns that appears later, if the file says so.
    pub learning_new: Option<Span>,
    /// How many pairs a workload may have.
    pub destinations: u32,
    /// How many octets pairs and alerts may take on disk.
    pub disk: u64,
    /// How many novelties of a workload are raised one by one within a minute.
    pub alerts_a_minute: u32,
}

/// `[capture]`: what `sensor run` listens to. Replay has no use for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureSettings {
    /// The interface, unless the command line names one.
    pub interface: Option<Arc<str>>,
    /// The UDP sockets in place of an interface, unless the command line names some; each address once.
    pub listen: Vec<ListenUrl>,
    /// The ring between kernel and sensor, or the buffers of all sockets, in octets.
    pub ring: u64,
}

/// Whether packets come as they are sent or from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From an interface.
    Live,
    /// From captures.
    Replay,
}

/// The ring holds half a second of a link of 1 Gbit/s, which outlasts a slow write to the ledger's disk.
const RING: u64 = 64 << 20;

/// A flood of alerts as large as this waits for a receiver that is away; on disk it takes some 50 MiB.
const KEPT_LINES: u64 = 100_000;

impl Default for Settings {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            memory: policy.memory,
            network: policy.network,
            segment: policy.segment,
            names: policy.names,
            baseline: BaselineSettings {
                window: policy.baseline.window,
                retention: policy.baseline.retention,
                learning: None,
                learning_new: None,
                destinations: policy.baseline.destinations,
                disk: policy.baseline.disk,
                alerts_a_minute: policy.baseline.alerts_a_minute,
            },
            workloads: policy.workloads,
            aggregates: policy.aggregates,
            public_suffix_list: policy.public_suffix_list,
            sinks: Vec::new(),
            kept_lines: KEPT_LINES,
            capture: CaptureSettings {
                interface: None,
                listen: Vec::new(),
                ring: RING,
            },
        }
    }
}

impl Settings {
    /// Reads a settings file. Keys that it leaves out have their defaults.
    ///
    /// # Errors
    ///
    /// `Refused` for a file that cannot be read or is not TOML, a key that does not exist, or a value that cannot be
    /// used; the first one found.
    pub fn read(path: &Path) -> Result<Self, Refused> {
        let text = std::fs::read_to_string(path).map_err(|error| Refused {
            file: path.display().to_string(),
            line: None,
            key: None,
            problem: format!("cannot be read: {error}"),
        })?;
        Self::parse(&text, path)
    }

    /// Reads settings from text; `path` stands for their file in refusals, and paths in them start from its folder.
    ///
    /// # Errors
    ///
    /// As [`Settings::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Refused> {
        sections::read(text, path)
    }

    /// Returns what the engine goes by. In replay nothing is learnt unless the file says so (rule B4).
    #[must_use]
    pub fn policy(&self, mode: Mode) -> Policy {
        let default = match mode {
            Mode::Live => Policy::default().baseline,
            Mode::Replay => BaselinePolicy {
                learning: Span::ZERO,
                learning_new: Span::ZERO,
                ..Policy::default().baseline
            },
        };
        Policy {
            memory: self.memory,
            time: match mode {
                Mode::Live => TimeSource::Live,
                Mode::Replay => TimeSource::Captures,
            },
            network: self.network.clone(),
            segment: self.segment.clone(),
            names: self.names.clone(),
            baseline: BaselinePolicy {
                window: self.baseline.window,
                retention: self.baseline.retention,
                learning: self.baseline.learning.unwrap_or(default.learning),
                learning_new: self.baseline.learning_new.unwrap_or(default.learning_new),
                destinations: self.baseline.destinations,
                disk: self.baseline.disk,
                alerts_a_minute: self.baseline.alerts_a_minute,
                mode: BaselineMode::Judge,
            },
            workloads: self.workloads.clone(),
            aggregates: self.aggregates.clone(),
            public_suffix_list: self.public_suffix_list.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
