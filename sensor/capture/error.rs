//! Why frames cannot be had.

use std::io;

use crate::model::Listen;

/// Why a capture cannot be opened or read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}")]
    Read {
        /// The file, as it was named.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is neither pcap nor pcapng.
    #[error("{file} is not a capture: {reason}")]
    NotACapture {
        /// The file, as it was named.
        file: String,
        /// What was found instead.
        reason: String,
    },
    /// Frames of this kind cannot be read (rule W1).
    #[error("{from}: link type {name} is not supported")]
    LinkType {
        /// The file or interface, as it was named.
        from: String,
        /// The link type by libpcap's name, or by its number if it has none.
        name: String,
    },
    /// The file is compressed in a way that is not unpacked here; the frames before that were given.
    #[error("{file} cannot be unpacked: {reason}; unpack it with its own program first")]
    Packed {
        /// The file, as it was named.
        file: String,
        /// What it would take.
        reason: String,
    },
    /// The file ends within a frame; the frames before it were given.
    #[error("{file} is cut in frame {frame}")]
    Cut {
        /// The file, as it was named.
        file: String,
        /// The frame that is not whole, counted from 1.
        frame: u64,
    },
    /// A frame's header cannot be right, and nothing behind it can be found; the frames before it were given.
    #[error("{file} is damaged at frame {frame}: {reason}")]
    Damaged {
        /// The file, as it was named.
        file: String,
        /// The frame that cannot be read, counted from 1.
        frame: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The interface cannot be opened or read.
    #[error("cannot capture on {interface}")]
    Interface {
        /// The interface, as it was named.
        interface: String,
        /// What libpcap says.
        source: pcap::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {url}{advice}")]
    Listen {
        /// The address, as it was named.
        url: String,
        /// What may be done about it, in words that follow.
        advice: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Sockets cannot be read on.
    #[error("cannot receive on {addresses}")]
    Receive {
        /// The addresses, as they were named.
        addresses: String,
        /// What the system says.
        source: io::Error,
    },
    /// Waiting for frames failed.
    #[error("cannot wait for {interface}")]
    Wait {
        /// The interface or the addresses, as they were named.
        interface: String,
        /// What the system says.
        source: io::Error,
    },
}

impl CaptureError {
    /// Returns the error of an address that cannot be listened on.
    pub(super) fn listen(listen: &Listen, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => {
                ", the port is taken: `ss -lunp` says by whom (a VXLAN or GENEVE device of the kernel has no process)"
            }
            io::ErrorKind::AddrNotAvailable => {
                ", no interface has this address: 0.0.0.0 or [::] stands for all that there are"
            }
            io::ErrorKind::PermissionDenied => {
                ", a port below 1024 takes CAP_NET_BIND_SERVICE: choose a higher one, such as vxlan://0.0.0.0:4789"
            }
            _ => "",
        };
        Self::Listen {
            url: listen.url.to_string(),
            advice,
            source,
        }
    }
}

/// Returns the name of a link type, or its number if libpcap knows none.
pub(super) fn link_name(number: i32) -> String {
    pcap::Linktype(number).get_name().unwrap_or_else(|_| number.to_string())
}

/// Why a reader of files cannot go on; [`Fault::within`] says it of a file.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file ends within a frame.
    Cut,
    /// This is wrong with the next frame.
    Damaged(String),
    /// The next frame's link type is not supported; this is its number.
    Link(i32),
    /// What follows takes this to unpack.
    Packed(String),
    /// Reading failed.
    Read(io::Error),
}

impl Fault {
    /// Returns the fault of a frame that claims too many octets.
    pub(super) fn long(octets: usize) -> Self {
        Self::Damaged(format!("it claims {octets} octets"))
    }

    /// Returns the fault of a part of the file that is too short for what it is.
    pub(super) fn short(part: &str) -> Self {
        Self::Damaged(format!("its {part} is too short"))
    }

    /// Returns the error of a file, named so, whose frame of this number cannot be had.
    pub(super) fn within(self, file: &str, frame: u64) -> CaptureError {
        let file = file.to_owned();
        match self {
            Self::Cut => CaptureError::Cut { file, frame },
            Self::Damaged(reason) => CaptureError::Damaged { file, frame, reason },
            Self::Link(number) => CaptureError::LinkType {
                from: file,
                name: link_name(number),
            },
            Self::Packed(reason) => CaptureError::Packed { file, reason },
            Self::Read(source) => CaptureError::Read { file, source },
        }
    }

    /// Returns the error of a file, named so, that does not begin as a capture does.
    pub(super) fn at_start(self, file: &str) -> CaptureError {
        let reason = match self {
            Self::Cut => "it ends within its header".to_owned(),
            Self::Damaged(reason) => reason,
            other => return other.within(file, 1),
        };
        CaptureError::NotACapture {
            file: file.to_owned(),
            reason,
        }
    }
}

impl From<io::Error> for Fault {
    /// Tells what unpacking found from what the system says, which has numbers.
    fn from(source: io::Error) -> Self {
        match (source.kind(), source.raw_os_error()) {
            (io::ErrorKind::UnexpectedEof, None) => Self::Cut,
            (io::ErrorKind::InvalidData, None) => Self::Damaged(source.to_string()),
            (io::ErrorKind::Unsupported, None) => Self::Packed(source.to_string()),
            _ => Self::Read(source),
        }
    }
}
