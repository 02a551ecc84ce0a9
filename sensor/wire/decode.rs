//! The way from a frame to its innermost TCP or UDP packet (rules W1, W2 and W4).

use smallvec::SmallVec;

use super::fragment::{Fragment, Gathered};
use super::ip::{self, Ip, Piece, protocol};
use super::udp::{self, Udp};
use super::way::{Inside, Way};
use super::{ethernet, ipv4, ipv6, null, ppp, sll, sll2, vlan};
use crate::model::{Address, Ignored, Layer4, LinkType, MacAddress, Malformed, Transport};

/// Which UDP ports carry envelopes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports {
    envelopes: SmallVec<[(u16, InUdp); 4]>,
    dns: SmallVec<[u16; 4]>,
}

/// An envelope that UDP carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InUdp {
    Vxlan,
    Geneve,
}

impl Ports {
    /// Returns the ports with these destination ports of VXLAN and GENEVE; a port of both is VXLAN's. What comes from a port
    /// of DNS is an answer to a client that chose such a port by chance.
    #[must_use]
    pub fn new(vxlan: &[u16], geneve: &[u16], dns: &[u16]) -> Self {
        let vxlan = vxlan.iter().map(|port| (*port, InUdp::Vxlan));
        let geneve = geneve.iter().map(|port| (*port, InUdp::Geneve));
        Self {
            envelopes: vxlan.chain(geneve).collect(),
            dns: SmallVec::from_slice(dns),
        }
    }

    /// Returns the envelope that a datagram between two ports is.
    #[inline]
    fn envelope(&self, from_port: u16, to_port: u16) -> Option<InUdp> {
        self.envelopes
            .iter()
            .find(|(port, _)| *port == to_port && !self.dns.contains(&from_port))
            .map(|(_, envelope)| *envelope)
    }
}

/// The innermost TCP or UDP packet of a frame, and what its envelopes said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Who sent the packet.
    pub from: Address,
    /// To whom.
    pub to: Address,
    /// The sender's port.
    pub from_port: u16,
    /// The receiver's port.
    pub to_port: u16,
    /// What layer 4 says.
    pub layer4: Layer4,
    /// Octets of layer 4 payload by the length fields, whatever a snap length left of them.
    pub payload_octets: u32,
    /// The payload as far as it was captured.
    pub payload: &'a [u8],
    /// The innermost source hardware address, if the link or the envelope carries one.
    pub from_mac: Option<MacAddress>,
    /// What tells the sender's packets apart (RFC 791 section 3.2); 0 in IPv6, and where the sender leaves it out.
    pub identification: u16,
    /// How many more routers may hand the packet on: the TTL of IPv4.
    pub hop_limit: u8,
    /// What the envelopes said.
    pub envelopes: Envelopes<'a>,
}

/// What is longer is copied by calls, which costs a plain frame half as much again.
const _: () = assert!(size_of::<Decoded<'_>>() <= 128);

impl Decoded<'_> {
    /// Says whether a snap length (or a lost fragment) cut the payload or the layer 4 header.
    #[must_use]
    pub fn is_snapped(&self) -> bool {
        usize::try_from(self.payload_octets).is_ok_and(|octets| self.payload.len() < octets)
    }
}

/// What the envelopes of a frame said, outermost first (rule W3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelopes<'a> {
    /// The outermost VNI (24 bits).
    pub vni: Option<u32>,
    /// The outermost VLAN.
    pub vlan: Option<u16>,
    /// The outermost key of GRE or session of ERSPAN.
    pub key: Option<u32>,
    /// The octets of the outermost IP packet that carried an envelope. What they say is read by who asks: to carry it
    /// along costs every frame a fifth more.
    pub carrier: Option<&'a [u8]>,
    /// Whether an envelope further in was carried by IP as well.
    pub is_carried_twice: bool,
}

impl Envelopes<'_> {
    /// Returns who mirrored the frame: the source of the outermost IP packet that carried an envelope.
    #[must_use]
    pub fn mirrored_by(&self) -> Option<Address> {
        self.carried_between().map(|(from, _)| from)
    }

    /// Returns the ends of the outermost IP packet that carried an envelope.
    #[must_use]
    pub fn carried_between(&self) -> Option<(Address, Address)> {
        self.carrier.and_then(ip::ends)
    }
}

/// An IP packet that carries an envelope, as a packet of its own would be told (rule W2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrier<'a> {
    /// How it carries the envelope.
    pub transport: Transport,
    /// Who sent it.
    pub from: Address,
    /// To whom.
    pub to: Address,
    /// The sender's port; 0 where the transport has none.
    pub from_port: u16,
    /// The receiver's port; 0 where the transport has none.
    pub to_port: u16,
    /// Octets of its payload by the length fields: behind UDP, or else behind IP.
    pub payload_octets: u32,
    /// The payload as far as it was captured.
    pub payload: &'a [u8],
    /// The source hardware address of the link or the envelope that it came in.
    pub from_mac: Option<MacAddress>,
    /// What tells the sender's packets apart; 0 in IPv6, and where the sender leaves it out.
    pub identification: u16,
    /// How many more routers may hand the packet on.
    pub hop_limit: u8,
    /// What the envelopes around it said.
    pub envelopes: Envelopes<'a>,
}

impl<'a> Carrier<'a> {
    fn new(way: &Way<'a>, ip: &Ip<'a>, udp: Option<&Udp<'a>>) -> Self {
        Self {
            transport: match (udp, ip.protocol) {
                (Some(_), _) => Transport::Udp,
                (None, protocol::GRE) => Transport::Gre,
                (None, _) => Transport::Ipip,
            },
            from: ip.from,
            to: ip.to,
            from_port: udp.map_or(0, |udp| udp.from_port),
            to_port: udp.map_or(0, |udp| udp.to_port),
            payload_octets: udp.map_or(ip.payload_octets, |udp| udp.payload_octets),
            payload: udp.map_or(ip.payload, |udp| udp.payload),
            from_mac: way.from_mac,
            identification: ip.identification,
            hop_limit: ip.hop_limit,
            envelopes: way.envelopes,
        }
    }
}

/// Where a way inwards begins.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// At a frame.
    Frame(LinkType, &'a [u8]),
    /// At a datagram whose fragments were joined, with what was gathered on the way to them.
    Datagram(&'a Gathered, &'a [u8]),
}

/// Why a frame gives no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A header could not be read.
    Malformed(Malformed),
    /// All headers could be read and what they carry is of no concern.
    Ignored(Ignored),
    /// The way leads to a fragment, which [`meet`] gives.
    Fragment,
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Ignored> for Stop {
    fn from(ignored: Ignored) -> Self {
        Self::Ignored(ignored)
    }
}

/// What the way inwards leads to.
#[derive(Debug, Clone, Copy)]
pub enum Met<'a> {
    /// The innermost packet.
    Packet(Decoded<'a>),
    /// A fragment: the way goes on where its datagram is whole.
    Fragment(Fragment<'a>),
}

/// Finds the innermost TCP or UDP packet of a frame.
///
/// Outer headers are not flows: where an envelope's inside cannot be read, the frame gives no packet. VXLAN and GENEVE
/// are recognised by their destination ports alone. Headers that ICMP quotes are not looked at.
///
/// # Errors
///
/// [`Stop::Malformed`] with the innermost layer that could not be read; [`Stop::Ignored`] for what is neither TCP nor
/// UDP, for envelopes that carry what is not read, and for those nested more than eight deep; [`Stop::Fragment`] where
/// the way cannot go on without other frames. What it leads to is not given along with that: it would make the way of
/// every frame longer.
pub fn decode<'a>(link: LinkType, octets: &'a [u8], ports: &Ports) -> Result<Decoded<'a>, Stop> {
    let unseen = |_: &Way<'a>, _: &Ip<'a>, _: Option<&Udp<'a>>| {};
    walk(Way::default(), link, octets, ports, Piece::Whole, unseen, |_, _| {
        Stop::Fragment
    })
}

/// Finds the packet or fragment that a frame leads to.
///
/// # Errors
///
/// Those of [`decode`] without [`Stop::Fragment`], and [`Stop::Malformed`] for a fragment that cannot be.
pub fn meet<'a>(link: LinkType, octets: &'a [u8], ports: &Ports) -> Result<Met<'a>, Stop> {
    go_on(Way::default(), link, octets, ports, Piece::Whole)
}

/// Goes on with a datagram whose fragments were joined: IP headers as [`headers`](super::headers) makes them and the
/// payload behind them. Of a beginning, as much is read as it holds.
///
/// # Errors
///
/// Those of [`meet`].
pub fn resume<'a>(gathered: &'a Gathered, datagram: &'a [u8], ports: &Ports) -> Result<Met<'a>, Stop> {
    go_on(gathered.way(), LinkType::Raw, datagram, ports, Piece::First)
}

/// Returns the IP packets that carry the envelopes of a frame or a datagram, outermost first, whether or not what they
/// carry can be read.
#[cold]
#[inline(never)]
#[must_use]
pub fn carriers<'a>(start: Start<'a>, ports: &Ports) -> SmallVec<[Carrier<'a>; 2]> {
    let (way, link, octets, taken) = match start {
        Start::Frame(link, octets) => (Way::default(), link, octets, Piece::Whole),
        Start::Datagram(gathered, octets) => (gathered.way(), LinkType::Raw, octets, Piece::First),
    };
    let mut carriers = SmallVec::new();
    let seen = |way: &Way<'a>, ip: &Ip<'a>, udp: Option<&Udp<'a>>| carriers.push(Carrier::new(way, ip, udp));
    // How the way ends is told by those who walk it for its end.
    let _ = walk(way, link, octets, ports, taken, seen, |_, _| Stop::Fragment);
    carriers
}

/// Walks where frames with fragments do, apart from the way of all others.
#[cold]
#[inline(never)]
fn go_on<'a>(way: Way<'a>, link: LinkType, octets: &'a [u8], ports: &Ports, taken: Piece) -> Result<Met<'a>, Stop> {
    let mut at = None;
    let unseen = |_: &Way<'a>, _: &Ip<'a>, _: Option<&Udp<'a>>| {};
    let decoded = walk(way, link, octets, ports, taken, unseen, |way, packet| {
        at = Some((way, packet));
        Stop::Fragment
    });
    match at {
        Some((way, packet)) => Ok(Met::Fragment(Fragment::read(way, packet)?)),
        None => Ok(Met::Packet(decoded?)),
    }
}

/// Walks inwards. The outermost IP packet may also be the piece `taken`; any other fragment ends the walk, and where
/// that was is told to who wants to know it: to give it back would make every frame pay for a place to put it. So are IP
/// packets that carry envelopes, before what they carry is looked at.
#[inline(always)]
fn walk<'a>(
    mut way: Way<'a>,
    link: LinkType,
    octets: &'a [u8],
    ports: &Ports,
    mut taken: Piece,
    mut carried: impl FnMut(&Way<'a>, &Ip<'a>, Option<&Udp<'a>>),
    tell: impl FnOnce(Way<'a>, &'a [u8]) -> Stop,
) -> Result<Decoded<'a>, Stop> {
    let mut inside = match link {
        LinkType::Ethernet => way.ethernet(octets)?,
        LinkType::Raw => Inside::ip(octets)?,
        LinkType::Null | LinkType::Loop => Inside::known(null::parse(octets)?, Ignored::NotIp)?,
        LinkType::LinuxCooked => way.cooked(sll::parse(octets)?)?,
        LinkType::LinuxCooked2 => way.cooked(sll2::parse(octets)?)?,
        LinkType::Ppp => Inside::known(ppp::parse(octets)?, Ignored::Ppp)?,
        LinkType::PppSerial => Inside::known(ppp::serial(octets)?, Ignored::Ppp)?,
        LinkType::PppEther => Inside::pppoe(octets)?,
    };
    loop {
        let ip = match inside.ethertype {
            ethernet::IPV4 => ipv4::parse(inside.octets)?,
            ethernet::IPV6 => ipv6::parse(inside.octets)?,
            ethertype if vlan::is_tag(ethertype) => {
                inside = way.tag(inside.octets)?;
                continue;
            }
            _ => {
                (way, inside) = rarely(way, move |way| way.link(inside))?;
                continue;
            }
        };
        if ip.piece != Piece::Whole && ip.piece != taken {
            return Err(tell(way, inside.octets));
        }
        taken = Piece::Whole;
        match ip.protocol {
            protocol::TCP => return Ok(way.tcp(&ip)?),
            protocol::UDP => {
                let udp = udp::parse(&ip)?;
                let Some(envelope) = ports.envelope(udp.from_port, udp.to_port) else {
                    return Ok(way.udp(&ip, &udp));
                };
                carried(&way, &ip, Some(&udp));
                match envelope {
                    InUdp::Vxlan => inside = way.vxlan(inside.octets, &udp)?,
                    InUdp::Geneve => (way, inside) = rarely(way, move |way| way.geneve(inside.octets, &udp))?,
                }
            }
            protocol::IPV4 | protocol::IPV6 | protocol::GRE => {
                carried(&way, &ip, None);
                (way, inside) = rarely(way, move |way| way.tunnel(inside.octets, &ip))?;
            }
            _ => (way, inside) = rarely(way, move |way| way.tunnel(inside.octets, &ip))?,
        }
    }
}

/// Takes a step that few frames need. The way is handed there and back: one that others may point to is kept in memory
/// for every frame, which costs a plain one half as much again.
#[cold]
#[inline(never)]
fn rarely<'a>(
    mut way: Way<'a>,
    take: impl FnOnce(&mut Way<'a>) -> Result<Inside<'a>, Stop>,
) -> Result<(Way<'a>, Inside<'a>), Stop> {
    let inside = take(&mut way)?;
    Ok((way, inside))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod envelope_tests;

#[cfg(test)]
#[path = "nesting_tests.rs"]
mod nesting_tests;
