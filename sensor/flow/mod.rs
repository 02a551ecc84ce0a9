//! Flows: who speaks with whom, how it started, fared and ended (rules F1 to F6).
//!
//! A table belongs to one partition and knows nothing of others; who the originator of a doubtful flow is, the judge
//! decides. Nothing here reads names or the baseline.

mod closed;
mod key;
mod slab;
mod state;
mod table;

pub use key::{FlowKey, Side, Sides};
pub use state::{FlowUpdate, Opening, Shown, SideReport};
pub use table::{Class, FlowReport, FlowTable, Payload, Taken};

use crate::model::Span;

/// A UDP five-tuple that was silent for longer is another flow (rule F2).
pub const UDP_IDLE: Span = Span::seconds(60);
/// A TCP flow that went past its handshake ends after this silence; two hours would be RFC 9293's keep-alive.
pub const TCP_IDLE: Span = Span::hours(1);
/// A TCP flow that never went past its handshake ends after this silence.
pub const TCP_HALF_OPEN: Span = Span::seconds(30);
/// The five-tuple of a TCP flow that ended is kept for at least this long, so that what still trickles in opens no
/// midstream flow.
pub const TCP_LINGER: Span = Span::seconds(30);
