//! DNS messages, written without compression.

use std::net::IpAddr;

/// A message, as far as tests choose it.
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub id: u16,
    pub name: String,
    /// The type asked.
    pub qtype: u16,
    /// Whether recursion is not desired, as with resolvers that ask name servers.
    pub is_iterative: bool,
    /// The TC bit.
    pub is_truncated: bool,
    pub rcode: u8,
    pub records: Vec<Record>,
    /// Octets taken from the end of the response.
    pub cut: usize,
}

/// A record of the answer section.
#[derive(Debug, Clone)]
pub struct Record {
    pub owner: String,
    pub kind: u16,
    pub ttl: u32,
    pub data: Vec<u8>,
}

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const AAAA: u16 = 28;
pub const DNAME: u16 = 39;
pub const HTTPS: u16 = 65;

impl Record {
    pub fn address(owner: &str, ttl: u32, ip: IpAddr) -> Self {
        let (kind, data) = match ip {
            IpAddr::V4(ip) => (A, ip.octets().to_vec()),
            IpAddr::V6(ip) => (AAAA, ip.octets().to_vec()),
        };
        Self {
            owner: owner.to_owned(),
            kind,
            ttl,
            data,
        }
    }

    /// A CNAME or DNAME record.
    pub fn alias(owner: &str, kind: u16, ttl: u32, target: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            kind,
            ttl,
            data: labels(target),
        }
    }

    /// An HTTPS record of the service's own name with one address hint (RFC 9460 section 7.3).
    pub fn hint(owner: &str, ttl: u32, ip: IpAddr) -> Self {
        let (key, octets) = match ip {
            IpAddr::V4(ip) => (4_u16, ip.octets().to_vec()),
            IpAddr::V6(ip) => (6_u16, ip.octets().to_vec()),
        };
        let mut data = vec![0, 1, 0];
        data.extend(key.to_be_bytes());
        data.extend((octets.len() as u16).to_be_bytes());
        data.extend(octets);
        Self {
            owner: owner.to_owned(),
            kind: HTTPS,
            ttl,
            data,
        }
    }
}

impl Message {
    /// Returns the octets of the query.
    pub fn query(&self) -> Vec<u8> {
        let flags: u16 = if self.is_iterative { 0 } else { 0x0100 };
        [self.header(flags, 0), self.question()].concat()
    }

    /// Returns the octets of the response.
    pub fn response(&self) -> Vec<u8> {
        let mut flags: u16 = 0x8080 | u16::from(self.rcode);
        if !self.is_iterative {
            flags |= 0x0100;
        }
        if self.is_truncated {
            flags |= 0x0200;
        }
        let mut octets = [self.header(flags, self.records.len()), self.question()].concat();
        for record in &self.records {
            octets.extend(labels(&record.owner));
            octets.extend(record.kind.to_be_bytes());
            octets.extend(1_u16.to_be_bytes());
            octets.extend(record.ttl.to_be_bytes());
            octets.extend((record.data.len() as u16).to_be_bytes());
            octets.extend(&record.data);
        }
        octets.truncate(octets.len() - self.cut);
        octets
    }

    fn header(&self, flags: u16, answers: usize) -> Vec<u8> {
        let counts = [1, answers as u16, 0, 0];
        let words = [&[self.id, flags][..], &counts].concat();
        words.into_iter().flat_map(u16::to_be_bytes).collect()
    }

    fn question(&self) -> Vec<u8> {
        let qtype = if self.qtype == 0 { A } else { self.qtype };
        [&labels(&self.name)[..], &qtype.to_be_bytes(), &[0, 1]].concat()
    }
}

fn labels(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}
