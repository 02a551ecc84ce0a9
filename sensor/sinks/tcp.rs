//! Syslog over TCP, RFC 6587 with octet counting (section 3.4.1): `LENGTH SP MESSAGE`, nothing between messages.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{CONNECT_LIMIT, Connection, Syslog, WRITE_LIMIT, failed, to_any_address};
use crate::model::{Alert, Sink, SinkError};

/// How much is kept to be sent again, in octets; when it is full, a flush is due before more is taken.
const UNCONFIRMED: usize = 1 << 20;

/// A receiver of a stream.
///
/// Receivers never answer, so nothing confirms a message. What was written since the last flush is kept and written
/// again on the next connection; a flush succeeds only while the receiver holds the connection open. What the receiver
/// had not read when it died after that is lost, which no syslog over TCP can see.
#[derive(Debug)]
pub struct Tcp {
    name: String,
    host: String,
    port: u16,
    syslog: Syslog,
    stream: Connection<TcpStream>,
    unconfirmed: Vec<u8>,
}

impl Tcp {
    /// Returns a sink that looks its host up and connects with the first alert, and again after each error.
    #[must_use]
    pub fn new(name: String, host: &str, port: u16, syslog: Syslog) -> Self {
        Self {
            name,
            host: host.to_owned(),
            port,
            syslog,
            stream: Connection::closed(),
            unconfirmed: Vec::new(),
        }
    }

    /// Writes to a connection that is open as far as can be told. A new one starts with what is unconfirmed.
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.close_unless(is_open);
        let open = || {
            let mut stream = to_any_address(&self.host, self.port, connect)?;
            stream.write_all(&self.unconfirmed)?;
            Ok(stream)
        };
        self.stream.send(open, |stream| stream.write_all(octets))
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        if self.unconfirmed.len() >= UNCONFIRMED {
            self.confirm()?;
        }
        let frame = format!("{} {message}", message.len());
        self.write(frame.as_bytes())?;
        self.unconfirmed.extend_from_slice(frame.as_bytes());
        Ok(())
    }

    fn confirm(&mut self) -> io::Result<()> {
        if !self.unconfirmed.is_empty() {
            self.write(&[])?;
            self.unconfirmed.clear();
        }
        Ok(())
    }
}

impl Sink for Tcp {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        let message = self.syslog.message(alert);
        self.send(&message).map_err(|error| failed(&self.name, error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.confirm().map_err(|error| failed(&self.name, error))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
    stream.set_write_timeout(Some(WRITE_LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Says whether the receiver has neither closed nor reset the connection; anything that it sent is read and dropped.
fn is_open(mut stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let would_block = loop {
        match stream.read(&mut [0; 256]) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
        }
    };
    would_block && stream.set_nonblocking(false).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::model::sample;

    fn pair() -> (TcpListener, Tcp, Syslog) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let syslog = Syslog::new("h", 1);
        (
            listener,
            Tcp::new("tcp".to_owned(), "127.0.0.1", port, syslog.clone()),
            syslog,
        )
    }

    /// Reads one message, octet by octet as the length says.
    fn receive(stream: &mut TcpStream) -> String {
        let mut length = 0;
        loop {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            match octet[0] {
                b' ' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; length];
        stream.read_exact(&mut message).unwrap();
        String::from_utf8(message).unwrap()
    }

    /// Waits until the receiver's end of the connection has arrived here.
    fn wait_for_end(sink: &Tcp) {
        let ended = sink.stream.0.as_ref().unwrap().peek(&mut [0]);
        assert!(matches!(ended, Ok(0) | Err(_)));
    }

    #[test]
    fn messages_are_counted_and_can_be_taken_apart() {
        let (listener, mut sink, syslog) = pair();
        let alerts = [1, 2, 3].map(sample::revision);
        for alert in &alerts {
            sink.deliver(alert).unwrap();
        }
        sink.flush().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        for alert in &alerts {
            assert_eq!(receive(&mut stream), syslog.message(alert));
        }
    }

    #[test]
    fn a_restarted_receiver_gets_what_was_not_confirmed_and_the_next() {
        let (listener, mut sink, syslog) = pair();
        sink.deliver(&sample::revision(1)).unwrap();
        sink.flush().unwrap();
        sink.deliver(&sample::revision(2)).unwrap();
        drop(listener.accept().unwrap());
        wait_for_end(&sink);
        sink.deliver(&sample::revision(3)).unwrap();
        sink.flush().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        for revision in [2, 3] {
            assert_eq!(receive(&mut stream), syslog.message(&sample::revision(revision)));
        }
    }

    #[test]
    fn a_flush_while_the_receiver_is_away_fails_and_a_later_one_sends_again() {
        let (listener, mut sink, syslog) = pair();
        let address = listener.local_addr().unwrap();
        sink.deliver(&sample::revision(1)).unwrap();
        drop(listener.accept().unwrap());
        drop(listener);
        wait_for_end(&sink);
        assert!(sink.flush().is_err());
        assert!(sink.deliver(&sample::revision(2)).is_err());
        let listener = TcpListener::bind(address).unwrap();
        sink.flush().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(receive(&mut stream), syslog.message(&sample::revision(1)));
    }

    #[test]
    fn what_a_receiver_says_is_dropped() {
        let (listener, mut sink, syslog) = pair();
        sink.deliver(&sample::revision(1)).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[b'x'; 1000]).unwrap();
        sink.stream.0.as_ref().unwrap().peek(&mut [0]).unwrap();
        sink.deliver(&sample::revision(2)).unwrap();
        sink.flush().unwrap();
        for revision in [1, 2] {
            assert_eq!(receive(&mut stream), syslog.message(&sample::revision(revision)));
        }
    }
}
