//! The one place where tests build frames: header by header from the inside out, with times, into capture files.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::dns::{Message, Record};
use super::fragments::Cut;
use super::tunnel::Tunnel;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// One millisecond: how far apart the packets of one exchange are.
pub const STEP: i64 = 1_000_000;
/// One second.
pub const SECOND: i64 = 1_000_000_000;
/// When captures begin unless they say otherwise: Monday 2026-03-02, 12:00:00 UTC.
pub const NOON: i64 = 1_772_452_800 * SECOND;
/// The most payload of one segment.
const SEGMENT: u32 = 1400;
/// The sequence numbers with which the two sides of an exchange begin.
const CLIENT: u32 = 1000;
pub const SERVER: u32 = 500_000;
/// The hardware address that speaks for everything outside.
const ROUTER: [u8; 6] = [2, 0xff, 0, 0, 0, 1];

/// How frames begin (rule W1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    #[default]
    Ethernet,
    Raw,
    Null,
    Loop,
    LinuxCooked,
    LinuxCooked2,
    Ppp,
    /// IEEE 802.11, which is not read.
    Unknown,
}

impl Link {
    fn number(self) -> u32 {
        match self {
            Self::Ethernet => 1,
            Self::Raw => 101,
            Self::Null => 0,
            Self::Loop => 108,
            Self::LinuxCooked => 113,
            Self::LinuxCooked2 => 276,
            Self::Ppp => 9,
            Self::Unknown => 105,
        }
    }
}

/// How a file is written (rule W1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileFormat {
    /// pcap in nanoseconds, little endian.
    #[default]
    Nanoseconds,
    /// pcap in microseconds, little endian.
    Microseconds,
    /// pcap in nanoseconds, big endian.
    NanosecondsBig,
    /// pcap in microseconds, big endian.
    MicrosecondsBig,
    /// pcapng, little endian, with a resolution of nanoseconds.
    PcapNg,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Nanoseconds since 1970.
    pub time: i64,
    pub octets: Vec<u8>,
    /// Octets on the wire, more than `octets` if it was snapped.
    pub length: usize,
}

/// Where envelopes stand around the packets that follow.
#[derive(Debug, Clone, Default)]
struct Envelope {
    vlans: Vec<u16>,
    vni: Option<u32>,
    key: Option<u32>,
    tunnel: Option<Tunnel>,
    mirror: Option<IpAddr>,
}

/// A capture in the making. Times are nanoseconds after its start.
#[derive(Debug, Clone)]
pub struct Capture {
    pub start: i64,
    pub link: Link,
    pub format: FileFormat,
    pub frames: Vec<Frame>,
    envelope: Envelope,
    cut: Cut,
    macs: HashMap<IpAddr, [u8; 6]>,
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

/// A TCP segment, as far as tests choose it.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub flags: u8,
    pub sequence: u32,
    pub payload: u32,
    /// How much of the payload the capture holds.
    pub captured: u32,
}

impl Capture {
    pub fn new() -> Self {
        Self {
            start: NOON,
            link: Link::default(),
            format: FileFormat::default(),
            frames: Vec::new(),
            envelope: Envelope::default(),
            cut: Cut::default(),
            macs: HashMap::new(),
        }
    }

    /// Puts the frames that follow under these VLAN tags, outermost first.
    pub fn vlans(&mut self, vlans: &[u16]) {
        self.envelope.vlans = vlans.to_vec();
    }

    /// Mirrors the frames that follow by VXLAN.
    pub fn vni(&mut self, vni: Option<u32>, mirror: Option<IpAddr>) {
        self.envelope.vni = vni;
        self.envelope.mirror = mirror;
    }

    /// Mirrors the frames that follow by GRE with this key.
    pub fn key(&mut self, key: Option<u32>) {
        self.envelope.key = key;
    }

    /// Carries the packets that follow through a tunnel, within whatever mirrors them.
    pub fn tunnel(&mut self, tunnel: Option<Tunnel>) {
        self.envelope.tunnel = tunnel;
    }

    /// Cuts the packets that follow into fragments, which follow one another by 10 µs.
    pub fn cut(&mut self, cut: Cut) {
        self.cut = cut;
    }

    /// Gives an address another hardware address than the one derived from it.
    pub fn mac(&mut self, ip: IpAddr, mac: [u8; 6]) {
        self.macs.insert(ip, mac);
    }

    // --- exchanges ---------------------------------------------------------------------------------------------------

    /// A query and its response a millisecond later.
    pub fn dns(&mut self, at: i64, client: IpAddr, server: IpAddr, message: &Message) {
        let (client, server) = (SocketAddr::new(client, 51_000), SocketAddr::new(server, 53));
        self.udp(at, client, server, &message.query());
        self.udp(at + STEP, server, client, &message.response());
    }

    /// A query for a name and the address that is given for it, with a TTL of 60 s.
    pub fn resolve(&mut self, at: i64, client: &str, server: &str, name: &str, address: &str) {
        let message = Message {
            id: id_of(client, server, name),
            name: name.to_owned(),
            records: vec![Record::address(name, 60, ip(address))],
            ..Message::default()
        };
        self.dns(at, ip(client), ip(server), &message);
    }

    /// A whole TCP exchange: handshake, payload out, payload in, FINs; returns when it is over.
    pub fn tcp(&mut self, at: i64, from: &str, to: &str, out: u32, back: u32) -> i64 {
        self.exchange(at, endpoint(from), endpoint(to), CLIENT, [out, back], FIN)
    }

    /// A TCP exchange that ends with `FIN`s, with a reset (`RST`), or not at all (0).
    pub fn exchange(
        &mut self,
        at: i64,
        from: SocketAddr,
        to: SocketAddr,
        sequence: u32,
        octets: [u32; 2],
        ending: u8,
    ) -> i64 {
        let mut at = at;
        let mut next = || {
            at += STEP;
            at - STEP
        };
        let segment = |flags, sequence, payload| Segment {
            flags,
            sequence,
            payload,
            captured: payload,
        };
        self.segment(next(), from, to, segment(SYN, sequence, 0));
        self.segment(next(), to, from, segment(SYN | ACK, SERVER, 0));
        self.segment(next(), from, to, segment(ACK, sequence.wrapping_add(1), 0));
        let [out, back] = octets;
        let mut ends = [sequence.wrapping_add(1), SERVER + 1];
        for (side, total) in [(0, out), (1, back)] {
            let mut left = total;
            while left > 0 {
                let payload = left.min(SEGMENT);
                let (a, b) = if side == 0 { (from, to) } else { (to, from) };
                self.segment(next(), a, b, segment(PSH | ACK, ends[side], payload));
                ends[side] = ends[side].wrapping_add(payload);
                left -= payload;
            }
        }
        match ending {
            FIN => {
                self.segment(next(), from, to, segment(FIN | ACK, ends[0], 0));
                self.segment(next(), to, from, segment(FIN | ACK, ends[1], 0));
            }
            RST => self.segment(next(), to, from, segment(RST | ACK, ends[1], 0)),
            _ => {}
        }
        at
    }

    // --- packets -----------------------------------------------------------------------------------------------------

    /// One TCP segment.
    pub fn segment(&mut self, at: i64, from: SocketAddr, to: SocketAddr, segment: Segment) {
        let payload = vec![0x61; segment.payload as usize];
        self.octets(at, from, to, segment.flags, segment.sequence, &payload);
        let cut = (segment.payload - segment.captured) as usize;
        if let Some(frame) = self.frames.last_mut() {
            frame.octets.truncate(frame.octets.len() - cut);
        }
    }

    /// One TCP segment with this payload.
    pub fn octets(&mut self, at: i64, from: SocketAddr, to: SocketAddr, flags: u8, sequence: u32, payload: &[u8]) {
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let acknowledged: u32 = if flags & ACK == 0 { 0 } else { 1 };
        let octets = [
            &ports[..],
            &sequence.to_be_bytes(),
            &acknowledged.to_be_bytes(),
            &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0],
            payload,
        ]
        .concat();
        self.packet(at, from.ip(), to.ip(), 6, &octets);
    }

    /// One UDP datagram.
    pub fn udp(&mut self, at: i64, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        self.packet(at, from.ip(), to.ip(), 17, &udp(from.port(), to.port(), payload));
    }

    /// One ICMP echo request or reply.
    pub fn icmp(&mut self, at: i64, from: IpAddr, to: IpAddr, kind: u8) {
        let protocol = if from.is_ipv4() { 1 } else { 58 };
        self.packet(at, from, to, protocol, &[kind, 0, 0, 0, 0, 1, 0, 1]);
    }

    /// One packet of any protocol, in the envelopes that are set.
    pub fn packet(&mut self, at: i64, from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) {
        let packet = ip_packet(from, to, protocol, payload);
        let times = (at..).step_by(10_000);
        for (at, fragment) in times.zip(self.cut.fragments(packet)) {
            self.enveloped(at, from, to, fragment);
        }
    }

    fn enveloped(&mut self, at: i64, from: IpAddr, to: IpAddr, packet: Vec<u8>) {
        let (from, to, packet) = match self.envelope.tunnel {
            Some(tunnel) => (tunnel.from, tunnel.to, tunnel.carry(&packet)),
            None => (from, to, packet),
        };
        let ethertype = if from.is_ipv4() { 0x0800 } else { 0x86dd };
        let mut octets = self.framed(from, to, ethertype, packet);
        let mirror = self.envelope.mirror.unwrap_or_else(|| ip("10.250.0.9"));
        let mirrored = |protocol, payload: &[u8]| {
            let outer = ip_packet(mirror, ip("10.250.0.1"), protocol, payload);
            ethernet([2, 0, 0, 0, 0, 0xee], 0x0800, &outer)
        };
        if let Some(key) = self.envelope.key {
            octets = mirrored(47, &[&[0x20, 0, 0x65, 0x58][..], &key.to_be_bytes(), &octets].concat());
        }
        if let Some(vni) = self.envelope.vni {
            let [_, a, b, c] = vni.to_be_bytes();
            let inside = [&[8, 0, 0, 0, a, b, c, 0][..], &octets].concat();
            octets = mirrored(17, &udp(55_555, 4789, &inside));
        }
        self.raw(at, octets);
    }

    /// One frame of these octets.
    pub fn raw(&mut self, at: i64, octets: Vec<u8>) {
        self.frames.push(Frame {
            time: self.start + at,
            length: octets.len(),
            octets,
        });
    }

    fn framed(&self, from: IpAddr, to: IpAddr, ethertype: u16, packet: Vec<u8>) -> Vec<u8> {
        let source = self.macs.get(&from).copied().unwrap_or_else(|| derived(from));
        let mut ethertype = ethertype;
        let mut octets = packet;
        // Inside out; the outermost of several tags is a service tag (802.1ad).
        for (n, vlan) in self.envelope.vlans.iter().enumerate().rev() {
            octets = [&vlan.to_be_bytes()[..], &ethertype.to_be_bytes(), &octets].concat();
            ethertype = if n == 0 && self.envelope.vlans.len() > 1 {
                0x88a8
            } else {
                0x8100
            };
        }
        let family: u8 = if from.is_ipv4() { 2 } else { 30 };
        match self.link {
            Link::Ethernet | Link::Unknown => {
                let destination = self.macs.get(&to).copied().unwrap_or_else(|| derived(to));
                [&destination[..], &source, &ethertype.to_be_bytes(), &octets].concat()
            }
            Link::Raw => octets,
            Link::Null => [&[family, 0, 0, 0][..], &octets].concat(),
            Link::Loop => [&[0, 0, 0, family][..], &octets].concat(),
            Link::LinuxCooked => [
                &[0, 0, 0, 1, 0, 6][..],
                &source,
                &[0, 0],
                &ethertype.to_be_bytes(),
                &octets,
            ]
            .concat(),
            Link::LinuxCooked2 => [
                &ethertype.to_be_bytes()[..],
                &[0, 0, 0, 0, 0, 1, 0, 1, 0, 6],
                &source,
                &[0, 0],
                &octets,
            ]
            .concat(),
            Link::Ppp => {
                let protocol: u16 = if from.is_ipv4() { 0x0021 } else { 0x0057 };
                [&[0xff, 0x03][..], &protocol.to_be_bytes(), &octets].concat()
            }
        }
    }

    // --- files -------------------------------------------------------------------------------------------------------

    /// Returns the file's octets.
    pub fn file(&self) -> Vec<u8> {
        match self.format {
            FileFormat::PcapNg => self.pcapng(),
            FileFormat::Nanoseconds => self.pcap(u32::to_le_bytes, u16::to_le_bytes, true),
            FileFormat::Microseconds => self.pcap(u32::to_le_bytes, u16::to_le_bytes, false),
            FileFormat::NanosecondsBig => self.pcap(u32::to_be_bytes, u16::to_be_bytes, true),
            FileFormat::MicrosecondsBig => self.pcap(u32::to_be_bytes, u16::to_be_bytes, false),
        }
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.file()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    fn pcap(&self, word: fn(u32) -> [u8; 4], half: fn(u16) -> [u8; 2], is_nano: bool) -> Vec<u8> {
        let magic = if is_nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let mut file = [word(magic).to_vec(), half(2).to_vec(), half(4).to_vec()].concat();
        for value in [0, 0, 262_144, self.link.number()] {
            file.extend(word(value));
        }
        for frame in &self.frames {
            let fraction = frame.time.rem_euclid(SECOND) as u32;
            let fraction = if is_nano { fraction } else { fraction / 1000 };
            let seconds = frame.time.div_euclid(SECOND) as u32;
            for value in [seconds, fraction, frame.octets.len() as u32, frame.length as u32] {
                file.extend(word(value));
            }
            file.extend(&frame.octets);
        }
        file
    }

    fn pcapng(&self) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let padded = body.len().next_multiple_of(4);
            let length = (padded as u32 + 12).to_le_bytes();
            let padding = vec![0; padded - body.len()];
            [&kind.to_le_bytes()[..], &length, body, &padding, &length].concat()
        };
        let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        let mut file = block(0x0a0d_0d0a, &section);
        // Option 9, if_tsresol: 10^-9 s.
        let interface = [
            &(self.link.number() as u16).to_le_bytes()[..],
            &[0, 0, 0, 0, 4, 0],
            &[9, 0, 1, 0, 9, 0, 0, 0],
            &[0; 4],
        ]
        .concat();
        file.extend(block(1, &interface));
        for frame in &self.frames {
            let time = frame.time as u64;
            let fields = [
                0,
                (time >> 32) as u32,
                time as u32,
                frame.octets.len() as u32,
                frame.length as u32,
            ];
            let mut body: Vec<u8> = fields.into_iter().flat_map(u32::to_le_bytes).collect();
            body.extend(&frame.octets);
            file.extend(block(6, &body));
        }
        file
    }
}

/// Returns an address.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("not an address: {text}"))
}

/// Returns an address and a port.
pub fn endpoint(text: &str) -> SocketAddr {
    text.parse()
        .unwrap_or_else(|_| panic!("not an address and a port: {text}"))
}

/// Returns an id by which a query and its response find each other.
pub fn id_of(client: &str, server: &str, name: &str) -> u16 {
    let octets = client.bytes().chain(server.bytes()).chain(name.bytes());
    octets.fold(7, |id: u16, octet| id.wrapping_mul(31).wrapping_add(u16::from(octet)))
}

pub fn udp(from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let header = [from_port, to_port, length, 0];
    let header: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
    [&header, payload].concat()
}

pub fn ip_packet(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [a, b] = (20 + payload.len() as u16).to_be_bytes();
            let header = [0x45, 0, a, b, 0, 1, 0, 0, 64, protocol, 0, 0];
            [&header[..], &from.octets(), &to.octets(), payload].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [a, b] = (payload.len() as u16).to_be_bytes();
            let header = [0x60, 0, 0, 0, a, b, protocol, 64];
            [&header[..], &from.octets(), &to.octets(), payload].concat()
        }
        _ => panic!("{from} and {to} are of two families"),
    }
}

fn ethernet(source: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 0xff][..], &source, &ethertype.to_be_bytes(), payload].concat()
}

/// Each internal address has a hardware address of its own; everything outside is behind one router.
fn derived(ip: IpAddr) -> [u8; 6] {
    match ip {
        IpAddr::V4(v4) if v4.is_private() => {
            let [a, b, c, d] = v4.octets();
            [2, 0, a, b, c, d]
        }
        IpAddr::V6(v6) if v6.octets()[0] & 0xfe == 0xfc => {
            let octets = v6.octets();
            [2, 6, octets[12], octets[13], octets[14], octets[15]]
        }
        _ => ROUTER,
    }
}
