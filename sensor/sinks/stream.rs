//! A connection, over TCP alone or with TLS, that never blocks once it stands: what it cannot send now waits in a buffer,
//! and it knows what the receiver's kernel has acknowledged.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConnection;

use super::tls::Tls;
use super::unacknowledged::unacknowledged;
use super::{CLOSED_FIRST, CONNECT_LIMIT, to_any_address};

/// How much is read at once; receivers of syslog have little to say.
const READ: usize = 16 * 1024;
/// How much is read in one call of [`Stream::read`], whatever else the receiver has to say.
const READ_LIMIT: usize = 16 * READ;

/// How long a receiver may take to agree on keys, and to answer when a session is opened.
pub(super) const OPENING_LIMIT: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    session: Option<Box<Session>>,
    /// What the kernel has not taken yet, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Octets that the kernel took.
    written: u64,
    end: End,
    /// Whether the receiver ended its side.
    is_ended_there: bool,
}

/// What TLS adds to a connection.
#[derive(Debug)]
struct Session {
    tls: Tls,
    connection: ClientConnection,
}

/// How far our end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may be put in.
    Open,
    /// What waits is sent, then the end.
    Wanted,
    /// The kernel has it.
    Sent,
}

impl Stream {
    /// Connects to the first address of the host that can be connected to and, with TLS, waits until it is known who is
    /// there.
    pub fn connect(host: &str, port: u16, tls: Option<&Tls>) -> io::Result<Self> {
        let mut stream = Self {
            socket: to_any_address(host, port, connect)?,
            session: None,
            out: Vec::new(),
            sent: 0,
            written: 0,
            end: End::Open,
            is_ended_there: false,
        };
        if let Some(tls) = tls {
            stream.session = Some(Box::new(Session {
                tls: tls.clone(),
                connection: tls.begin()?,
            }));
            stream.agree()?;
        }
        Ok(stream)
    }

    /// Goes through the handshake of TLS.
    fn agree(&mut self) -> io::Result<()> {
        let until = Instant::now() + OPENING_LIMIT;
        loop {
            self.seal()?;
            self.push()?;
            if !self
                .session
                .as_ref()
                .is_some_and(|session| session.connection.is_handshaking())
            {
                return Ok(());
            }
            if self.is_ended_there {
                return Err(self.closed_first());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let why = format!("the receiver did not agree on TLS within {} s", OPENING_LIMIT.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            self.wait(left)?;
            self.read(&mut Vec::new())?;
        }
    }

    /// Moves what TLS has to send to the octets that wait.
    fn seal(&mut self) -> io::Result<()> {
        self.out.drain(..self.sent);
        self.sent = 0;
        if let Some(session) = &mut self.session {
            while session.connection.wants_write() {
                session.connection.write_tls(&mut self.out)?;
            }
        }
        Ok(())
    }

    /// Puts octets behind what waits to be sent; returns how many octets of the connection come before their end. Over
    /// TLS these are the sealed ones.
    pub fn put(&mut self, octets: &[u8]) -> io::Result<u64> {
        match &mut self.session {
            Some(session) => session.connection.writer().write_all(octets)?,
            None => self.out.extend_from_slice(octets),
        }
        self.seal()?;
        Ok(self.end_of_octets())
    }

    /// Returns how many octets were put in so far.
    pub const fn end_of_octets(&self) -> u64 {
        self.written + self.waiting() as u64
    }

    /// Returns how many octets wait to be sent.
    pub const fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Asks for the connection to be ended behind what waits.
    pub fn end(&mut self) -> io::Result<()> {
        if self.end == End::Open {
            if let Some(session) = &mut self.session {
                session.connection.send_close_notify();
            }
            self.seal()?;
            self.end = End::Wanted;
        }
        Ok(())
    }

    /// Sends what the kernel takes.
    pub fn push(&mut self) -> io::Result<()> {
        self.write_out().map_err(|error| {
            // Who resets a connection may have said why.
            self.read(&mut Vec::new()).err().unwrap_or_else(|| self.broken(error))
        })
    }

    fn write_out(&mut self) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.sent += written;
                    self.written += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.end == End::Wanted {
            self.socket.shutdown(Shutdown::Write)?;
            self.end = End::Sent;
        }
        Ok(())
    }

    /// Takes what the receiver says, and appends it to `said`.
    pub fn read(&mut self, said: &mut Vec<u8>) -> io::Result<()> {
        let mut octets = [0; READ];
        let mut room = READ_LIMIT;
        while room > 0 && !self.is_ended_there {
            match self.socket.read(&mut octets) {
                Ok(0) => self.is_ended_there = true,
                Ok(length) => {
                    self.take(octets.get(..length).unwrap_or_default(), said)?;
                    room = room.saturating_sub(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    /// Takes octets from the socket; over TLS they are opened, which may make some that have to be sent.
    fn take(&mut self, mut octets: &[u8], said: &mut Vec<u8>) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            said.extend_from_slice(octets);
            return Ok(());
        };
        while !octets.is_empty() {
            session.connection.read_tls(&mut octets)?;
            let state = match session.connection.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    let explained = session.tls.explained(&error);
                    // The receiver is told if it can be.
                    let _ = self.seal().and_then(|()| self.write_out());
                    return Err(explained);
                }
            };
            let end = said.len() + state.plaintext_bytes_to_read();
            said.resize(end, 0);
            let place = said
                .get_mut(end - state.plaintext_bytes_to_read()..)
                .unwrap_or_default();
            session.connection.reader().read_exact(place)?;
            if state.peer_has_closed() && self.end == End::Open {
                self.is_ended_there = true;
            }
        }
        self.seal()
    }

    /// Waits until the receiver says something or, if something waits to be sent, takes something; at most `patience`.
    pub fn wait(&self, patience: Duration) -> io::Result<()> {
        let mut wanted = PollFlags::empty();
        if !self.is_ended_there {
            wanted |= PollFlags::IN;
        }
        if self.waiting() > 0 {
            wanted |= PollFlags::OUT;
        }
        let limit = Timespec {
            tv_sec: patience.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut sockets = [PollFd::new(&self.socket, wanted)];
        // A connection that both sides ended is always ready; only time helps then.
        let sockets = if wanted.is_empty() {
            &mut [][..]
        } else {
            &mut sockets[..]
        };
        match poll(sockets, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns how many octets of the connection the receiver's kernel has acknowledged.
    pub fn acknowledged(&self) -> io::Result<u64> {
        Ok(self.written.saturating_sub(unacknowledged(&self.socket)?))
    }

    /// Says whether the receiver ended its side.
    pub const fn is_ended_there(&self) -> bool {
        self.is_ended_there
    }

    /// Says that the receiver ended the connection before we did.
    pub fn closed_first(&self) -> io::Error {
        self.broken(io::Error::new(io::ErrorKind::ConnectionAborted, CLOSED_FIRST))
    }

    /// Adds to an error of the connection what is known of its cause.
    fn broken(&self, error: io::Error) -> io::Error {
        match &self.session {
            Some(session) => session.tls.broken(error),
            None => error,
        }
    }

    /// Says whether both sides ended the connection in order: all of it was acknowledged, our end too, and the receiver
    /// ended its side without a reset.
    ///
    /// Then its program has read everything. One that closes a connection with octets unread, or before they come,
    /// resets it (RFC 9293 section 3.6.1).
    pub fn is_over(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(self.broken(error));
        }
        Ok(self.end == End::Sent && self.is_ended_there && unacknowledged(&self.socket)? == 0)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
