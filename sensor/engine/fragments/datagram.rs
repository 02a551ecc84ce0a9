//! One datagram whose fragments are being joined.
//!
//! Octets that came first stay. For IPv4 nothing says which of two fragments that contradict each other counts (RFC 791
//! section 3.2 lets either; receivers differ), and what was seen first can be changed by nobody later. For IPv6 such
//! a datagram is dropped by its receiver with everything that is still to come of it (RFC 5722 section 3, RFC 8200
//! section 4.5), and so it is here. Duplicates, and overlaps that say the same, change nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use smallvec::SmallVec;

use crate::model::{Counter, Counters, Ignored, SourceId, Timestamp};
use crate::wire::{self, Extent, Fragment, Gathered};

use super::{AGE, Came, Joined, Key, PATIENCE, Place};

/// Octets that a datagram takes beside its fragments, its share of the table and its first node of fragments included.
const DATAGRAM: usize = 1024;
/// Octets that a fragment takes beside its own.
const PIECE: usize = 64;

/// Octets that came in one fragment, as far as none were there before.
#[derive(Debug)]
struct Piece {
    /// Where it ends by the length fields.
    end: u32,
    /// What was captured of it.
    octets: Box<[u8]>,
}

/// How far a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Fragments are missing.
    Incomplete,
    /// It was given; it stays for a while to tell duplicates of its fragments from those of the next datagram with its
    /// identification. A mirror that shows every frame twice would else leave half a datagram behind with each whole
    /// one.
    Given,
    /// Its fragments contradicted each other.
    Dropped,
}

/// A datagram and the fragments of it that came.
#[derive(Debug)]
pub(super) struct Datagram {
    key: Key,
    began: Timestamp,
    due: Timestamp,
    state: State,
    /// Who delivered its first fragment, or, before that came, any; and which frame was the latest.
    came: Came,
    gathered: Gathered,
    /// Of the first fragment.
    headers: Option<Box<[u8]>>,
    /// By where they begin. None overlaps another.
    pieces: BTreeMap<u32, Piece>,
    /// Octets in the pieces by the length fields.
    received: u32,
    /// How long the payload is, once the last fragment is there.
    total: Option<u32>,
    /// Where the first octets begin that a snap length cut off.
    cut: u32,
    is_overlapping: bool,
    /// Frames that wait here to be counted.
    frames: u64,
    /// What all of this takes.
    octets: usize,
}

/// What a fragment would add to a datagram.
struct News {
    /// What nothing covers yet.
    gaps: SmallVec<[Range<u32>; 4]>,
    /// Whether octets that are there differ from the fragment's.
    differs: bool,
}

impl Datagram {
    /// Returns a datagram without fragments.
    pub fn new(key: Key, came: Came) -> Self {
        let began = came.time;
        Self {
            key,
            began,
            due: began.plus(AGE),
            state: State::Incomplete,
            came,
            gathered: Gathered::default(),
            headers: None,
            pieces: BTreeMap::new(),
            received: 0,
            total: None,
            cut: u32::MAX,
            is_overlapping: false,
            frames: 0,
            octets: DATAGRAM,
        }
    }

    pub const fn key(&self) -> Key {
        self.key
    }

    /// Returns when it is to be looked at.
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// Returns when it is too old.
    pub fn last_due(&self) -> Timestamp {
        self.began.plus(AGE)
    }

    /// Waits until it is too old.
    pub fn wait_to_the_last(&mut self) {
        self.due = self.last_due();
    }

    /// Returns what it takes.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Returns how many frames wait here to be counted.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Says whether anybody waits for it still.
    pub fn is_wanted(&self) -> bool {
        self.state == State::Incomplete
    }

    /// Says whether a fragment belongs to another datagram, since this one was given and did not have it.
    pub fn is_over(&self, fragment: &Fragment<'_>) -> bool {
        if self.state != State::Given {
            return false;
        }
        let news = self.news(fragment);
        let is_end = self.total == Some(fragment.end());
        news.differs || !news.gaps.is_empty() || fragment.is_last != is_end
    }

    /// Takes a fragment; returns the datagram if that makes it whole. The frame is counted, or waits here to be.
    pub fn take(&mut self, fragment: &Fragment<'_>, came: Came, counters: &mut Counters) -> Option<Joined> {
        if self.state != State::Incomplete {
            counters.count_ignored(Ignored::Fragment);
            return None;
        }
        if self.contradicts(fragment) {
            counters.count_malformed(fragment.layer());
            return None;
        }
        let news = self.news(fragment);
        if news.differs && !self.is_overlapping {
            self.is_overlapping = true;
            counters.count(Counter::FragmentsOverlapping);
        }
        if news.differs && fragment.protocol.is_none() {
            counters.add_ignored(Ignored::Fragment, self.frames + 1);
            self.drop_all();
            return None;
        }
        let is_end = fragment.is_last && self.total.is_none();
        if news.gaps.is_empty() && !is_end {
            counters.count_ignored(Ignored::Fragment);
            return None;
        }
        if is_end {
            self.total = Some(fragment.end());
        }
        for gap in news.gaps {
            self.put(gap, fragment);
        }
        self.frames += 1;
        self.came = Came {
            source: self.came.source,
            ..came
        };
        if fragment.offset == 0 && self.headers.is_none() {
            self.begin(fragment, came);
        }
        if self.total == Some(self.received) {
            self.whole(counters)
        } else {
            None
        }
    }

    /// Takes what only the first fragment says.
    fn begin(&mut self, fragment: &Fragment<'_>, came: Came) {
        self.headers = Some(fragment.headers.into());
        self.gathered = fragment.gathered();
        self.octets += fragment.headers.len() + self.gathered.octets();
        self.came = came;
        self.due = self.due.min(came.time.plus(PATIENCE));
    }

    /// Says whether a fragment goes past the end that the last one named, or names another end.
    fn contradicts(&self, fragment: &Fragment<'_>) -> bool {
        let end = fragment.end();
        match self.total {
            Some(total) => end > total || (fragment.is_last && end != total),
            None => fragment.is_last && self.farthest() > end,
        }
    }

    /// Returns where the octets end that are known of.
    fn farthest(&self) -> u32 {
        let last = self.pieces.last_key_value();
        self.total.or(last.map(|(_, piece)| piece.end)).unwrap_or_default()
    }

    /// Compares a fragment with the pieces that it meets, which are at most an eighth of its octets.
    fn news(&self, fragment: &Fragment<'_>) -> News {
        let (mut at, end) = (fragment.offset, fragment.end());
        let before = self.pieces.range(..=at).next_back();
        let start = match before {
            Some((start, piece)) if piece.end > at => *start,
            _ => at,
        };
        let mut news = News {
            gaps: SmallVec::new(),
            differs: false,
        };
        for (start, piece) in self.pieces.range(start..end) {
            if at < *start {
                news.gaps.push(at..*start);
            }
            let shared = at.max(*start)..end.min(piece.end);
            let there = part(&piece.octets, *start, &shared);
            let given = part(fragment.octets, fragment.offset, &shared);
            let both = there.len().min(given.len());
            news.differs |= there.get(..both) != given.get(..both);
            at = piece.end;
        }
        if at < end {
            news.gaps.push(at..end);
        }
        news
    }

    fn put(&mut self, gap: Range<u32>, fragment: &Fragment<'_>) {
        let octets = part(fragment.octets, fragment.offset, &gap);
        let held = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        if gap.start.saturating_add(held) < gap.end {
            self.cut = self.cut.min(gap.start.saturating_add(held));
        }
        self.received += gap.end - gap.start;
        self.octets += PIECE + octets.len();
        let piece = Piece {
            end: gap.end,
            octets: octets.into(),
        };
        self.pieces.insert(gap.start, piece);
    }

    fn drop_all(&mut self) {
        let emptied = Self::new(self.key, self.came);
        *self = Self {
            state: State::Dropped,
            began: self.began,
            due: self.last_due(),
            ..emptied
        };
    }

    fn whole(&mut self, counters: &mut Counters) -> Option<Joined> {
        counters.count(Counter::FragmentsWhole);
        counters.add(Counter::FragmentsJoined, self.frames - 1);
        self.state = State::Given;
        self.due = self.came.time.plus(PATIENCE);
        self.joined(Extent::Whole)
    }

    /// Returns who delivered the latest fragment.
    pub const fn source(&self) -> SourceId {
        self.came.source
    }

    /// Returns what there is up to the first octet that is missing, if the first fragment is there.
    pub fn beginning(&self) -> Option<Joined> {
        self.joined(Extent::Beginning)
    }

    fn joined(&self, extent: Extent) -> Option<Joined> {
        let first = self.headers.as_ref()?;
        let octets = wire::headers(first, self.farthest(), extent).map(|headers| self.behind(headers));
        Some(Joined {
            octets,
            gathered: self.gathered.clone(),
            came: self.came,
            place: if self.key.segment.is_tunnel() {
                Place::Tunnel
            } else {
                Place::Plain
            },
        })
    }

    /// Returns headers with as much of the payload behind them as there is in one piece.
    fn behind(&self, headers: Vec<u8>) -> Vec<u8> {
        let mut all = headers;
        let mut at = 0;
        for (start, piece) in &self.pieces {
            if *start != at || *start >= self.cut {
                break;
            }
            all.extend_from_slice(&piece.octets);
            at = piece.end;
        }
        all
    }
}

/// Returns the octets of a range of the payload, as far as they are there, from octets that begin at `start`.
fn part<'a>(octets: &'a [u8], start: u32, range: &Range<u32>) -> &'a [u8] {
    let place = |at: u32| {
        usize::try_from(at.saturating_sub(start))
            .unwrap_or(usize::MAX)
            .min(octets.len())
    };
    octets.get(place(range.start)..place(range.end)).unwrap_or_default()
}
