//! Zeek's `conn.log` and `dns.log`, as tables and as JSON.
//!
//! `history` says packet kind by packet kind what each side sent, so it decides; `conn_state` stands in for it. Fields that
//! a site has removed are as if they were not set.

use std::net::IpAddr;

use crate::model::{
    Address, Endpoint, ImportedAnswer, ImportedExtent, ImportedFlow, ImportedLookup, ImportedOpening, ImportedPayload,
    ImportedQuery, ImportedRow, ImportedSide, Span, Transport,
};

use super::cells::{Cells, Columns};
use super::name::plain_name;
use super::time::{seconds, time};

/// Which log a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    Conn,
    Dns,
}

/// A table as its header lines describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    separator: String,
    pub columns: Columns,
    path: Option<String>,
}

impl Default for Header {
    /// Returns what Zeek writes unless it is told otherwise.
    fn default() -> Self {
        Self {
            separator: "\t".to_owned(),
            columns: Columns {
                names: Vec::new(),
                unset: "-".to_owned(),
                empty: "(empty)".to_owned(),
                set_separator: ",".to_owned(),
            },
            path: None,
        }
    }
}

impl Header {
    /// Takes a line that begins with `#`. One with `#separator` begins a table anew, as in logs that were joined.
    pub fn take(&mut self, line: &str) {
        // This line alone is separated by a space, since it says what separates.
        if let Some(separator) = line.strip_prefix("#separator ") {
            *self = Self::default();
            let octets = separator.split("\\x").skip(1);
            let octets: Option<Vec<char>> = octets
                .map(|digits| u8::from_str_radix(digits, 16).ok().map(char::from))
                .collect();
            self.separator = match octets {
                Some(octets) if !octets.is_empty() => octets.into_iter().collect(),
                _ => separator.to_owned(),
            };
            return;
        }
        let mut cells = line.split(self.separator.as_str());
        let key = cells.next().unwrap_or_default();
        let mut one = || cells.next().unwrap_or_default().to_owned();
        match key {
            "#set_separator" => self.columns.set_separator = one(),
            "#empty_field" => self.columns.empty = one(),
            "#unset_field" => self.columns.unset = one(),
            "#path" => self.path = Some(one()),
            "#fields" => self.columns.names = cells.map(str::to_owned).collect(),
            _ => {}
        }
    }

    /// Returns the cells of a line.
    pub fn cells<'a>(&self, line: &'a str) -> Vec<&'a str> {
        line.split(self.separator.as_str()).collect()
    }

    /// Returns which log the table is.
    pub fn log(&self) -> Result<Log, String> {
        match self.path.as_deref() {
            Some("conn") => Ok(Log::Conn),
            Some("dns") => Ok(Log::Dns),
            Some(other) => Err(format!(
                "a {}.log of Zeek; conn.log and dns.log are read",
                other.escape_default()
            )),
            None => {
                let has = |name: &str| self.columns.names.iter().any(|known| known == name);
                if has("query") {
                    Ok(Log::Dns)
                } else if has("id.orig_h") && has("proto") {
                    Ok(Log::Conn)
                } else {
                    Err("a log of Zeek without #path and without the fields of conn.log or dns.log".to_owned())
                }
            }
        }
    }
}

/// Returns which log a row of JSON is of; none for one of another log.
pub(super) fn log_of(row: &Cells<'_>) -> Option<Log> {
    match row.get("_path").as_deref() {
        Some("conn") => Some(Log::Conn),
        Some("dns") => Some(Log::Dns),
        Some(_) => None,
        None if row.get("conn_state").is_some() || row.get("history").is_some() => Some(Log::Conn),
        None if row.get("trans_id").is_some() || row.get("query").is_some() || row.get("rcode").is_some() => {
            Some(Log::Dns)
        }
        None => None,
    }
}

/// Reads a row; none for one that says nothing of a flow or of a response.
pub(super) fn read(log: Log, row: &Cells<'_>) -> Result<Option<ImportedRow>, &'static str> {
    match log {
        Log::Conn => conn(row).map(|flow| flow.map(ImportedRow::Flow)),
        Log::Dns => dns(row).map(|lookup| lookup.map(ImportedRow::Lookup)),
    }
}

fn transport(row: &Cells<'_>) -> Result<Option<Transport>, &'static str> {
    match row.get("proto").as_deref() {
        Some("tcp") => Ok(Some(Transport::Tcp)),
        Some("udp") => Ok(Some(Transport::Udp)),
        // ICMP, and what Zeek does not know.
        Some(_) => Ok(None),
        None => Err("no proto"),
    }
}

fn endpoint(row: &Cells<'_>, host: &str, port: &str) -> Option<Endpoint> {
    let ip: IpAddr = row.parse(host)?;
    Some(Endpoint {
        ip: Address::from(ip),
        port: row.parse(port)?,
    })
}

fn conn(row: &Cells<'_>) -> Result<Option<ImportedFlow>, &'static str> {
    let Some(transport) = transport(row)? else {
        return Ok(None);
    };
    let first = row.get("ts").as_deref().and_then(time).ok_or("no time in ts")?;
    let originator = endpoint(row, "id.orig_h", "id.orig_p").ok_or("no address and port of the originator")?;
    let responder = endpoint(row, "id.resp_h", "id.resp_p").ok_or("no address and port of the responder")?;
    let duration = match row.get("duration") {
        Some(text) => seconds(&text).ok_or("duration is no number of seconds")?,
        None => Span::ZERO,
    };
    let Seen {
        opening,
        is_flipped,
        mut sides,
    } = seen(row, transport);
    for (side, name) in sides.iter_mut().zip(["orig_bytes", "resp_bytes"]) {
        side.octets = row.parse(name).unwrap_or(0);
    }
    let service = row.get("service");
    let payload = match service {
        Some(services) if services.split(',').any(|service| service == "dns") => ImportedPayload::Dns,
        Some(_) => ImportedPayload::Other,
        None => ImportedPayload::Unknown,
    };
    let [from_originator, from_responder] = sides;
    let (opener, other, from_opener, from_other) = if is_flipped {
        (responder, originator, from_responder, from_originator)
    } else {
        (originator, responder, from_originator, from_responder)
    };
    Ok(Some(ImportedFlow {
        first,
        last: first.plus(duration.max(Span::ZERO)),
        transport,
        opener,
        other,
        opening,
        from_opener,
        from_other,
        payload,
        extent: ImportedExtent::Whole,
    }))
}

/// What history or state say.
struct Seen {
    opening: ImportedOpening,
    /// The responder sent the first packet.
    is_flipped: bool,
    /// The originator's and the responder's.
    sides: [ImportedSide; 2],
}

fn seen(row: &Cells<'_>, transport: Transport) -> Seen {
    let history = row.get("history").filter(|history| !history.is_empty());
    match (history, transport) {
        (Some(history), Transport::Tcp) => by_history(&history),
        (Some(history), _) => {
            let mut sides = [ImportedSide::default(); 2];
            // Zeek turns a flow round whose responder's port it knows, and says so.
            let is_flipped = history.starts_with('^') || history.starts_with('d');
            for letter in history.chars().filter(char::is_ascii_alphabetic) {
                let [orig, resp] = &mut sides;
                let side = if letter.is_ascii_uppercase() { orig } else { resp };
                side.spoke = true;
            }
            Seen {
                opening: ImportedOpening::Datagram,
                is_flipped,
                sides,
            }
        }
        (None, _) => by_state(row, transport),
    }
}

fn by_history(history: &str) -> Seen {
    let letters = history.trim_start_matches('^');
    let mut sides = [ImportedSide::default(); 2];
    for letter in letters.chars().filter(char::is_ascii_alphabetic) {
        let [orig, resp] = &mut sides;
        let side = if letter.is_ascii_uppercase() { orig } else { resp };
        match letter.to_ascii_lowercase() {
            's' => side.spoke = true,
            'h' => (side.spoke, side.syn_ack) = (true, true),
            'r' => side.reset = true,
            _ => (side.spoke, side.went_on) = (true, true),
        }
    }
    let first = letters.chars().next().unwrap_or('?');
    Seen {
        opening: match first.to_ascii_lowercase() {
            's' => ImportedOpening::Syn,
            'h' => ImportedOpening::SynAck,
            _ => ImportedOpening::Midstream,
        },
        is_flipped: first.is_ascii_lowercase(),
        sides,
    }
}

fn by_state(row: &Cells<'_>, transport: Transport) -> Seen {
    const NOTHING: ImportedSide = ImportedSide {
        octets: 0,
        spoke: false,
        went_on: false,
        reset: false,
        syn_ack: false,
    };
    const SYN: ImportedSide = ImportedSide { spoke: true, ..NOTHING };
    const WENT_ON: ImportedSide = ImportedSide { went_on: true, ..SYN };
    const ACCEPTED: ImportedSide = ImportedSide {
        syn_ack: true,
        ..WENT_ON
    };
    const RESET: ImportedSide = ImportedSide { reset: true, ..NOTHING };
    let state = row.get("conn_state");
    let sent = |octets: &str, packets: &str| {
        let more_than_none = |name| row.parse::<u64>(name).is_some_and(|count| count > 0);
        more_than_none(octets) || more_than_none(packets)
    };
    let sent = [sent("orig_bytes", "orig_pkts"), sent("resp_bytes", "resp_pkts")];
    if transport != Transport::Tcp {
        let states = match state.as_deref() {
            Some("S0") => [true, false],
            Some("SHR") => [false, true],
            Some("SF") => [true, true],
            _ => sent,
        };
        let sides = states.map(|spoke| ImportedSide { spoke, ..NOTHING });
        return Seen {
            opening: ImportedOpening::Datagram,
            is_flipped: states == [false, true],
            sides,
        };
    }
    let (opening, is_flipped, sides) = match state.as_deref() {
        Some("S0" | "RSTOS0") => (ImportedOpening::Syn, false, [SYN, NOTHING]),
        Some("SH") => (ImportedOpening::Syn, false, [WENT_ON, NOTHING]),
        Some("REJ") => (ImportedOpening::Syn, false, [SYN, RESET]),
        Some("S1" | "S2" | "S3" | "SF" | "RSTO" | "RSTR") => (ImportedOpening::Syn, false, [WENT_ON, ACCEPTED]),
        Some("RSTRH" | "SHR") => (ImportedOpening::SynAck, true, [NOTHING, ACCEPTED]),
        _ => {
            let sides = sent.map(|sent| if sent { WENT_ON } else { NOTHING });
            (ImportedOpening::Midstream, false, sides)
        }
    };
    Seen {
        opening,
        is_flipped,
        sides,
    }
}

fn dns(row: &Cells<'_>) -> Result<Option<ImportedLookup>, &'static str> {
    let Some(transport) = transport(row)? else {
        return Ok(None);
    };
    let asked = row.get("ts").as_deref().and_then(time).ok_or("no time in ts")?;
    let client = endpoint(row, "id.orig_h", "id.orig_p").ok_or("no address and port of the originator")?;
    let server = endpoint(row, "id.resp_h", "id.resp_p").ok_or("no address and port of the responder")?;
    let round_trip = row.get("rtt").as_deref().and_then(seconds);
    let answers = row.list("answers");
    let code = row.get("rcode").or_else(|| row.get("rcode_name"));
    let Some(name) = row.get("query").filter(|_| code.is_some() || !answers.is_empty()) else {
        // Nobody answered, or it is not known what was asked.
        return Ok(None);
    };
    let is_good = matches!(code.as_deref(), None | Some("0" | "NOERROR"));
    let ttls = row.list("TTLs");
    let (mut addresses, mut chain) = (Vec::new(), Vec::new());
    let asks_for_addresses = !matches!(row.get("qtype_name").as_deref(), Some(kind) if kind != "A" && kind != "AAAA");
    for (place, answer) in answers.iter().enumerate().filter(|_| is_good) {
        match answer.parse::<IpAddr>() {
            Ok(ip) => {
                let ttl = ttls.get(place).and_then(|ttl| seconds(ttl)).unwrap_or_default();
                addresses.push(ImportedAnswer {
                    address: Address::from(ip),
                    ttl: u32::try_from(ttl.0.max(0) / Span::seconds(1).0).unwrap_or(u32::MAX),
                });
            }
            Err(_) if asks_for_addresses && addresses.is_empty() => chain.push(plain_name(answer)),
            Err(_) => {}
        }
    }
    Ok(Some(ImportedLookup {
        at: asked.plus(round_trip.unwrap_or_default()),
        client: client.ip,
        server,
        transport,
        name: plain_name(&name),
        chain,
        answers: addresses,
        query: match round_trip {
            Some(_) => ImportedQuery::Seen,
            None => ImportedQuery::NotSeen,
        },
        is_recursive: row.get("RD").as_deref() != Some("F"),
    }))
}

#[cfg(test)]
mod tests;
