//! Where alerts and records go: syslog over UDP, TCP and local sockets, JSON Lines files and standard output.
//!
//! A sink says whether a receiver took an alert; when to try again, and which alert comes next, is the delivery owner's
//! (rule A4). No sink waits longer than its time limits, sleeps, or loses an alert that it said it took: what was
//! handed over since the last successful [`flush`](crate::model::Sink::flush) is sent again after a reconnect, so a
//! receiver may see an alert twice and tells it by id and revision.

mod ascii;
mod fit;
mod json_lines;
mod records;
mod spool;
mod syslog;
mod tcp;
mod udp;
mod unix;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

pub use json_lines::{ALERTS, JsonLines};
pub use records::RecordFiles;
pub use syslog::{MESSAGE_LIMIT, Syslog};
pub use tcp::Tcp;
pub use udp::Udp;
pub use unix::Unix;

use crate::model::{Sink, SinkError, SinkUrl};

/// How long a connection may take to open, for each address of the receiver.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one write may be stuck before the receiver counts as gone.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Opens the sink of a URL.
///
/// Only files are touched here: the sinks that send connect on their first alert, so that a receiver that is away does
/// not keep the sensor from starting.
///
/// # Errors
///
/// When a file cannot be opened; `Unsupported` for `tls://`, which is not built yet.
pub fn open(url: &SinkUrl) -> Result<Box<dyn Sink>, SinkError> {
    let name = url.to_string();
    let syslog = Syslog::of_this_process;
    Ok(match url {
        SinkUrl::Udp { host, port } => Box::new(Udp::new(name, host, *port, syslog())),
        SinkUrl::Tcp { host, port } => Box::new(Tcp::new(name, host, *port, syslog())),
        SinkUrl::Unix(path) => Box::new(Unix::new(name, path, syslog())),
        SinkUrl::File(path) => Box::new(JsonLines::append(name, path)?),
        SinkUrl::Tls { .. } => {
            let why = "tls:// is not built yet; send with tcp:// to a relay on this host that speaks TLS";
            return Err(failed(&name, io::Error::new(io::ErrorKind::Unsupported, why)));
        }
    })
}

/// Says whether the reader of a pipe went away, as `head` does: the owner then ends in order, with success.
#[must_use]
pub fn is_reader_gone(error: &SinkError) -> bool {
    error.source.kind() == io::ErrorKind::BrokenPipe
}

/// What a sink sends through, kept as long as it works: it is opened with the first alert and again after each error.
#[derive(Debug)]
struct Connection<T>(Option<T>);

impl<T> Connection<T> {
    /// Returns one that is to be opened.
    const fn closed() -> Self {
        Self(None)
    }

    /// Closes the connection, unless it is open as far as can be told.
    fn close_unless(&mut self, is_open: impl FnOnce(&T) -> bool) {
        self.0 = self.0.take().filter(is_open);
    }

    /// Sends through the connection, opening it first where it is closed; an error closes it.
    fn send<R>(
        &mut self,
        open: impl FnOnce() -> io::Result<T>,
        send: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<()> {
        let mut connection = match self.0.take() {
            Some(connection) => connection,
            None => open()?,
        };
        send(&mut connection)?;
        self.0 = Some(connection);
        Ok(())
    }
}

/// Connects to the first address of a host that can be connected to; else the last one's error counts.
fn to_any_address<T>(host: &str, port: u16, connect: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host's name has no address");
    for address in (host, port).to_socket_addrs()? {
        match connect(address) {
            Ok(connected) => return Ok(connected),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn failed(sink: &str, source: io::Error) -> SinkError {
    SinkError {
        sink: sink.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_opens_or_says_why_not() {
        for url in ["udp://siem.example:514", "tcp://[2001:db8::1]:601", "unix:///dev/log"] {
            assert_eq!(open(&url.parse().unwrap()).unwrap().name(), url);
        }
        let error = open(&"tls://siem.example:6514".parse().unwrap()).err().unwrap();
        assert_eq!(error.source.kind(), io::ErrorKind::Unsupported);
        assert!(
            error
                .to_string()
                .starts_with("tls://siem.example:6514: tls:// is not built yet")
        );
        let error = open(&"file:///nonexistent/alerts.jsonl".parse().unwrap())
            .err()
            .unwrap();
        assert!(error.to_string().starts_with("file:///nonexistent/alerts.jsonl: "));
    }
}
