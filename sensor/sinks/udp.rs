//! Syslog over UDP, RFC 5426: one message a datagram.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::{Carrier, Connection, WRITE_LIMIT, to_any_address};

/// The way to a receiver of datagrams.
///
/// Nothing confirms a datagram: what is lost on the way, or sent before the network says that nobody listens, stays
/// lost. Where that matters the receiver is named by `tcp://`.
#[derive(Debug)]
pub(super) struct Udp {
    host: String,
    port: u16,
    socket: Connection<UdpSocket>,
}

impl Udp {
    /// Returns one that looks its host up with the first message, and again after each error.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            socket: Connection::closed(),
        }
    }
}

impl Carrier for Udp {
    fn send(&mut self, line: u64, message: &str, delivered: &mut u64) -> io::Result<()> {
        let open = || to_any_address(&self.host, self.port, connect);
        self.socket.send(open, |socket| socket.send(message.as_bytes()))?;
        *delivered = line;
        Ok(())
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
    use crate::model::{Sink, sample};
    use crate::sinks::{Syslog, SyslogSink};

    #[test]
    fn each_alert_is_one_datagram() {
        for host in ["127.0.0.1", "localhost"] {
            let receiver = UdpSocket::bind((host, 0)).unwrap();
            receiver.set_read_timeout(Some(WRITE_LIMIT)).unwrap();
            let port = receiver.local_addr().unwrap().port();
            let syslog = Syslog::new("h", 1);
            let mut sink = SyslogSink::new("udp".to_owned(), syslog.clone(), Udp::new(host, port));
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
        let mut sink = SyslogSink::new("udp".to_owned(), Syslog::new("h", 1), Udp::new("", 1));
        assert!(
            sink.deliver(1, &sample::domain_alert())
                .unwrap_err()
                .to_string()
                .starts_with("udp: ")
        );
    }
}
