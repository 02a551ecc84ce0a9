//! What live frames come from: an interface, or UDP sockets that a mirror sends to.

use std::fmt;

use rustix::event::Timespec;

use super::device::Device;
use super::error::CaptureError;
use super::sockets::Sockets;
use crate::model::{Frame, Listen, SourceId, Timestamp};

/// How long a call waits for a frame, so that its caller can make a mark on a quiet link.
pub(super) const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// Frames that one call gives at most, so that its caller sees time pass on a busy link too.
pub(super) const BATCH: usize = 8192;

/// Where live frames are to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveFrom {
    /// An interface, by its name.
    Interface(String),
    /// UDP sockets.
    Sockets {
        /// The addresses; at least one.
        listens: Vec<Listen>,
        /// How many sockets each of them has.
        each: usize,
    },
}

impl fmt::Display for LiveFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => f.write_str(name),
            Self::Sockets { listens, .. } => {
                for (position, listen) in listens.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", listen.url)?;
                }
                Ok(())
            }
        }
    }
}

/// Gives frames as they come.
pub struct Live(Kind);

enum Kind {
    Interface(Device),
    Sockets(Sockets),
}

/// What one call of [`Live::poll`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Frames given.
    pub frames: usize,
    /// Whether the interface went down or away; it gives frames again once it is back up under the same number. Sockets
    /// outlast their interfaces, so they are never down.
    pub is_down: bool,
}

impl Polled {
    /// Says whether the link was quiet for the whole call.
    #[must_use]
    pub const fn is_idle(self) -> bool {
        self.frames == 0
    }
}

impl Live {
    /// Opens an interface in promiscuous mode, or sockets, with a ring or buffers of about this many octets in all, which
    /// bridge pauses of the reader. Frames come from `source`, unless they say who mirrored them.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Interface`] when there is none of this name or the rights are missing,
    /// [`CaptureError::LinkType`] for a link type that the sensor does not know, and [`CaptureError::Listen`] for an
    /// address that cannot be had.
    pub fn open(from: &LiveFrom, source: SourceId, ring_octets: u32) -> Result<Self, CaptureError> {
        Ok(Self(match from {
            LiveFrom::Interface(name) => Kind::Interface(Device::open(name, source, ring_octets)?),
            LiveFrom::Sockets { listens, each } => Kind::Sockets(Sockets::open(listens, *each, source, ring_octets)?),
        }))
    }

    /// Hands over the frames that have come, at most 8,192; waits up to 100 ms if there are none.
    ///
    /// The kernel may hand a frame over some time after it came (50 ms on an interface), so one that comes after an idle
    /// call may be that much older than the call.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Interface`] or [`CaptureError::Receive`] when capture cannot go on, [`CaptureError::Wait`] when
    /// waiting fails.
    pub fn poll(&mut self, each: &mut dyn FnMut(Frame<'_>)) -> Result<Polled, CaptureError> {
        match &mut self.0 {
            Kind::Interface(device) => device.poll(each),
            Kind::Sockets(sockets) => sockets.poll(each),
        }
    }

    /// Returns until when the link is known to have been quiet after an idle call.
    ///
    /// Frames carry the system's time, so this is the one clock that can mark a quiet link; it enters the engine as data
    /// (rule T1).
    #[must_use]
    pub fn quiet_until(&self) -> Timestamp {
        match &self.0 {
            Kind::Interface(device) => device.quiet_until(),
            Kind::Sockets(sockets) => sockets.quiet_until(),
        }
    }

    /// Returns how many frames the kernel and the interface have dropped since this was opened.
    pub fn drops(&mut self) -> u64 {
        match &mut self.0 {
            Kind::Interface(device) => device.drops(),
            Kind::Sockets(sockets) => sockets.drops(),
        }
    }
}

/// Returns the system's time, which is what the kernel gives frames.
pub(super) fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX))
}
