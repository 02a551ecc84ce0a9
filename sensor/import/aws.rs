//! AWS: VPC flow logs, and query logs of the Route 53 resolver.
//!
//! A flow log has a row for each direction and stretch of time (up to ten minutes), so its rows are parts of flows. A query
//! log does not say who answered: it is the resolver of the VPC, which every VPC has at one address.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::model::{
    Address, Endpoint, ImportedAnswer, ImportedExtent, ImportedFlow, ImportedLookup, ImportedOpening, ImportedPayload,
    ImportedQuery, ImportedSide, SECOND, Timestamp, Transport,
};

use super::cells::{Cells, Columns};
use super::name::plain_name;
use super::time::time;

/// The fields of the default format, version 2.
const DEFAULT: [&str; 14] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
];

/// Where the resolver of every VPC answers, beside the address of the VPC itself.
const RESOLVER: Address = Address::v4([169, 254, 169, 253]);

/// Returns the fields that a header line names, or those of the default format if the line is one of its rows; none if it
/// is neither.
pub(super) fn columns(line: &str) -> Option<(Columns, IsHeader)> {
    let cells: Vec<&str> = line.split_ascii_whitespace().collect();
    let columns = |names: Vec<String>| Columns {
        names,
        unset: "-".to_owned(),
        ..Columns::default()
    };
    if cells.contains(&"srcaddr") && cells.contains(&"dstaddr") {
        return Some((columns(cells.into_iter().map(str::to_owned).collect()), IsHeader::Yes));
    }
    let is_row = cells.len() == DEFAULT.len()
        && cells.first() == Some(&"2")
        && matches!(cells.last(), Some(&("OK" | "NODATA" | "SKIPDATA")));
    is_row.then(|| (columns(DEFAULT.map(str::to_owned).into()), IsHeader::No))
}

/// Returns a row without the time that CloudWatch puts before it where it exports a log.
pub(super) fn without_stamp(line: &str) -> &str {
    let stamped = line.split_once(' ').filter(|(stamp, _)| {
        stamp.ends_with('Z') && stamp.contains('T') && stamp.starts_with(|first: char| first.is_ascii_digit())
    });
    stamped.map_or(line, |(_, row)| row.trim_start())
}

/// Whether the line was a header or the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IsHeader {
    Yes,
    No,
}

/// Reads a row of a flow log; none for one that says nothing: no data, data that AWS left out, another protocol, and
/// datagrams that were rejected, which nobody received and which are no attempts as SYNs are.
pub(super) fn flow(row: &Cells<'_>) -> Result<Option<ImportedFlow>, &'static str> {
    if let Some("NODATA" | "SKIPDATA") = row.get("log-status").as_deref() {
        return Ok(None);
    }
    let transport = match row.get("protocol").as_deref() {
        Some("6") => Transport::Tcp,
        Some("17") => Transport::Udp,
        Some(number) if number.parse::<u8>().is_ok() => return Ok(None),
        _ => return Err("no protocol"),
    };
    let end = |packet: &str, host: &str, port: &str| {
        // Behind a gateway, who sent the packet is another than who handed it on.
        let ip: IpAddr = row.parse(packet).or_else(|| row.parse(host))?;
        let port = row.parse(port)?;
        Some(Endpoint {
            ip: Address::from(ip),
            port,
        })
    };
    let opener = end("pkt-srcaddr", "srcaddr", "srcport").ok_or("no source address and port")?;
    let other = end("pkt-dstaddr", "dstaddr", "dstport").ok_or("no destination address and port")?;
    let second = |name: &str| {
        let seconds: i64 = row.parse(name)?;
        seconds.checked_mul(SECOND).map(Timestamp)
    };
    let first = second("start").ok_or("no time in start")?;
    let last = second("end").unwrap_or(first).max(first);
    let is_rejected = match row.get("action").as_deref() {
        Some("ACCEPT") | None => false,
        Some("REJECT") => true,
        Some(_) => return Err("action is neither ACCEPT nor REJECT"),
    };
    if is_rejected && transport == Transport::Udp {
        return Ok(None);
    }
    let number = |name: &str| row.parse::<u64>(name).unwrap_or(0);
    let ip = if opener.ip.as_v4().is_some() { 20 } else { 40 };
    let header = ip + if transport == Transport::Tcp { 20 } else { 8 };
    let octets = number("bytes").saturating_sub(number("packets").saturating_mul(header));
    let (opening, side) = shown(row, transport, is_rejected);
    Ok(Some(ImportedFlow {
        first,
        last,
        transport,
        opener,
        other,
        opening,
        from_opener: ImportedSide { octets, ..side },
        from_other: ImportedSide {
            reset: is_rejected,
            ..ImportedSide::default()
        },
        payload: ImportedPayload::Unknown,
        extent: ImportedExtent::Part,
    }))
}

/// Returns what a direction shows. `tcp-flags` joins those of all packets of the row; ACK alone is not among them.
fn shown(row: &Cells<'_>, transport: Transport, is_rejected: bool) -> (ImportedOpening, ImportedSide) {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    let spoke = ImportedSide {
        spoke: true,
        ..ImportedSide::default()
    };
    if transport == Transport::Udp {
        return (ImportedOpening::Datagram, spoke);
    }
    let flags: Option<u8> = row.parse("tcp-flags");
    let packets: u64 = row.parse("packets").unwrap_or(0);
    let (opening, is_reset) = match flags {
        Some(flags) if flags & (SYN | ACK) == SYN => (ImportedOpening::Syn, false),
        Some(flags) if flags & SYN != 0 => (ImportedOpening::SynAck, false),
        Some(flags) => (ImportedOpening::Midstream, flags & RST != 0 && packets <= 1),
        // What a rule rejects never went further than its SYN.
        None if is_rejected => (ImportedOpening::Syn, false),
        None => (ImportedOpening::Midstream, false),
    };
    let went_on = !is_rejected && flags.is_some_and(|flags| flags & FIN != 0 || flags == 0);
    let side = ImportedSide {
        octets: 0,
        spoke: !is_reset,
        went_on: went_on && !is_reset,
        reset: flags.is_some_and(|flags| flags & RST != 0),
        syn_ack: opening == ImportedOpening::SynAck,
    };
    (opening, side)
}

/// Reads a row of a query log; none for one without a response.
pub(super) fn query(record: &Map<String, Value>) -> Result<Option<ImportedLookup>, &'static str> {
    let row = Cells::Object(record);
    let at = row
        .get("query_timestamp")
        .as_deref()
        .and_then(time)
        .ok_or("no time in query_timestamp")?;
    let client: IpAddr = row.parse("srcaddr").ok_or("no address in srcaddr")?;
    let name = row.get("query_name").ok_or("no query_name")?;
    let Some(code) = row.get("rcode") else {
        return Ok(None);
    };
    let records = record.get("answers").and_then(Value::as_array);
    let records = records.into_iter().flatten().filter(|_| code == "NOERROR");
    let (mut answers, mut chain) = (Vec::new(), Vec::new());
    for record in records {
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        match (text("Type"), text("Rdata").parse::<IpAddr>()) {
            ("A" | "AAAA", Ok(ip)) => answers.push(ImportedAnswer {
                address: Address::from(ip),
                ttl: 0,
            }),
            ("CNAME", _) => chain.push(plain_name(text("Rdata"))),
            _ => {}
        }
    }
    if answers.is_empty() {
        chain.clear();
    }
    Ok(Some(ImportedLookup {
        at,
        client: Address::from(client),
        server: Endpoint { ip: RESOLVER, port: 53 },
        transport: match row.get("transport").as_deref() {
            Some("TCP") => Transport::Tcp,
            _ => Transport::Udp,
        },
        name: plain_name(&name),
        chain,
        answers,
        query: ImportedQuery::Seen,
        is_recursive: true,
    }))
}

#[cfg(test)]
mod tests;
