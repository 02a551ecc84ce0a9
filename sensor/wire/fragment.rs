//! Fragments of IP packets: RFC 791 section 3.2 and RFC 8200 section 4.5.
//!
//! What one of them says of its datagram, and what a datagram looks like once its octets are together. Who keeps them
//! until then is not decided here.

use super::ip::{bounded, octets_of, protocol};
use super::way::{Way, uncarried};
use super::{Envelopes, Stop};
use crate::model::{Address, Layer, MacAddress, Malformed};

/// Octets of the fixed header of IPv4.
const IPV4_LEN: usize = 20;
/// Octets of the fixed header of IPv6, which its length field leaves out.
const IPV6_LEN: usize = 40;
/// The greatest length that a datagram can have: what its length field holds.
const LONGEST: u32 = 65_535;
/// The "more fragments" bit of IPv4.
const IPV4_MORE: u8 = 0x20;
/// As much of an outer packet as tells who sent it to whom: its headers, and some options or extension headers.
const CARRIER: usize = 256;

/// A fragment, and what was gathered on the way to it.
#[derive(Debug, Clone, Copy)]
pub struct Fragment<'a> {
    /// Who sent the datagram.
    pub from: Address,
    /// To whom.
    pub to: Address,
    /// The protocol of IPv4, which belongs to what tells datagrams apart. In IPv6 it does not: the next header of the
    /// first fragment counts, and others may name what they like.
    pub protocol: Option<u8>,
    /// The identification.
    pub identification: u32,
    /// Where the octets belong in the datagram's payload.
    pub offset: u32,
    /// Whether no octets follow them there.
    pub is_last: bool,
    /// How many octets there are by the length field; at least one.
    pub length: u32,
    /// The octets as far as they were captured.
    pub octets: &'a [u8],
    /// The headers before them, which count if this is the first fragment.
    pub headers: &'a [u8],
    way: Way<'a>,
}

impl<'a> Fragment<'a> {
    /// Reads the fragment that a packet is.
    ///
    /// Octets of an IPv4 fragment beyond the last multiple of eight are cut off where more are to follow: some hosts
    /// join what is left and others drop it, and a contact must not be hidden by that. Such a fragment of IPv6 is
    /// dropped by all of them (RFC 8200 section 4.5).
    ///
    /// # Errors
    ///
    /// [`Stop::Malformed`] for one without octets, one that would make its datagram longer than a datagram can be,
    /// and headers that cannot be; [`Stop::Ignored`] for protocols that give no packet.
    #[cold]
    #[inline(never)]
    pub(super) fn read(way: Way<'a>, packet: &'a [u8]) -> Result<Self, Stop> {
        let (fragment, layer, before) = match packet.first().map(|first| first >> 4) {
            Some(4) => (Self::ipv4(way, packet)?, Layer::Ipv4, 0),
            _ => (Self::ipv6(way, packet)?, Layer::Ipv6, IPV6_LEN),
        };
        let headers = octets_of(fragment.headers.len().saturating_sub(before));
        if fragment.length == 0 {
            return Err(Malformed::field(layer, "fragment length").into());
        }
        match fragment.end().checked_add(headers) {
            Some(..=LONGEST) => Ok(fragment),
            _ => Err(Malformed::field(layer, "fragment offset").into()),
        }
    }

    fn ipv4(way: Way<'a>, packet: &'a [u8]) -> Result<Self, Stop> {
        let &[start, _, l, m, i, d, f, g, _, protocol, _, _, a, b, c, e, w, x, y, z] = packet
            .first_chunk::<IPV4_LEN>()
            .ok_or(Malformed::short(Layer::Ipv4, IPV4_LEN, packet.len()))?;
        if !is_joined(protocol) {
            return Err(uncarried(protocol).into());
        }
        let header = usize::from(start & 0x0f) * 4;
        let (headers, rest) =
            packet
                .split_at_checked(header)
                .ok_or(Malformed::short(Layer::Ipv4, header, packet.len()))?;
        let length = match usize::from(u16::from_be_bytes([l, m])) {
            0 => rest.len(),
            total => total.saturating_sub(header),
        };
        let is_last = f & IPV4_MORE == 0;
        let length = if is_last { length } else { length - length % 8 };
        Ok(Self {
            from: Address::v4([a, b, c, e]),
            to: Address::v4([w, x, y, z]),
            protocol: Some(protocol),
            identification: u32::from(u16::from_be_bytes([i, d])),
            offset: u32::from(u16::from_be_bytes([f & 0x1f, g])) * 8,
            is_last,
            length: octets_of(length),
            octets: bounded(rest, length),
            headers,
            way,
        })
    }

    fn ipv6(way: Way<'a>, packet: &'a [u8]) -> Result<Self, Stop> {
        let Some((&[_, _, _, _, l, m, next, _], addresses)) = packet.split_first_chunk::<8>() else {
            return Err(Malformed::short(Layer::Ipv6, IPV6_LEN, packet.len()).into());
        };
        let (from, rest) =
            addresses
                .split_first_chunk::<16>()
                .ok_or(Malformed::short(Layer::Ipv6, IPV6_LEN, packet.len()))?;
        let to = rest
            .first_chunk::<16>()
            .ok_or(Malformed::short(Layer::Ipv6, IPV6_LEN, packet.len()))?;
        let (mut next, mut at) = (next, IPV6_LEN);
        let (field, identification) = loop {
            let header = packet.get(at..).and_then(<[u8]>::first_chunk::<8>);
            let Some(&[following, extent, f, g, i, d, e, n]) = header else {
                return Err(Malformed::short(Layer::Ipv6, at + 8, packet.len()).into());
            };
            let field = u16::from_be_bytes([f, g]);
            at += match next {
                protocol::FRAGMENT if field & !6 != 0 => break (field, u32::from_be_bytes([i, d, e, n])),
                protocol::FRAGMENT => 8,
                protocol::AH => (usize::from(extent) + 2) * 4,
                _ => (usize::from(extent) + 1) * 8,
            };
            next = following;
        };
        let (headers, rest) =
            packet
                .split_at_checked(at + 8)
                .ok_or(Malformed::short(Layer::Ipv6, at + 8, packet.len()))?;
        let length = match usize::from(u16::from_be_bytes([l, m])) {
            0 => rest.len(),
            length => (IPV6_LEN + length).saturating_sub(headers.len()),
        };
        let is_last = field & 1 == 0;
        if !is_last && length % 8 != 0 {
            return Err(Malformed::field(Layer::Ipv6, "fragment length").into());
        }
        Ok(Self {
            from: Address::v6(*from),
            to: Address::v6(*to),
            protocol: None,
            identification,
            offset: u32::from(field & !7),
            is_last,
            length: octets_of(length),
            octets: bounded(rest, length),
            headers,
            way,
        })
    }

    /// Returns where the octets end in the datagram's payload.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.offset.saturating_add(self.length)
    }

    /// Returns the layer that a fault of this fragment belongs to.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        match self.protocol {
            Some(_) => Layer::Ipv4,
            None => Layer::Ipv6,
        }
    }

    /// Returns what the envelopes around the fragment said.
    #[must_use]
    pub const fn envelopes(&self) -> &Envelopes<'a> {
        &self.way.envelopes
    }

    /// Returns what was gathered on the way, to be kept when the frame is gone.
    #[must_use]
    pub fn gathered(&self) -> Gathered {
        let Way {
            depth,
            from_mac,
            envelopes,
        } = self.way;
        Gathered {
            depth,
            from_mac,
            vni: envelopes.vni,
            vlan: envelopes.vlan,
            key: envelopes.key,
            carrier: envelopes.carrier.map(|packet| bounded(packet, CARRIER).into()),
            is_carried_twice: envelopes.is_carried_twice,
        }
    }
}

/// Says whether a datagram of IPv4 with this protocol may lead to a packet.
const fn is_joined(number: u8) -> bool {
    matches!(
        number,
        protocol::TCP | protocol::UDP | protocol::IPV4 | protocol::IPV6 | protocol::GRE | protocol::AH
    )
}

/// What was gathered on the way to a datagram, apart from any frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gathered {
    depth: u8,
    from_mac: Option<MacAddress>,
    vni: Option<u32>,
    vlan: Option<u16>,
    key: Option<u32>,
    carrier: Option<Box<[u8]>>,
    is_carried_twice: bool,
}

impl Gathered {
    /// Returns how many octets it keeps beside its own.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.carrier.as_ref().map_or(0, |carrier| carrier.len())
    }

    /// Returns the way as it was.
    pub(super) fn way(&self) -> Way<'_> {
        Way {
            depth: self.depth,
            from_mac: self.from_mac,
            envelopes: Envelopes {
                vni: self.vni,
                vlan: self.vlan,
                key: self.key,
                carrier: self.carrier.as_deref(),
                is_carried_twice: self.is_carried_twice,
            },
        }
    }
}

/// How much of a datagram there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Its beginning.
    Beginning,
}

/// Returns the headers of a datagram whose payload has so many octets, made from those of its first fragment.
///
/// The header of a whole one says that it is no fragment, that of a beginning that more is to follow. Checksums are
/// left as they were; nobody looks at them (rule W4).
///
/// # Errors
///
/// `Field("datagram length")` when the length field cannot hold so much, which headers that are longer in the first
/// fragment than in others may do.
pub fn headers(of_first: &[u8], length: u32, extent: Extent) -> Result<Vec<u8>, Malformed> {
    let mut headers = of_first.to_vec();
    let is_ipv4 = of_first.first().is_some_and(|first| first >> 4 == 4);
    let (layer, before) = if is_ipv4 {
        (Layer::Ipv4, 0)
    } else {
        (Layer::Ipv6, IPV6_LEN)
    };
    let total = octets_of(of_first.len().saturating_sub(before)).saturating_add(length);
    let Ok(total) = u16::try_from(total) else {
        return Err(Malformed::field(layer, "datagram length"));
    };
    let [high, low] = total.to_be_bytes();
    match headers.as_mut_slice() {
        [_, _, l, m, _, _, f, g, ..] if is_ipv4 => {
            let more = if extent == Extent::Whole { 0 } else { IPV4_MORE };
            [*l, *m, *f, *g] = [high, low, more, 0];
        }
        [_, _, _, _, l, m, .., f, g, _, _, _, _] => {
            [*l, *m, *f, *g] = [high, low, 0, u8::from(extent == Extent::Beginning)];
        }
        _ => {}
    }
    Ok(headers)
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
