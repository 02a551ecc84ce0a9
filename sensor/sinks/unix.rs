//! Syslog over a local datagram socket: one message a datagram, as RFC 5424 has it.
//!
//! Meant for a socket that its receiver reads with its RFC 5424 parser (rsyslog: `imuxsock` with
//! `useSpecialParser="off"`); the traditional `/dev/log` expects the older format.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{Carrier, Connection, WRITE_LIMIT};

/// The way to a receiver on this host.
///
/// A queue that stays full (`ENOBUFS`, or no room within the time limit), a receiver that is away and a socket that was
/// made anew are errors; the socket is then opened again for the next attempt.
#[derive(Debug)]
pub(super) struct Unix {
    path: PathBuf,
    socket: Connection<UnixDatagram>,
}

impl Unix {
    /// Returns one that connects with the first message.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            socket: Connection::closed(),
        }
    }
}

impl Carrier for Unix {
    fn send(&mut self, line: u64, message: &str, delivered: &mut u64) -> io::Result<()> {
        self.socket
            .send(|| connect(&self.path), |socket| socket.send(message.as_bytes()))?;
        *delivered = line;
        Ok(())
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
    use crate::model::{Sink, sample};
    use crate::sinks::{Syslog, SyslogSink};

    #[test]
    fn a_receiver_that_comes_back_gets_the_alert_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog::new("h", 1);
        let mut sink = SyslogSink::new("unix".to_owned(), syslog.clone(), Unix::new(&path));
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
