//! From frames to packets in their partitions: decoding, segments, sources, packet time and marks.

use hashbrown::{HashMap, HashSet};

use crate::model::{
    Address, Arrival, BySource, Counter, Frame, Ignored, Layer4, LinkType, Packet, Policy, PortSet, Segment, SourceId,
    Span, Timestamp,
};
use crate::wire::{self, Start};

use super::clock::{Clock, Told};
use super::copies::Copies;
use super::fragments::{Came, Fragments, Place};
use super::limits::Limits;
use super::partition::partition;
use super::report::{DecodeReport, Ending, Mark, SourceSeen};
use super::segments::Segments;

mod joining;
mod mirrored;
mod tunnels;

use tunnels::Carriers;

/// Ports whose responses are shown in records and never count (rule N2): mDNS and LLMNR.
pub const OFF_PORTS: [u16; 2] = [5353, 5355];
/// Sources beyond this many share one number; loss is then told for all of them together.
const SOURCES: u16 = u16::MAX;

/// Takes what decoding gives.
pub trait Packets {
    /// Takes a packet of a partition, with as much of its payload as the partition needs.
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]);

    /// Takes a mark, after every packet of its epoch.
    fn mark(&mut self, mark: Mark, report: DecodeReport);
}

/// A frame far ahead of the clock, kept until the next one agrees (rule T1).
#[derive(Debug)]
struct Held {
    time: Timestamp,
    source: SourceId,
    link: LinkType,
    arrival: Arrival,
    octets: Vec<u8>,
}

/// Decodes the frames of one stream.
#[derive(Debug)]
pub struct Decoder {
    ports: wire::Ports,
    dns_ports: PortSet,
    segments: Segments,
    carriers: Carriers,
    shift: Span,
    clock: Clock,
    arrival: Arrival,
    held: Option<Held>,
    fragments: Fragments,
    copies: Copies,
    told_of_copies: mirrored::Told,
    sources: HashMap<Address, SourceId, foldhash::fast::RandomState>,
    own_sources: u16,
    /// The addresses of the other sources, in the order of their numbers.
    mirrors: Vec<Address>,
    delivered: BySource,
    /// Sources that were told to the judge; the latest one stands apart, since frames of one source come in rows.
    told: HashSet<SourceId, foldhash::fast::RandomState>,
    latest: Option<SourceId>,
    report: DecodeReport,
}

impl Decoder {
    /// Returns a decoder that moves every time by `shift`. Capture itself names the first `own_sources` sources.
    #[must_use]
    pub fn new(policy: &Policy, shift: Span, own_sources: u16) -> Self {
        Self {
            ports: wire::Ports::new(
                &policy.network.vxlan_ports,
                &policy.network.geneve_ports,
                &policy.network.dns_ports,
            ),
            dns_ports: PortSet::new(&policy.network.dns_ports),
            segments: Segments::new(&policy.segment),
            carriers: Carriers::new(policy),
            shift,
            clock: Clock::new(policy.time),
            arrival: Arrival(0),
            held: None,
            fragments: Fragments::new(Limits::of(policy.memory).fragments),
            copies: Copies::new(Limits::of(policy.memory).copies),
            told_of_copies: mirrored::Told::default(),
            sources: HashMap::default(),
            own_sources,
            mirrors: Vec::new(),
            delivered: BySource::default(),
            told: HashSet::default(),
            latest: None,
            report: DecodeReport::default(),
        }
    }

    /// Takes a frame.
    pub fn frame(&mut self, frame: Frame<'_>, out: &mut impl Packets) {
        self.arrival = Arrival(self.arrival.0 + 1);
        self.report.counters.count(Counter::Frames);
        self.report.counters.add(Counter::Octets, frame.octets.len() as u64);
        let frame = Frame {
            time: frame.time.plus(self.shift),
            ..frame
        };
        self.release(Some(frame.time), out);
        match self.clock.tell(frame.time) {
            Told::Take(_) => self.take(frame, self.arrival, out),
            Told::Doubt(time) => {
                self.report.counters.count(Counter::ClockDoubted);
                self.take(Frame { time, ..frame }, self.arrival, out);
            }
            Told::Hold => {
                self.held = Some(Held {
                    time: frame.time,
                    source: frame.source,
                    link: frame.link,
                    arrival: self.arrival,
                    octets: frame.octets.to_vec(),
                });
            }
            Told::Break => {
                self.break_to(frame.time, out);
                self.take(frame, self.arrival, out);
            }
        }
    }

    /// Takes the held frame, if there is one: at its own time if the next frame agrees or none follows, else at the
    /// clock's.
    fn release(&mut self, next: Option<Timestamp>, out: &mut impl Packets) {
        let Some(held) = self.held.take() else { return };
        let is_agreed = next.is_none_or(|next| Clock::agrees(held.time, next));
        let time = match self.clock.now() {
            Some(now) if !is_agreed => {
                self.report.counters.count(Counter::ClockFarAhead);
                now
            }
            _ => held.time,
        };
        let frame = Frame {
            time,
            source: held.source,
            link: held.link,
            octets: &held.octets,
        };
        self.take(frame, held.arrival, out);
    }

    fn break_to(&mut self, time: Timestamp, out: &mut impl Packets) {
        self.report.counters.count(Counter::ClockBreaks);
        self.give_up(None, out);
        let now = self.clock.now().unwrap_or(time);
        let by = self.clock.break_to(time);
        self.copies.clear();
        self.told_of_copies.clear();
        self.send_mark(now, Ending::Stretch(by), out);
    }

    fn take(&mut self, frame: Frame<'_>, arrival: Arrival, out: &mut impl Packets) {
        let own = frame.time;
        let time = self.clock.now().map_or(own, |now| own.max(now));
        if time != own {
            self.report.counters.count(Counter::ClockClamped);
        }
        if let Some((_, end)) = self.clock.ending(time) {
            self.give_up(Some(time), out);
            self.send_mark(end, Ending::Epoch, out);
        }
        if self.clock.now().is_none() {
            self.report.first_frame = Some(time);
        }
        self.clock.advance(time);
        let start = Start::Frame(frame.link, frame.octets);
        let source = frame.source;
        let came = Came { time, source, arrival };
        // Borrowed: what was decoded is too long to be moved once more for every frame.
        match &wire::decode(frame.link, frame.octets, &self.ports) {
            Ok(decoded) => self.hand_on(decoded, start, Place::Plain, came, out),
            Err(wire::Stop::Fragment) => {
                let met = wire::meet(frame.link, frame.octets, &self.ports);
                self.meet(met, start, Place::Plain, came, 0, out);
            }
            Err(stop) => {
                self.count_stop(*stop);
                // What cannot be read may be carried to the outside all the same.
                self.leave(start, came, out);
            }
        }
    }

    fn count_stop(&mut self, stop: wire::Stop) {
        match stop {
            wire::Stop::Malformed(malformed) => self.report.counters.count_malformed(malformed.layer),
            wire::Stop::Ignored(reason) => self.report.counters.count_ignored(reason),
            wire::Stop::Fragment => self.report.counters.count_ignored(Ignored::Fragment),
        }
    }

    fn hand_on(
        &mut self,
        decoded: &wire::Decoded<'_>,
        start: Start<'_>,
        place: Place,
        came: Came,
        out: &mut impl Packets,
    ) {
        self.report.counters.count(Counter::Packets);
        if decoded.is_snapped() {
            self.report.counters.count(Counter::Snapped);
        }
        let (source, place) = self.delivered(&decoded.envelopes, start, place, came, out);
        self.tell_source(source, came.time);
        let packet = Packet {
            time: came.time,
            arrival: came.arrival,
            source,
            segment: self.segment(&decoded.envelopes, place),
            from_mac: decoded.from_mac,
            from: decoded.from,
            to: decoded.to,
            from_port: decoded.from_port,
            to_port: decoded.to_port,
            layer4: decoded.layer4,
            payload_octets: decoded.payload_octets,
        };
        let (partition, needed) = (partition(packet.from, packet.to), self.needed(decoded));
        if self.copies.looks_at(partition, &packet, decoded.payload, needed)
            && self.is_again(partition, &packet, decoded, needed)
        {
            return;
        }
        if place == Place::Plain {
            let tcp_octets = match decoded.layer4 {
                Layer4::Tcp { .. } => u64::from(decoded.payload_octets),
                _ => 0,
            };
            self.delivered.count(source, |delivered| {
                delivered.packets += 1;
                delivered.tcp_octets += tcp_octets;
            });
        }
        out.packet(partition, &packet, needed);
    }

    /// Tells the judge of a source that was not seen before.
    #[inline]
    fn tell_source(&mut self, source: SourceId, at: Timestamp) {
        if self.latest != Some(source) {
            self.latest = Some(source);
            if self.told.insert(source) {
                let mirror = source.0.checked_sub(self.own_sources);
                self.report.sources.push(SourceSeen {
                    source,
                    at,
                    mirror: mirror.and_then(|number| self.mirrors.get(usize::from(number)).copied()),
                });
            }
        }
    }

    /// Returns the address space of what was met behind envelopes.
    fn segment(&mut self, envelopes: &wire::Envelopes<'_>, place: Place) -> Segment {
        let segment = self.segments.of(envelopes, &mut self.report.segments);
        match place {
            Place::Plain => segment,
            Place::Tunnel => segment.tunnel(),
        }
    }

    /// Returns the part of the payload that the partition looks at.
    fn needed<'a>(&self, decoded: &wire::Decoded<'a>) -> &'a [u8] {
        let ports = [decoded.from_port, decoded.to_port];
        let is_dns = ports.iter().any(|port| self.dns_ports.has(*port));
        match decoded.layer4 {
            Layer4::Udp if is_dns || ports.iter().any(|port| OFF_PORTS.contains(port)) => decoded.payload,
            Layer4::Tcp { .. } if is_dns => decoded.payload,
            _ => &[],
        }
    }

    fn source(&mut self, address: Address) -> SourceId {
        if let Some(known) = self.sources.get(&address) {
            return *known;
        }
        let number = u16::try_from(self.mirrors.len()).ok();
        let source = SourceId(
            number
                .and_then(|number| self.own_sources.checked_add(number))
                .unwrap_or(SOURCES),
        );
        if source.0 < SOURCES {
            self.mirrors.push(address);
            self.sources.insert(address, source);
        }
        source
    }

    /// Moves the clock on while the link is quiet: `now` is what the time of a frame would be.
    pub fn idle(&mut self, now: Timestamp, out: &mut impl Packets) {
        let now = now.plus(self.shift);
        self.release(Some(now), out);
        if self.clock.now().is_none() {
            // Contacts that an earlier run left are judged on a quiet link too.
            self.report.first_frame = Some(now);
            self.clock.advance(now);
            return;
        }
        let time = match self.clock.tell(now) {
            Told::Take(time) | Told::Doubt(time) => time,
            Told::Break => return self.break_to(now, out),
            Told::Hold => return,
        };
        if let Some((_, end)) = self.clock.ending(time) {
            self.give_up(Some(time), out);
            self.send_mark(end, Ending::Epoch, out);
            self.clock.advance(time);
        }
    }

    /// Adds what capture counted beside the decoder, such as frames that the kernel dropped.
    pub fn count(&mut self, counter: Counter, n: u64) {
        self.report.counters.add(counter, n);
    }

    /// Ends the stream.
    pub fn finish(&mut self, ending: Ending, out: &mut impl Packets) {
        self.release(None, out);
        self.give_up(None, out);
        let now = self.clock.now().unwrap_or_default();
        self.send_mark(now, ending, out);
    }

    fn send_mark(&mut self, now: Timestamp, ending: Ending, out: &mut impl Packets) {
        self.report.counters.count(Counter::Epochs);
        self.report
            .counters
            .add(Counter::DuplicatesEvicted, self.copies.take_evicted());
        let mark = Mark {
            epoch: self.clock.epoch(),
            now,
            ending,
        };
        self.clock.next_epoch();
        let mut report = std::mem::take(&mut self.report);
        self.delivered.hand_over(&mut report.delivered);
        out.mark(mark, report);
    }
}
