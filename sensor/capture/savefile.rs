//! Capture files read by libpcap: classic pcap that is not plain, such as patched formats and old versions.

use std::io::{Read, Write};
use std::path::Path;

use pcap::{Capture, Offline, Precision};
use tempfile::NamedTempFile;

use super::error::{CaptureError, Fault, link_name};
use super::input::{Captured, Input};
use crate::model::{LinkType, SECOND, Timestamp};

/// Octets that most formats hold beside a frame, to tell about how far reading is.
const FRAME_HEADER: u64 = 24;

/// A file that libpcap reads.
pub(super) struct Savefile {
    capture: Capture<Offline>,
    link: LinkType,
    /// Why there is no more of a copy than libpcap finds.
    end: Option<Fault>,
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
            end: None,
            octets_read: 0,
        })
    }

    /// Opens a copy of what is not read of a file. Nothing is copied but the beginning if libpcap does not know that.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`], and [`CaptureError::Read`] when it cannot be copied.
    pub(super) fn copy<R: Read>(mut input: Input<R>, name: &str) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Read {
            file: name.to_owned(),
            source,
        };
        let mut spool = NamedTempFile::new().map_err(failed)?;
        let mut is_known = false;
        let end = loop {
            match input.fill(1) {
                Ok(true) => spool.write_all(input.advance(usize::MAX)).map_err(failed)?,
                Ok(false) if input.is_spent() => break None,
                Ok(false) => break Some(Fault::Cut),
                Err(error) => break Some(error.into()),
            }
            if !is_known {
                Self::open(spool.path(), name)?;
                is_known = true;
            }
        };
        // Open, it outlives its name, which is given up here.
        let mut copy = Self::open(spool.path(), name)?;
        copy.end = end;
        Ok(copy)
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
            Err(pcap::Error::NoMorePackets) => self.end.take().map_or(Ok(None), Err),
            Err(error) => {
                let reason = reason(error);
                match reason.starts_with("truncated") {
                    true => Err(self.end.take().unwrap_or(Fault::Cut)),
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
