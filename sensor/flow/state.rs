//! One flow: what each side has shown so far, and octets by sequence space (rules F4, F5).

use crate::model::{
    Arrival, FlowEnd, Layer4, MacAddress, Outcome, Packet, SourceId, Span, TcpFlags, Timestamp, Transport,
};

use super::key::{FlowKey, Side, Sides};
use super::table::Payload;

/// How far ahead of the last octet a segment may lie; beyond a quarter of the sequence space it is a stray.
const FARTHEST_AHEAD: u32 = 1 << 30;
/// A gap counts for so many octets at most: one stray segment is not to pass for the loss of a whole stream.
const GREATEST_GAP: u32 = 1 << 16;
/// How far before the first octet seen a midstream flow may be extended: what reordering explains.
const FARTHEST_BACK: u32 = 1 << 20;

/// How a flow was first seen, before anybody chose its originator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A SYN without ACK: the opener is the originator (rule F1).
    Syn,
    /// A SYN with ACK: the opener is the responder (rule F3).
    SynAck,
    /// Any other TCP segment (rule F3).
    Midstream,
    /// A UDP datagram that is an answer by what it carries: its sender is the responder.
    Answer,
    /// Any other UDP datagram (rule F2), or an envelope that leads outside (rule W2).
    Datagram,
}

/// What one side of a flow has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown(u8);

impl Shown {
    /// Any packet.
    pub const SENT: u8 = 1;
    /// A packet that is not a reset.
    pub const SPOKE: u8 = 2;
    /// A TCP segment beyond its SYN that is not a reset.
    pub const WENT_ON: u8 = 4;
    /// A reset.
    pub const RESET: u8 = 8;
    /// A FIN.
    pub const FIN: u8 = 16;
    /// A SYN with ACK.
    pub const SYN_ACK: u8 = 32;
    /// A DNS message on a DNS port (rule S3).
    pub const DNS: u8 = 64;

    /// Says whether the side has shown this.
    #[must_use]
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Adds what a packet shows; returns whether that is new.
    pub fn add(&mut self, bits: u8) -> bool {
        let before = self.0;
        self.0 |= bits;
        self.0 != before
    }

    fn of(packet: &Packet) -> u8 {
        match packet.layer4 {
            Layer4::Udp | Layer4::Tunnel(_) => Self::SENT | Self::SPOKE,
            Layer4::Tcp { flags, .. } => {
                let mut bits = Self::SENT;
                if flags.has(TcpFlags::RST) {
                    return bits | Self::RESET;
                }
                bits |= Self::SPOKE;
                if !flags.has(TcpFlags::SYN) {
                    bits |= Self::WENT_ON;
                } else if flags.has(TcpFlags::ACK) {
                    bits |= Self::SYN_ACK;
                }
                if flags.has(TcpFlags::FIN) {
                    bits |= Self::FIN;
                }
                bits
            }
        }
    }
}

/// One direction's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stream {
    octets: u64,
    /// The sequence number after the last octet; only of meaning once `is_placed`.
    end: u32,
    /// The sequence number of the first octet; moves back only for flows without a SYN.
    start: u32,
    /// Octets between those seen that did not come; counted roughly, since only their number is known.
    missing: u32,
    is_placed: bool,
    is_from_syn: bool,
}

impl Stream {
    fn syn(&mut self, sequence: u32, payload: u32) {
        if !self.is_placed {
            let first = sequence.wrapping_add(1);
            *self = Self {
                octets: u64::from(payload),
                end: first.wrapping_add(payload),
                start: first,
                missing: 0,
                is_placed: true,
                is_from_syn: true,
            };
        }
    }

    /// Counts payload once, whatever is repeated, reordered or missing from the capture (rule F4).
    fn segment(&mut self, sequence: u32, payload: u32) {
        if payload == 0 {
            return;
        }
        let end = sequence.wrapping_add(payload);
        if !self.is_placed {
            *self = Self {
                octets: u64::from(payload),
                end,
                start: sequence,
                missing: 0,
                is_placed: true,
                is_from_syn: false,
            };
            return;
        }
        let ahead = end.wrapping_sub(self.end);
        if ahead > 0 && ahead < FARTHEST_AHEAD {
            let gap = ahead.saturating_sub(payload).min(GREATEST_GAP);
            self.missing = self.missing.saturating_add(gap);
            self.octets += u64::from(ahead);
            self.end = end;
        } else {
            // It fills a gap, or it is one more copy while there is none.
            self.missing = self.missing.saturating_sub(payload);
        }
        let back = self.start.wrapping_sub(sequence);
        if !self.is_from_syn && back > 0 && back < FARTHEST_BACK {
            self.octets += u64::from(back);
            self.start = sequence;
        }
    }
}

/// What a side looks like to the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SideReport {
    /// Layer 4 payload that it sent.
    pub octets: u64,
    /// What it has shown.
    pub shown: Shown,
    /// Its hardware address, if known.
    pub mac: Option<MacAddress>,
}

/// A flow as it stands at the end of an epoch in which something of it changed that the judge must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowUpdate {
    /// The frame that opened it; within a run this is its identity.
    pub flow: Arrival,
    /// The five-tuple.
    pub key: FlowKey,
    /// Who sent its first packet.
    pub opener: Side,
    /// How it was first seen.
    pub opening: Opening,
    /// Who delivered its first packet.
    pub source: SourceId,
    /// Its first packet.
    pub first: Timestamp,
    /// Its last packet so far.
    pub last: Timestamp,
    /// What each side has shown.
    pub sides: Sides<SideReport>,
    /// Why it ended, if it has.
    pub end: Option<FlowEnd>,
    /// Whether all of its packets carried envelopes that lead outside: then it is no flow of the records (rule W2).
    pub is_tunnel: bool,
    /// Whether this is the first report of the flow.
    pub is_first: bool,
}

impl FlowUpdate {
    /// Touches all of it: another thread wrote it.
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.first.0 as u64 ^ self.sides.low.octets ^ self.sides.high.octets ^ u64::from(self.is_first)
    }

    /// Returns what became of the flow so far if `originator` opened it (rule F5).
    #[must_use]
    pub fn outcome(&self, originator: Side) -> Outcome {
        let own = self.sides.of(originator).shown;
        let others = self.sides.of(originator.other()).shown;
        match self.key.transport() {
            Transport::Udp | Transport::Gre | Transport::Ipip if others.has(Shown::SENT) => Outcome::Answered,
            Transport::Udp | Transport::Gre | Transport::Ipip => Outcome::Unanswered,
            Transport::Tcp if others.has(Shown::SPOKE) || own.has(Shown::WENT_ON) => Outcome::Established,
            Transport::Tcp if others.has(Shown::RESET) => Outcome::Refused,
            Transport::Tcp => Outcome::Attempted,
        }
    }
}

/// A flow in a table.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub key: FlowKey,
    opener: Side,
    opening: Opening,
    source: SourceId,
    pub arrival: Arrival,
    pub first: Timestamp,
    pub last: Timestamp,
    streams: Sides<Stream>,
    shown: Sides<Shown>,
    macs: Sides<Option<MacAddress>>,
    pub syn_sequence: Option<u32>,
    pub end: Option<FlowEnd>,
    /// Whether all of its packets carried envelopes that lead outside.
    is_tunnel: bool,
    /// Whether somebody looks at it again for its gaps.
    is_watched: bool,
    /// Whether the flow stands in this epoch's list of changed flows.
    pub is_listed: bool,
    is_reported: bool,
}

/// What a packet changed about its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Octets and times only.
    Nothing,
    /// Something that the judge must know.
    Notable,
}

impl Flow {
    /// Opens a flow with its first packet, which has still to be [taken](Flow::take).
    pub fn open(key: FlowKey, opener: Side, packet: &Packet, payload: Payload) -> Self {
        let (opening, syn_sequence) = match packet.layer4 {
            Layer4::Udp if payload == Payload::Response => (Opening::Answer, None),
            Layer4::Udp | Layer4::Tunnel(_) => (Opening::Datagram, None),
            Layer4::Tcp { flags, sequence } if is_syn(flags) => (Opening::Syn, Some(sequence)),
            Layer4::Tcp { flags, .. } if flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::RST) => {
                (Opening::SynAck, None)
            }
            Layer4::Tcp { .. } => (Opening::Midstream, None),
        };
        Self {
            key,
            opener,
            opening,
            source: packet.source,
            arrival: packet.arrival,
            first: packet.time,
            last: packet.time,
            streams: Sides::default(),
            shown: Sides::default(),
            macs: Sides::default(),
            syn_sequence,
            end: None,
            is_tunnel: true,
            is_watched: false,
            is_listed: false,
            is_reported: false,
        }
    }

    /// Says whether a packet on this five-tuple belongs to another flow than this one (rules F1, F2).
    pub fn is_replaced_by(&self, packet: &Packet) -> bool {
        match packet.layer4 {
            Layer4::Tcp { flags, sequence } if is_syn(flags) => self.syn_sequence != Some(sequence),
            Layer4::Tcp { .. } => self.end.is_none() && packet.time.since(self.last) > super::TCP_IDLE,
            Layer4::Udp | Layer4::Tunnel(_) => packet.time.since(self.last) > super::UDP_IDLE,
        }
    }

    /// Takes a packet of the flow.
    pub fn take(&mut self, side: Side, packet: &Packet) -> Change {
        let is_new_day = packet.time.day() != self.last.day();
        self.last = packet.time;
        let bits = Shown::of(packet);
        let mut is_notable = self.shown.of_mut(side).add(bits) || is_new_day;
        let mac = self.macs.of_mut(side);
        if mac.is_none() {
            *mac = packet.from_mac;
        }
        let stream = self.streams.of_mut(side);
        let before = stream.octets;
        self.is_tunnel &= matches!(packet.layer4, Layer4::Tunnel(_));
        match packet.layer4 {
            Layer4::Udp | Layer4::Tunnel(_) => stream.octets += u64::from(packet.payload_octets),
            // The payload of a reset is a message to people, not part of the stream (RFC 9293 section 3.5.3).
            Layer4::Tcp { flags, .. } if flags.has(TcpFlags::RST) => {}
            Layer4::Tcp { flags, sequence } if flags.has(TcpFlags::SYN) => stream.syn(sequence, packet.payload_octets),
            Layer4::Tcp { sequence, .. } => stream.segment(sequence, packet.payload_octets),
        }
        is_notable |= before <= crate::model::NOTABLE_OCTETS && stream.octets > crate::model::NOTABLE_OCTETS;
        if self.end.is_none() && bits & (Shown::RESET | Shown::FIN) != 0 {
            self.end = self.closing();
            is_notable |= self.end.is_some();
        }
        if is_notable { Change::Notable } else { Change::Nothing }
    }

    fn closing(&self) -> Option<FlowEnd> {
        let (low, high) = (self.shown.low, self.shown.high);
        if low.has(Shown::RESET) || high.has(Shown::RESET) {
            Some(FlowEnd::Reset)
        } else if low.has(Shown::FIN) && high.has(Shown::FIN) {
            Some(FlowEnd::Closed)
        } else {
            None
        }
    }

    /// Says whether octets that a side sent are missing, of which nobody was told yet. Those in a tunnel that leads outside
    /// say nothing of the mirror.
    pub fn opens_gap(&mut self, side: Side) -> bool {
        self.streams.of(side).missing > 0
            && !self.key.segment().is_tunnel()
            && !std::mem::replace(&mut self.is_watched, true)
    }

    /// Returns who delivered the flow and how many octets of it are missing, if any are; each counts once.
    pub fn take_missing(&mut self) -> Option<(SourceId, u32)> {
        let Sides { low, high } = &mut self.streams;
        let missing = std::mem::take(&mut low.missing).saturating_add(std::mem::take(&mut high.missing));
        let was_watched = std::mem::take(&mut self.is_watched);
        (was_watched && missing > 0).then_some((self.source, missing))
    }

    /// Notes that a side's payload is DNS; returns whether that is new.
    pub fn show_dns(&mut self, side: Side) -> bool {
        self.shown.of_mut(side).add(Shown::DNS)
    }

    /// Returns what a side has shown.
    pub fn shown(&self, side: Side) -> Shown {
        *self.shown.of(side)
    }

    /// Returns who sent the first packet.
    pub const fn opener(&self) -> Side {
        self.opener
    }

    /// Returns how long the flow may be silent before it ends.
    pub fn patience(&self) -> Span {
        match self.key.transport() {
            Transport::Udp | Transport::Gre | Transport::Ipip => super::UDP_IDLE,
            Transport::Tcp => {
                let went_on = |shown: Shown| shown.has(Shown::WENT_ON);
                if went_on(self.shown.low) || went_on(self.shown.high) {
                    super::TCP_IDLE
                } else {
                    super::TCP_HALF_OPEN
                }
            }
        }
    }

    /// Returns the flow as the judge sees it.
    pub fn report(&mut self) -> FlowUpdate {
        let is_first = !std::mem::replace(&mut self.is_reported, true);
        let side = |side: Side| SideReport {
            octets: self.streams.of(side).octets,
            shown: *self.shown.of(side),
            mac: *self.macs.of(side),
        };
        FlowUpdate {
            flow: self.arrival,
            key: self.key,
            opener: self.opener,
            opening: self.opening,
            source: self.source,
            first: self.first,
            last: self.last,
            sides: Sides {
                low: side(Side::Low),
                high: side(Side::High),
            },
            end: self.end,
            is_tunnel: self.is_tunnel,
            is_first,
        }
    }
}

pub(super) fn is_syn(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::RST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_n5_what_does_not_fill_a_gap_is_missing() {
        let mut stream = Stream::default();
        stream.syn(u32::MAX - 99, 0);
        let first = u32::MAX - 98;
        let mut take = |offset: u32, payload| {
            stream.segment(first.wrapping_add(offset), payload);
            stream.missing
        };
        assert_eq!(take(0, 50), 0);
        assert_eq!(take(150, 50), 100, "two are missing");
        assert_eq!(take(50, 50), 50, "one came late");
        assert_eq!(take(200, 50), 50);
        assert_eq!(take(100, 50), 0);
        assert_eq!(take(100, 50), 0, "and again");
        assert_eq!(take(250 + (1 << 20), 50), GREATEST_GAP);
    }

    #[test]
    fn octets_are_counted_by_sequence_space() {
        let mut stream = Stream::default();
        stream.syn(u32::MAX - 1, 0);
        stream.segment(u32::MAX, 100);
        stream.segment(u32::MAX, 100);
        stream.segment(u32::MAX.wrapping_add(200), 50);
        stream.segment(u32::MAX.wrapping_add(100), 100);
        assert_eq!(stream.octets, 250);
    }

    #[test]
    fn a_stray_segment_counts_nothing() {
        let mut stream = Stream::default();
        stream.syn(1000, 0);
        stream.segment(1_001_u32.wrapping_add(1 << 31), 10);
        assert_eq!(stream.octets, 0);
    }

    #[test]
    fn a_midstream_flow_is_extended_backwards_by_reordered_segments() {
        let mut stream = Stream::default();
        stream.segment(5000, 1000);
        stream.segment(4000, 1000);
        assert_eq!(stream.octets, 2000);
    }
}
