//! What all receivers of syslog have in common, whatever carries the messages to them.

use std::io;
use std::time::Duration;

use super::{Syslog, failed};
use crate::model::{Alert, Sink, SinkError, SinkPosition};

/// What carries messages to a receiver. It connects with the first one, and again after each error.
pub(super) trait Carrier: Send {
    /// Says whether a message can be sent now; else [`Carrier::go_on`] makes room.
    fn has_room(&self) -> bool {
        true
    }

    /// Sends the message of a line, or lets it wait. `delivered` is the last line that is delivered.
    fn send(&mut self, line: u64, message: &str, delivered: &mut u64) -> io::Result<()>;

    /// Pushes on what is under way and takes receipts, as [`Sink::turn`] does.
    fn go_on(&mut self, _patience: Duration, _delivered: &mut u64) -> io::Result<()> {
        Ok(())
    }

    /// Leaves the connection, with what is under way.
    fn abandon(&mut self) {}

    /// As [`Sink::hurry`].
    fn hurry(&mut self) {}

    /// As [`Sink::end`]; what is sent after it takes it back.
    fn end(&mut self) {}
}

/// A receiver of syslog.
#[derive(Debug)]
pub(super) struct SyslogSink<C> {
    name: String,
    syslog: Syslog,
    pub(super) carrier: C,
    /// The last line that is delivered.
    line: u64,
}

impl<C> SyslogSink<C> {
    /// Returns the sink with this name that sends messages through a carrier.
    pub fn new(name: String, syslog: Syslog, carrier: C) -> Self {
        Self {
            name,
            syslog,
            carrier,
            line: 0,
        }
    }
}

impl<C: Carrier> SyslogSink<C> {
    fn checked(&mut self, done: io::Result<()>) -> Result<(), SinkError> {
        done.map_err(|error| {
            self.carrier.abandon();
            failed(&self.name, error)
        })
    }
}

impl<C: Carrier> Sink for SyslogSink<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, position: SinkPosition) -> Result<(), SinkError> {
        self.line = position.line;
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.carrier.has_room()
    }

    fn deliver(&mut self, number: u64, alert: &Alert) -> Result<(), SinkError> {
        let message = self.syslog.message(alert);
        let sent = self.carrier.send(number, &message, &mut self.line);
        self.checked(sent)
    }

    fn turn(&mut self, patience: Duration) -> Result<(), SinkError> {
        let gone_on = self.carrier.go_on(patience, &mut self.line);
        self.checked(gone_on)
    }

    fn hurry(&mut self) {
        self.carrier.hurry();
    }

    fn end(&mut self) {
        self.carrier.end();
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::at(self.line)
    }
}
