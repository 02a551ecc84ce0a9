//! Lines of `dns.jsonl` and `flows.jsonl`.

use crate::flow::FlowUpdate;
use crate::model::{AnswerUse, DnsRecord, FlowRecord, FlowStart, Record};

use super::super::report::AnswerSeen;
use super::super::worker::Records;
use super::Judge;
use super::originator::originator;

impl Judge {
    /// Writes the record of an answer.
    pub(super) fn write_answer(&mut self, answer: &AnswerSeen, answer_use: AnswerUse) {
        if self.records == Records::NotWanted {
            return;
        }
        let evidence = &answer.evidence;
        let record = DnsRecord {
            ts: evidence.facts.last,
            frame: answer.arrival,
            place: answer.arrival.into(),
            client: evidence.client,
            server: evidence.server(),
            transport: answer.transport,
            name: evidence.name().clone(),
            address: answer.address,
            ttl: evidence.facts.ttl,
            chain: evidence.provenance.chain.clone(),
            segment: self.text_of(answer.segment),
            answer_use,
        };
        self.out.records.push(Record::Dns(record));
    }

    /// Writes the record of a flow that ended, or that is open when input ends.
    pub(super) fn write_flow(&mut self, update: &FlowUpdate) {
        if self.records == Records::NotWanted || update.is_tunnel {
            return;
        }
        // The frame that opened a flow in a tunnel may have opened that of the tunnel too.
        let is_contact = !update.key.segment().is_tunnel();
        let known = self.contacts.side_of(update.flow).filter(|_| is_contact);
        let told = originator(update, &self.facts, |side| {
            !self.is_internal(update.key.endpoint(side).ip)
        });
        let (side, start) = match (known, told) {
            (Some(known), _) => known,
            (None, Some(told)) => told,
            // Nothing tells the sides apart: who was seen first stands first.
            (None, None) => (update.opener, FlowStart::Midstream),
        };
        let record = FlowRecord {
            ts: update.first,
            frame: update.flow,
            place: update.flow.into(),
            transport: update.key.transport(),
            originator: update.key.endpoint(side),
            responder: update.key.endpoint(side.other()),
            start,
            outcome: update.outcome(side),
            octets_out: update.sides.of(side).octets,
            octets_in: update.sides.of(side.other()).octets,
            end: update.end,
            segment: self.text_of(update.key.segment()),
        };
        self.out.records.push(Record::Flow(record));
    }
}
