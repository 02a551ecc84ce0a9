//! Syslog over RELP, the Reliable Event Logging Protocol of rsyslog (version 0), as its specification
//! (doc/relp.html of librelp) has it.
//!
//! Each side writes frames: `TRANSACTION SP COMMAND SP LENGTH [SP DATA] LF`. We open with what we offer, send messages
//! by the command `syslog`, and the receiver answers each transaction by `rsp` with a status as in `200 OK`. That is a
//! receipt of its program.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::stream::{OPENING_LIMIT, Stream};
use super::{Carrier, LAST_STALL_LIMIT, STALL_LIMIT, unread};

/// How many messages may wait for their receipt, as librelp has it.
const WINDOW: usize = 128;
/// The greatest transaction number; 1 follows. The receiver's own hints have 0.
const GREATEST_TRANSACTION: u32 = 999_999_999;
/// How long data of a receiver may be. It has little to say; librelp takes as much.
const LONGEST_DATA: usize = 128 * 1024;
/// How long a receiver may take to say farewell.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// The way to a receiver that gives receipts.
#[derive(Debug)]
pub(super) struct Relp {
    host: String,
    port: u16,
    session: Option<Session>,
    stall: Duration,
}

/// A connection that was opened.
#[derive(Debug)]
struct Session {
    stream: Stream,
    /// What the receiver said and is not read yet.
    said: Vec<u8>,
    /// The number of the last transaction.
    transaction: u32,
    waiting: VecDeque<Waiting>,
    /// When the receiver last answered, or had nothing to answer.
    moved: Instant,
}

/// A message that was sent.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    transaction: u32,
    line: u64,
    is_answered: bool,
}

/// What a receiver says.
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    transaction: u32,
    command: &'a str,
    data: &'a str,
}

impl Relp {
    /// Returns one that looks its host up and connects with the first message, and again after each error.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            session: None,
            stall: STALL_LIMIT,
        }
    }
}

impl Carrier for Relp {
    fn has_room(&self) -> bool {
        self.session
            .as_ref()
            .is_none_or(|session| session.waiting.len() < WINDOW)
    }

    fn send(&mut self, line: u64, message: &str, _: &mut u64) -> io::Result<()> {
        // A connection that had nothing to carry may have been closed; nobody is waiting for anything then.
        if let Some(session) = &mut self.session
            && session.waiting.is_empty()
            && session.hear().is_err()
        {
            self.session = None;
        }
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::open(&self.host, self.port)?),
        };
        if session.waiting.is_empty() {
            session.moved = Instant::now();
        }
        let transaction = session.put("syslog", message)?;
        session.waiting.push_back(Waiting {
            transaction,
            line,
            is_answered: false,
        });
        session.stream.push()
    }

    fn go_on(&mut self, patience: Duration, delivered: &mut u64) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        session.stream.push()?;
        if !session.waiting.is_empty() {
            session.stream.wait(patience)?;
        }
        session.stream.push()?;
        let heard = session.hear();
        while let Some(answered) = session.waiting.pop_front_if(|waiting| waiting.is_answered) {
            *delivered = answered.line;
        }
        match heard {
            Ok(true) => session.moved = Instant::now(),
            Ok(false) => {}
            // Nobody waits for anything: the next line opens another session.
            Err(_) if session.waiting.is_empty() => {
                self.session = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if !session.waiting.is_empty() && session.moved.elapsed() >= self.stall {
            return Err(unread(self.stall));
        }
        Ok(())
    }

    fn abandon(&mut self) {
        self.session = None;
    }

    fn hurry(&mut self) {
        self.stall = self.stall.min(LAST_STALL_LIMIT);
    }
}

impl Session {
    /// Connects, and agrees on commands.
    fn open(host: &str, port: u16) -> io::Result<Self> {
        let mut session = Self {
            stream: Stream::connect(host, port, None)?,
            said: Vec::new(),
            transaction: 0,
            waiting: VecDeque::new(),
            moved: Instant::now(),
        };
        let software = concat!("firstcontact,", env!("CARGO_PKG_VERSION"));
        let offers = format!("relp_version=0\nrelp_software={software}\ncommands=syslog");
        session.put("open", &offers)?;
        let until = Instant::now() + OPENING_LIMIT;
        loop {
            session.stream.push()?;
            if let Some((frame, length)) = first_frame(&session.said)? {
                let offers = accepted(&frame)?;
                if !offers
                    .lines()
                    .any(|offer| offer.starts_with("commands=") && offer.contains("syslog"))
                {
                    return Err(wrong("the receiver does not offer the command syslog of RELP"));
                }
                session.said.drain(..length);
                return Ok(session);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let why = format!("the receiver did not open RELP within {} s", OPENING_LIMIT.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            session.stream.wait(left)?;
            session.listen()?;
        }
    }

    /// Writes a frame; returns its transaction number.
    fn put(&mut self, command: &str, data: &str) -> io::Result<u32> {
        self.transaction = match self.transaction {
            GREATEST_TRANSACTION => 1,
            last => last + 1,
        };
        let transaction = self.transaction;
        let frame = match data {
            "" => format!("{transaction} {command} 0\n"),
            data => format!("{transaction} {command} {} {data}\n", data.len()),
        };
        self.stream.put(frame.as_bytes())?;
        Ok(transaction)
    }

    fn listen(&mut self) -> io::Result<()> {
        self.stream.read(&mut self.said)?;
        if self.stream.is_ended_there() && self.said.is_empty() {
            return Err(self.stream.closed_first());
        }
        Ok(())
    }

    /// Hears what the receiver says; says whether it answered anything.
    fn hear(&mut self) -> io::Result<bool> {
        let ended = self.listen();
        let mut is_answered = false;
        while let Some((frame, length)) = first_frame(&self.said)? {
            match frame.command {
                "serverclose" => return Err(self.stream.closed_first()),
                "rsp" => {
                    accepted(&frame)?;
                    let is_meant = |sent: &&mut Waiting| sent.transaction == frame.transaction && !sent.is_answered;
                    let sent = self.waiting.iter_mut().find(is_meant);
                    sent.ok_or_else(|| wrong("the receiver answers what was not asked"))?
                        .is_answered = true;
                    is_answered = true;
                }
                // Section 4: hints that are not understood are ignored.
                _ => {}
            }
            self.said.drain(..length);
        }
        if self.stream.is_ended_there() || ended.is_err() {
            return Err(ended.err().unwrap_or_else(|| self.stream.closed_first()));
        }
        Ok(is_answered)
    }
}

/// Says farewell, so that the receiver need not wonder: whatever comes of it, everything that counts has its receipt.
impl Drop for Session {
    fn drop(&mut self) {
        let until = Instant::now() + FAREWELL_LIMIT;
        let mut farewell = || -> io::Result<()> {
            self.put("close", "")?;
            self.stream.end()?;
            while Instant::now() < until && !self.stream.is_ended_there() {
                self.stream.push()?;
                self.stream.wait(until.saturating_duration_since(Instant::now()))?;
                self.stream.read(&mut self.said)?;
            }
            Ok(())
        };
        let _ = farewell();
    }
}

/// Returns what follows the status of a positive answer.
fn accepted<'a>(frame: &Frame<'a>) -> io::Result<&'a str> {
    let (status, offers) = frame.data.split_once('\n').unwrap_or((frame.data, ""));
    if frame.command != "rsp" || status.split(' ').next() != Some("200") {
        return Err(wrong(&format!("the receiver answers {} {status:?}", frame.command)));
    }
    Ok(offers)
}

/// Reads the first frame, if it is whole, and how many octets it takes.
fn first_frame(said: &[u8]) -> io::Result<Option<(Frame<'_>, usize)>> {
    let malformed = || wrong("the receiver does not speak RELP");
    /// Two numbers of nine digits, a command of 32 letters and the spaces behind them (section 3).
    const LONGEST_HEADER: usize = 9 + 1 + 32 + 1 + 9 + 1;
    let mut at = 0;
    let mut parts = [""; 3];
    for (index, part) in parts.iter_mut().enumerate() {
        let rest = said.get(at..).unwrap_or_default();
        let is_end = |octet: &u8| *octet == b' ' || (index == 2 && *octet == b'\n');
        let Some(length) = rest.iter().take(LONGEST_HEADER - at).position(is_end) else {
            return if rest.len() >= LONGEST_HEADER - at {
                Err(malformed())
            } else {
                Ok(None)
            };
        };
        let octets = rest.get(..length).unwrap_or_default();
        *part = std::str::from_utf8(octets).map_err(|_| malformed())?;
        at += length + 1;
    }
    let [transaction, command, length] = parts;
    let transaction = transaction.parse().map_err(|_| malformed())?;
    let length: usize = length.parse().map_err(|_| malformed())?;
    if length > LONGEST_DATA {
        return Err(malformed());
    }
    // Without data, the line ends where the space before them would stand, or behind it.
    let (start, end) = match said.get(at - 1) {
        Some(b'\n') => (at - 1, at - 1),
        _ => (at, at + length),
    };
    let Some(trailer) = said.get(end) else { return Ok(None) };
    let data = said.get(start..end).unwrap_or_default();
    if *trailer != b'\n' || data.len() != length {
        return Err(malformed());
    }
    let data = std::str::from_utf8(data).map_err(|_| malformed())?;
    let frame = Frame {
        transaction,
        command,
        data,
    };
    Ok(Some((frame, end + 1)))
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
#[path = "relp_tests.rs"]
mod tests;
