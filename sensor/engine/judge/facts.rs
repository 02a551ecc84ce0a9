//! What is known across partitions: who listens, who resolves, which sources show what, which hardware addresses are
//! routers (rules F2, F3, S3, N2, N4).

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};

use crate::model::{Address, Endpoint, MacAddress, Segment, SourceId, Span, Timestamp, Transport};

use super::super::report::{Answered, Fact, telling};

/// Facts of a day: listening ports, hardware addresses, answering servers.
const DAY: Span = Span::hours(24);
/// How many internal addresses a hardware address may speak for before it is taken for a router (rule N4).
const ADDRESSES_A_HOST: usize = 8;
/// How many other internal addresses a resolver answers (rule S3).
const CLIENTS_OF_A_RESOLVER: usize = 2;
/// How many external servers answer the non-recursive queries of a host that resolves for itself (rule S3).
const SERVERS_OF_AN_ITERATOR: usize = 5;
/// Within which time they do.
const ITERATOR_WINDOW: Span = Span::minutes(10);
/// A cut or encrypted answer is a reason for contacts up to this much later.
const REASON_LIFE: Span = Span::hours(1);
/// The same of clients that speak encrypted DNS: that is told once an hour.
const ENCRYPTED_LIFE: Span = Span::hours(2);
/// A source is lossy for this long after frames of it were lost (rule N2).
const LOSS_LIFE: Span = Span::seconds(60);

/// A host in its segment.
pub(super) type Host = (Segment, Address);

/// When an endpoint was seen to listen.
#[derive(Debug, Clone, Copy)]
struct Listening {
    since: Timestamp,
    last: Timestamp,
}

/// What a source has shown.
#[derive(Debug, Clone, Copy)]
struct SourceFacts {
    since: Timestamp,
    has_queries: bool,
    has_outbound: bool,
}

/// What a hardware address speaks for.
#[derive(Debug)]
struct MacFacts {
    addresses: BTreeSet<Address>,
    is_router: bool,
    seen: Timestamp,
}

impl MacFacts {
    const fn new(seen: Timestamp) -> Self {
        Self {
            addresses: BTreeSet::new(),
            is_router: false,
            seen,
        }
    }
}

/// Facts across partitions.
#[derive(Debug, Default)]
pub(super) struct Facts {
    listening: HashMap<(Segment, Transport, Endpoint), Listening, foldhash::quality::RandomState>,
    sources: HashMap<SourceId, SourceFacts>,
    macs: HashMap<(Segment, MacAddress), MacFacts, foldhash::quality::RandomState>,
    answered: HashMap<(Segment, Address, Address), Timestamp, foldhash::quality::RandomState>,
    clients: HashMap<Host, HashMap<Address, Timestamp>, foldhash::quality::RandomState>,
    servers: HashMap<Host, HashMap<Address, Timestamp>, foldhash::quality::RandomState>,
    resolvers: BTreeSet<Host>,
    /// Addresses that the settings name as resolvers, wherever they are.
    configured: HashSet<Address>,
    iterators: HashMap<Host, Timestamp, foldhash::quality::RandomState>,
    truncated: HashMap<Host, Timestamp, foldhash::quality::RandomState>,
    encrypted: HashMap<Host, Timestamp, foldhash::quality::RandomState>,
    /// When frames were lost whose source nobody knows.
    lost: Option<Timestamp>,
    /// When something was missing in what a source delivered.
    lossy: HashMap<SourceId, Timestamp>,
    limit: usize,
}

impl Facts {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Takes a fact; returns the host that it made a resolver, if it did.
    pub fn take(&mut self, fact: Fact, at: Timestamp, is_internal: impl Fn(Address) -> bool) -> Option<Host> {
        match fact {
            Fact::Listening(segment, transport, endpoint) => {
                let listening = self.listening.entry((segment, transport, endpoint));
                tell_again(&mut listening.or_insert(Listening { since: at, last: at }).last, at);
            }
            Fact::Queries(source) => self.source(source, at).has_queries = true,
            Fact::Outbound(source) => self.source(source, at).has_outbound = true,
            Fact::MacInternal(segment, mac, address) => {
                let facts = self.macs.entry((segment, mac)).or_insert_with(|| MacFacts::new(at));
                tell_again(&mut facts.seen, at);
                facts.addresses.insert(address);
                if facts.addresses.len() > ADDRESSES_A_HOST {
                    facts.is_router = true;
                    facts.addresses.clear();
                }
            }
            Fact::MacRouter(segment, mac) => {
                let facts = self.macs.entry((segment, mac)).or_insert_with(|| MacFacts::new(at));
                tell_again(&mut facts.seen, at);
                facts.is_router = true;
            }
            Fact::Encrypted(segment, client) => self.note_encrypted((segment, client), at),
            Fact::Answered(answered) => return self.take_answered(answered, at, is_internal),
        }
        None
    }

    fn take_answered(
        &mut self,
        answered: Answered,
        at: Timestamp,
        is_internal: impl Fn(Address) -> bool,
    ) -> Option<Host> {
        let Answered {
            segment,
            client,
            server,
            is_recursive,
        } = answered;
        tell_again(self.answered.entry((segment, client, server)).or_insert(at), at);
        self.note_client((segment, client));
        if self.configured.contains(&server) {
            return None;
        }
        if is_internal(server) && is_internal(client) && server != client {
            let host = (segment, server);
            if self.resolvers.contains(&host) {
                return None;
            }
            let clients = self.clients.entry(host).or_default();
            tell_again(clients.entry(client).or_insert(at), at);
            clients.retain(|_, seen| at.since(*seen) <= DAY);
            if clients.len() >= CLIENTS_OF_A_RESOLVER {
                self.clients.remove(&host);
                self.resolvers.insert(host);
                return Some(host);
            }
        } else if !is_internal(server) && !is_recursive {
            let servers = self.servers.entry((segment, client)).or_default();
            raise(servers.entry(server).or_insert(at), at);
            servers.retain(|_, seen| at.since(*seen) <= ITERATOR_WINDOW);
            if servers.len() >= SERVERS_OF_AN_ITERATOR {
                raise(self.iterators.entry((segment, client)).or_insert(at), at);
                servers.clear();
            }
        }
        None
    }

    /// Notes that a source delivered something at `at`.
    pub fn source_seen(&mut self, source: SourceId, at: Timestamp) {
        self.source(source, at);
    }

    fn source(&mut self, source: SourceId, at: Timestamp) -> &mut SourceFacts {
        self.sources.entry(source).or_insert(SourceFacts {
            since: at,
            has_queries: false,
            has_outbound: false,
        })
    }

    /// Takes the addresses that the settings name as resolvers.
    pub fn configure(&mut self, addresses: &[Address]) {
        self.configured.extend(addresses);
    }

    /// Notes that a host was given an answer: if the settings name its address, it is a resolver in this segment.
    pub fn note_client(&mut self, host: Host) {
        if self.configured.contains(&host.1) {
            self.resolvers.insert(host);
        }
    }

    /// Gives the resolvers of a segment another one: the decoder numbered it.
    pub fn rename(&mut self, from: Segment, to: Segment) {
        let moved = self.resolvers.extract_if(.., |host| host.0 == from);
        let moved: Vec<Host> = moved.map(|(_, address)| (to, address)).collect();
        self.resolvers.extend(moved);
    }

    /// Takes a resolver that the ledger names.
    pub fn add_resolver(&mut self, host: Host) {
        self.resolvers.insert(host);
    }

    /// Returns the resolvers that explain contacts, in order.
    pub fn resolvers(&self) -> impl Iterator<Item = Host> {
        self.resolvers.iter().copied()
    }

    /// Returns how many resolvers explain contacts.
    pub fn resolver_count(&self) -> usize {
        self.resolvers.len()
    }

    /// Says whether a host is one of the resolvers that explain contacts.
    pub fn is_detected(&self, host: Host) -> bool {
        self.resolvers.contains(&host)
    }

    /// Says whether a host is a resolver in the first two forms of rule S3, `segment` aside.
    pub fn is_resolver(&self, host: Host) -> bool {
        self.resolvers.contains(&host) || self.configured.contains(&host.1)
    }

    /// Says whether a host asks name servers itself (the third form of rule S3).
    pub fn is_iterator(&self, host: Host) -> bool {
        self.iterators.contains_key(&host)
    }

    /// Says whether an endpoint listens.
    pub fn is_listening(&self, segment: Segment, transport: Transport, endpoint: Endpoint, at: Timestamp) -> bool {
        let seen = self.listening.get(&(segment, transport, endpoint));
        seen.is_some_and(|seen| at.since(seen.last) <= DAY)
    }

    /// Says whether an endpoint was known to listen before `first`: what a flow shows of itself is left out.
    pub fn was_listening(&self, segment: Segment, transport: Transport, endpoint: Endpoint, first: Timestamp) -> bool {
        let seen = self.listening.get(&(segment, transport, endpoint));
        seen.is_some_and(|seen| seen.since < first && first.since(seen.last) <= DAY)
    }

    /// Says whether a source has shown no queries at all (rule N2).
    pub fn shows_no_queries(&self, source: SourceId) -> bool {
        !self.sources.get(&source).is_some_and(|facts| facts.has_queries)
    }

    /// Says whether a source has shown no packet from inside to outside (rule F3).
    pub fn shows_no_outbound(&self, source: SourceId) -> bool {
        !self.sources.get(&source).is_some_and(|facts| facts.has_outbound)
    }

    /// Returns how long a source has been watched.
    pub fn watched(&self, source: SourceId, at: Timestamp) -> Span {
        let since = self.sources.get(&source).map_or(at, |facts| facts.since);
        at.since(since).max(Span::ZERO)
    }

    /// Returns the other addresses behind a hardware address, unless it is a router's (rule N4).
    pub fn same_host(&self, segment: Segment, mac: MacAddress) -> impl Iterator<Item = Address> {
        let facts = self.macs.get(&(segment, mac)).filter(|facts| !facts.is_router);
        facts.into_iter().flat_map(|facts| facts.addresses.iter().copied())
    }

    /// Says whether a server answered a client within the last day.
    pub fn has_answered(&self, segment: Segment, client: Address, server: Address, at: Timestamp) -> bool {
        let seen = self.answered.get(&(segment, client, server));
        seen.is_some_and(|seen| at.since(*seen) <= DAY)
    }

    /// Notes that a client's response was cut short.
    pub fn note_truncated(&mut self, host: Host, at: Timestamp) {
        raise(self.truncated.entry(host).or_insert(at), at);
    }

    /// Says whether a response of a client was cut short lately.
    pub fn is_truncated(&self, host: Host, at: Timestamp) -> bool {
        is_recent(self.truncated.get(&host), at)
    }

    /// Notes that a client speaks encrypted DNS.
    pub fn note_encrypted(&mut self, host: Host, at: Timestamp) {
        raise(self.encrypted.entry(host).or_insert(at), at);
    }

    /// Says whether a client spoke encrypted DNS lately.
    pub fn is_encrypted(&self, host: Host, at: Timestamp) -> bool {
        let seen = self.encrypted.get(&host);
        seen.is_some_and(|seen| at.since(*seen) <= ENCRYPTED_LIFE)
    }

    /// Notes that frames were lost before anybody knew whose they were.
    pub fn note_loss(&mut self, at: Timestamp) {
        self.lost = Some(at);
    }

    /// Notes that something was missing in what a source delivered.
    pub fn note_missing(&mut self, source: SourceId, at: Timestamp) {
        self.lossy.insert(source, at);
    }

    /// Says whether frames of a source were lost in the last minute.
    pub fn is_lossy(&self, source: SourceId, at: Timestamp) -> bool {
        let is_recent = |lost: Timestamp| at.since(lost) <= LOSS_LIFE;
        self.lost.is_some_and(is_recent) || self.lossy.get(&source).copied().is_some_and(is_recent)
    }

    /// Drops what is too old to matter.
    pub fn expire(&mut self, now: Timestamp) {
        let is_fresh = |seen: &Timestamp| now.since(*seen) <= DAY;
        self.listening.retain(|_, seen| is_fresh(&seen.last));
        self.answered.retain(|_, seen| is_fresh(seen));
        self.truncated.retain(|_, seen| now.since(*seen) <= REASON_LIFE);
        self.encrypted.retain(|_, seen| now.since(*seen) <= ENCRYPTED_LIFE);
        self.lossy.retain(|_, lost| now.since(*lost) <= LOSS_LIFE);
        self.macs.retain(|_, facts| is_fresh(&facts.seen));
        self.iterators.retain(|_, seen| is_fresh(seen));
        self.clients.retain(|_, clients| clients.values().any(is_fresh));
        self.servers
            .retain(|_, servers| servers.values().any(|seen| now.since(*seen) <= ITERATOR_WINDOW));
    }

    /// Drops the oldest of what is too much; to be called each epoch, so that nothing grows between two sweeps. Returns
    /// what there was too much of.
    pub fn bound(&mut self) -> Vec<&'static str> {
        let limit = self.limit;
        let latest = |seen: &HashMap<Address, Timestamp>| seen.values().max().copied().unwrap_or(Timestamp::MIN);
        let tables = [
            ("listening ports", bound(&mut self.listening, limit, |seen| seen.last)),
            ("servers that answered", bound(&mut self.answered, limit, |seen| *seen)),
            ("cut answers", bound(&mut self.truncated, limit, |seen| *seen)),
            (
                "clients of encrypted DNS",
                bound(&mut self.encrypted, limit, |seen| *seen),
            ),
            (
                "hosts that ask name servers",
                bound(&mut self.iterators, limit, |seen| *seen),
            ),
            ("hardware addresses", bound(&mut self.macs, limit, |facts| facts.seen)),
            ("clients of internal servers", bound(&mut self.clients, limit, latest)),
            ("servers of internal clients", bound(&mut self.servers, limit, latest)),
        ];
        let full = tables.into_iter().filter(|(_, was_full)| *was_full);
        full.map(|(what, _)| what).collect()
    }
    /// Moves every time by `span` (rule T1).
    pub fn shift(&mut self, span: Span) {
        let listening = self.listening.values_mut();
        let listening = listening.flat_map(|seen| [&mut seen.since, &mut seen.last]);
        let times = listening.chain(self.answered.values_mut());
        let times = times
            .chain(self.truncated.values_mut())
            .chain(self.encrypted.values_mut());
        let times = times
            .chain(self.iterators.values_mut())
            .chain(self.macs.values_mut().map(|facts| &mut facts.seen));
        let times = times.chain(self.clients.values_mut().flat_map(|clients| clients.values_mut()));
        let times = times.chain(self.servers.values_mut().flat_map(|servers| servers.values_mut()));
        for time in times.chain(self.sources.values_mut().map(|facts| &mut facts.since)) {
            *time = time.plus(span);
        }
        self.lost = self.lost.map(|lost| lost.plus(span));
        self.lossy.values_mut().for_each(|lost| *lost = lost.plus(span));
    }
}

fn raise(seen: &mut Timestamp, at: Timestamp) {
    *seen = at.max(*seen);
}

/// Notes that a fact was told again; what another worker tells in the same stretch says nothing new.
fn tell_again(seen: &mut Timestamp, at: Timestamp) {
    if telling(at) > telling(*seen) {
        *seen = at;
    }
}

fn is_recent(seen: Option<&Timestamp>, at: Timestamp) -> bool {
    seen.is_some_and(|seen| at.since(*seen) <= REASON_LIFE)
}

/// Drops the oldest entries until `limit` are left, an eighth more at once; ties go by content (rule T2). Says whether
/// there were more.
fn bound<K: Ord + Copy + std::hash::Hash + Eq, V>(
    map: &mut HashMap<K, V, foldhash::quality::RandomState>,
    limit: usize,
    seen: impl Fn(&V) -> Timestamp,
) -> bool {
    if map.len() <= limit {
        return false;
    }
    let surplus = map.len() - limit + limit / 8;
    let mut ages: Vec<(Timestamp, K)> = map.iter().map(|(key, value)| (seen(value), *key)).collect();
    ages.sort_unstable();
    let dropped: HashSet<K> = ages.into_iter().take(surplus).map(|(_, key)| key).collect();
    map.retain(|key, _| !dropped.contains(key));
    true
}
