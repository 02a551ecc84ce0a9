//! Where alerts and records go: syslog over UDP, TCP, TLS, RELP and local sockets, JSON Lines files and standard output.
//!
//! A sink says how far its receiver is; when to try again, and which alert comes next, is the delivery owner's (rule A4).
//! No sink waits longer than its time limits, and none holds more than what is on its way. What a sink does not call
//! delivered is given to it again, so a receiver may see an alert twice and tells it by id and revision.

mod ascii;
mod carrier;
mod fit;
mod json_lines;
mod records;
mod relp;
mod spool;
mod stream;
mod syslog;
mod tcp;
mod tls;
mod udp;
mod unacknowledged;
mod unix;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

pub use json_lines::{ALERTS, JsonLines};
pub use records::RecordFiles;
pub use syslog::{MESSAGE_LIMIT, Syslog};

use crate::model::{Sink, SinkError, SinkRule, SinkUrl};

use carrier::{Carrier, SyslogSink};
use relp::Relp;
use tcp::Tcp;
use tls::Tls;
use udp::Udp;
use unix::Unix;

/// How long a connection may take to open, for each address of the receiver.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long sending one datagram may be stuck before the receiver counts as gone.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long a receiver may let a connection stand still before it counts as gone: longer than a program is stopped for in
/// passing, since what it has not read by then comes twice.
const STALL_LIMIT: Duration = Duration::from_mins(2);
/// The same once no more lines come and the run waits to end.
const LAST_STALL_LIMIT: Duration = Duration::from_secs(10);

/// What a connection says that its receiver ended before we did.
const CLOSED_FIRST: &str = "the receiver closed the connection";

/// Opens a sink.
///
/// Only files are touched here: the sinks that send connect on their first alert, so that a receiver that is away does
/// not keep the sensor from starting.
///
/// # Errors
///
/// When a file cannot be opened; `InvalidInput` when what is given for `tls://` cannot be used.
pub fn open(rule: &SinkRule) -> Result<Box<dyn Sink>, SinkError> {
    let name = rule.url.to_string();
    Ok(match &rule.url {
        SinkUrl::Udp { host, port } => through(name, Udp::new(host, *port)),
        SinkUrl::Tcp { host, port } => through(name, Tcp::new(host, *port)),
        SinkUrl::Tls { host, port } => {
            let tls = Tls::new(host, &rule.tls).map_err(|error| failed(&name, error))?;
            through(name, Tcp::new(host, *port).with_tls(tls))
        }
        SinkUrl::Relp { host, port } => through(name, Relp::new(host, *port)),
        SinkUrl::Unix(path) => through(name, Unix::new(path)),
        SinkUrl::File(path) => Box::new(JsonLines::append(name, path)?),
    })
}

fn through(name: String, carrier: impl Carrier + 'static) -> Box<dyn Sink> {
    Box::new(SyslogSink::new(name, Syslog::of_this_process(), carrier))
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

/// A receiver that has let a connection stand still for so long.
fn unread(limit: Duration) -> io::Error {
    let why = format!("the receiver has not read what was sent for {} s", limit.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, why)
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

    fn opened(url: &str) -> Result<Box<dyn Sink>, SinkError> {
        open(&url.parse::<SinkUrl>().unwrap().into())
    }

    #[test]
    fn every_scheme_opens_or_says_why_not() {
        for url in [
            "udp://siem.example:514",
            "tcp://[2001:db8::1]:601",
            "relp://siem.example:2514",
            "unix:///dev/log",
        ] {
            assert_eq!(opened(url).unwrap().name(), url);
        }
        let error = opened("file:///nonexistent/alerts.jsonl").err().unwrap();
        assert!(error.to_string().starts_with("file:///nonexistent/alerts.jsonl: "));
    }
}
