//! Suricata's EVE: records of flows and of DNS, versions 1 to 3 of the latter.
//!
//! Version 1 writes a record for each resource record of a response, one after the other; they are put together again by
//! flow, id and time.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::model::{
    Address, Endpoint, ImportedAnswer, ImportedExtent, ImportedFlow, ImportedLookup, ImportedOpening, ImportedPayload,
    ImportedQuery, ImportedRow, ImportedSide, Timestamp, Transport,
};

use super::cells::Cells;
use super::name::plain_name;
use super::time::time;

/// What Suricata counts of each packet beside the payload, at least: the header of Ethernet.
const ETHERNET: u64 = 14;
/// CNAME records followed from the name that was asked; no resolver follows more.
const LONGEST_CHAIN: usize = 32;
/// Resource records of one response that are put together; a response of 64 KiB has no more of use.
const MOST_RECORDS: usize = 1 << 12;

/// Records of version 1 that may be of one response.
#[derive(Debug, Default)]
pub(super) struct Pending {
    response: Option<(Key, ImportedLookup)>,
    /// Owner, kind, what it says and its time to live.
    records: Vec<(String, String, String, u32)>,
}

/// What records of one response have in common.
type Key = (String, String, String);

impl Pending {
    /// Returns what was put together so far.
    pub fn take(&mut self) -> Option<ImportedRow> {
        let (_, mut lookup) = self.response.take()?;
        let records = std::mem::take(&mut self.records);
        let mut owner = lookup.name.clone();
        for _ in 0..LONGEST_CHAIN {
            let of = |kind: &'static str, owner: &str| {
                let owner = owner.to_owned();
                move |record: &&(String, String, String, u32)| record.0 == owner && record.1 == kind
            };
            let addresses = records.iter().filter(|record| record.0 == owner);
            for (_, kind, data, ttl) in addresses {
                if (kind == "A" || kind == "AAAA")
                    && let Ok(ip) = data.parse::<IpAddr>()
                {
                    let address = Address::from(ip);
                    lookup.answers.push(ImportedAnswer { address, ttl: *ttl });
                }
            }
            let Some(alias) = records.iter().find(of("CNAME", &owner)) else {
                break;
            };
            owner = plain_name(&alias.2);
            if lookup.chain.contains(&owner) || owner == lookup.name {
                break;
            }
            lookup.chain.push(owner.clone());
        }
        if lookup.answers.is_empty() {
            lookup.chain.clear();
        }
        Some(ImportedRow::Lookup(lookup))
    }
}

/// Reads a record. What it completes, and what it says itself, goes to `out`; records of other kinds say nothing.
pub(super) fn read(
    record: &Map<String, Value>,
    pending: &mut Pending,
    out: &mut Vec<ImportedRow>,
) -> Result<(), &'static str> {
    let row = Cells::Object(record);
    match row.get("event_type").as_deref() {
        Some("flow") => {
            out.extend(flow(record, &row)?.map(ImportedRow::Flow));
            Ok(())
        }
        Some("dns") => dns(record, &row, pending, out),
        Some(_) => Ok(()),
        None => Err("no event_type"),
    }
}

fn object<'a>(record: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    record.get(name)?.as_object()
}

fn transport(row: &Cells<'_>) -> Result<Option<Transport>, &'static str> {
    match row.get("proto").as_deref() {
        Some("TCP") => Ok(Some(Transport::Tcp)),
        Some("UDP") => Ok(Some(Transport::Udp)),
        Some(_) => Ok(None),
        None => Err("no proto"),
    }
}

fn ends(row: &Cells<'_>) -> Result<(Endpoint, Endpoint), &'static str> {
    let end = |host: &str, port: &str| {
        let ip: IpAddr = row.parse(host)?;
        let port = row.parse(port)?;
        Some(Endpoint {
            ip: Address::from(ip),
            port,
        })
    };
    let source = end("src_ip", "src_port").ok_or("no src_ip and src_port")?;
    let destination = end("dest_ip", "dest_port").ok_or("no dest_ip and dest_port")?;
    Ok((source, destination))
}

fn flow(record: &Map<String, Value>, row: &Cells<'_>) -> Result<Option<ImportedFlow>, &'static str> {
    let Some(transport) = transport(row)? else {
        return Ok(None);
    };
    let (opener, other) = ends(row)?;
    let flow = object(record, "flow").ok_or("no flow")?;
    let flow = Cells::Object(flow);
    let at = |name: &str| flow.get(name).as_deref().and_then(time);
    let first = at("start").ok_or("no time in flow.start")?;
    let last = at("end").unwrap_or(first).max(first);
    let number = |name: &str| flow.parse::<u64>(name).unwrap_or(0);
    let ip = if opener.ip.as_v4().is_some() { 20 } else { 40 };
    let header = ETHERNET + ip + if transport == Transport::Tcp { 20 } else { 8 };
    let payload_of = |octets: &str, packets: &str| number(octets).saturating_sub(number(packets) * header);
    let packets = [number("pkts_toserver"), number("pkts_toclient")];
    let octets = [
        payload_of("bytes_toserver", "pkts_toserver"),
        payload_of("bytes_toclient", "pkts_toclient"),
    ];
    let (opening, sides) = match transport {
        Transport::Tcp => tcp(record, flow.get("state").as_deref(), packets),
        _ => {
            let spoke = packets.map(|packets| ImportedSide {
                spoke: packets > 0,
                ..ImportedSide::default()
            });
            (ImportedOpening::Datagram, spoke)
        }
    };
    let [mut from_opener, mut from_other] = sides;
    [from_opener.octets, from_other.octets] = octets;
    // A flow whose SYN-ACK came first is written from its client, which has sent nothing by then.
    let is_flipped = opening == ImportedOpening::SynAck;
    let (opener, other, from_opener, from_other) = if is_flipped {
        (other, opener, from_other, from_opener)
    } else {
        (opener, other, from_opener, from_other)
    };
    Ok(Some(ImportedFlow {
        first,
        last,
        transport,
        opener,
        other,
        opening,
        from_opener,
        from_other,
        payload: match row.get("app_proto").as_deref() {
            Some("dns") => ImportedPayload::Dns,
            None | Some("failed") => ImportedPayload::Unknown,
            Some(_) => ImportedPayload::Other,
        },
        extent: ImportedExtent::Whole,
    }))
}

/// Returns what the flags of both directions show; where they are not written, the state.
fn tcp(record: &Map<String, Value>, state: Option<&str>, packets: [u64; 2]) -> (ImportedOpening, [ImportedSide; 2]) {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const PSH: u8 = 0x08;
    const ACK: u8 = 0x10;
    let flags_of = |name: &str| {
        let tcp = object(record, "tcp")?;
        u8::from_str_radix(tcp.get(name)?.as_str()?, 16).ok()
    };
    let (Some(out), Some(back)) = (flags_of("tcp_flags_ts"), flags_of("tcp_flags_tc")) else {
        let is_answered = matches!(state, Some("established" | "closed")) && packets.iter().all(|count| *count > 0);
        let spoke = |spoke, more| ImportedSide {
            spoke,
            went_on: more,
            ..ImportedSide::default()
        };
        let [sent, _] = packets;
        let sides = [spoke(sent > 0, is_answered), spoke(is_answered, is_answered)];
        return (ImportedOpening::Syn, sides);
    };
    // A reset carries ACK as well, so ACK by itself tells only where nothing was reset.
    let side = |flags: u8, packets: u64, is_syn_ack: bool| {
        let went_on = flags & (FIN | PSH) != 0
            || (flags & ACK != 0 && (flags & RST == 0 || packets > 2) && (!is_syn_ack || packets > 1));
        ImportedSide {
            octets: 0,
            spoke: went_on || flags & SYN != 0,
            went_on,
            reset: flags & RST != 0,
            syn_ack: is_syn_ack,
        }
    };
    let [sent, received] = packets;
    let is_accepted = back & (SYN | ACK) == SYN | ACK;
    let opening = if out & SYN != 0 {
        ImportedOpening::Syn
    } else if is_accepted {
        ImportedOpening::SynAck
    } else {
        ImportedOpening::Midstream
    };
    (opening, [side(out, sent, false), side(back, received, is_accepted)])
}

fn dns(
    record: &Map<String, Value>,
    row: &Cells<'_>,
    pending: &mut Pending,
    out: &mut Vec<ImportedRow>,
) -> Result<(), &'static str> {
    let dns = object(record, "dns").ok_or("no dns")?;
    let said = Cells::Object(dns);
    if !matches!(said.get("type").as_deref(), Some("answer" | "response")) {
        return Ok(());
    }
    let Some(transport) = transport(row)? else {
        return Ok(());
    };
    let at = row
        .get("timestamp")
        .as_deref()
        .and_then(time)
        .ok_or("no time in timestamp")?;
    let (source, destination) = ends(row)?;
    // Versions differ in whether a response is written from its sender or from the client of its flow.
    let (client, server) = if source.port < destination.port {
        (destination, source)
    } else {
        (source, destination)
    };
    let queries = dns.get("queries").and_then(Value::as_array);
    let first_query = queries.and_then(|queries| queries.first()?.get("rrname")?.as_str());
    let name = first_query.or_else(|| dns.get("rrname").and_then(Value::as_str));
    let name = plain_name(name.ok_or("no rrname")?);
    let is_good = matches!(said.get("rcode").as_deref(), None | Some("NOERROR" | "0"));
    let lookup = response(
        at,
        client.ip,
        server,
        transport,
        name,
        said.get("rd").as_deref() != Some("F"),
    );
    let version: u32 = said.parse("version").unwrap_or(1);
    if version == 1 && dns.get("answers").is_none() && dns.get("grouped").is_none() {
        one_record(row, &said, lookup, is_good, pending, out);
        return Ok(());
    }
    out.extend(pending.take());
    out.push(ImportedRow::Lookup(if is_good {
        with_answers(lookup, dns)
    } else {
        lookup
    }));
    Ok(())
}

fn response(
    at: Timestamp,
    client: Address,
    server: Endpoint,
    transport: Transport,
    name: String,
    is_recursive: bool,
) -> ImportedLookup {
    ImportedLookup {
        at,
        client,
        server,
        transport,
        name,
        chain: Vec::new(),
        answers: Vec::new(),
        query: ImportedQuery::Seen,
        is_recursive,
    }
}

/// Takes a record of version 1.
fn one_record(
    row: &Cells<'_>,
    said: &Cells<'_>,
    lookup: ImportedLookup,
    is_good: bool,
    pending: &mut Pending,
    out: &mut Vec<ImportedRow>,
) {
    let text = |cells: &Cells<'_>, name: &str| cells.get(name).unwrap_or_default().into_owned();
    let key = (text(row, "timestamp"), text(row, "flow_id"), text(said, "id"));
    let (kind, data) = (text(said, "rrtype"), text(said, "rdata"));
    let ttl = said.parse("ttl").unwrap_or(0);
    let owner = lookup.name.clone();
    if pending.response.as_ref().is_none_or(|(known, _)| *known != key) {
        out.extend(pending.take());
        pending.response = Some((key, lookup));
    }
    if is_good && pending.records.len() < MOST_RECORDS {
        pending.records.push((owner, kind, data, ttl));
    }
}

/// Adds what a response of version 2 or 3 gave.
fn with_answers(mut lookup: ImportedLookup, dns: &Map<String, Value>) -> ImportedLookup {
    if let Some(records) = dns.get("answers").and_then(Value::as_array) {
        let mut put_together = Pending::default();
        let text = |record: &Value, name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        for record in records.iter().take(MOST_RECORDS) {
            let ttl = record.get("ttl").and_then(Value::as_u64).unwrap_or(0);
            put_together.records.push((
                plain_name(&text(record, "rrname")),
                text(record, "rrtype"),
                text(record, "rdata"),
                u32::try_from(ttl).unwrap_or(u32::MAX),
            ));
        }
        put_together.response = Some((Key::default(), lookup.clone()));
        return match put_together.take() {
            Some(ImportedRow::Lookup(whole)) => whole,
            _ => lookup,
        };
    }
    let Some(grouped) = dns.get("grouped").and_then(Value::as_object) else {
        return lookup;
    };
    let list = |kind: &str| grouped.get(kind).and_then(Value::as_array).into_iter().flatten();
    let texts = |kind: &'static str| list(kind).filter_map(Value::as_str);
    for ip in texts("A")
        .chain(texts("AAAA"))
        .filter_map(|text| text.parse::<IpAddr>().ok())
    {
        let address = Address::from(ip);
        lookup.answers.push(ImportedAnswer { address, ttl: 0 });
    }
    if !lookup.answers.is_empty() {
        lookup.chain = texts("CNAME").map(plain_name).collect();
    }
    lookup
}

#[cfg(test)]
mod tests;
