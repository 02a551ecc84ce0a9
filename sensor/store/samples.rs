//! Arbitrary records for the tests of this folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::model::*;

use super::v1;

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["[a-z0-9.-]{0,20}", ".{0,8}"].prop_map(Arc::from)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

pub fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(Address::v4),
        any::<[u8; 16]>().prop_map(Address::v6)
    ]
}

fn alert_id() -> impl Strategy<Value = AlertId> {
    any::<[u8; 16]>().prop_map(AlertId)
}

fn key() -> impl Strategy<Value = PairKey> {
    prop_oneof![
        text().prop_map(PairKey::Domain),
        "[ab]?.?c".prop_map(|text| PairKey::Domain(text.into())),
        text().prop_map(PairKey::Tenant),
        address().prop_map(PairKey::Address),
        text().prop_map(PairKey::AttemptedDomain),
        text().prop_map(PairKey::AttemptedTenant),
        address().prop_map(PairKey::AttemptedAddress),
    ]
}

prop_compose! {
    fn pair()(
        (first, last) in (time(), time()),
        (count, octets_out, octets_in) in any::<(u32, u64, u64)>(),
        days in prop_oneof![Just(1), any::<u128>()],
        ports in prop::collection::vec(any::<u16>(), 0..=Pair::PORTS),
        names in prop::collection::vec(provenance(), 0..=Pair::NAMES),
        novelty in prop::option::of((1..5_u8, time())),
        is_new_at_first: bool,
    ) -> Pair {
        let mut pair = Pair::restored(first, last, days);
        (pair.count, pair.octets_out, pair.octets_in) = (count, octets_out, octets_in);
        for port in ports {
            pair.add_port(port);
        }
        for name in names {
            pair.add_name(&name);
        }
        if let Some((fate, at)) = novelty {
            let at = if is_new_at_first { first } else { at };
            pair.set_novelty(Novelty { at, fate: Fate::from_number(fate).unwrap() });
        }
        pair
    }
}

/// Names that often meet, so that pairs share them.
fn provenance() -> impl Strategy<Value = Arc<Provenance>> {
    let name = prop_oneof![text(), "[ab].c".prop_map(Arc::from)];
    let server = prop_oneof![address(), Just(Address::v4([10, 0, 0, 2]))];
    (name, server).prop_map(|(name, server)| Arc::new(Provenance::new(name, server, Box::default())))
}

pub fn stored(slot: impl Strategy<Value = u32>) -> impl Strategy<Value = StoredPair> {
    (slot, key(), pair()).prop_map(|(slot, key, pair)| StoredPair { slot, key, pair })
}

pub fn changes(most: usize) -> impl Strategy<Value = Vec<PairChange>> {
    let change = (0..4_u32, stored(0..100_u32)).prop_map(|(workload, stored)| PairChange {
        workload: WorkloadId(workload),
        stored,
    });
    prop::collection::vec(change, 0..=most)
}

/// Returns the journal row that holds changes; empty if there are none.
pub fn journal_row(changes: &[PairChange]) -> Vec<u8> {
    let mut row = JournalRow::default();
    for change in changes {
        v1::add_to_journal(&mut row, &change.stored.view(change.workload));
    }
    row.octets
}

/// Workload, number and pairs by slot of a page of few workloads.
pub fn page_of_pairs() -> impl Strategy<Value = (WorkloadId, u32, Vec<StoredPair>)> {
    let pairs = prop::collection::btree_map(0..StoredPair::A_PAGE, stored(Just(0)), 0..5);
    (0..3_u32, 0..3_u32, pairs).prop_map(|(workload, number, pairs)| {
        let pairs = pairs.into_iter().map(|(slot, stored)| StoredPair {
            slot: number * StoredPair::A_PAGE + slot,
            ..stored
        });
        (WorkloadId(workload), number, pairs.collect())
    })
}

/// Returns the page that holds pairs.
pub fn page_with(workload: WorkloadId, number: u32, batch: u64, pairs: &[StoredPair]) -> Page {
    Page {
        workload,
        number,
        row: v1::encode_page(batch, &mut pairs.iter().map(|stored| stored.view(workload))),
    }
}

fn page() -> impl Strategy<Value = Page> {
    (page_of_pairs(), 0..12_u64)
        .prop_map(|((workload, number, pairs), batch)| page_with(workload, number, batch, &pairs))
}

pub fn holder() -> impl Strategy<Value = Holder> {
    any::<(u64, u32, i32)>().prop_map(|(destination, workload, day)| Holder {
        destination,
        workload: WorkloadId(workload),
        day,
    })
}

/// Entries that often meet.
pub fn few_holders() -> impl Strategy<Value = Holder> {
    (0..4_u64, 0..4_u32, 0..3_i32).prop_map(|(destination, workload, day)| Holder {
        destination,
        workload: WorkloadId(workload),
        day,
    })
}

/// Returns entries of the index as a batch holds them.
pub fn in_order(mut holders: Vec<Holder>) -> Vec<Holder> {
    holders.sort_unstable();
    holders
}

pub fn workload() -> impl Strategy<Value = WorkloadRecord> {
    let key = prop_oneof![
        text().prop_map(WorkloadKey::Named),
        (text(), address()).prop_map(|(segment, address)| WorkloadKey::Address(segment, address)),
    ];
    (key, text(), prop::option::of(text()), time(), time()).prop_map(|(key, segment, group, since, learns_until)| {
        WorkloadRecord {
            key,
            segment,
            group,
            since,
            learns_until,
            last: Timestamp(since.0.wrapping_add(5)),
        }
    })
}

fn chained() -> impl Strategy<Value = Arc<Provenance>> {
    let chain = prop::collection::vec(text(), 0..3);
    (text(), address(), chain).prop_map(|(name, server, chain)| Arc::new(Provenance::new(name, server, chain.into())))
}

fn segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        Just(Segment::NONE),
        (0..1_u32 << 24).prop_map(Segment::vni),
        (0..9_u32).prop_map(Segment::numbered),
    ]
}

prop_compose! {
    fn evidence()(
        provenance in chained(),
        client in address(),
        is_hint: bool,
        is_whole: bool,
        (ttl, greatest_ttl) in any::<(u32, Option<u32>)>(),
        (first, last, expires) in (prop::option::of(time()), time(), time()),
    ) -> Evidence {
        Evidence {
            provenance,
            client,
            facts: AnswerFacts {
            kind: if is_hint { EvidenceKind::DnsHint } else { EvidenceKind::DnsAddress },
            admission: Admission::Admitted,
            ttl,
            greatest_ttl: greatest_ttl.unwrap_or(ttl),
            first: first.unwrap_or(last),
            last,
            expires: if is_whole { last.plus(Span::hours(1)) } else { expires },
            },
        }
    }
}

prop_compose! {
    pub fn names(most: usize)(
        segments in prop::collection::btree_map(segment(), text(), 1..3),
        responses in prop::collection::vec((any::<prop::sample::Index>(), evidence(), prop::collection::vec(address(), 1..4)), 0..most),
    ) -> SavedNames {
        let segments: Vec<(Segment, Arc<str>)> = segments.into_iter().collect();
        let records = responses.into_iter().flat_map(|(at, evidence, addresses)| {
            let segment = at.get(&segments).0;
            let record = move |address| NameRecord { segment, address, evidence: evidence.clone() };
            addresses.into_iter().map(record)
        });
        SavedNames { records: records.collect(), rows: Vec::new(), segments }
    }
}

prop_compose! {
    pub fn alert()(
        (id, ts, at) in (alert_id(), time(), time()),
        (title, name, client, server) in (text(), text(), address(), address()),
        (octets_out, octets_in, port) in any::<(u64, u64, u16)>(),
        eighths in 0..1_000_000_u32,
        explained: bool,
    ) -> Alert {
        Alert {
            id,
            revision: 1,
            kind: if explained { AlertKind::NewExternalDomain } else { AlertKind::NewExternalIp },
            title: title.to_string(),
            event: AlertEvent::Raised,
            ts,
            at,
            severity: Severity::High,
            confidence: 90,
            novelty: Reach::Deployment,
            prevalence: 0,
            workload: AlertWorkload {
                name: name.to_string(),
                address: Some(client),
                group: None,
                owner: Some(title.clone()),
                segment: Arc::from("-"),
                since: None,
            },
            destination: AlertDestination {
                domain: explained.then(|| name.clone()),
                tenant: None,
                name: explained.then(|| name.clone()),
                ip: Some(server),
                port: Some(port),
                transport: Some(Transport::Tcp),
            },
            evidence: explained.then(|| AlertEvidence {
                kind: EvidenceKind::DnsAddress,
                scope: Scope::Client,
                name: name.clone(),
                client,
                server,
                ts,
                ttl: 60,
                chain: vec![title],
            }),
            unexplained: (!explained).then_some(Unexplained::NoQuery),
            other_names: vec![OtherName { name, client, ts }],
            claimed_name: None,
            flow: AlertFlow {
                start: FlowStart::Syn,
                outcome: Outcome::Established,
                octets_out,
                octets_in,
                duration: f64::from(eighths) / 8.0,
                end: None,
                community_id: None,
            },
            baseline: AlertBaseline {
                window_days: 90,
                first_contact: None,
                last_contact: None,
                workload_since: Some(at),
                destinations: 3,
            },
            observation: Observation::default(),
            attack: vec!["T1071".to_owned()],
            links: BTreeMap::new(),
            replaces: None,
            count: None,
            summary: String::new(),
        }
    }
}

pub fn alert_record() -> impl Strategy<Value = AlertRecord> {
    alert().prop_map(|alert| AlertRecord {
        state: AlertState::Raised,
        lowered: Lowered {
            known_to_group: true,
            expired_known_domain: false,
        },
        considered: vec![Considered {
            name: Arc::from("a.example"),
            client: Address::v4([10, 0, 0, 1]),
            server: Address::v4([10, 0, 0, 2]),
            ts: alert.ts,
            scope: Some(Scope::Client),
            reason: Reason::Chosen,
        }],
        alert,
    })
}

fn transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(vec![Transport::Tcp, Transport::Udp, Transport::Gre, Transport::Ipip])
}

prop_compose! {
    pub fn pending(arrival: std::ops::Range<u64>)(
        arrival in arrival,
        (ts, last) in (time(), time()),
        (from, to, segment) in (address(), address(), prop_oneof![Just(Arc::from("-")), text()]),
        (from_port, to_port, octets_out, octets_in) in any::<(u16, u16, u64, u64)>(),
        mac in prop::option::of(any::<[u8; 6]>()),
        (start, outcome, end) in (start(), outcome(), prop::option::of(end())),
        (transport, holds_dns) in (transport(), any::<bool>()),
    ) -> PendingContact {
        PendingContact {
            arrival: Arrival(arrival),
            ts,
            last,
            transport,
            originator: Endpoint { ip: from, port: from_port },
            responder: Endpoint { ip: to, port: to_port },
            mac,
            segment,
            start,
            outcome,
            octets_out,
            octets_in,
            end,
            holds_dns,
        }
    }
}

fn start() -> impl Strategy<Value = FlowStart> {
    prop::sample::select(vec![FlowStart::Syn, FlowStart::Datagram, FlowStart::Midstream])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![
        Outcome::Established,
        Outcome::Refused,
        Outcome::Attempted,
        Outcome::Answered,
        Outcome::Unanswered,
    ])
}

fn end() -> impl Strategy<Value = FlowEnd> {
    prop::sample::select(vec![
        FlowEnd::Closed,
        FlowEnd::Reset,
        FlowEnd::Replaced,
        FlowEnd::Idle,
        FlowEnd::Evicted,
        FlowEnd::TimeStep,
    ])
}

pub fn open_alert() -> impl Strategy<Value = OpenAlert> {
    ((0..4_u8), pending(0..4)).prop_map(|(id, contact)| OpenAlert {
        id: AlertId([id; 16]),
        contact,
    })
}

pub fn budget_counts() -> impl Strategy<Value = BudgetCounts> {
    let workload = || any::<u32>().prop_map(WorkloadId);
    let minute = (any::<i64>(), workload(), any::<u32>()).prop_map(|(minute, workload, count)| MinuteCount {
        minute,
        workload,
        count,
    });
    let workloads = prop::collection::vec((workload(), time()), 0..3);
    let destination =
        (any::<u64>(), time(), workloads, any::<Option<i64>>()).prop_map(|(hash, latest, workloads, burst_since)| {
            DestinationCount {
                hash,
                latest,
                workloads,
                burst_since,
            }
        });
    let scope = prop_oneof![
        workload().prop_map(BurstScope::Workload),
        any::<u64>().prop_map(BurstScope::Destination)
    ];
    let name = prop::option::of(text());
    let burst = (any::<i64>(), scope, any::<u32>(), name).prop_map(|(minute, scope, count, name)| BurstCount {
        minute,
        scope,
        count,
        name,
    });
    let minutes = prop::collection::vec(minute, 0..3);
    let destinations = prop::collection::vec(destination, 0..3);
    let bursts = prop::collection::vec(burst, 0..3);
    (minutes, destinations, bursts).prop_map(|(minutes, destinations, bursts)| BudgetCounts {
        minutes,
        destinations,
        bursts,
    })
}

pub fn kept_counts() -> impl Strategy<Value = KeptCounts> {
    let limits =
        (any::<u32>(), any::<u64>(), any::<i64>()).prop_map(|(destinations, disk, retention)| BaselineLimits {
            destinations,
            disk,
            retention: Span(retention),
        });
    let days = || prop::collection::btree_map((-2..3_i32).prop_map(Day), 0..3_u64, 0..3);
    let unrecorded = (any::<u64>(), time()).prop_map(|(contacts, latest)| Unrecorded { contacts, latest });
    let unrecorded = prop::collection::btree_map((0..4_u32).prop_map(WorkloadId), unrecorded, 0..2);
    (limits, days(), days(), unrecorded).prop_map(|(limits, pairs, alerts, unrecorded)| KeptCounts {
        limits: Some(limits),
        is_whole: true,
        pairs: pairs.into_iter().collect(),
        alerts: alerts.into_iter().collect(),
        unrecorded: unrecorded.into_iter().collect(),
    })
}

pub fn state() -> impl Strategy<Value = JudgeState> {
    (text(), address(), time(), any::<bool>()).prop_map(|(segment, address, since, has_learnt)| JudgeState {
        segments: vec![SegmentState {
            segment: segment.clone(),
            since,
            learns_until: since,
            has_learnt,
        }],
        resolvers: vec![ResolverState {
            segment,
            address,
            since,
        }],
    })
}

prop_compose! {
    /// A batch of few keys, so that batches meet; its sequence and fold are the caller's.
    pub fn batch()(
        at in time(),
        is_synced: bool,
        changed in changes(4),
        pages in prop::collection::vec(page(), 0..3),
        holders in prop::collection::vec(few_holders(), 0..4),
        workloads in prop::collection::vec((0..4_u32, workload()), 0..3),
        alerts in prop::collection::vec(alert_record(), 0..2),
        deliver in prop::collection::vec(alert(), 0..3),
        pending in prop::collection::vec(pending(0..4), 0..3),
        judged in prop::collection::vec((0..4_u64).prop_map(Arrival), 0..2),
        opened in prop::collection::vec(open_alert(), 0..3),
        (closed, state, counted, kept) in (
            prop::collection::vec((0..4_u8).prop_map(|id| AlertId([id; 16])), 0..2),
            prop::option::of(state()),
            budget_counts(),
            kept_counts(),
        ),
    ) -> Batch {
        Batch {
            durability: if is_synced { Durability::Synced } else { Durability::Grouped },
            journal: journal_row(&changed),
            pages,
            holders: Arc::new(vec![in_order(holders)]),
            workloads: workloads.into_iter().map(|(id, record)| (WorkloadId(id), record)).collect(),
            alerts,
            deliver,
            pending,
            judged,
            opened,
            closed,
            state,
            counted,
            kept,
            ..Batch::empty(0, at)
        }
    }
}
