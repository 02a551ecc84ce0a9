//! The words of the design as plain types, and the traits behind which the outside world stands.
//!
//! Nothing here does any work of its own; every other folder imports from here.

mod address;
mod alert;
mod alert_record;
mod budget;
mod chunked;
mod counters;
mod days;
mod delivered;
mod destination;
mod event;
mod evidence;
mod flow;
mod frame;
mod imported;
mod join;
mod kept;
mod ledger;
mod life;
mod listen;
mod malformed;
mod pair;
mod places;
mod policy;
mod port_set;
mod portable;
mod present;
mod record;
mod runs;
mod sink;
mod sink_rule;
mod sink_url;
mod time;
mod workload;

pub use address::*;
pub use alert::*;
pub use alert_record::*;
pub use budget::*;
pub use chunked::*;
pub use counters::*;
pub use days::*;
pub use delivered::{BySource, Delivered, Minute, SourceReport};
pub use destination::*;
pub use event::*;
pub use evidence::*;
pub use flow::*;
pub use frame::*;
pub use imported::*;
pub use kept::*;
pub use ledger::*;
pub use life::*;
pub use listen::*;
pub use malformed::*;
pub use pair::*;
pub use places::*;
pub use policy::*;
pub use port_set::*;
pub use portable::*;
pub use present::*;
pub use record::*;
pub use runs::*;
pub use sink::*;
pub use sink_rule::*;
pub use sink_url::*;
pub use time::*;
pub use workload::*;

#[cfg(test)]
pub(crate) mod sample;
