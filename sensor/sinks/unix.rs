//! Syslog over a local datagram socket: one message a datagram, as RFC 5424 has it.
//!
//! Meant for a socket that its receiver reads with its RFC 5424 parser (rsyslog: `imuxsock` with
//! `useSpecialParser="off"`); the traditional `/dev/log` expects the older format.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Connection, Syslog, WRITE_LIMIT, failed};
use crate::model::{Alert, Sink, SinkError, SinkPosition};

/// A receiver on this host.
///
/// A queue that stays full (`ENOBUFS`, or no room within the time limit), a receiver that is away and a socket that was
/// made anew are errors; the socket is then opened again for the next attempt.
#[derive(Debug)]
pub struct Unix {
    name: String,
    path: PathBuf,
    syslog: Syslog,
    line: u64,
    socket: Connection<UnixDatagram>,
}

impl Unix {
    /// Returns a sink that connects with the first alert.
    #[must_use]
    pub fn new(name: String, path: &Path, syslog: Syslog) -> Self {
        Self {
            name,
            path: path.to_owned(),
            syslog,
            line: 0,
            socket: Connection::closed(),
        }
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        self.socket
            .send(|| connect(&self.path), |socket| socket.send(message.as_bytes()))
    }
}

impl Sink for Unix {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, position: SinkPosition) -> Result<(), SinkError> {
        self.line = position.line;
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn deliver(&mut self, number: u64, alert: &Alert) -> Result<(), SinkError> {
        let message = self.syslog.message(alert);
        self.send(&message).map_err(|error| failed(&self.name, error))?;
        self.line = number;
        Ok(())
    }

    fn turn(&mut self, _: Duration) -> Result<(), SinkError> {
        Ok(())
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::at(self.line)
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(WRITE_LIMIT))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    #[test]
    fn a_receiver_that_comes_back_gets_the_alert_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog::new("h", 1);
        let mut sink = Unix::new("unix".to_owned(), &path, syslog.clone());
        assert!(sink.deliver(1, &sample::revision(1)).is_err());
        let mut octets = [0; 4096];
        for revision in [1, 2] {
            let receiver = UnixDatagram::bind(&path).unwrap();
            if revision == 2 {
                // The old socket is gone: one refusal, then the new one.
                assert!(sink.deliver(2, &sample::revision(2)).is_err());
            }
            let alert = sample::revision(revision);
            sink.deliver(u64::from(revision), &alert).unwrap();
            assert_eq!(sink.position().line, u64::from(revision));
            let length = receiver.recv(&mut octets).unwrap();
            assert_eq!(&octets[..length], syslog.message(&alert).as_bytes());
            std::fs::remove_file(&path).unwrap();
        }
    }
}
