//! Answers that the judge has to see: whose query was not seen, and those that somebody waits for (rules N2, N4).

use crate::model::{Address, Admission, AnswerUse, Counter, NameRecord, NameRow};

use super::super::report::{AnswerSeen, Matter, arrival_of};
use super::Judge;

impl Judge {
    /// Decides on answers whose query was not seen (rule N2); returns the addresses that somebody waits for: `addresses`
    /// and those that are admitted here.
    pub(super) fn take_answers(
        &mut self,
        mut answers: Vec<AnswerSeen>,
        mut addresses: Vec<Address>,
        save: Vec<NameRow>,
    ) -> Vec<Address> {
        answers.sort_unstable_by_key(arrival_of);
        self.out.batch.names.rows = save;
        for mut answer in answers {
            let answer_use = match answer.matter {
                Matter::Matched => AnswerUse::Evidence,
                Matter::OffPort => AnswerUse::OffPort,
                Matter::Unmatched if self.is_admitted(&answer) => AnswerUse::Evidence,
                Matter::Unmatched | Matter::Tunnel => AnswerUse::Unsolicited,
            };
            self.write_answer(&answer, answer_use);
            if answer_use == AnswerUse::Evidence {
                self.facts.note_client((answer.segment, answer.evidence.client));
            }
            if answer.matter != Matter::Unmatched {
                continue;
            }
            if answer_use == AnswerUse::Evidence {
                self.out.counters.count(Counter::DnsAdmitted);
                addresses.push(answer.address);
            } else {
                answer.evidence.facts.admission = Admission::Unsolicited;
            }
            let mut pieces = vec![NameRecord {
                segment: answer.segment,
                address: answer.address,
                evidence: answer.evidence,
            }];
            self.names.write(&mut pieces);
            pieces.retain(|piece| piece.evidence.facts.admission == Admission::Admitted);
            self.out.batch.names.records.append(&mut pieces);
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// Returns what says whether a contact or an alert waits for an address.
    pub(super) fn awaited(&self) -> impl Fn(Address) -> bool {
        /// Few wait and many are answered: one bit each of a short hash leaves few to look up.
        const BITS: usize = 1 << 16;
        let place = |address: Address| {
            let (high, low) = address.halves();
            let hash = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
            (hash as usize / 64, 1_u64 << (hash % 64))
        };
        let mut bits = [0_u64; BITS / 64];
        for address in self.contacts.awaited().chain(self.open.awaited()) {
            let (word, bit) = place(*address);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        move |address| {
            let (word, bit) = place(address);
            bits.get(word).is_some_and(|word| word & bit != 0)
                && (!self.contacts.waiting_for(address).is_empty() || self.open.awaits(address))
        }
    }

    fn is_admitted(&self, answer: &AnswerSeen) -> bool {
        let evidence = &answer.evidence;
        self.facts.shows_no_queries(answer.source)
            || (self.facts.is_lossy(answer.source, evidence.facts.last)
                && self
                    .facts
                    .has_answered(answer.segment, evidence.client, evidence.server(), evidence.facts.last))
    }
}
