//! Responses of the greatest length that are made to cost as much as can be, for tests of the work that they take and for
//! `benches/worst.rs`, which measures the time.

/// The greatest length of a message over TCP (RFC 1035 section 4.2.2).
pub const GREATEST: usize = 65_535;

/// The question of all messages, `a.`, stands here.
const QUESTION: [u8; 2] = [0xc0, 12];
const A: u16 = 1;
const CNAME: u16 = 5;
const TXT: u16 = 16;
const DNAME: u16 = 39;
const HTTPS: u16 = 65;
const OPT: u16 = 41;

/// A response that grows record by record up to the greatest length.
struct Growing {
    octets: Vec<u8>,
    records: u16,
}

impl Growing {
    fn new() -> Self {
        Self {
            octets: [
                &[0x12, 0x34, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0][..],
                &[1, b'a', 0, 0, 1, 0, 1],
            ]
            .concat(),
            records: 0,
        }
    }

    /// Adds a record if there is room; returns where its owner and its data stand.
    fn add(&mut self, owner: &[u8], kind: u16, data: &[u8]) -> Option<(usize, usize)> {
        let at = self.octets.len();
        let length = (data.len() as u16).to_be_bytes();
        let record = [owner, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, data].concat();
        if at + record.len() > GREATEST || self.records == u16::MAX {
            return None;
        }
        self.octets.extend_from_slice(&record);
        self.records += 1;
        Some((at, at + owner.len() + 10))
    }

    /// Adds records until there is no room; `make` is told which one it is to make.
    fn fill(mut self, mut make: impl FnMut(usize) -> (Vec<u8>, u16, Vec<u8>)) -> Vec<u8> {
        let mut number = 0;
        loop {
            let (owner, kind, data) = make(number);
            if self.add(&owner, kind, &data).is_none() {
                return self.end();
            }
            number += 1;
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.octets[6..8].copy_from_slice(&self.records.to_be_bytes());
        self.octets
    }
}

fn pointer(at: usize) -> [u8; 2] {
    (0xc000 | at as u16 & 0x3fff).to_be_bytes()
}

/// Returns a name of 254 octets and the root, whose last label alone differs by number, or its first one.
fn long(number: usize, differs_late: bool) -> Vec<u8> {
    let same = [&[62][..], &[b'x'; 62]].concat().repeat(3);
    let other = [&[64 - 2][..], format!("{number:0>62}").as_bytes()].concat();
    let name = if differs_late {
        [same, other].concat()
    } else {
        [other, same].concat()
    };
    [&name[..], &[1, b'y', 0]].concat()
}

/// Adds a chain of so many long names; returns where they stand, the question first.
fn chain(message: &mut Growing, names: usize) -> Vec<usize> {
    let mut found = vec![12];
    for number in 0..names {
        let owner = pointer(found[number]);
        if let Some((_, data)) = message.add(&owner, CNAME, &long(number, true)) {
            found.push(data);
        }
    }
    found
}

/// Returns the messages, each with what it is made of.
pub fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let short = |number: usize| [&[4][..], format!("{number:04}").as_bytes(), &[0]].concat();

    all.push((
        "addresses",
        Growing::new().fill(|n| (QUESTION.to_vec(), A, (n as u32).to_be_bytes().to_vec())),
    ));
    all.push((
        "records of an unknown type",
        Growing::new().fill(|_| (vec![0], TXT, Vec::new())),
    ));
    all.push((
        "options",
        Growing::new().fill(|_| (vec![0], OPT, [0, 10, 0, 0].repeat(100))),
    ));
    all.push((
        "addresses off the chain",
        Growing::new().fill(|n| (short(n), A, vec![1, 2, 3, 4])),
    ));
    all.push((
        "deep owners",
        Growing::new().fill(|n| (long(n, false), A, vec![1, 2, 3, 4])),
    ));

    let mut hints = Growing::new();
    let each: Vec<u8> = (0..16_000_u32).flat_map(u32::to_be_bytes).collect();
    let length = (each.len() as u16).to_be_bytes();
    hints.add(&QUESTION, HTTPS, &[&[0, 1, 0, 0, 4][..], &length, &each].concat());
    all.push(("hints of one service", hints.end()));
    let service = |n: usize| [&[0, 1, 0, 0, 4, 0, 4][..], &(n as u32).to_be_bytes()].concat();
    all.push((
        "services with a hint",
        Growing::new().fill(|n| (QUESTION.to_vec(), HTTPS, service(n))),
    ));
    let alias = |n: usize| [&[0, 0][..], &short(n)].concat();
    all.push((
        "aliases of services",
        Growing::new().fill(|n| (QUESTION.to_vec(), HTTPS, alias(n))),
    ));

    // A chain against the order of the message: nothing is reached before the last record is read.
    let backwards = |n: usize| 4000_usize.saturating_sub(n);
    let mut reversed = Growing::new();
    reversed.add(&short(9999), TXT, &[]);
    all.push((
        "a long chain in reverse order",
        reversed.fill(|n| match n % 3000 {
            2999 => (QUESTION.to_vec(), CNAME, short(backwards(n))),
            _ => (short(backwards(n)), CNAME, short(backwards(n) + 1)),
        }),
    ));
    all.push((
        "a name of many CNAME records",
        Growing::new().fill(|n| (QUESTION.to_vec(), CNAME, short(n))),
    ));
    let dname = |n: usize| (vec![0], DNAME, [&[3][..], format!("{n:03}").as_bytes(), &[0]].concat());
    all.push(("DNAME records of the root", Growing::new().fill(|n| dname(n % 1000))));

    // Long names that differ late, on the chain and beside it.
    let mut beside = Growing::new();
    let places = chain(&mut beside, 40);
    let other = [
        pointer(places[1]).to_vec(),
        pointer(places[20]).to_vec(),
        pointer(places[40]).to_vec(),
    ];
    all.push((
        "addresses of a long chain",
        beside.fill(|n| (other[n % 3].clone(), A, vec![1, 2, 3, 4])),
    ));
    let mut late = Growing::new();
    chain(&mut late, 40);
    all.push((
        "owners that differ late",
        late.fill(|n| (long(5000 + n, true), A, vec![1, 2, 3, 4])),
    ));
    let mut copied = Growing::new();
    chain(&mut copied, 40);
    let (owner, _) = copied.add(&long(6000, true), TXT, &[]).unwrap_or_default();
    let owner = pointer(owner);
    all.push((
        "owners that differ late, by pointers",
        copied.fill(|_| (owner.to_vec(), CNAME, vec![0])),
    ));
    let mut waiting = Growing::new();
    let (owner, _) = waiting.add(&long(6000, true), TXT, &[]).unwrap_or_default();
    let owner = pointer(owner);
    for _ in 0..600 {
        waiting.add(&owner, A, &[1, 2, 3, 4]);
    }
    chain(&mut waiting, 63);
    all.push(("waiting records beside a long chain", waiting.end()));
    let mut every = Growing::new();
    let places = chain(&mut every, 60);
    all.push((
        "addresses all along a long chain",
        every.fill(|n| (pointer(places[n % 60]).to_vec(), A, (n as u32).to_be_bytes().to_vec())),
    ));

    // Pointers, each to the one before, and owners at their end.
    let mut run: Vec<u8> = pointer(12).to_vec();
    let mut pointed = Growing::new();
    let first = pointed.octets.len() + 11;
    for n in 0..7000 {
        run.extend_from_slice(&pointer(first + 2 * n));
    }
    pointed.add(&[0], TXT, &run);
    let ends = [pointer(first + 2 * 120), pointer(first + 2 * 7000)];
    all.push((
        "owners behind runs of pointers",
        pointed.fill(|n| (ends[n % 2].to_vec(), A, vec![1, 2, 3, 4])),
    ));
    all
}
