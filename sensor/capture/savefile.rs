//! Capture files read by libpcap: classic pcap that is not plain, such as patched formats and old versions.

use std::path::Path;

use pcap::{Capture, Offline, Precision};

use super::error::{CaptureError, Fault, link_name};
use super::input::Captured;
use crate::model::{LinkType, SECOND, Timestamp};

/// Octets that most formats hold beside a frame, to tell about how far reading is.
const FRAME_HEADER: u64 = 24;

/// A file that libpcap reads.
pub(super) struct Savefile {
    capture: Capture<Offline>,
    link: LinkType,
    /// About how many octets were taken.
    pub octets_read: u64,
}

impl Savefile {
    /// Opens a file, which `name` stands for in errors; `-` is standard input.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotACapture`] when libpcap does not know the format or cannot read its beginning;
    /// [`CaptureError::LinkType`] for frames that cannot be read.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self, CaptureError> {
        let capture =
            Capture::from_file_with_precision(path, Precision::Nano).map_err(|error| CaptureError::NotACapture {
                file: name.to_owned(),
                reason: reason(error),
            })?;
        let number = capture.get_datalink().0;
        let link = LinkType::from_number(number).ok_or_else(|| CaptureError::LinkType {
            from: name.to_owned(),
            name: link_name(number),
        })?;
        Ok(Self {
            capture,
            link,
            octets_read: 0,
        })
    }

    /// Returns the next frame's time, link type and octets, or `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`Fault`]; after one the file cannot be read on.
    pub(super) fn next(&mut self) -> Result<Option<Captured<'_>>, Fault> {
        match self.capture.next_packet() {
            Ok(packet) => {
                self.octets_read += FRAME_HEADER + packet.data.len() as u64;
                Ok(Some((time_of(packet.header), self.link, packet.data)))
            }
            Err(pcap::Error::NoMorePackets) => Ok(None),
            Err(error) => {
                let reason = reason(error);
                match reason.starts_with("truncated") {
                    true => Err(Fault::Cut),
                    false => Err(Fault::Damaged(reason)),
                }
            }
        }
    }
}

/// Returns the time of a frame that libpcap read with nanosecond precision.
pub(super) fn time_of(header: &pcap::PacketHeader) -> Timestamp {
    // With that precision the field for microseconds holds nanoseconds.
    Timestamp(
        header
            .ts
            .tv_sec
            .saturating_mul(SECOND)
            .saturating_add(header.ts.tv_usec),
    )
}

/// Returns libpcap's own words.
fn reason(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(reason) => reason,
        other => other.to_string(),
    }
}
