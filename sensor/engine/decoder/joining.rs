//! Fragments on their way through the decoder (rule W4).
//!
//! An IP packet in fragments may carry an envelope whose inside is in fragments again. So what was joined is looked at
//! as a frame is, and may lead to the next fragment.

use crate::model::{Ignored, Timestamp};
use crate::wire::{self, Met, Start, Stop};

use super::super::fragments::{Came, GivenUp, Joined, Place};
use super::{Decoder, Packets};

/// How many datagrams may have been joined within each other. There are as many IP packets in a frame as there may be
/// envelopes; more is only reached by fragment headers behind each other, which nobody sends.
const DEPTH: u8 = 9;

impl Decoder {
    /// Takes what a frame, or a datagram that was joined, leads to.
    #[cold]
    pub(super) fn meet(
        &mut self,
        met: Result<Met<'_>, Stop>,
        start: Start<'_>,
        place: Place,
        came: Came,
        joined: u8,
        out: &mut impl Packets,
    ) {
        let fragment = match met {
            Ok(Met::Packet(decoded)) => return self.hand_on(&decoded, start, place, came, out),
            Ok(Met::Fragment(_)) if joined >= DEPTH => return self.count_stop(Ignored::TooDeep.into()),
            Ok(Met::Fragment(fragment)) => fragment,
            Err(stop) => {
                self.count_stop(stop);
                if place == Place::Plain {
                    self.leave(start, came, out);
                }
                return;
            }
        };
        let (_, place) = self.delivered(fragment.envelopes(), start, place, came, out);
        let segment = self.segment(fragment.envelopes(), place);
        let whole = self.fragments.take(segment, &fragment, came, &mut self.report.counters);
        if let Some(whole) = whole {
            self.read(&whole, came.time, joined + 1, out);
        }
        while let Some(given_up) = self.fragments.evict(&mut self.report.counters) {
            self.give(given_up, came.time, out);
        }
    }

    /// Reads a datagram that was joined, as far as it is there.
    fn read(&mut self, datagram: &Joined, time: Timestamp, joined: u8, out: &mut impl Packets) {
        let came = Came { time, ..datagram.came };
        match &datagram.octets {
            Ok(octets) => {
                let met = wire::resume(&datagram.gathered, octets, &self.ports);
                let start = Start::Datagram(&datagram.gathered, octets);
                self.meet(met, start, datagram.place, came, joined, out);
            }
            Err(malformed) => self.count_stop((*malformed).into()),
        }
    }

    /// Gives up datagrams that are due by a time, or, without a time, all. What they give takes the clock's time: it
    /// may not go back (rule T1), and the frames that they came in have been taken already.
    pub(super) fn give_up(&mut self, by: Option<Timestamp>, out: &mut impl Packets) {
        while let Some(given_up) = self.fragments.due(by) {
            let time = self.clock.now().unwrap_or_default();
            self.give(given_up, time, out);
        }
    }

    fn give(&mut self, given_up: GivenUp, time: Timestamp, out: &mut impl Packets) {
        let beginning = given_up.beginning();
        let is_packet = |datagram: &Joined| match &datagram.octets {
            Ok(octets) => matches!(
                wire::resume(&datagram.gathered, octets, &self.ports),
                Ok(Met::Packet(_))
            ),
            Err(_) => false,
        };
        if given_up.may_wait && !beginning.as_ref().is_some_and(is_packet) {
            return self.fragments.put_back(given_up);
        }
        given_up.count(beginning.is_some(), &mut self.report.counters);
        let source = given_up.source();
        self.delivered.count(source, |delivered| delivered.incomplete += 1);
        if let Some(beginning) = beginning {
            self.read(&beginning, time, 0, out);
        }
    }
}
