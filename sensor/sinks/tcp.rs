//! Syslog over TCP, RFC 6587 with octet counting (section 3.4.1), and over TLS, RFC 5425, which is framed alike (section
//! 4.3): `LENGTH SP MESSAGE`, nothing between messages.
//!
//! Receivers never answer, so what a line's delivery rests on is what TCP itself tells ([`Tcp`]).

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::stream::Stream;
use super::tls::Tls;
use super::{Carrier, LAST_STALL_LIMIT, STALL_LIMIT, unread};

/// How much the kernel of a receiver may hold that its program has not read, in octets. Linux lets a socket have 6 MiB
/// (`tcp_rmem`); what lies further back than this was read.
const HELD: u64 = 8 << 20;
/// How much waits here for the kernel, in octets, before no more is taken.
const WAITING: usize = 64 * 1024;
/// How many lines one connection carries at most that are not known to be read: so this much memory, 16 octets each.
const MOST_LINES: usize = 8192;
/// To how few lines that goes down for a receiver that does not read as many in time.
const FEWEST_LINES: usize = 64;
/// How long a connection with nothing to send is held open, in case more comes.
const IDLE: Duration = Duration::from_secs(5);
/// How long a line waits at most for the end of its connection: so much comes twice when a connection breaks.
const LONGEST: Duration = Duration::from_mins(1);

/// The way to a receiver of a stream.
///
/// A line is delivered once the receiver's *program* must have read it; that its kernel acknowledged it is not enough. It
/// must have been read if the connection was ended in order, first by us and then by the receiver, or if 8 MiB behind it
/// were acknowledged, which is more than a kernel holds for a program that does not read. So a connection is ended when
/// there was nothing to send for 5 s, after a minute, and after 8,192 lines; the next line opens another. Whatever
/// else ends one is a break: every line that is not known to be read is sent again.
#[derive(Debug)]
pub(super) struct Tcp {
    host: String,
    port: u16,
    tls: Option<Tls>,
    link: Option<Link>,
    is_last: bool,
    limits: Limits,
}

/// How long what may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    idle: Duration,
    longest: Duration,
    stall: Duration,
    most_lines: usize,
    held: u64,
}

/// A connection and what it carries.
#[derive(Debug)]
struct Link {
    stream: Stream,
    marks: VecDeque<Mark>,
    /// When the first line that is not known to be read was put in.
    begun: Instant,
    /// When the last line was put in.
    fed: Instant,
    /// When the receiver last acknowledged anything.
    moved: Instant,
    acknowledged: u64,
    is_ending: bool,
}

/// A line, and where it ends in the octets of the connection.
#[derive(Debug, Clone, Copy)]
struct Mark {
    line: u64,
    end: u64,
}

impl Tcp {
    /// Returns one that looks its host up and connects with the first message, and again after each error.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls: None,
            link: None,
            is_last: false,
            limits: Limits {
                idle: IDLE,
                longest: LONGEST,
                stall: STALL_LIMIT,
                most_lines: MOST_LINES,
                held: HELD,
            },
        }
    }

    /// Returns the same with TLS.
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }
}

impl Carrier for Tcp {
    fn has_room(&self) -> bool {
        self.link.as_ref().is_none_or(|link| {
            !link.is_ending && link.marks.len() < self.limits.most_lines && link.stream.waiting() < WAITING
        })
    }

    fn send(&mut self, line: u64, message: &str, _: &mut u64) -> io::Result<()> {
        self.is_last = false;
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(Link::new(Stream::connect(&self.host, self.port, self.tls.as_ref())?)),
        };
        link.put(line, &format!("{} {message}", message.len()))?;
        link.stream.push()
    }

    fn go_on(&mut self, patience: Duration, delivered: &mut u64) -> io::Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let is_over = link.turn(patience, self.is_last, &self.limits).inspect_err(|error| {
            if error.kind() == io::ErrorKind::TimedOut {
                self.limits.most_lines = (self.limits.most_lines / 4).max(FEWEST_LINES);
            }
        })?;
        let read_through = if is_over {
            u64::MAX
        } else {
            link.acknowledged.saturating_sub(self.limits.held)
        };
        while let Some(mark) = link.marks.pop_front_if(|mark| mark.end <= read_through) {
            *delivered = mark.line;
            link.begun = Instant::now();
        }
        if is_over {
            self.link = None;
            self.limits.most_lines = (self.limits.most_lines * 2).min(MOST_LINES);
        }
        Ok(())
    }

    fn abandon(&mut self) {
        self.link = None;
    }

    fn hurry(&mut self) {
        self.limits.stall = self.limits.stall.min(LAST_STALL_LIMIT);
    }

    fn end(&mut self) {
        self.is_last = true;
    }
}

impl Link {
    fn new(stream: Stream) -> Self {
        let now = Instant::now();
        Self {
            stream,
            marks: VecDeque::new(),
            begun: now,
            fed: now,
            moved: now,
            acknowledged: 0,
            is_ending: false,
        }
    }

    fn put(&mut self, line: u64, frame: &str) -> io::Result<()> {
        let now = Instant::now();
        if self.acknowledged == self.stream.end_of_octets() {
            // Nothing was under way that could have moved.
            self.moved = now;
        }
        let end = self.stream.put(frame.as_bytes())?;
        self.marks.push_back(Mark { line, end });
        self.fed = now;
        Ok(())
    }

    /// Sends, listens and looks how far the receiver is; says whether the connection was ended in order by both sides.
    fn turn(&mut self, patience: Duration, is_last: bool, limits: &Limits) -> io::Result<bool> {
        let now = Instant::now();
        let is_due = is_last
            || self.marks.len() >= limits.most_lines
            || now.duration_since(self.fed) >= limits.idle
            || now.duration_since(self.begun) >= limits.longest;
        self.stream.push()?;
        self.listen()?;
        if is_due && !self.is_ending {
            self.is_ending = true;
            self.moved = now;
            self.stream.end()?;
            self.stream.push()?;
        }
        self.stream.wait(patience)?;
        self.stream.push()?;
        self.listen()?;
        if self.is_ending && self.stream.is_over()? {
            return Ok(true);
        }
        let acknowledged = self.stream.acknowledged()?;
        let now = Instant::now();
        if acknowledged > self.acknowledged {
            (self.acknowledged, self.moved) = (acknowledged, now);
        }
        let is_waiting = self.is_ending || self.acknowledged < self.stream.end_of_octets();
        if is_waiting && now.duration_since(self.moved) >= limits.stall {
            return Err(unread(limits.stall));
        }
        Ok(false)
    }

    /// Drops what the receiver says. That it ends the connection before we do is a break.
    fn listen(&mut self) -> io::Result<()> {
        self.stream.read(&mut Vec::new())?;
        if self.stream.is_ended_there() && !self.is_ending {
            return Err(self.stream.closed_first());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
