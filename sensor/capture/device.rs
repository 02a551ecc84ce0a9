//! Live capture on one interface through libpcap. It listens only: nothing is ever sent.

use std::os::fd::AsFd;

use pcap::{Active, Capture, Precision};
use rustix::event::{PollFd, PollFlags, poll};

use super::error::{CaptureError, link_name};
use super::live::{BATCH, Polled, WAIT, now};
use super::savefile::time_of;
use crate::model::{Frame, LinkType, SourceId, Span, Timestamp};

/// The interface that stands for all of them on Linux; it cannot be made promiscuous.
const ANY: &str = "any";
/// Octets of a frame that are kept: all of it, with segmentation offload as well.
const SNAP: i32 = 262_144;
/// How long the kernel may hold a frame back to hand it over with others, in milliseconds.
const HELD: i32 = 50;

/// An interface that frames are captured on.
pub(super) struct Device {
    interface: String,
    source: SourceId,
    link: LinkType,
    capture: Capture<Active>,
    drops: Drops,
}

/// A running total from a counter of 32 bits.
#[derive(Default)]
pub(super) struct Drops {
    seen: u32,
    total: u64,
}

impl Drops {
    /// Takes what the counter says now.
    pub(super) fn advance(&mut self, now: u32) {
        self.total += u64::from(now.wrapping_sub(self.seen));
        self.seen = now;
    }

    /// Returns how many it has counted in all.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }
}

impl Device {
    /// Opens an interface in promiscuous mode with a ring of about this many octets, which bridges pauses of the
    /// reader; its frames come from `source`.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Interface`] when there is none of this name or the rights are missing, and
    /// [`CaptureError::LinkType`] for a link type that the sensor does not know.
    pub(super) fn open(interface: &str, source: SourceId, ring_octets: u32) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Interface {
            interface: interface.to_owned(),
            source,
        };
        let capture = Capture::from_device(interface)
            .map_err(failed)?
            .promisc(interface != ANY)
            .snaplen(SNAP)
            .buffer_size(i32::try_from(ring_octets).unwrap_or(i32::MAX))
            .precision(Precision::Nano)
            .timeout(HELD)
            .open()
            .and_then(Capture::setnonblock)
            .map_err(failed)?;
        let number = capture.get_datalink().0;
        let link = LinkType::from_number(number).ok_or_else(|| CaptureError::LinkType {
            from: interface.to_owned(),
            name: link_name(number),
        })?;
        Ok(Self {
            interface: interface.to_owned(),
            source,
            link,
            capture,
            drops: Drops::default(),
        })
    }

    /// Hands over the frames that have come, at most 8,192; waits up to 100 ms if there are none.
    ///
    /// The kernel may hand a frame over 50 ms after its time, so one that comes after an idle call may be that much
    /// older than the call.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Interface`] when libpcap cannot go on, [`CaptureError::Wait`] when waiting fails.
    pub(super) fn poll(&mut self, each: &mut dyn FnMut(Frame<'_>)) -> Result<Polled, CaptureError> {
        let polled = self.take(each)?;
        if polled.frames > 0 || polled.is_down || !self.wait()? {
            return Ok(polled);
        }
        self.take(each)
    }

    /// Hands over what is there.
    fn take(&mut self, each: &mut dyn FnMut(Frame<'_>)) -> Result<Polled, CaptureError> {
        let (source, link) = (self.source, self.link);
        let taken = self.capture.dispatch(Some(BATCH), |packet| {
            each(Frame {
                time: time_of(packet.header),
                source,
                link,
                octets: packet.data,
            });
        });
        match taken {
            Ok(frames) => Ok(Polled { frames, is_down: false }),
            Err(pcap::Error::PcapError(reason)) if reason.contains("disappeared") => Ok(Polled {
                frames: 0,
                is_down: true,
            }),
            Err(source) => Err(CaptureError::Interface {
                interface: self.interface.clone(),
                source,
            }),
        }
    }

    /// Waits for a frame; `false` if none came.
    fn wait(&self) -> Result<bool, CaptureError> {
        let mut descriptors = [PollFd::from_borrowed_fd(self.capture.as_fd(), PollFlags::IN)];
        match poll(&mut descriptors, Some(&WAIT)) {
            Ok(ready) => Ok(ready > 0),
            // A signal is its handler's business; the caller looks at its stop flag after this call anyway.
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(CaptureError::Wait {
                interface: self.interface.clone(),
                source: errno.into(),
            }),
        }
    }

    /// Returns until when the link is known to have been quiet after an idle call: now, less what the kernel may hold.
    pub(super) fn quiet_until(&self) -> Timestamp {
        now().minus(Span::millis(2 * i64::from(HELD)))
    }

    /// Returns how many frames the kernel and the interface have dropped since this one was opened.
    pub(super) fn drops(&mut self) -> u64 {
        if let Ok(now) = self.capture.stats() {
            self.drops.advance(now.dropped.wrapping_add(now.if_dropped));
        }
        self.drops.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_go_on_where_the_counter_of_libpcap_turns_over() {
        let mut drops = Drops::default();
        for now in [u32::MAX - 1, 3, 3] {
            drops.advance(now);
        }
        assert_eq!(drops.total, u64::from(u32::MAX) + 4);
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let refused = Device::open("no-such-interface", SourceId(0), 1 << 20).err().unwrap();
        assert_eq!(refused.to_string(), "cannot capture on no-such-interface");
    }
}
