//! DNS messages over TCP (RFC 1035 section 4.2.2, RFC 7766 section 8): segments become messages.
//!
//! Each direction is a stream of its own, so that one is enough. A stream that was seen to begin is read from its first
//! octet; of another, and after a gap that nothing fills, the first segment that looks like the beginning of a message is
//! taken for one.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::HashMap;

use crate::model::{Layer4, Packet, Span, TcpFlags, Timestamp};

/// A stream that was silent for so long is forgotten; servers close idle ones sooner (RFC 7766 section 6.2.3).
const STREAM_IDLE: Span = Span::minutes(2);
/// A gap that nothing filled for so long stays one: what was sent was not captured.
const GAP_LIFE: Span = Span::seconds(1);
/// Pieces ahead of a gap that wait at most; a further one ends the waiting.
const PIECES: usize = 32;
/// Turns of streams that ended which may stand beside as many as there are streams, before they are cleared away.
const ENDED: usize = 32;
/// Octets of the length before a message.
const LENGTH: usize = 2;
/// Octets of the header: no message is shorter (RFC 1035 section 4.1.1).
const HEADER: u16 = 12;
/// What a stream takes beside the octets that it holds, with its share of the tables, in octets and rounded up.
const ENTRY: usize = 192;

/// The streams of one partition that carry DNS.
///
/// A stream is kept under a seeded 64-bit hash of its ends: two that share one are as likely as a disk's undetected read
/// error, and nobody outside can make them.
#[derive(Debug, Default)]
pub struct Streams {
    streams: HashMap<u64, Stream, foldhash::fast::RandomState>,
    /// Every stream once, about in the order of their last packets, and some that ended.
    order: VecDeque<Turn>,
    /// How many streams there were: no two have the same number.
    begun: u64,
    hasher: foldhash::quality::RandomState,
    /// What all of them may take, in octets.
    limit: usize,
    /// What all of them hold, entries aside.
    held: usize,
    evicted: u64,
}

/// When a stream is looked at again.
#[derive(Debug, Clone, Copy)]
struct Turn {
    hash: u64,
    /// The number of the stream: another one may have taken its place.
    number: u64,
    /// A time at which it was not silent yet.
    at: Timestamp,
}

/// One direction of a connection.
#[derive(Debug)]
struct Stream {
    /// Its number among all.
    number: u64,
    /// The sequence number of the octet that comes next.
    next: u32,
    /// The sequence number of the first octet, if that was seen.
    first: Option<u32>,
    /// Whether the next octet's place within its message is known.
    is_in_step: bool,
    /// The message so far, with its length before it.
    message: Vec<u8>,
    /// Octets of a message that was given up which are still to come.
    skip: u32,
    /// What came ahead of a gap.
    ahead: Vec<Piece>,
    last: Timestamp,
}

/// A TCP segment that came ahead of a gap.
#[derive(Debug)]
struct Piece {
    at: Timestamp,
    sequence: u32,
    octets: Vec<u8>,
    /// Octets that were sent behind these and not captured.
    missing: u32,
}

impl Streams {
    /// Returns an empty table for so many octets; what is beyond drops the streams that were silent longest, or nearly so.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Takes a segment; hands each message that it completes, or what there is of it, to `found`, without its length.
    /// `begins` says whether octets look like a message with its length before it.
    pub fn take(
        &mut self,
        packet: &Packet,
        payload: &[u8],
        begins: impl Fn(&[u8]) -> bool,
        mut found: impl FnMut(&[u8]),
    ) {
        let Layer4::Tcp { flags, sequence } = packet.layer4 else {
            return;
        };
        let ends = (packet.segment, packet.from, packet.from_port, packet.to, packet.to_port);
        let hash = self.hasher.hash_one(ends);
        let is_over = flags.has(TcpFlags::RST);
        let is_syn = flags.has(TcpFlags::SYN) && !is_over;
        if !is_syn && payload.is_empty() && !self.streams.contains_key(&hash) {
            return;
        }
        let first = sequence.wrapping_add(u32::from(flags.has(TcpFlags::SYN)));
        let stream = self.streams.entry(hash).or_insert_with(|| {
            self.begun += 1;
            self.order.push_back(Turn {
                hash,
                number: self.begun,
                at: packet.time,
            });
            Stream::new(self.begun, first, packet.time)
        });
        let before = stream.held();
        stream.last = packet.time;
        if is_syn && stream.first != Some(first) {
            *stream = Stream::new(stream.number, first, packet.time);
            (stream.first, stream.is_in_step) = (Some(first), true);
        }
        let mut reader = Reader {
            stream,
            begins: &begins,
            found: &mut found,
        };
        reader.segment(packet, first, payload);
        let is_over = is_over || (flags.has(TcpFlags::FIN) && reader.stream.ahead.is_empty());
        if is_over {
            reader.give_up();
        }
        self.held = self.held - before + reader.stream.held();
        if is_over {
            self.held -= reader.stream.held();
            self.streams.remove(&hash);
        }
        self.bound();
    }

    /// Forgets streams that are silent; returns how many a full table dropped since the last call.
    pub fn mark(&mut self, now: Timestamp) -> u64 {
        while let Some(&turn) = self.order.front()
            && now.since(turn.at) > STREAM_IDLE
        {
            self.order.pop_front();
            match of_turn(&self.streams, turn).map(|stream| stream.last) {
                Some(last) if now.since(last) <= STREAM_IDLE => self.order.push_back(Turn { at: last, ..turn }),
                Some(_) => self.forget(turn.hash),
                None => {}
            }
        }
        std::mem::take(&mut self.evicted)
    }

    /// Forgets everything: time went back (rule T1).
    pub fn clear(&mut self) {
        self.streams.clear();
        self.order.clear();
        self.held = 0;
    }

    fn bound(&mut self) {
        while self.held + self.streams.len() * ENTRY > self.limit
            && let Some(turn) = self.order.pop_front()
        {
            if of_turn(&self.streams, turn).is_some() {
                self.evicted += 1;
                self.forget(turn.hash);
            }
        }
        if self.order.len() > 2 * self.streams.len() + ENDED {
            self.order.retain(|turn| of_turn(&self.streams, *turn).is_some());
        }
    }

    fn forget(&mut self, hash: u64) {
        if let Some(stream) = self.streams.remove(&hash) {
            self.held -= stream.held();
        }
    }
}

/// Returns the stream whose turn it is, unless it ended.
fn of_turn<S: BuildHasher>(streams: &HashMap<u64, Stream, S>, turn: Turn) -> Option<&Stream> {
    streams.get(&turn.hash).filter(|stream| stream.number == turn.number)
}

impl Stream {
    const fn new(number: u64, next: u32, at: Timestamp) -> Self {
        Self {
            number,
            next,
            first: None,
            is_in_step: false,
            message: Vec::new(),
            skip: 0,
            ahead: Vec::new(),
            last: at,
        }
    }

    /// Returns how many octets it holds.
    fn held(&self) -> usize {
        let ahead: usize = self.ahead.iter().map(|piece| piece.octets.len()).sum();
        self.message.len() + ahead
    }

    /// Returns the length of the message that is being read, its own two octets aside, once it is known.
    fn length(&self) -> Option<u16> {
        self.message.first_chunk().copied().map(u16::from_be_bytes)
    }
}

/// A stream that is being read.
struct Reader<'a, B, F> {
    stream: &'a mut Stream,
    begins: &'a B,
    found: &'a mut F,
}

impl<B: Fn(&[u8]) -> bool, F: FnMut(&[u8])> Reader<'_, B, F> {
    /// Takes a segment wherever it belongs.
    fn segment(&mut self, packet: &Packet, sequence: u32, payload: &[u8]) {
        let total = packet.payload_octets;
        let missing = total.saturating_sub(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        let is_stale = |piece: &Piece| packet.time.since(piece.at) > GAP_LIFE;
        if self.stream.ahead.len() >= PIECES || self.stream.ahead.iter().any(is_stale) {
            self.give_up();
        }
        if total == 0 {
            return;
        }
        if !self.stream.is_in_step && self.stream.ahead.is_empty() {
            // What was sent before is unknown, so that nothing of it can be missing.
            if self.is_old(sequence) {
                return;
            }
            self.stream.next = sequence;
        }
        if self.gap(sequence) > 0 {
            let is_there = |other: &Piece| other.sequence == sequence && other.octets.len() >= payload.len();
            if self.stream.ahead.iter().any(is_there) {
                return;
            }
            self.stream.ahead.push(Piece {
                at: packet.time,
                sequence,
                octets: payload.to_vec(),
                missing,
            });
            return;
        }
        self.read(sequence, payload, missing);
        while let Some(at) = self.stream.ahead.iter().position(|ahead| self.gap(ahead.sequence) <= 0) {
            let Piece {
                sequence,
                octets,
                missing,
                ..
            } = self.stream.ahead.swap_remove(at);
            self.read(sequence, &octets, missing);
        }
    }

    /// Returns how far ahead of the next octet a sequence number is; it may be behind (RFC 9293 section 3.4).
    const fn gap(&self, sequence: u32) -> i32 {
        sequence.wrapping_sub(self.stream.next).cast_signed()
    }

    /// Says whether a stream that is not in step has been read beyond a sequence number.
    const fn is_old(&self, sequence: u32) -> bool {
        let gap = self.gap(sequence);
        gap < 0 && gap > -(1 << 20)
    }

    /// Reads octets that stand at or before the next one.
    fn read(&mut self, sequence: u32, octets: &[u8], missing: u32) {
        let known = self.gap(sequence).unsigned_abs();
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        let end = sequence.wrapping_add(length).wrapping_add(missing);
        if self.gap(end) <= 0 {
            return;
        }
        let fresh = octets.get(known as usize..).unwrap_or_default();
        let missing = missing.min(self.gap(end).unsigned_abs());
        self.stream.next = end;
        self.step(fresh);
        if missing > 0 {
            self.miss(missing);
        }
    }

    /// Reads octets in order.
    fn step(&mut self, mut octets: &[u8]) {
        if !self.stream.is_in_step {
            if !(self.begins)(octets) {
                return;
            }
            self.stream.is_in_step = true;
        }
        while !octets.is_empty() {
            let skipped = octets.len().min(self.stream.skip as usize);
            self.stream.skip -= skipped as u32;
            octets = octets.get(skipped..).unwrap_or_default();
            if self.stream.message.is_empty()
                && let Some((length, rest)) = octets.split_first_chunk::<LENGTH>()
                && let Some((message, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
                && message.len() >= usize::from(HEADER)
            {
                // Nearly every message comes whole.
                (self.found)(message);
                octets = rest;
                continue;
            }
            let wanted = match self.stream.length() {
                None => LENGTH - self.stream.message.len(),
                Some(length) => LENGTH + usize::from(length) - self.stream.message.len(),
            };
            let (some, rest) = octets.split_at_checked(wanted).unwrap_or((octets, &[]));
            self.stream.message.extend_from_slice(some);
            octets = rest;
            match self.stream.length() {
                Some(..HEADER) => {
                    // No message: whatever this is, it is not in step.
                    self.stream.message.clear();
                    self.stream.is_in_step = false;
                    return;
                }
                Some(length) if self.stream.message.len() == LENGTH + usize::from(length) => self.end_message(),
                _ => {}
            }
        }
    }

    /// Goes on behind octets that were not captured.
    fn miss(&mut self, missing: u32) {
        let left = match self.stream.length() {
            Some(length) => u32::from(length) + LENGTH as u32 - self.stream.message.len() as u32,
            None => self.stream.skip,
        };
        self.end_message();
        // Else the length of another message is among what is missing, or the message ends exactly there.
        self.stream.is_in_step = self.stream.is_in_step && missing <= left;
        self.stream.skip = left.saturating_sub(missing);
    }

    /// Hands over the message as far as it came.
    fn end_message(&mut self) {
        if let Some(octets) = self.stream.message.get(LENGTH..)
            && octets.len() >= usize::from(HEADER)
        {
            (self.found)(octets);
        }
        self.stream.message.clear();
    }

    /// Gives up what is missing: the message so far is all there is of it, and what came ahead is looked at for others.
    fn give_up(&mut self) {
        self.end_message();
        let mut ahead = std::mem::take(&mut self.stream.ahead);
        ahead.sort_by_key(|piece| self.gap(piece.sequence));
        for piece in ahead {
            if self.gap(piece.sequence) > 0 {
                self.end_message();
                (self.stream.is_in_step, self.stream.skip) = (false, 0);
                self.stream.next = piece.sequence;
            }
            self.read(piece.sequence, &piece.octets, piece.missing);
        }
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
