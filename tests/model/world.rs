//! A small world: five addresses of four workloads, a few destinations of every kind, and the frames of their contacts.

use std::fmt;

use proptest::prelude::*;

use super::rules::{DAY, Key, Line, SECOND};
use crate::support::Capture;
use crate::support::frames::{ACK, NOON, RST, SERVER, STEP, SYN, Segment, endpoint};

/// Two addresses of one workload, another member of its group, and two that go by their address.
pub const SETTINGS: &str = r#"
[[workload]]
name = "web"
prefixes = ["10.1.0.0/24"]
group = "frontend"

[[workload]]
name = "api"
prefixes = ["10.1.1.0/24"]
group = "frontend"
"#;
const CLIENTS: [&str; 5] = ["10.1.0.5", "10.1.0.6", "10.1.1.5", "10.9.0.1", "10.9.0.2"];
const SERVER_OF_NAMES: &str = "10.0.0.2";
/// Names with their address, domain and tenant.
const NAMES: [(&str, &str, &str, Option<&str>); 5] = [
    ("www.one.example", "198.51.100.1", "one.example", None),
    ("api.one.example", "198.51.100.2", "one.example", None),
    ("www.two.example", "198.51.100.3", "two.example", None),
    (
        "ours.s3.eu-west-1.amazonaws.com",
        "198.51.100.4",
        "s3.amazonaws.com",
        Some("ours.s3.amazonaws.com"),
    ),
    (
        "theirs.s3.eu-west-1.amazonaws.com",
        "198.51.100.5",
        "s3.amazonaws.com",
        Some("theirs.s3.amazonaws.com"),
    ),
];
const ADDRESSES: [&str; 2] = ["203.0.113.1", "203.0.113.2"];
const PORTS: [u16; 3] = [443, 8443, 22];
/// How long before a flow its name is asked for, if it has one.
const ASKED_BEFORE: i64 = SECOND;
/// After so long nobody remembers what an address was called (N3: 24 h, and no longer).
const NAMELESS_AFTER: i64 = 2 * DAY;

/// How a contact ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It gets through.
    Through,
    /// It is refused by a reset.
    Refused,
    /// Nobody answers.
    Attempted,
    /// It is refused, and another flow gets through two seconds later.
    Retried,
    /// Nobody answers for ten seconds, then it gets through.
    Late,
}

/// What is contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// By a name that was asked for.
    Name(usize),
    /// An address that has no name.
    Address(usize),
    /// The address of a name that nobody asked for lately.
    AddressOf(usize),
}

/// A contact to come, so many seconds after the one before.
#[derive(Clone, Copy)]
pub struct Planned {
    gap: i64,
    client: usize,
    to: To,
    ending: Ending,
    port: u16,
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gap, client, to, .. } = self;
        let (gap, client) = (*gap as f64 / 86_400.0, CLIENTS[*client]);
        write!(f, "+{gap:.4}d {client} {to:?}:{} {:?}", self.port, self.ending)
    }
}

/// A contact as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    pub first: i64,
    pub last: i64,
    pub octets: [u64; 2],
    pub port: u16,
    pub ending: Ending,
    client: usize,
    to: To,
    /// First and last packet before anybody answered.
    attempted: (i64, i64),
}

impl Contact {
    pub fn workload(&self) -> String {
        workload(self.client)
    }

    pub fn group(&self) -> Option<String> {
        (self.client < 3).then(|| "frontend".to_owned())
    }

    /// The name that led there, with the server that gave it.
    pub fn name(&self) -> Option<String> {
        match self.to {
            To::Name(n) => Some(format!("{} {SERVER_OF_NAMES}", NAMES[n].0)),
            To::Address(_) | To::AddressOf(_) => None,
        }
    }

    /// Domain and tenant if it has a name, else the address.
    pub fn judged_by(&self) -> Vec<Key> {
        let mut keys = self.recorded_under();
        if keys.len() > 1 {
            keys.pop();
        }
        keys
    }

    pub fn recorded_under(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        if let To::Name(n) = self.to {
            let (_, _, domain, tenant) = NAMES[n];
            keys.push(Key::new("domain", domain));
            keys.extend(tenant.map(|tenant| Key::new("tenant", tenant)));
        }
        keys.push(Key::new("address", address(self.to)));
        keys
    }

    /// What there was of it before it got through.
    pub fn attempt(&self) -> Self {
        let (first, last) = self.attempted;
        Self {
            first,
            last,
            octets: [0, 0],
            ending: Ending::Attempted,
            ..*self
        }
    }

    /// Says whether it is an attempt first and gets through later, so that a run may be killed in between.
    pub fn has_attempt(&self) -> bool {
        matches!(self.ending, Ending::Retried | Ending::Late)
    }

    pub fn line(&self, verdict: &str) -> Line {
        let domain = match self.to {
            To::Name(n) => Some(NAMES[n].2.to_owned()),
            To::Address(_) | To::AddressOf(_) => None,
        };
        let address = address(self.to).to_owned();
        (self.first, self.workload(), address, domain, verdict.to_owned())
    }
}

/// Returns what an address goes by.
pub fn workload(client: usize) -> String {
    ["web", "web", "api", CLIENTS[3], CLIENTS[4]][client].to_owned()
}

fn address(to: To) -> &'static str {
    match to {
        To::Name(n) | To::AddressOf(n) => NAMES[n].1,
        To::Address(n) => ADDRESSES[n],
    }
}

/// Returns one of the destinations, as `forget` names it.
pub fn destination(n: usize) -> Key {
    let (_, address, domain, tenant) = NAMES[n % NAMES.len()];
    match (n / NAMES.len(), tenant) {
        (0, _) => Key::new("domain", domain),
        (1, Some(tenant)) => Key::new("tenant", tenant),
        _ => Key::new("address", address),
    }
}

/// The frames of some contacts, in the order of time.
pub struct Traffic {
    pub capture: Capture,
    pub contacts: Vec<Contact>,
    /// How many frames there are after each contact.
    pub frames: Vec<usize>,
    pub end: i64,
}

/// Makes the frames of contacts from `start` on. `answers` are the names that were asked for, with their times: it grows.
///
/// Contacts of one stretch are a minute apart or more, so that none waits while another one is judged.
pub fn traffic(
    planned: &[Planned],
    start: i64,
    port: &mut u16,
    answers: &mut Vec<(usize, i64)>,
    alone: bool,
) -> Traffic {
    let mut traffic = Traffic {
        capture: Capture::new(),
        contacts: Vec::new(),
        frames: Vec::new(),
        end: start,
    };
    for planned in planned {
        let at = traffic.end + (60 + planned.gap) * SECOND;
        match planned.to {
            To::Name(n) => answers.push((n, at - ASKED_BEFORE)),
            // Whether anybody remembers is N3's concern, and tested elsewhere.
            To::AddressOf(n) => {
                let is_near = |(name, then): &(usize, i64)| *name == n && (at - then).abs() < NAMELESS_AFTER;
                if !alone || answers.iter().any(is_near) {
                    continue;
                }
            }
            To::Address(_) => {}
        }
        *port += 2;
        traffic.add(planned, at, *port);
    }
    traffic
}

impl Traffic {
    fn add(&mut self, planned: &Planned, at: i64, port: u16) {
        let capture = &mut self.capture;
        let Planned { client, to, ending, .. } = *planned;
        let after = |at: i64| at - NOON;
        let filler = |capture: &mut Capture, at: i64| {
            let [from, to] = ["10.1.9.9:5000", "10.1.9.8:5000"].map(endpoint);
            capture.udp(after(at), from, to, &at.to_be_bytes());
        };
        // Two frames that agree, so that none that matters is held as one far ahead (T1).
        filler(capture, at - 2 * SECOND);
        filler(capture, at - 2 * SECOND + STEP);
        let there = format!("{}:{}", address(to), planned.port);
        if let To::Name(n) = to {
            capture.resolve(
                after(at - ASKED_BEFORE),
                CLIENTS[client],
                SERVER_OF_NAMES,
                NAMES[n].0,
                address(to),
            );
        }
        let from = |more: u16| format!("{}:{}", CLIENTS[client], port + more);
        let octets = [u32::from(port % 700), u32::from(port % 1100)];
        let segment = |capture: &mut Capture, at, from: &str, to: &str, flags, sequence| {
            let segment = Segment {
                flags,
                sequence,
                payload: 0,
                captured: 0,
            };
            capture.segment(after(at), endpoint(from), endpoint(to), segment);
        };
        if ending != Ending::Through {
            segment(capture, at, &from(0), &there, SYN, 1000);
        }
        let is_refused = matches!(ending, Ending::Refused | Ending::Retried);
        if is_refused {
            segment(capture, at + STEP, &there, &from(0), RST | ACK, SERVER);
        }
        if ending == Ending::Late {
            // It shows that the time of the attempt is over.
            filler(capture, at + 7 * SECOND);
        }
        let attempted = (at, if is_refused { at + STEP } else { at });
        let through = match ending {
            Ending::Through => Some((at, at, 0)),
            Ending::Retried => Some((at + 2 * SECOND, at + 2 * SECOND, 1)),
            Ending::Late => Some((at, at + 10 * SECOND, 0)),
            Ending::Refused | Ending::Attempted => None,
        };
        let (first, last, octets) = match through {
            None => (at, attempted.1, [0, 0]),
            Some((first, begins, more)) => {
                let over = capture.tcp(after(begins), &from(more), &there, octets[0], octets[1]);
                (first, NOON + over - STEP, octets.map(u64::from))
            }
        };
        self.end = at + 15 * SECOND;
        self.frames.push(self.capture.frames.len());
        self.contacts.push(Contact {
            first,
            last,
            octets,
            port: planned.port,
            ending,
            client,
            to,
            attempted,
        });
    }
}

/// Some contacts, days after (or before) those before.
#[derive(Clone)]
pub struct Stretch {
    pub days: i64,
    pub contacts: Vec<Planned>,
}

impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+} days {:?}", self.days, self.contacts)
    }
}

/// Many contacts of one workload with one address, one after the other.
pub fn many(count: usize) -> Stretch {
    let one = Planned {
        gap: 0,
        client: 3,
        to: To::Address(0),
        ending: Ending::Through,
        port: PORTS[0],
    };
    Stretch {
        days: 0,
        contacts: vec![one; count],
    }
}

pub fn stretch(days: impl Strategy<Value = i64>, most: usize) -> impl Strategy<Value = Stretch> {
    let contacts = prop::collection::vec(planned(), 1..=most);
    (days, contacts).prop_map(|(days, contacts)| Stretch { days, contacts })
}

fn planned() -> impl Strategy<Value = Planned> {
    let gap = prop_oneof![
        6 => Just(0_i64),
        2 => Just(7 * 3600),
        2 => Just(86_400),
        2 => Just(40 * 86_400),
        1 => Just(90 * 86_400 - 120),
        1 => Just(90 * 86_400),
        1 => Just(150 * 86_400),
    ];
    let to = prop_oneof![
        2 => Just(To::Name(0)),
        5 => (0..NAMES.len()).prop_map(To::Name),
        3 => (0..ADDRESSES.len()).prop_map(To::Address),
        2 => (0..NAMES.len()).prop_map(To::AddressOf),
    ];
    let ending = prop_oneof![
        6 => Just(Ending::Through),
        1 => Just(Ending::Refused),
        1 => Just(Ending::Attempted),
        1 => Just(Ending::Retried),
        2 => Just(Ending::Late),
    ];
    let port = prop::sample::select(&PORTS[..]);
    // One workload more often than others, so that contacts meet.
    let client = prop_oneof![3 => 0..2_usize, 4 => 0..CLIENTS.len()];
    (gap, client, to, ending, port).prop_map(|(gap, client, to, ending, port)| Planned {
        gap,
        client,
        to,
        ending,
        port,
    })
}
