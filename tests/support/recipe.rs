//! Recipes: captures as text, an event a line.
//!
//! ```text
//! # a comment
//! start 2026-03-02T12:00:00Z                    when times begin; this is also the default
//! link raw                                      ethernet, raw, null, loop, sll, sll2, ppp
//! format pcapng                                 nanoseconds, microseconds, nanoseconds-big, microseconds-big, pcapng
//! vlan 7 9 | vlan none                          tags around what follows
//! vni 42 [from 192.0.2.1] | vni none            VXLAN around what follows, and who mirrors
//! key 9 | key none                              GRE with a key around what follows, within VXLAN if there is both
//! tunnel gre 10.1.0.9 > 198.51.100.9 | tunnel none     what follows within gre, ipip or vxlan, inside of all the above
//! fragments 64 [reversed] [without 2] [contradicted 2] | fragments none  what follows in fragments of so many octets
//! copies vlan 9 after 0.003                     every frame of the step comes again: alike, by ttl 63, vlan 9, mirror 192.0.2.2, vni 43
//! mac 10.1.0.5 02:00:00:00:00:07                another hardware address than the derived one
//! step [learn] [shift +90d] [again]             a further run over the same ledger, with frames of its own or the last ones
//!
//! 0.000 dns 10.1.0.5 > 10.1.0.2 a.example.com A 203.0.113.7 ttl 60      a query, and its response 1 ms later
//! 0.000 query 10.1.0.5 > 10.1.0.2 a.example.com                         the query alone
//! 0.020 answer 10.1.0.5 > 10.1.0.2 a.example.com A 203.0.113.7          the response alone; the client still stands first
//! 0.100 tcp 10.1.0.5:40000 > 203.0.113.7:443 out 500 in 2000 fin        handshake, payload, end: fin, rst or open
//! 0.100 syn 10.1.0.5:40000 > 203.0.113.7:443                            a SYN alone
//! 0.100 refused 10.1.0.5:40000 > 203.0.113.7:443                        a SYN and a reset
//! 0.100 segment 10.1.0.5:40000 > 203.0.113.7:443 ack seq 1001 len 100 snap 40
//! 0.100 udp 10.1.0.5:40000 > 203.0.113.7:123 out 48 in 48               a datagram, and one back if there is an `in`
//! 0.100 icmp 10.1.0.5 > 203.0.113.7                                     an echo request and its reply
//! 0.100 protocol 132 10.1.0.5 > 203.0.113.7                             any other protocol
//! 0.100 octets 02ff00                                                   a frame of these octets
//! 0.100 x61 every 0.5 syn 10.1.0.5:4000 > 203.0.113.{n}:443             61 times; {n} counts from 1, {n+100} from 101
//! ```
//!
//! Times are seconds after the start, or numbers with the units d h m s. Records of a response follow one another along
//! the chain: `CNAME b.example A 203.0.113.7`, `DNAME example.org example.net` (owner and target), `AAAA`, `HTTPS` (one
//! address hint), `TYPE 46 octets` (any type), `BAD` (an A record of three octets); `OWNER x.example` changes the owner
//! of the next ones; `reversed` turns their order round. Further words of a query or response: `ttl`, `id`, `port` (the
//! client's), `serverport`, `iterative`, `rcode`, `tc`, `cut` (octets). With `pieces 7` they go over TCP, with a handshake
//! before the query, in segments of seven octets; `backwards` turns the response's segments round, `twice` repeats each.

use std::net::SocketAddr;

use super::copies::{self, Copies};
use super::dns::{self, Message, Record};
use super::fragments::Cut;
use super::frames::{self, ACK, Capture, FIN, FileFormat, Link, PSH, RST, STEP, SYN, Segment};
use super::tunnel::{Kind, Tunnel};
use super::words::{Words, hexadecimal, number};

pub use super::words::{instant, span};

/// One run over the ledger.
#[derive(Debug, Clone)]
pub struct Step {
    pub capture: Capture,
    pub learns: bool,
    pub shift: Option<String>,
    /// Whether each frame comes again, and how.
    pub copies: Option<Copies>,
}

/// Returns the steps of a recipe.
pub fn parse(text: &str) -> Vec<Step> {
    let mut steps = vec![Step {
        capture: Capture::new(),
        learns: false,
        shift: None,
        copies: None,
    }];
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| take(line, &mut steps)));
        if result.is_err() {
            panic!("line {}: {line}", number + 1);
        }
    }
    for step in &mut steps {
        if let Some(copies) = step.copies {
            let frames = std::mem::take(&mut step.capture.frames);
            step.capture.frames = copies::doubled(frames, |_, frame| copies.copy(frame));
        }
    }
    steps
}

fn take(line: &str, steps: &mut Vec<Step>) {
    let mut words = Words::from(line);
    let last = steps.last_mut().expect("there is a step");
    let capture = &mut last.capture;
    match words.next() {
        "start" => capture.start = instant(words.next()),
        "link" => {
            capture.link = match words.next() {
                "ethernet" => Link::Ethernet,
                "raw" => Link::Raw,
                "null" => Link::Null,
                "loop" => Link::Loop,
                "sll" => Link::LinuxCooked,
                "sll2" => Link::LinuxCooked2,
                "ppp" => Link::Ppp,
                other => panic!("no link type {other}"),
            }
        }
        "format" => {
            capture.format = match words.next() {
                "nanoseconds" => FileFormat::Nanoseconds,
                "microseconds" => FileFormat::Microseconds,
                "nanoseconds-big" => FileFormat::NanosecondsBig,
                "microseconds-big" => FileFormat::MicrosecondsBig,
                "pcapng" => FileFormat::PcapNg,
                other => panic!("no format {other}"),
            }
        }
        "vlan" => {
            let vlans: Vec<u16> = words.rest().filter(|word| *word != "none").map(number).collect();
            capture.vlans(&vlans);
        }
        "vni" => match words.next() {
            "none" => capture.vni(None, None),
            vni => {
                let mirror = words.option("from").map(frames::ip);
                capture.vni(Some(number(vni)), mirror);
            }
        },
        "key" => match words.next() {
            "none" => capture.key(None),
            key => capture.key(Some(number(key))),
        },
        "tunnel" => {
            capture.tunnel(Kind::named(words.next()).map(|kind| {
                let from = frames::ip(words.next());
                assert_eq!(words.next(), ">");
                let to = frames::ip(words.next());
                Tunnel { kind, from, to }
            }));
        }
        "fragments" => {
            let octets = Some(words.next()).filter(|word| *word != "none").map(number);
            capture.cut(Cut {
                octets,
                is_reversed: words.flag("reversed"),
                without: words.option("without").map(number),
                contradicted: words.option("contradicted").map(number),
            });
        }
        "copies" => last.copies = Some(Copies::named(&mut words)),
        "mac" => {
            let address = frames::ip(words.next());
            let octets: Vec<u8> = words
                .next()
                .split(':')
                .map(|octet| u8::from_str_radix(octet, 16).expect("hexadecimal"))
                .collect();
            capture.mac(address, octets.try_into().expect("six octets"));
        }
        "step" => {
            let is_blank = capture.frames.is_empty() && steps.len() == 1;
            let mut step = Step {
                capture: Capture::new(),
                learns: words.flag("learn"),
                shift: words.option("shift").map(str::to_owned),
                copies: None,
            };
            let before = steps.last().expect("there is a step");
            step.capture.start = before.capture.start;
            if words.flag("again") {
                step.capture = before.capture.clone();
            }
            if is_blank {
                steps.clear();
            }
            steps.push(step);
        }
        time => {
            let at = span(time);
            event(at, words, capture);
            return;
        }
    }
    words.done();
}

fn event(at: i64, mut words: Words<'_>, capture: &mut Capture) {
    let times = words.first().and_then(|word| word.strip_prefix('x')).map(number::<i64>);
    let Some(times) = times else {
        return one(at, words, capture);
    };
    words.next();
    let every = span(words.option("every").expect("every"));
    let line: Vec<&str> = words.rest().collect();
    let line = line.join(" ");
    for n in 1..=times {
        let line = counted(&line, n);
        one(at + (n - 1) * every, Words::from(&*line), capture);
    }
}

/// Replaces `{n}` and `{n+100}`, wherever they stand.
fn counted(line: &str, n: i64) -> String {
    let Some((before, rest)) = line.split_once("{n") else {
        return line.to_owned();
    };
    let (offset, after) = rest.split_once('}').expect("a closing brace");
    let offset = offset.strip_prefix('+').map_or(0, number::<i64>);
    format!("{before}{}{}", n + offset, counted(after, n))
}

fn one(at: i64, mut words: Words<'_>, capture: &mut Capture) {
    match words.next() {
        what @ ("dns" | "query" | "answer") => name(at, what, words, capture),
        "tcp" => {
            let (from, to) = words.endpoints();
            let octets = [words.size("out"), words.size("in")];
            let sequence = words.option("seq").map_or(1000, number);
            let ending = match (words.flag("fin"), words.flag("rst"), words.flag("open")) {
                (_, false, false) => FIN,
                (_, true, _) => RST,
                _ => 0,
            };
            capture.exchange(at, from, to, sequence, octets, ending);
            words.done();
        }
        what @ ("syn" | "refused") => {
            let (from, to) = words.endpoints();
            let sequence = words.option("seq").map_or(1000, number);
            capture.segment(at, from, to, bare(SYN, sequence));
            if what == "refused" {
                capture.segment(at + STEP, to, from, bare(RST | ACK, 0));
            }
            words.done();
        }
        "segment" => {
            let (from, to) = words.endpoints();
            let sequence = words.option("seq").map_or(1000, number);
            let payload: u32 = words.size("len");
            let captured = words.option("snap").map_or(payload, number);
            let flags = [("fin", FIN), ("syn", SYN), ("rst", RST), ("psh", PSH), ("ack", ACK)];
            let flags = flags
                .into_iter()
                .filter(|(word, _)| words.flag(word))
                .fold(0, |all, (_, bit)| all | bit);
            let segment = Segment {
                flags,
                sequence,
                payload,
                captured,
            };
            capture.segment(at, from, to, segment);
            words.done();
        }
        "udp" => {
            let (from, to) = words.endpoints();
            let out = words.option("out").map_or(100, number);
            capture.udp(at, from, to, &vec![0x62; out]);
            if let Some(back) = words.option("in") {
                capture.udp(at + STEP, to, from, &vec![0x63; number(back)]);
            }
            words.done();
        }
        "icmp" => {
            let (from, to) = words.addresses();
            let [request, reply] = if from.is_ipv4() { [8, 0] } else { [128, 129] };
            capture.icmp(at, from, to, request);
            capture.icmp(at + STEP, to, from, reply);
            words.done();
        }
        "protocol" => {
            let protocol = number(words.next());
            let (from, to) = words.addresses();
            capture.packet(at, from, to, protocol, &[0; 32]);
            words.done();
        }
        "octets" => {
            capture.raw(at, hexadecimal(words.next()));
            words.done();
        }
        other => panic!("no event {other}"),
    }
}

fn name(at: i64, what: &str, mut words: Words<'_>, capture: &mut Capture) {
    let client = words.next();
    words.expect(">");
    let server = words.next();
    let name = words.next();
    let ttl = words.option("ttl").map_or(60, number);
    let mut message = Message {
        id: words.option("id").map_or(frames::id_of(client, server, name), number),
        name: name.to_owned(),
        is_iterative: words.flag("iterative"),
        is_truncated: words.flag("tc"),
        rcode: words.option("rcode").map_or(0, number),
        cut: words.option("cut").map_or(0, number),
        ..Message::default()
    };
    let client = SocketAddr::new(frames::ip(client), words.option("port").map_or(51_000, number));
    let server = SocketAddr::new(frames::ip(server), words.option("serverport").map_or(53, number));
    let is_reversed = words.flag("reversed");
    let pieces = words.option("pieces").map(number::<usize>);
    let order = (words.flag("backwards"), words.flag("twice"));
    let mut owner = name.to_owned();
    while !words.is_empty() {
        let record = match words.next() {
            "A" => {
                message.qtype = dns::A;
                Record::address(&owner, ttl, frames::ip(words.next()))
            }
            "AAAA" => {
                message.qtype = dns::AAAA;
                Record::address(&owner, ttl, frames::ip(words.next()))
            }
            "CNAME" => {
                let target = words.next();
                let record = Record::alias(&owner, dns::CNAME, ttl, target);
                target.clone_into(&mut owner);
                record
            }
            "DNAME" => {
                let (of, target) = (words.next(), words.next());
                let record = Record::alias(of, dns::DNAME, ttl, target);
                let below = owner.strip_suffix(of).expect("a name below the DNAME's owner");
                owner = format!("{below}{target}");
                record
            }
            "HTTPS" => {
                message.qtype = dns::HTTPS;
                Record::hint(&owner, ttl, frames::ip(words.next()))
            }
            "TYPE" => Record {
                owner: owner.clone(),
                kind: number(words.next()),
                ttl,
                data: hexadecimal(words.next()),
            },
            "BAD" => Record {
                owner: owner.clone(),
                kind: dns::A,
                ttl,
                data: vec![203, 0, 113],
            },
            "OWNER" => {
                words.next().clone_into(&mut owner);
                continue;
            }
            other => panic!("no record {other}"),
        };
        message.records.push(record);
    }
    if is_reversed {
        message.records.reverse();
    }
    if let Some(octets) = pieces {
        return over_tcp(at, what, (client, server), &message, octets, order, capture);
    }
    if what != "answer" {
        capture.udp(at, client, server, &message.query());
    }
    if what != "query" {
        let later = if what == "dns" { STEP } else { 0 };
        capture.udp(at + later, server, client, &message.response());
    }
}

/// A query, a response or both over TCP, cut into pieces of so many octets.
fn over_tcp(
    mut at: i64,
    what: &str,
    (client, server): (SocketAddr, SocketAddr),
    message: &Message,
    octets: usize,
    (is_backwards, is_twice): (bool, bool),
    capture: &mut Capture,
) {
    const CLIENT: u32 = 1000;
    let framed = |message: Vec<u8>| [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let mut next = || {
        at += STEP;
        at - STEP
    };
    if what != "answer" {
        capture.segment(next(), client, server, bare(SYN, CLIENT));
        capture.segment(next(), server, client, bare(SYN | ACK, frames::SERVER));
        let query = framed(message.query());
        for (n, piece) in query.chunks(octets).enumerate() {
            let sequence = CLIENT + 1 + (n * octets) as u32;
            capture.octets(next(), client, server, ACK | PSH, sequence, piece);
        }
    }
    if what != "query" {
        let response = framed(message.response());
        let mut pieces: Vec<(usize, &[u8])> = response.chunks(octets).enumerate().collect();
        if is_backwards {
            pieces.reverse();
        }
        for (n, piece) in pieces {
            let sequence = frames::SERVER + 1 + (n * octets) as u32;
            for _ in 0..=usize::from(is_twice) {
                capture.octets(next(), server, client, ACK | PSH, sequence, piece);
            }
        }
    }
}

const fn bare(flags: u8, sequence: u32) -> Segment {
    Segment {
        flags,
        sequence,
        payload: 0,
        captured: 0,
    }
}
