//! What is done with octets that nobody chose: one function a target, which panics where something does not hold.
//!
//! `fuzz/lib.rs` runs these under coverage, and `tests/fuzz.rs` runs the kept corpus and random changes of it through them,
//! without.

use std::cell::RefCell;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::OnceLock;

use firstcontact::capture::CaptureFile;
use firstcontact::destination::Aggregation;
use firstcontact::engine::{DecodeReport, Decoder, Ending, Mark, PARTITIONS, Packets};
use firstcontact::identity::Network;
use firstcontact::model::{
    Address, Arrival, Counter, Counters, EvidenceKind, Frame, Layer4, LinkType, Packet, Policy, Segment, SourceId,
    Span, TcpFlags, Timestamp,
};
use firstcontact::names::Streams;
use firstcontact::settings::{Mode, Settings};
use firstcontact::wire::dns::{self, Role};

use super::oracle;

/// An arbitrary time: noon of a day in 2026.
const NOON: i64 = 1_780_000_000_000_000_000;
/// The characters of the longest name: 255 octets, each written as `\DDD`.
const LONGEST_NAME: usize = 1_020;

/// Reads a script from the front.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn octets<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes so many octets, or what is left.
    fn some(&mut self, length: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        some
    }
}

/// Counts what decoding gives and holds it against what has to be.
#[derive(Default)]
struct Counted {
    packets: u64,
    counters: Counters,
}

impl Packets for Counted {
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        assert!(partition < PARTITIONS);
        assert!(payload.len() <= packet.payload_octets as usize);
        self.packets += 1;
    }

    fn mark(&mut self, _: Mark, report: DecodeReport) {
        self.counters.merge(&report.counters);
    }
}

/// Returns settings with little memory, so that tables are full at times.
fn small() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| Policy {
        memory: 1 << 20,
        ..Policy::default()
    })
}

/// Frames of one link type through the decoder, fragments joined. The script: the link type, then for each frame the
/// milliseconds since the one before (one octet), its length (two octets), and the frame.
pub fn decode(octets: &[u8]) {
    let mut script = Script(octets);
    let Some([link]) = script.octets() else { return };
    let link = LinkType::ALL[usize::from(link) % LinkType::ALL.len()];
    let mut counted = Counted::default();
    let mut decoder = Decoder::new(small(), Span::ZERO, 1);
    let (mut frames, mut time) = (0, Timestamp(NOON));
    while let Some([wait, high, low]) = script.octets() {
        time = time.plus(Span::millis(i64::from(wait) * i64::from(wait)));
        let frame = Frame {
            time,
            source: SourceId(0),
            link,
            octets: script.some(usize::from(u16::from_be_bytes([high, low]))),
        };
        decoder.frame(frame, &mut counted);
        frames += 1;
    }
    decoder.finish(Ending::Input, &mut counted);
    let Counted { packets, counters } = counted;
    let of = |counter| counters.get(counter);
    assert_eq!(of(Counter::Frames), frames);
    // Envelopes that lead outside are packets beside those of the sum, and copies are handed to nobody.
    assert_eq!(
        packets + of(Counter::Duplicates),
        of(Counter::Packets) + of(Counter::Tunnels)
    );
    let joined = of(Counter::FragmentsJoined);
    assert_eq!(
        of(Counter::Packets) + counters.malformed() + counters.ignored() + joined,
        frames
    );
}

/// One DNS message.
pub fn dns(message: &[u8]) {
    let role = dns::peek(message);
    if let Ok(query) = dns::parse_query(message) {
        assert_eq!(role, Some(Role::Query));
        assert_name(query.name.as_str());
    }
    let Ok(response) = dns::parse_response(message) else {
        return;
    };
    assert_eq!(role, Some(Role::Response));
    assert_name(response.name.as_str());
    assert!(response.rcode == 0 || response.answers.is_empty());
    // An address takes four octets of the message at least, and a record eleven; none stands for two answers.
    assert!(response.answers.len() * 4 <= message.len());
    assert!(response.malformed_records as usize * 11 <= message.len());
    let texts = response.linked.texts();
    for answer in &response.answers {
        assert!(matches!(answer.kind, EvidenceKind::DnsAddress | EvidenceKind::DnsHint));
        response
            .linked
            .names_to(answer.link, &texts)
            .iter()
            .for_each(|name| assert_name(name));
    }
}

fn assert_name(name: &str) {
    assert!(!name.is_empty() && name.len() <= LONGEST_NAME && name.is_ascii());
    assert!(
        !name
            .bytes()
            .any(|octet| octet.is_ascii_uppercase() || octet.is_ascii_control())
    );
}

/// TCP segments of two directions, from which DNS messages are made. The script: for each segment its flags, in whose
/// lowest bit FIN the direction is too, the sequence number (four octets), the milliseconds since the one before, the
/// octets that were not captured, its captured length, and these octets.
pub fn streams(octets: &[u8]) {
    let mut script = Script(octets);
    let mut streams = Streams::new(1 << 12);
    let mut time = Timestamp(NOON);
    let (mut given, mut found) = (0, 0);
    while let Some([flags, s, t, u, v, wait, missing, length]) = script.octets() {
        time = time.plus(Span::millis(i64::from(wait) * 4));
        let payload = script.some(usize::from(length) * 2);
        given += payload.len();
        let packet = segment(
            time,
            flags,
            u32::from_be_bytes([s, t, u, v]),
            payload.len() as u32 + u32::from(missing),
        );
        let begins = |octets: &[u8]| octets.get(2..).and_then(dns::peek).is_some();
        streams.take(&packet, payload, begins, |message| {
            assert!(message.len() >= 12 && message.len() <= usize::from(u16::MAX));
            found += message.len();
        });
        if wait == u8::MAX {
            streams.mark(time);
        }
    }
    // What was captured belongs to one message at most.
    assert!(found <= given, "{found} octets of messages from {given}");
    streams.mark(time.plus(Span::hours(1)));
}

/// A TCP segment of one connection; the second highest bit of the flags says of which direction.
fn segment(time: Timestamp, flags: u8, sequence: u32, payload_octets: u32) -> Packet {
    let ends = [(Address::v4([10, 0, 0, 1]), 40_000), (Address::v4([10, 0, 0, 53]), 53)];
    let [(from, from_port), (to, to_port)] = if flags & 0x40 == 0 {
        [ends[0], ends[1]]
    } else {
        [ends[1], ends[0]]
    };
    Packet {
        time,
        arrival: Arrival(1),
        source: SourceId(0),
        segment: Segment::NONE,
        from_mac: None,
        from,
        to,
        from_port,
        to_port,
        layer4: Layer4::Tcp {
            flags: TcpFlags(flags & 0x3f),
            sequence,
        },
        payload_octets,
    }
}

/// A settings file.
pub fn settings(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    // Settings may name a file to be read; no input shall find one that never ends.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    match Settings::parse(text, Path::new("/nowhere/sensor.toml")) {
        Ok(settings) => {
            for mode in [Mode::Live, Mode::Replay] {
                let policy = settings.policy(mode);
                let _ = Network::new(&policy.network);
                let _ = Aggregation::new(&policy);
            }
        }
        Err(refused) => {
            // One line for a person.
            let told = refused.to_string();
            assert!(!told.is_empty() && !told.contains('\n'), "{told:?}");
        }
    }
}

thread_local! {
    /// The file that readers read, in memory where the system has a folder for that.
    static FILE: RefCell<tempfile::NamedTempFile> = RefCell::new({
        let in_memory = Path::new("/dev/shm");
        let file = if in_memory.is_dir() {
            tempfile::NamedTempFile::new_in(in_memory)
        } else {
            tempfile::NamedTempFile::new()
        };
        file.expect("a temporary file")
    });
}

/// A capture file of any format, packed or not, whose frames are read and not decoded.
pub fn readers(octets: &[u8]) {
    FILE.with_borrow_mut(|file| {
        let written = file
            .as_file()
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(octets));
        written.expect("the temporary file can be written");
        let Ok(mut capture) = CaptureFile::open(file.path(), SourceId(0)) else {
            return;
        };
        let mut frames = 0;
        while let Ok(Some(frame)) = capture.next() {
            std::hint::black_box(frame.octets.iter().fold(0_u8, |all, octet| all ^ octet));
            frames += 1;
        }
        assert_eq!(capture.frames(), frames);
        // After the end, or what did not let it be reached, there is nothing.
        assert!(matches!(capture.next(), Ok(None)));
    });
}

/// A DNS message, with `domain` as the oracle.
pub fn domain(message: &[u8]) {
    oracle::dns_message(message);
}

/// An Ethernet frame, with etherparse as the oracle.
pub fn etherparse(octets: &[u8]) {
    oracle::frame(octets);
}
