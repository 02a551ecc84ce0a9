//! Counters that account for every frame: frames = packets + malformed by layer + ignored by reason + fragments joined.

use super::malformed::{Ignored, Layer};

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One thing that is counted; the dot in a name groups it in `--stats`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[$doc])* $variant,)* }

        impl Counter {
            /// Every counter, in the order of `--stats`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name that `--stats` and metrics use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

counters! {
    /// Frames that capture handed over.
    Frames = "frames",
    /// Captured octets of these frames.
    Octets = "octets",
    /// Frames that gave a TCP or UDP packet.
    Packets = "packets",
    /// Packets whose payload or headers were cut by a snap length or a lost fragment.
    Snapped = "snapped",
    /// Octets of TCP between others that were not captured (rule N5).
    TcpMissing = "loss.tcp_octets",
    /// Packets that were met before and went no further: copies of others (rule W5).
    Duplicates = "duplicates.dropped",
    /// Packets that were forgotten before a copy of them could come, because there were too many.
    DuplicatesEvicted = "duplicates.evicted",
    /// Envelopes that lead outside, of which there is one a frame; what is inside goes to the records only (rule W2).
    Tunnels = "tunnels.frames",
    /// DNS responses inside them, which count nowhere else.
    TunnelDns = "tunnels.dns_responses",
    /// Flows inside them, which count nowhere else.
    TunnelFlows = "tunnels.flows",
    /// Frames whose clock had been set less than a minute before, and which took the time that it would have shown (rule T1).
    ClockDoubted = "clock.doubted",
    /// Frames whose fragment is part of a datagram that another frame is counted for (rule W4).
    FragmentsJoined = "fragments.joined",
    /// Datagrams whose fragments were joined.
    FragmentsWhole = "fragments.whole",
    /// Datagrams that were given up because fragments did not come.
    FragmentsIncomplete = "fragments.incomplete",
    /// Datagrams whose fragments contradicted each other; those of IPv6 were dropped.
    FragmentsOverlapping = "fragments.overlapping",
    /// Datagrams that were given up because too many were incomplete; they count as incomplete too.
    FragmentsEvicted = "fragments.evicted",
    /// Frames whose time went back within a stretch and was clamped (rule T1).
    ClockClamped = "clock.clamped",
    /// Frames more than an hour ahead that no later frame agreed with; they took the clock's time (rule T1).
    ClockFarAhead = "clock.far_ahead",
    /// Steps back of more than 60 s (rule T1).
    ClockBreaks = "clock.breaks",
    /// Epochs that held a packet.
    Epochs = "epochs",
    /// DNS queries over UDP.
    DnsQueries = "dns.queries",
    /// DNS responses over UDP.
    DnsResponses = "dns.responses",
    /// Responses that answered a query that was seen (rule N2).
    DnsMatched = "dns.matched",
    /// Responses whose query was not seen.
    DnsUnmatched = "dns.unmatched",
    /// Queries without a response within 30 s (rule N5).
    DnsUnanswered = "dns.unanswered",
    /// Responses taken although no query was seen, because their source shows none or lost frames (rule N2).
    DnsAdmitted = "dns.admitted",
    /// Messages on a DNS port whose header or question could not be read; their frames are packets all the same.
    DnsMalformed = "dns.malformed",
    /// Records that could not be read and cost only themselves (rule N1).
    DnsRecordsMalformed = "dns.records_malformed",
    /// Responses with the TC bit.
    DnsTruncated = "dns.truncated",
    /// Payloads on a DNS port that do not look like a DNS message.
    DnsNotDns = "dns.not_dns",
    /// Responses from mDNS or LLMNR ports, which never count (rule N2).
    DnsOffPort = "dns.off_port",
    /// Queries that were dropped from a full table before their response came.
    DnsQueriesEvicted = "dns.queries_evicted",
    /// Streams of DNS over TCP that a full table dropped.
    DnsStreamsEvicted = "dns.streams_evicted",
    /// Answers, one per address given.
    Answers = "names.answers",
    /// Evidence dropped because it expired.
    NamesExpired = "names.expired",
    /// Evidence dropped because the names were full.
    NamesEvicted = "names.evicted",
    /// Flows opened.
    Flows = "flows.opened",
    /// Flows that ended, for any reason.
    FlowsEnded = "flows.ended",
    /// Flows that were evicted from a full table (rule F6).
    FlowsEvicted = "flows.evicted",
    /// Flows whose originator nothing tells (rule F3).
    FlowsUndecided = "flows.undecided",
    /// Flows with one end outside that are not clearly inbound: the judge looks at them.
    FlowsCandidates = "flows.candidates",
    /// Flows between two internal hosts.
    FlowsInternal = "flows.internal",
    /// Flows from outside to an internal host.
    FlowsInbound = "flows.inbound",
    /// Flows with both ends outside (rule S1).
    FlowsExternal = "flows.external",
    /// Flows to or from multicast, broadcast and unspecified addresses.
    FlowsNeither = "flows.neither",
    /// Contacts judged.
    Contacts = "contacts.judged",
    /// Contacts by verdict: known.
    ContactsKnown = "contacts.known",
    /// Contacts by verdict: new.
    ContactsNew = "contacts.new",
    /// Contacts by verdict: learned.
    ContactsLearned = "contacts.learned",
    /// Contacts by verdict: attempt.
    ContactsAttempt = "contacts.attempt",
    /// Contacts by verdict: resolver.
    ContactsResolver = "contacts.resolver",
    /// Contacts by verdict: burst.
    ContactsBurst = "contacts.burst",
    /// Contacts of which something was not recorded, since their workload has as many pairs as it may have (rule A5).
    ContactsOverDestinations = "contacts.over_destinations",
    /// Contacts of which something was not recorded, since pairs and alerts take as much disk as they may (rule A5).
    ContactsOverDisk = "contacts.over_disk",
    /// Contacts that no name explains.
    ContactsUnexplained = "contacts.unexplained",
    /// Alerts raised.
    AlertsRaised = "alerts.raised",
    /// Alerts updated.
    AlertsUpdated = "alerts.updated",
    /// Alerts withdrawn.
    AlertsWithdrawn = "alerts.withdrawn",
    /// Novelties whose alert was stored before and is not raised again (rule A2).
    AlertsRepeated = "alerts.repeated",
    /// Frames that the kernel dropped before capture read them.
    KernelDrops = "loss.kernel",
    /// Frames that were dropped because a queue was full.
    QueueDrops = "loss.queue",
}

const LAYERS: usize = Layer::ALL.len();
const REASONS: usize = Ignored::ALL.len();

/// A set of counters; sets of several threads are added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    plain: [u64; Counter::ALL.len()],
    malformed: [u64; LAYERS],
    ignored: [u64; REASONS],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            plain: [0; Counter::ALL.len()],
            malformed: [0; LAYERS],
            ignored: [0; REASONS],
        }
    }
}

impl Counters {
    /// Counts one more.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `n` more.
    pub fn add(&mut self, counter: Counter, n: u64) {
        if let Some(slot) = self.plain.get_mut(counter as usize) {
            *slot = slot.saturating_add(n);
        }
    }

    /// Counts a frame that could not be read.
    pub fn count_malformed(&mut self, layer: Layer) {
        if let Some(slot) = self.malformed.get_mut(layer as usize) {
            *slot += 1;
        }
    }

    /// Counts a frame that could be read and gives no packet.
    pub fn count_ignored(&mut self, reason: Ignored) {
        self.add_ignored(reason, 1);
    }

    /// Counts `n` such frames.
    pub fn add_ignored(&mut self, reason: Ignored, n: u64) {
        if let Some(slot) = self.ignored.get_mut(reason as usize) {
            *slot += n;
        }
    }

    /// Returns how often a thing was counted.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.plain.get(counter as usize).copied().unwrap_or(0)
    }

    /// Returns how many frames could not be read, all layers together.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed.iter().sum()
    }

    /// Returns how many frames gave no packet, all reasons together.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.iter().sum()
    }

    /// Adds the counts of another set.
    pub fn merge(&mut self, other: &Self) {
        let pairs = self.plain.iter_mut().zip(&other.plain);
        let pairs = pairs.chain(self.malformed.iter_mut().zip(&other.malformed));
        for (own, theirs) in pairs.chain(self.ignored.iter_mut().zip(&other.ignored)) {
            *own = own.saturating_add(*theirs);
        }
    }

    /// Returns the counts as one JSON object, grouped by the dots in their names.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut root = serde_json::Map::new();
        for &counter in Counter::ALL {
            put(&mut root, counter.name(), self.get(counter));
        }
        let layers = Layer::ALL.iter().zip(&self.malformed);
        for (layer, n) in layers.filter(|(layer, _)| layer.is_header()) {
            put(&mut root, &format!("malformed.{}", layer.name()), *n);
        }
        for (reason, n) in Ignored::ALL.iter().zip(&self.ignored) {
            put(&mut root, &format!("ignored.{}", reason.name()), *n);
        }
        serde_json::Value::Object(root)
    }
}

fn put(root: &mut serde_json::Map<String, serde_json::Value>, name: &str, n: u64) {
    match name.split_once('.') {
        None => {
            root.insert(name.to_owned(), n.into());
        }
        Some((group, leaf)) => {
            let group = root
                .entry(group)
                .or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
            if let serde_json::Value::Object(inner) = group {
                put(inner, leaf, n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_up_and_grouped() {
        let mut one = Counters::default();
        one.count(Counter::Frames);
        one.count_malformed(Layer::Vxlan);
        let mut two = one.clone();
        two.count_ignored(Ignored::TooDeep);
        one.merge(&two);
        let json = one.to_json();
        assert_eq!(json["frames"], 2);
        assert_eq!(json["malformed"]["vxlan"], 2);
        assert_eq!(json["malformed"].get("dns"), None, "a DNS message is within a packet");
        assert_eq!(json["ignored"]["too_deep"], 1);
        assert_eq!(json["clock"]["breaks"], 0);
    }

    #[test]
    fn every_layer_and_reason_has_its_own_place() {
        for (n, layer) in Layer::ALL.iter().enumerate() {
            assert_eq!(*layer as usize, n);
        }
        for (n, reason) in Ignored::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, n);
        }
    }
}
