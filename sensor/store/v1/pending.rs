//! Contacts that wait for their names: what changed in one batch.
//!
//! ```text
//! row       VERSION, rows before this batch are of no use, count and arrivals that wait no longer, count and contacts
//! arrival   − arrival before
//! contact   start, outcome and flags, end and flags, arrival − arrival before, first − first before, last − first,
//!           originator, responder (address and port), hardware address if MAC, octets out, octets in, segment unless
//!           SEGMENT_BEFORE
//! ```

use std::sync::Arc;

use crate::model::{Arrival, Endpoint, FlowEnd, FlowStart, Outcome, PendingContact, Timestamp, Transport};

use super::VERSION;
use super::octets::{Octets, put_address, put_signed, put_text, put_varint};

/// In the first octet, behind start (two bits) and outcome (three bits).
const NOT_TCP: u8 = 0x20;
const DNS: u8 = 0x40;
const MAC: u8 = 0x80;
/// In the second octet, behind the end (three bits): what is neither TCP nor UDP, and that the segment is that of the
/// contact before.
const GRE: u8 = 0x20;
const IPIP: u8 = 0x40;
const SEGMENT_BEFORE: u8 = 0x80;

/// What a contact takes on average, rounded up.
const USUAL_CONTACT: usize = 48;

/// The changes of one batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PendingRow {
    /// Rows of earlier batches than this one are of no use.
    pub from: u64,
    /// Contacts that wait no longer.
    pub judged: Vec<Arrival>,
    /// Contacts that wait from this batch on, or as they stand now.
    pub pending: Vec<PendingContact>,
}

/// Writes the changes of a batch.
pub fn encode_pending(from: u64, judged: &[Arrival], pending: &[PendingContact]) -> Vec<u8> {
    let mut row = Vec::with_capacity(32 + judged.len() * 4 + pending.len() * USUAL_CONTACT);
    row.push(VERSION);
    put_varint(&mut row, from);
    put_varint(&mut row, judged.len() as u64);
    let mut before = 0;
    for arrival in judged {
        put_signed(&mut row, arrival.0.wrapping_sub(before).cast_signed());
        before = arrival.0;
    }
    put_varint(&mut row, pending.len() as u64);
    let mut before = None;
    for contact in pending {
        put_contact(&mut row, contact, before);
        before = Some(contact);
    }
    row
}

/// Reads the changes of a batch.
pub fn decode_pending(row: &[u8]) -> Option<PendingRow> {
    let mut octets = Octets::of(row)?;
    let mut read = PendingRow {
        from: octets.varint()?,
        ..PendingRow::default()
    };
    let mut before = 0_u64;
    for _ in 0..octets.count()? {
        before = before.wrapping_add(octets.signed()?.cast_unsigned());
        read.judged.push(Arrival(before));
    }
    for _ in 0..octets.count()? {
        let contact = read_contact(&mut octets, read.pending.last())?;
        read.pending.push(contact);
    }
    octets.is_empty().then_some(read)
}

fn put_contact(row: &mut Vec<u8>, contact: &PendingContact, before: Option<&PendingContact>) {
    let start = match contact.start {
        FlowStart::Syn => 0,
        FlowStart::Datagram => 1,
        FlowStart::Midstream => 2,
    };
    let outcome = match contact.outcome {
        Outcome::Established => 0,
        Outcome::Refused => 1,
        Outcome::Attempted => 2,
        Outcome::Answered => 3,
        Outcome::Unanswered => 4,
    };
    let end = match contact.end {
        None => 0,
        Some(FlowEnd::Closed) => 1,
        Some(FlowEnd::Reset) => 2,
        Some(FlowEnd::Replaced) => 3,
        Some(FlowEnd::Idle) => 4,
        Some(FlowEnd::Evicted) => 5,
        Some(FlowEnd::TimeStep) => 6,
    };
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let has_segment_before = before.is_some_and(|before| before.segment == contact.segment);
    row.push(
        start
            | outcome << 2
            | flag(contact.transport != Transport::Tcp, NOT_TCP)
            | flag(contact.holds_dns, DNS)
            | flag(contact.mac.is_some(), MAC),
    );
    row.push(
        end | flag(contact.transport == Transport::Gre, GRE)
            | flag(contact.transport == Transport::Ipip, IPIP)
            | flag(has_segment_before, SEGMENT_BEFORE),
    );
    let (arrival, ts) = before.map_or((0, 0), |before| (before.arrival.0, before.ts.0));
    put_signed(row, contact.arrival.0.wrapping_sub(arrival).cast_signed());
    put_signed(row, contact.ts.0.wrapping_sub(ts));
    put_signed(row, contact.last.0.wrapping_sub(contact.ts.0));
    for endpoint in [contact.originator, contact.responder] {
        put_address(row, endpoint.ip);
        row.extend_from_slice(&endpoint.port.to_le_bytes());
    }
    if let Some(mac) = contact.mac {
        row.extend_from_slice(&mac);
    }
    put_varint(row, contact.octets_out);
    put_varint(row, contact.octets_in);
    if !has_segment_before {
        put_text(row, &contact.segment);
    }
}

fn read_contact(octets: &mut Octets<'_>, before: Option<&PendingContact>) -> Option<PendingContact> {
    let (flags, end) = (octets.octet()?, octets.octet()?);
    let start = match flags & 0x03 {
        0 => FlowStart::Syn,
        1 => FlowStart::Datagram,
        2 => FlowStart::Midstream,
        _ => return None,
    };
    let outcome = match flags >> 2 & 0x07 {
        0 => Outcome::Established,
        1 => Outcome::Refused,
        2 => Outcome::Attempted,
        3 => Outcome::Answered,
        4 => Outcome::Unanswered,
        _ => return None,
    };
    let has_segment_before = end & SEGMENT_BEFORE != 0;
    let transport = match (flags & NOT_TCP, end & (GRE | IPIP)) {
        (0, 0) => Transport::Tcp,
        (NOT_TCP, 0) => Transport::Udp,
        (NOT_TCP, GRE) => Transport::Gre,
        (NOT_TCP, IPIP) => Transport::Ipip,
        _ => return None,
    };
    let end = match end & !(SEGMENT_BEFORE | GRE | IPIP) {
        0 => None,
        1 => Some(FlowEnd::Closed),
        2 => Some(FlowEnd::Reset),
        3 => Some(FlowEnd::Replaced),
        4 => Some(FlowEnd::Idle),
        5 => Some(FlowEnd::Evicted),
        6 => Some(FlowEnd::TimeStep),
        _ => return None,
    };
    let (arrival, ts) = before.map_or((0, 0), |before| (before.arrival.0, before.ts.0));
    let arrival = Arrival(arrival.wrapping_add(octets.signed()?.cast_unsigned()));
    let ts = Timestamp(ts.wrapping_add(octets.signed()?));
    let last = Timestamp(ts.0.wrapping_add(octets.signed()?));
    let mut endpoint = || {
        Some(Endpoint {
            ip: octets.address()?,
            port: u16::from_le_bytes(octets.array()?),
        })
    };
    let (originator, responder) = (endpoint()?, endpoint()?);
    let mac = if flags & MAC == 0 { None } else { Some(octets.array()?) };
    let (octets_out, octets_in) = (octets.varint()?, octets.varint()?);
    let segment = if has_segment_before {
        Arc::clone(&before?.segment)
    } else {
        octets.text()?
    };
    Some(PendingContact {
        arrival,
        ts,
        last,
        transport,
        originator,
        responder,
        mac,
        segment,
        start,
        outcome,
        octets_out,
        octets_in,
        end,
        holds_dns: flags & DNS != 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn contacts_that_wait_come_back_as_they_were_written(
            from: u64,
            judged in prop::collection::vec(any::<u64>().prop_map(Arrival), 0..8),
            pending in prop::collection::vec(samples::pending(0..u64::MAX), 0..8),
            at: prop::sample::Index,
            by: u8,
        ) {
            let mut row = encode_pending(from, &judged, &pending);
            prop_assert_eq!(decode_pending(&row), Some(PendingRow { from, judged, pending }));
            let at = at.index(row.len());
            prop_assert_eq!(decode_pending(&row[..at]), None);
            row[at] ^= by;
            let _ = decode_pending(&row);
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_pending(&row);
            row.insert(0, VERSION);
            let _ = decode_pending(&row);
        }
    }
}
