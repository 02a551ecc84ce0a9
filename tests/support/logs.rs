//! The logs that others would write of a capture: of its flows from the frames, of its DNS from what the replay saw.

mod aws;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use firstcontact::model::{Layer4, LinkType, Policy, TcpFlags};
use firstcontact::wire;
use serde_json::{Value, json};

use super::frames::Frame;

pub use aws::{route53, vpc_flows};

const SECOND: i64 = 1_000_000_000;

/// One direction of a flow.
#[derive(Debug, Clone, Default)]
pub struct Direction {
    pub packets: u64,
    /// Octets of its frames.
    pub framed: u64,
    pub payload: u64,
    pub flags: u8,
    next: Option<u32>,
    fins: u32,
}

/// A flow as any monitor would see it.
#[derive(Debug, Clone)]
pub struct Flow {
    pub first: i64,
    pub last: i64,
    pub is_tcp: bool,
    /// Who sent the first packet, and the other side.
    pub ends: [(IpAddr, u16); 2],
    pub ways: [Direction; 2],
    /// As Zeek writes it.
    pub history: String,
    sequence: Option<u32>,
}

impl Flow {
    pub fn is_dns(&self) -> bool {
        self.ends[1].1 == 53
    }
}

/// Returns the flows of frames by their first packets.
pub fn flows(frames: &[Frame], link: LinkType) -> Vec<Flow> {
    let policy = Policy::default().network;
    let ports = wire::Ports::new(&policy.vxlan_ports, &policy.geneve_ports, &policy.dns_ports);
    let mut flows: Vec<Flow> = Vec::new();
    let mut open: HashMap<_, usize> = HashMap::new();
    for frame in frames {
        let Ok(packet) = wire::decode(link, &frame.octets, &ports) else {
            continue;
        };
        let (flags, sequence) = match packet.layer4 {
            Layer4::Tcp { flags, sequence } => (flags.0, Some(sequence)),
            _ => (0, None),
        };
        let from = (packet.from.ip(), packet.from_port);
        let to = (packet.to.ip(), packet.to_port);
        let key = (from.min(to), from.max(to), sequence.is_some());
        let is_syn = flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN;
        let known = open.get(&key).copied().filter(|known| {
            let flow = &flows[*known];
            match sequence {
                Some(sequence) => !is_syn || flow.sequence == Some(sequence),
                None => frame.time - flow.last <= 60 * SECOND,
            }
        });
        let place = known.unwrap_or_else(|| {
            flows.push(Flow {
                first: frame.time,
                last: frame.time,
                is_tcp: sequence.is_some(),
                ends: [from, to],
                ways: [Direction::default(), Direction::default()],
                history: String::new(),
                sequence: sequence.filter(|_| is_syn),
            });
            open.insert(key, flows.len() - 1);
            flows.len() - 1
        });
        let flow = &mut flows[place];
        let is_back = flow.ends[0] != from;
        flow.last = frame.time;
        let way = &mut flow.ways[usize::from(is_back)];
        way.packets += 1;
        way.framed += frame.length as u64;
        way.flags |= flags;
        match sequence {
            Some(sequence) => count(way, flags, sequence, packet.payload_octets),
            None => way.payload += u64::from(packet.payload_octets),
        }
        let letter = letter(flags, sequence.is_some(), packet.payload_octets);
        let letter = if is_back { letter } else { letter.to_ascii_uppercase() };
        if !flow.history.contains(letter) {
            flow.history.push(letter);
        }
    }
    flows
}

fn count(way: &mut Direction, flags: u8, sequence: u32, payload: u32) {
    if flags & TcpFlags::SYN != 0 {
        way.next = Some(sequence.wrapping_add(1));
        return;
    }
    let next = *way.next.get_or_insert(sequence);
    let ahead = sequence.wrapping_add(payload).wrapping_sub(next);
    if payload > 0 && ahead < 1 << 30 {
        way.payload += u64::from(ahead);
        way.next = Some(next.wrapping_add(ahead));
    }
    way.fins += u32::from(flags & TcpFlags::FIN != 0);
}

/// A letter of Zeek's `history`, of the responder.
fn letter(flags: u8, is_tcp: bool, payload: u32) -> char {
    let has = |bit: u8| flags & bit != 0;
    if !is_tcp {
        'd'
    } else if has(TcpFlags::RST) {
        'r'
    } else if has(TcpFlags::SYN) {
        if has(TcpFlags::ACK) { 'h' } else { 's' }
    } else if has(TcpFlags::FIN) {
        'f'
    } else if payload > 0 {
        'd'
    } else {
        'a'
    }
}

/// A response as the replay saw it.
#[derive(Debug, Clone)]
pub struct Lookup {
    pub at: i64,
    pub client: String,
    pub server: String,
    pub transport: String,
    pub name: String,
    pub chain: Vec<String>,
    pub answers: Vec<(String, u64)>,
    pub is_matched: bool,
    pub is_recursive: bool,
}

/// Returns the responses of `dns.jsonl`; whether recursion was desired stands in the frames.
pub fn lookups(records: &[Value], frames: &[Frame], link: LinkType) -> Vec<Lookup> {
    let policy = Policy::default().network;
    let ports = wire::Ports::new(&policy.vxlan_ports, &policy.geneve_ports, &policy.dns_ports);
    let mut all: BTreeMap<(u64, String), Lookup> = BTreeMap::new();
    for record in records.iter().filter(|record| record["use"] != "off_port") {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let frame = record["frame"].as_u64().expect("a frame");
        let octets = &frames[usize::try_from(frame).unwrap() - 1].octets;
        let payload = wire::decode(link, octets, &ports).ok();
        let payload = payload.filter(|packet| packet.layer4 == Layer4::Udp);
        let is_iterative = payload.is_some_and(|packet| packet.payload.get(2).is_some_and(|flags| flags & 1 == 0));
        let lookup = all.entry((frame, text("name"))).or_insert_with(|| Lookup {
            at: super::words::instant(record["ts"].as_str().expect("a time")),
            client: text("client"),
            server: text("server"),
            transport: text("transport"),
            name: text("name"),
            chain: Vec::new(),
            answers: Vec::new(),
            is_matched: record["use"] == "evidence",
            is_recursive: !is_iterative,
        });
        let chain = record["chain"].as_array().expect("a chain");
        lookup.chain = chain.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        lookup
            .answers
            .push((text("address"), record["ttl"].as_u64().expect("a ttl")));
    }
    all.into_values().collect()
}

/// Seconds with nine digits.
fn decimal(time: i64) -> String {
    format!("{}.{:09}", time / SECOND, time % SECOND)
}

fn iso(time: i64, digits: usize, offset: &str) -> String {
    let text = firstcontact::model::Timestamp(time).to_string();
    format!("{}{offset}", &text[..20 + digits])
}

/// A table of Zeek.
fn table(path: &str, fields: &[(&str, &str)], rows: impl Iterator<Item = Vec<String>>) -> String {
    let (names, types): (Vec<&str>, Vec<&str>) = fields.iter().copied().unzip();
    let mut text = format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{path}\n#open\t2026-03-02-12-00-00\n#fields\t{}\n#types\t{}\n",
        names.join("\t"),
        types.join("\t")
    );
    for row in rows {
        text.push_str(&row.join("\t"));
        text.push('\n');
    }
    text + "#close\t2026-03-02-13-00-00\n"
}

/// Returns `conn.log` as a table.
pub fn zeek_conn(flows: &[Flow]) -> String {
    let fields = [
        ("ts", "time"),
        ("uid", "string"),
        ("id.orig_h", "addr"),
        ("id.orig_p", "port"),
        ("id.resp_h", "addr"),
        ("id.resp_p", "port"),
        ("proto", "enum"),
        ("service", "string"),
        ("duration", "interval"),
        ("orig_bytes", "count"),
        ("resp_bytes", "count"),
        ("conn_state", "string"),
        ("missed_bytes", "count"),
        ("history", "string"),
    ];
    let rows = flows.iter().enumerate().map(|(n, flow)| {
        let service = if flow.is_dns() { "dns" } else { "-" };
        let [orig, resp] = &flow.ends;
        let octets = |way: usize| flow.ways[way].payload.to_string();
        let duration = match flow.last - flow.first {
            0 => "-".to_owned(),
            duration => decimal(duration),
        };
        let row = [
            decimal(flow.first),
            format!("C{n}"),
            orig.0.to_string(),
            orig.1.to_string(),
            resp.0.to_string(),
            resp.1.to_string(),
            if flow.is_tcp { "tcp" } else { "udp" }.to_owned(),
            service.to_owned(),
            duration,
            octets(0),
            octets(1),
            "OTH".to_owned(),
            "0".to_owned(),
            flow.history.clone(),
        ];
        row.to_vec()
    });
    table("conn", &fields, rows)
}

/// Returns `dns.log` as a table; each query came a millisecond before its response.
pub fn zeek_dns(lookups: &[Lookup]) -> String {
    let fields = [
        ("ts", "time"),
        ("id.orig_h", "addr"),
        ("id.orig_p", "port"),
        ("id.resp_h", "addr"),
        ("id.resp_p", "port"),
        ("proto", "enum"),
        ("rtt", "interval"),
        ("query", "string"),
        ("rcode", "count"),
        ("RD", "bool"),
        ("answers", "vector[string]"),
        ("TTLs", "vector[interval]"),
    ];
    let rows = lookups.iter().map(|lookup| {
        let (answers, ttls) = answers_of(lookup);
        let trip = if lookup.is_matched { 1_000_000 } else { 0 };
        let row = [
            decimal(lookup.at - trip),
            lookup.client.clone(),
            "51000".to_owned(),
            lookup.server.clone(),
            "53".to_owned(),
            lookup.transport.clone(),
            if lookup.is_matched {
                decimal(trip)
            } else {
                "-".to_owned()
            },
            lookup.name.to_uppercase(),
            "0".to_owned(),
            if lookup.is_recursive { "T" } else { "F" }.to_owned(),
            answers.join(","),
            ttls.iter()
                .map(|ttl| format!("{ttl}.000000"))
                .collect::<Vec<_>>()
                .join(","),
        ];
        row.to_vec()
    });
    table("dns", &fields, rows)
}

/// What Zeek writes as answers: the names of the chain, then the addresses.
fn answers_of(lookup: &Lookup) -> (Vec<String>, Vec<u64>) {
    let names = lookup.chain.iter().map(|name| (name.clone(), 300));
    names.chain(lookup.answers.iter().cloned()).unzip()
}

/// Returns both logs as one stream of JSON, as Zeek writes them with times in ISO 8601.
pub fn zeek_json(flows: &[Flow], lookups: &[Lookup]) -> String {
    let mut rows: Vec<Value> = Vec::new();
    for flow in flows {
        let [orig, resp] = &flow.ends;
        let mut row = json!({
            "_path": "conn", "ts": iso(flow.first, 9, "Z"), "uid": "C1",
            "id.orig_h": orig.0, "id.orig_p": orig.1, "id.resp_h": resp.0, "id.resp_p": resp.1,
            "proto": if flow.is_tcp { "tcp" } else { "udp" },
            "duration": (flow.last - flow.first) as f64 / SECOND as f64,
            "orig_bytes": flow.ways[0].payload, "resp_bytes": flow.ways[1].payload,
            "conn_state": "OTH", "history": flow.history,
        });
        if flow.is_dns() {
            row["service"] = "dns".into();
        }
        rows.push(row);
    }
    for lookup in lookups {
        let (answers, ttls) = answers_of(lookup);
        let mut row = json!({
            "_path": "dns", "ts": iso(lookup.at - 1_000_000, 9, "Z"), "rtt": 0.001,
            "id.orig_h": lookup.client, "id.orig_p": 51000, "id.resp_h": lookup.server, "id.resp_p": 53,
            "proto": lookup.transport, "query": lookup.name, "rcode": 0, "rcode_name": "NOERROR",
            "RD": lookup.is_recursive, "answers": answers, "TTLs": ttls.iter().map(|ttl| *ttl as f64).collect::<Vec<_>>(),
        });
        if !lookup.is_matched {
            row["ts"] = iso(lookup.at, 9, "Z").into();
            row.as_object_mut().unwrap().remove("rtt");
        }
        rows.push(row);
    }
    rows.push(json!({"_path": "http", "ts": 1.0, "id.orig_h": "10.1.0.5", "method": "GET"}));
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Which version of Suricata writes DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsVersion {
    One,
    Two,
    Three,
}

/// Returns EVE; times have microseconds, as Suricata writes them.
pub fn eve(flows: &[Flow], lookups: &[Lookup], version: DnsVersion) -> String {
    let at = |time: i64| iso(time, 6, "+0000");
    let mut rows: Vec<Value> = vec![json!({"timestamp": at(0), "event_type": "stats", "stats": {}})];
    for (n, lookup) in lookups.iter().enumerate() {
        let owners = std::iter::once(&lookup.name).chain(&lookup.chain);
        let mut records: Vec<Value> = owners
            .zip(&lookup.chain)
            .map(|(owner, target)| json!({"rrname": owner, "rrtype": "CNAME", "ttl": 300, "rdata": target}))
            .collect();
        let last = lookup.chain.last().unwrap_or(&lookup.name);
        for (address, ttl) in &lookup.answers {
            let kind = if address.contains(':') { "AAAA" } else { "A" };
            records.push(json!({"rrname": last, "rrtype": kind, "ttl": ttl, "rdata": address}));
        }
        let event = |dns: Value| {
            // Version 1 writes a response from its sender, the others from its client.
            let (client, server) = ((&lookup.client, 51_000), (&lookup.server, 53));
            let (from, to) = if version == DnsVersion::One {
                (server, client)
            } else {
                (client, server)
            };
            json!({
                "timestamp": at(lookup.at), "flow_id": n, "event_type": "dns", "proto": lookup.transport.to_uppercase(),
                "src_ip": from.0, "src_port": from.1, "dest_ip": to.0, "dest_port": to.1, "dns": dns,
            })
        };
        match version {
            DnsVersion::One => {
                rows.push(event(
                    json!({"type": "query", "id": 7, "rrname": lookup.name, "rrtype": "A"}),
                ));
                for record in records {
                    let mut dns = json!({"type": "answer", "id": 7, "rcode": "NOERROR", "rd": lookup.is_recursive});
                    dns.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
                    rows.push(event(dns));
                }
            }
            DnsVersion::Two => rows.push(event(json!({
                "version": 2, "type": "answer", "id": 7, "rrname": lookup.name, "rrtype": "A", "rcode": "NOERROR",
                "rd": lookup.is_recursive, "answers": records,
            }))),
            DnsVersion::Three => rows.push(event(json!({
                "version": 3, "type": "response", "id": 7, "queries": [{"rrname": lookup.name, "rrtype": "A"}],
                "rcode": "NOERROR", "rd": lookup.is_recursive, "answers": records,
            }))),
        }
    }
    for (n, flow) in flows.iter().enumerate() {
        let [from, to] = &flow.ends;
        let [out, back] = &flow.ways;
        let mut row = json!({
            "timestamp": at(flow.last), "flow_id": 10_000 + n, "event_type": "flow",
            "src_ip": from.0, "src_port": from.1, "dest_ip": to.0, "dest_port": to.1,
            "proto": if flow.is_tcp { "TCP" } else { "UDP" },
            "flow": {
                "pkts_toserver": out.packets, "pkts_toclient": back.packets,
                "bytes_toserver": out.framed, "bytes_toclient": back.framed,
                "start": at(flow.first), "end": at(flow.last), "state": "closed", "reason": "timeout",
            },
        });
        if flow.is_tcp {
            row["tcp"] = json!({
                "tcp_flags": format!("{:02x}", out.flags | back.flags),
                "tcp_flags_ts": format!("{:02x}", out.flags), "tcp_flags_tc": format!("{:02x}", back.flags),
            });
        } else if flow.is_dns() {
            row["app_proto"] = "dns".into();
        }
        rows.push(row);
    }
    rows.iter().map(|row| format!("{row}\n")).collect()
}
