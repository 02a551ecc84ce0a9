//! Packets that mirrors show twice (rule W5).
//!
//! Where both ends of a connection are mirrored into one segment, every packet comes twice, some milliseconds apart: by
//! another mirror, under another VLAN or VNI, with another TTL and other hardware addresses, or alike to the last octet.
//! What stays the same is what the packet is known by here: segment, addresses, ports, lengths, IPv4 identification, and
//! what TCP numbers or the beginning of a datagram says. Checksums do not: a host leaves them to its hardware, so that one
//! mirror shows them filled in and another does not.
//!
//! Each partition remembers what it met within [`APART`], and by itself leaves off looking where there are no copies.
//! Nothing in it depends on what another partition met (rule T2).

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use crate::model::{Layer4, MacAddress, Packet, Places, SourceId, Span, TcpFlags, Timestamp};
use crate::wire;

use super::partition::PARTITIONS;

#[cfg(test)]
mod tests;

/// How far apart in packet time copies may be: 5 ms, and as much again for what merging files and reading several sockets
/// puts out of order.
pub const APART: Span = Span::millis(10);
/// A partition looks at everything until so many packets in a row were no copies.
pub const PATIENCE: u16 = 256;
/// What a repeated datagram gives back of that if nothing shows that it is a copy. On a link with copies every second
/// packet is one; senders who repeat themselves make fewer.
const GIVEN_BACK: u16 = 8;
/// Octets of a datagram's payload that tell it from others: beyond its own headers, and all that a line of a log has in
/// common with the one before.
const HEAD: usize = 256;
/// Where a snap length cut within these, so many octets at once are left out, since mirrors put envelopes of different
/// length around what is then cut.
const STEP: usize = 32;
/// One of so many datagrams is looked at where there are no copies.
const SAMPLE: u32 = 16;
/// Places are numbered up to here and then from 0 again.
const PLACES: u32 = u32::MAX >> 1;

/// How a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Who delivered it.
    pub source: SourceId,
    /// The hardware address that sent it.
    pub from_mac: Option<MacAddress>,
    /// How many more routers may hand it on: behind each there are fewer.
    pub hop_limit: u8,
    /// VNI, VLAN and key, folded into one number.
    pub envelopes: u32,
}

/// What is looked at beside the packet itself.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The payload as far as it was captured.
    pub payload: &'a [u8],
    /// The identification of IPv4; 0 in IPv6.
    pub identification: u16,
    /// How it came.
    pub path: Path,
    /// Whether it is a datagram on a port of DNS.
    pub is_dns: bool,
}

impl<'a> Look<'a> {
    /// Returns what is looked at of a packet; `needed` is what its partition reads of the payload.
    #[must_use]
    pub fn at(decoded: &wire::Decoded<'a>, source: SourceId, needed: &[u8]) -> Self {
        Self {
            payload: decoded.payload,
            identification: decoded.identification,
            path: Path {
                source,
                from_mac: decoded.from_mac,
                hop_limit: decoded.hop_limit,
                envelopes: fold(&decoded.envelopes),
            },
            is_dns: decoded.layer4 == Layer4::Udp && !needed.is_empty(),
        }
    }

    /// Returns what is looked at of an envelope that leads outside.
    #[must_use]
    pub fn around(tunnel: &wire::Carrier<'a>, source: SourceId) -> Self {
        Self {
            payload: tunnel.payload,
            identification: tunnel.identification,
            path: Path {
                source,
                from_mac: tunnel.from_mac,
                hop_limit: tunnel.hop_limit,
                envelopes: fold(&tunnel.envelopes),
            },
            is_dns: false,
        }
    }
}

/// Returns the values of envelopes as one number that differs where they do, nearly always.
fn fold(envelopes: &wire::Envelopes<'_>) -> u32 {
    let or_none = |value: Option<u32>| value.map_or(0, |value| value.wrapping_add(1));
    let vlan = or_none(envelopes.vlan.map(u32::from));
    or_none(envelopes.vni) ^ vlan.rotate_left(20) ^ or_none(envelopes.key).rotate_left(10)
}

/// A packet that was met.
#[derive(Debug, Clone, Copy)]
struct Met {
    hash: u64,
    at: Timestamp,
    path: Path,
}

/// What one partition met lately.
///
/// A packet is kept as a seeded 64-bit hash: two that share one are as likely as a disk's undetected read error, and
/// nobody outside can make them.
#[derive(Debug, Default)]
struct Recent {
    met: VecDeque<Met>,
    /// The number of the first of them.
    first: u32,
    places: Places,
}

/// What every partition met lately.
#[derive(Debug)]
pub struct Copies {
    recent: Vec<Recent>,
    /// How many more packets each looks at. Apart from the rest, since it is asked for every packet.
    left: [u16; PARTITIONS],
    hasher: foldhash::quality::RandomState,
    limit: usize,
    evicted: u64,
}

impl Copies {
    /// Returns what has met nothing; each partition remembers `limit` packets at most, and the oldest go first.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            recent: (0..PARTITIONS).map(|_| Recent::default()).collect(),
            left: [PATIENCE; PARTITIONS],
            hasher: foldhash::quality::RandomState::default(),
            limit: limit.max(1),
            evicted: 0,
        }
    }

    /// Returns how many packets were forgotten before their time, since the last call.
    pub const fn take_evicted(&mut self) -> u64 {
        std::mem::replace(&mut self.evicted, 0)
    }

    /// Forgets everything and begins anew: time went back (rule T1).
    pub fn clear(&mut self) {
        self.recent.iter_mut().for_each(|recent| *recent = Recent::default());
        self.left = [PATIENCE; PARTITIONS];
    }

    /// Says whether a partition looks at a packet: at each, while it knows of copies or has not met enough packets to know
    /// that there are none; else at those that copies would harm most, or that are few. `needed` is what the partition
    /// reads of the payload.
    #[inline]
    #[must_use]
    pub fn looks_at(&self, partition: usize, packet: &Packet, payload: &[u8], needed: &[u8]) -> bool {
        let looks_at_all = self.left.get(partition).is_some_and(|left| *left > 0);
        looks_at_all
            || match packet.layer4 {
                Layer4::Tcp { .. } => false,
                Layer4::Udp => !needed.is_empty() || is_sampled(payload),
                Layer4::Tunnel(_) => is_sampled(payload),
            }
    }

    /// Looks at a packet; returns how it came the first time, if it is a copy that is to go no further.
    pub fn look(&mut self, partition: usize, packet: &Packet, look: &Look<'_>) -> Option<Path> {
        let hash = self.hash(packet, look);
        let (recent, left) = (self.recent.get_mut(partition)?, self.left.get_mut(partition)?);
        recent.forget(packet.time.minus(APART));
        let Some(first) = recent.find(hash) else {
            *left = left.saturating_sub(1);
            recent.add(Met {
                hash,
                at: packet.time,
                path: look.path,
            });
            if recent.met.len() > self.limit {
                recent.forget_first();
                self.evicted += 1;
            }
            return None;
        };
        if first != look.path || look.identification != 0 || look.is_dns {
            *left = PATIENCE;
            return Some(first);
        }
        if is_acknowledgment(packet) {
            // They are alike, and nothing of them counts twice.
            return None;
        }
        let is_copy = *left > 0;
        *left = PATIENCE.min(*left + GIVEN_BACK);
        is_copy.then_some(first)
    }

    /// Returns the hash of what a packet and its copies have in common.
    fn hash(&self, packet: &Packet, look: &Look<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let mut halves = 0_u64;
        for address in [packet.from, packet.to] {
            let (high, low) = address.halves();
            // The upper half of IPv4 is zero: leaving it out saves a round.
            halves <<= 1;
            if high != 0 {
                halves |= 1;
                hasher.write_u64(high);
            }
            hasher.write_u64(low);
        }
        let ports = u64::from(packet.from_port) << 16 | u64::from(packet.to_port);
        let space = u64::from(packet.segment.number()) << 32;
        hasher.write_u64(space | ports);
        let lengths = u64::from(packet.payload_octets) << 32 | u64::from(look.identification) << 16;
        hasher.write_u64(lengths | halves << 8 | u64::from(packet.transport().number()));
        match packet.layer4 {
            Layer4::Tcp { flags, sequence } => hasher.write_u64(u64::from(sequence) << 8 | u64::from(flags.0)),
            Layer4::Udp | Layer4::Tunnel(_) => hasher.write(head(packet, look.payload)),
        }
        hasher.finish()
    }
}

impl Recent {
    /// Forgets what was met before a time.
    fn forget(&mut self, until: Timestamp) {
        while self.met.front().is_some_and(|met| met.at < until) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(met) = self.met.pop_front() {
            self.places.remove(met.hash, self.first);
            self.first = (self.first + 1) & PLACES;
        }
    }

    fn find(&self, hash: u64) -> Option<Path> {
        let places = self.places.of(hash);
        let mut met = places.filter_map(|place| self.met.get((place.wrapping_sub(self.first) & PLACES) as usize));
        met.find(|met| met.hash == hash).map(|met| met.path)
    }

    fn add(&mut self, met: Met) {
        let place = self.first.wrapping_add(self.met.len() as u32) & PLACES;
        self.places.insert(met.hash, place);
        self.met.push_back(met);
    }
}

/// Says whether a packet is a TCP segment that neither carries octets nor begins or ends a stream.
const fn is_acknowledgment(packet: &Packet) -> bool {
    const NOTABLE: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
    matches!(packet.layer4, Layer4::Tcp { flags, .. } if packet.payload_octets == 0 && !flags.has(NOTABLE))
}

/// Returns the octets of a datagram that tell it from others.
fn head<'a>(packet: &Packet, payload: &'a [u8]) -> &'a [u8] {
    if let Some(head) = payload.get(..HEAD) {
        return head;
    }
    let is_snapped = usize::try_from(packet.payload_octets).is_ok_and(|octets| payload.len() < octets);
    let length = if is_snapped {
        payload.len() - payload.len() % STEP
    } else {
        payload.len()
    };
    payload.get(..length).unwrap_or_default()
}

/// Chooses one of a few datagrams by what is in them, so that both copies are chosen; short ones always.
#[inline]
fn is_sampled(payload: &[u8]) -> bool {
    let Some(head) = payload.first_chunk::<STEP>() else {
        return true;
    };
    let (words, _) = head.as_chunks::<8>();
    let folded = words
        .iter()
        .fold(0, |folded: u64, word| folded.rotate_left(5) ^ u64::from_le_bytes(*word));
    // The uppermost bits of a product depend on all of the factor's (Knuth's multiplicative hashing).
    folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SAMPLE.ilog2()) == 0
}
