//! DNS messages: the question of a query, and the addresses that a response gives for it (rule N1).
//!
//! RFC 1035 section 4, RFC 6672 (DNAME), RFC 9460 (SVCB and HTTPS). Headers, types and addresses are read by
//! dns-parser, whose types stay inside this file; names and the walk over records are ours, since dns-parser gives up
//! a message for one record that it does not know and puts no bound on a name. What a message may cost has a bound, whatever
//! its compression pointers do.

mod chain;
mod name;
mod service;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod work_tests;
#[cfg(test)]
mod worst;

use dns_parser::rdata::RData;
use dns_parser::{Header, Opcode, Type};
use smallvec::SmallVec;

use self::chain::{Chain, LOOK, Reach};
use self::name::{Labels, Work};
use crate::model::{Address, EvidenceKind, Layer, Malformed};

pub use self::chain::{Link, Linked};
pub use self::name::Name;

/// Octets of a message's header.
const HEADER: usize = 12;
/// Octets of a record between its owner and its data.
const RECORD: usize = 10;
/// The class of the Internet.
const INTERNET: u16 = 1;
/// The type of DNAME records, which dns-parser does not know.
const DNAME: u16 = 39;
/// The types of SVCB and HTTPS records, which dns-parser does not know.
const SERVICE: [u16; 2] = [64, 65];

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// From a client, with a question.
    Query,
    /// From a server.
    Response,
}

/// What a query asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The identifier that its response repeats.
    pub id: u16,
    /// Whether the client asks the server to find the answer, as hosts do and resolvers do not (rule S3).
    pub recursion_desired: bool,
    /// The name asked.
    pub name: Name,
    /// The type asked, as the IANA registry numbers it.
    pub qtype: u16,
}

/// What a response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The identifier of the query.
    pub id: u16,
    /// Whether the query asked for recursion.
    pub recursion_desired: bool,
    /// Whether the server offers recursion.
    pub recursion_available: bool,
    /// Whether the server says that the message did not fit (the TC bit).
    pub truncated: bool,
    /// The response code of the header; extensions in an OPT record are ignored.
    pub rcode: u8,
    /// The name asked.
    pub name: Name,
    /// The type asked, as the IANA registry numbers it.
    pub qtype: u16,
    /// The addresses given for the name asked; none unless the response code is 0.
    pub answers: SmallVec<[Answer; 4]>,
    /// The names behind the one asked.
    pub linked: Linked,
    /// Records that could not be read and cost only themselves.
    pub malformed_records: u32,
    /// Whether the message ends before its last record, by a snap length or a sender's fault.
    pub is_cut: bool,
}

/// One address that a response gives for the name asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The address.
    pub address: Address,
    /// The time to live of the record itself, in seconds.
    pub ttl: u32,
    /// Whether an address record or a hint gave it.
    pub kind: EvidenceKind,
    /// The name that it was given for, which the one asked led to; [`Response::linked`] has the names between.
    pub link: Link,
}

/// Returns which way a message goes, or `None` if the payload is no ordinary DNS message.
///
/// Looks at the length of the header and the opcode only.
#[must_use]
pub fn peek(payload: &[u8]) -> Option<Role> {
    let [_, _, flags, ..] = payload.first_chunk::<HEADER>()?;
    match (flags & 0x78, flags & 0x80) {
        (0, 0) => Some(Role::Query),
        (0, _) => Some(Role::Response),
        _ => None,
    }
}

/// Reads a query.
///
/// Records behind the question (EDNS, cookies) are ignored.
///
/// # Errors
///
/// `Short` when the header or question was cut; `Field` for a response, another opcode, another number of questions
/// than one, or a name that cannot be.
pub fn parse_query(payload: &[u8]) -> Result<Query, Malformed> {
    let mut labels = Labels::new();
    let (header, question) = open(payload, Role::Query, &mut labels, &mut Work::new(payload.len()))?;
    Ok(Query {
        id: header.id,
        recursion_desired: header.recursion_desired,
        name: Name::from_labels(labels.as_slice()),
        qtype: question.qtype,
    })
}

/// Reads a response and follows the question name through it.
///
/// An answer is each A or AAAA record reached from the question name through CNAME and DNAME records, whatever their
/// order and section, and each `ipv4hint` and `ipv6hint` of the HTTPS and SVCB records reached so or through their
/// own alias form (RFC 9460 section 2.4.2). Other records and other classes than IN are ignored.
///
/// # Errors
///
/// `Short` when the header or question was cut; `Field` for a query, another opcode, another number of questions than
/// one, or a question name that cannot be. What is wrong behind the question is reported in the response.
pub fn parse_response(payload: &[u8]) -> Result<Response, Malformed> {
    let mut work = Work::new(payload.len());
    let mut labels = Labels::new();
    let (header, question) = open(payload, Role::Response, &mut labels, &mut work)?;
    let mut response = Response {
        id: header.id,
        recursion_desired: header.recursion_desired,
        recursion_available: header.recursion_available,
        truncated: header.truncated,
        rcode: header.response_code.into(),
        name: Name::from_labels(labels.as_slice()),
        qtype: question.qtype,
        answers: SmallVec::new(),
        linked: Linked::default(),
        malformed_records: 0,
        is_cut: false,
    };
    if response.rcode == 0 {
        let count = u32::from(header.answers) + u32::from(header.nameservers) + u32::from(header.additional);
        let mut walk = Walk {
            message: payload,
            work,
            chain: Chain::new(labels.as_slice(), HEADER),
            waiting: SmallVec::new(),
            aliases: SmallVec::new(),
            answers: &mut response.answers,
            malformed: 0,
        };
        response.is_cut = walk.records(question.end, count).is_none();
        walk.settle();
        response.malformed_records = walk.malformed;
        response.linked = walk.chain.into_linked();
    }
    Ok(response)
}

/// The one question of a message, beside its name.
struct Question {
    qtype: u16,
    /// Where the records begin.
    end: usize,
}

/// Reads header and question, whose name goes to `labels`.
fn open(payload: &[u8], role: Role, labels: &mut Labels, work: &mut Work) -> Result<(Header, Question), Malformed> {
    let Some(&(mut octets)) = payload.first_chunk::<HEADER>() else {
        return Err(Malformed::short(Layer::Dns, HEADER, payload.len()));
    };
    // dns-parser refuses a message for the reserved bit, which RFC 1035 leaves to whoever needs it.
    let [_, _, _, reserved, ..] = &mut octets;
    *reserved &= !0x40;
    let header = Header::parse(&octets).map_err(|_| Malformed::field(Layer::Dns, "header"))?;
    if header.opcode != Opcode::StandardQuery {
        return Err(Malformed::field(Layer::Dns, "OPCODE"));
    }
    if header.query != (role == Role::Query) {
        return Err(Malformed::field(Layer::Dns, "QR"));
    }
    if header.questions != 1 {
        return Err(Malformed::field(Layer::Dns, "QDCOUNT"));
    }
    let end = labels.read(payload, HEADER, work)?;
    let Some((&[high, low, _, _], _)) = payload.get(end..).and_then(|rest| rest.split_first_chunk()) else {
        return Err(Malformed::short(Layer::Dns, end + 4, payload.len()));
    };
    let question = Question {
        qtype: u16::from_be_bytes([high, low]),
        end: end + 4,
    };
    Ok((header, question))
}

/// What a record that counts holds.
#[derive(Clone, Copy)]
enum Kind {
    Address(Type),
    Cname,
    Dname,
    Service,
}

/// A record that counts: where its data stands in the message.
#[derive(Clone, Copy)]
struct Record {
    kind: Kind,
    ttl: u32,
    start: usize,
    end: usize,
}

/// A record whose owner is not on the chain, or not yet.
struct Waiting {
    owner: SmallVec<[u8; 64]>,
    record: Option<Record>,
}

/// The walk over the records of one response.
struct Walk<'a> {
    message: &'a [u8],
    work: Work,
    chain: Chain<'a>,
    waiting: SmallVec<[Waiting; 2]>,
    /// Alias forms of services: the name that has one, and where the other one stands.
    aliases: SmallVec<[(Link, usize); 2]>,
    answers: &'a mut SmallVec<[Answer; 4]>,
    malformed: u32,
}

impl Walk<'_> {
    /// Takes the records from `at`; `None` if the message ends before the last one.
    fn records(&mut self, mut at: usize, count: u32) -> Option<()> {
        for _ in 0..count {
            let fixed = name::skip(self.message, at)?;
            let (head, data) = self.message.get(fixed..)?.split_first_chunk::<RECORD>()?;
            let [t, u, c, d, ttl @ .., l, m] = *head;
            let length = usize::from(u16::from_be_bytes([l, m]));
            data.get(..length)?;
            let start = fixed + RECORD;
            if let Some(kind) = kind_of(u16::from_be_bytes([t, u]), u16::from_be_bytes([c, d])) {
                let record = Record {
                    kind,
                    ttl: u32::from_be_bytes(ttl),
                    start,
                    end: start + length,
                };
                if self.record(at, record).is_err() {
                    self.malformed += 1;
                }
            }
            at = start + length;
        }
        Some(())
    }

    /// Takes one record whose owner stands at `at`.
    fn record(&mut self, at: usize, record: Record) -> Result<(), Malformed> {
        let followed = !matches!(record.kind, Kind::Dname);
        self.work.spend(self.chain.len())?;
        let pointer = name::pointer(self.message, at);
        if followed && let Some(link) = pointer.and_then(|target| self.chain.written_at(target)) {
            return self.follow(link, record);
        }
        let mut owner = Labels::new();
        owner.read(self.message, at, &mut self.work)?;
        if followed && let Some(link) = self.chain.find(owner.as_slice(), &mut self.work)? {
            return self.follow(link, record);
        }
        self.waiting.push(Waiting {
            owner: SmallVec::from_slice(owner.as_slice()),
            record: Some(record),
        });
        Ok(())
    }

    /// Goes along the chain once more with the records that came before their owner was reached.
    ///
    /// Alias forms of services come last: a name to which CNAME records lead as well is reached by those, wherever they
    /// stand in the message.
    fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut link = Link::QUESTION;
        let mut taken = 0;
        loop {
            while !waiting.is_empty() && self.chain.holds(link) {
                if self.settle_at(link, &mut waiting).is_err() {
                    self.malformed += 1;
                    return;
                }
                link = link.next();
            }
            let Some(&(from, at)) = self.aliases.get(taken) else {
                return;
            };
            taken += 1;
            if self.alias(from, at).is_err() {
                self.malformed += 1;
            }
        }
    }

    /// Takes what waits for one name on the chain.
    ///
    /// # Errors
    ///
    /// `Field("name")` when the allowance is used up.
    fn settle_at(&mut self, link: Link, waiting: &mut [Waiting]) -> Result<(), Malformed> {
        for waits in waiting {
            let Some(record) = waits.record else { continue };
            let taken = if let Kind::Dname = record.kind {
                self.work.spend(LOOK + waits.owner.len())?;
                self.redirect(link, &waits.owner, record)
            } else if self.chain.is(link, &waits.owner, &mut self.work)? {
                waits.record = None;
                self.follow(link, record)
            } else {
                Ok(())
            };
            if taken.is_err() {
                waits.record = None;
                self.malformed += 1;
            }
        }
        Ok(())
    }

    /// Takes a record whose owner is a name on the chain.
    fn follow(&mut self, link: Link, record: Record) -> Result<(), Malformed> {
        let data = self.message.get(record.start..record.end).unwrap_or_default();
        match record.kind {
            Kind::Address(kind) => {
                let address = address(kind, data)?;
                if self.chain.reach(link) == Reach::Name {
                    self.answer(link, address, record.ttl, EvidenceKind::DnsAddress);
                }
            }
            Kind::Cname => {
                let target = self.target(record.start, record.end)?;
                self.lead(link, target.as_slice(), Some(record.start), self.chain.reach(link))?;
            }
            Kind::Dname => {}
            Kind::Service => {
                let mut target = Labels::new();
                let service = service::parse(self.message, record.start, data, &mut target, &mut self.work)?;
                if service.is_alias {
                    // The root as target says that there is no service (section 2.5.1).
                    if !target.as_slice().is_empty() {
                        self.aliases.push((link, record.start + service::PRIORITY));
                    }
                } else {
                    for address in service.hints {
                        self.answer(link, address, record.ttl, EvidenceKind::DnsHint);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a DNAME record for a name on the chain: below its owner the target stands for it (RFC 6672 section 2.2).
    fn redirect(&mut self, link: Link, owner: &[u8], record: Record) -> Result<(), Malformed> {
        let Some(kept) = name::below(self.chain.labels(link), owner) else {
            return Ok(());
        };
        if self.chain.is_full() {
            return Err(Malformed::field(Layer::Dns, "chain"));
        }
        let target = self.target(record.start, record.end)?;
        let labels = self.chain.labels(link);
        self.work.spend(kept + target.as_slice().len())?;
        let whole = [labels.get(..kept).unwrap_or_default(), target.as_slice()].concat();
        if whole.len() > Labels::MOST {
            // There is no such name (RFC 6672 section 2.2); for a shorter one the record holds.
            return Ok(());
        }
        self.lead(link, &whole, None, self.chain.reach(link))
    }

    /// Adds the name that the alias form of a service leads to, which stands at `at`.
    fn alias(&mut self, from: Link, at: usize) -> Result<(), Malformed> {
        let mut target = Labels::new();
        target.read(self.message, at, &mut self.work)?;
        self.lead(from, target.as_slice(), Some(at), Reach::Alias)
    }

    /// Adds a name to the chain.
    fn lead(&mut self, from: Link, labels: &[u8], at: Option<usize>, reach: Reach) -> Result<(), Malformed> {
        self.chain.add(from, labels, at, reach, &mut self.work)
    }

    /// Reads the one name that the data of a CNAME or DNAME record consists of.
    fn target(&mut self, start: usize, end: usize) -> Result<Labels, Malformed> {
        let mut labels = Labels::new();
        if labels.read(self.message, start, &mut self.work)? != end {
            return Err(Malformed::field(Layer::Dns, "RDLENGTH"));
        }
        Ok(labels)
    }

    /// Notes one address.
    fn answer(&mut self, link: Link, address: Address, ttl: u32, kind: EvidenceKind) {
        self.answers.push(Answer {
            address,
            ttl,
            kind,
            link,
        });
    }
}

/// Returns what a record of this type and class holds, or `None` if it does not count.
fn kind_of(number: u16, class: u16) -> Option<Kind> {
    if class != INTERNET {
        return None;
    }
    match (Type::parse(number), number) {
        (Ok(kind @ (Type::A | Type::AAAA)), _) => Some(Kind::Address(kind)),
        (Ok(Type::CNAME), _) => Some(Kind::Cname),
        (_, DNAME) => Some(Kind::Dname),
        (_, number) if SERVICE.contains(&number) => Some(Kind::Service),
        _ => None,
    }
}

/// Reads the data of an A or AAAA record.
fn address(kind: Type, data: &[u8]) -> Result<Address, Malformed> {
    match RData::parse(kind, data, &[]) {
        Ok(RData::A(record)) => Ok(Address::v4(record.0.octets())),
        Ok(RData::AAAA(record)) => Ok(Address::v6(record.0.octets())),
        _ => Err(Malformed::field(Layer::Dns, "RDLENGTH")),
    }
}
