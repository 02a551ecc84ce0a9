//! Syslog over UDP, RFC 5426: one message a datagram.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::{Connection, Syslog, WRITE_LIMIT, failed, to_any_address};
use crate::model::{Alert, Sink, SinkError, SinkPosition};

/// A receiver of datagrams.
///
/// Nothing confirms a datagram: what is lost on the way, or sent before the network says that nobody listens, stays
/// lost. Where that matters the receiver is named by `tcp://`.
#[derive(Debug)]
pub struct Udp {
    name: String,
    host: String,
    port: u16,
    syslog: Syslog,
    line: u64,
    socket: Connection<UdpSocket>,
}

impl Udp {
    /// Returns a sink that looks its host up with the first alert, and again after each error.
    #[must_use]
    pub fn new(name: String, host: &str, port: u16, syslog: Syslog) -> Self {
        Self {
            name,
            host: host.to_owned(),
            port,
            syslog,
            line: 0,
            socket: Connection::closed(),
        }
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        let open = || to_any_address(&self.host, self.port, connect);
        self.socket.send(open, |socket| socket.send(message.as_bytes()))
    }
}

impl Sink for Udp {
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

fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(address)?;
    socket.set_write_timeout(Some(WRITE_LIMIT))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    #[test]
    fn each_alert_is_one_datagram() {
        for host in ["127.0.0.1", "localhost"] {
            let receiver = UdpSocket::bind((host, 0)).unwrap();
            receiver.set_read_timeout(Some(WRITE_LIMIT)).unwrap();
            let port = receiver.local_addr().unwrap().port();
            let syslog = Syslog::new("h", 1);
            let mut sink = Udp::new("udp".to_owned(), host, port, syslog.clone());
            let mut octets = [0; 4096];
            for revision in [1, 2] {
                let alert = sample::revision(revision);
                sink.deliver(u64::from(revision), &alert).unwrap();
                assert_eq!(sink.position().line, u64::from(revision));
                let (length, _) = receiver.recv_from(&mut octets).unwrap();
                assert_eq!(&octets[..length], syslog.message(&alert).as_bytes());
            }
        }
    }

    #[test]
    fn a_name_without_an_address_is_an_error() {
        let mut sink = Udp::new("udp".to_owned(), "", 1, Syslog::new("h", 1));
        assert!(
            sink.deliver(1, &sample::domain_alert())
                .unwrap_err()
                .to_string()
                .starts_with("udp: ")
        );
    }
}
