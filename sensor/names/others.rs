//! What others were told of an address (rules N4 and N5).
//!
//! An address of a content network may have been told to every client there is. So clients are asked in their order, from
//! where it matters, and no more of them than [`Names::of_told`] says: what a contact costs must not grow with them.

use std::ops::RangeInclusive;
use std::sync::PoisonError;

use crate::model::{Address, Evidence, Segment, Timestamp};

use super::map::{Client, Names};
use super::told::Next;

/// How many clients with something to say are listened to, at most, before there is enough of them.
pub const ENOUGH: usize = 256;
/// How many clients that were told of the address are asked at most, if what they were told is of no use.
pub const LOOKED: usize = 4096;

/// All there is, to ask everybody.
pub const EVERYBODY: RangeInclusive<Address> = Address::v6([0; 16])..=Address::v6([0xff; 16]);

/// Who is asked about what.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The address space of the clients.
    pub segment: Segment,
    /// The address.
    pub address: Address,
    /// The time of the contact: what answers let end before it lives as long as its name is used (rule N3).
    pub at: Timestamp,
    /// The clients, range after range. None is in two of them.
    pub among: &'a [RangeInclusive<Address>],
    /// After how many clients who had something to say the rest is left aside.
    pub enough: usize,
}

/// Returns everybody, from a client on and round.
#[must_use]
pub fn around(client: Address) -> [RangeInclusive<Address>; 2] {
    let (first, last) = EVERYBODY.into_inner();
    match before(client) {
        Some(before) => [client..=last, first..=before],
        None => [client..=last, last..=first],
    }
}

impl Names {
    /// Returns what clients were told of an address, as far as `wanted` says so, in the order of clients and names.
    ///
    /// `passed` is given each client that may have been told, and says through which one nobody is to be asked, if it is not
    /// itself to be. Clients are asked in order until `enough` of them had something, or 4,096 were asked.
    #[must_use]
    pub fn of_told(
        &self,
        asked: &Asked<'_>,
        mut passed: impl FnMut(Address) -> Option<Address>,
        mut wanted: impl FnMut(&Evidence) -> bool,
    ) -> Vec<Evidence> {
        let mut found = Vec::new();
        let (mut looked, mut listened) = (0, 0);
        for range in asked.among {
            let from = (asked.segment, *range.start());
            self.visit_told(asked.address, from, |(segment, client)| {
                if segment != asked.segment || client > *range.end() {
                    return Next::End;
                }
                if let Some(last) = passed(client) {
                    return after(last).map_or(Next::End, |next| Next::From((segment, next)));
                }
                let (mut has_any, before) = (false, found.len());
                self.of_client(segment, asked.address, client, asked.at, |evidence| {
                    has_any = true;
                    if wanted(&evidence) {
                        found.push(evidence);
                    }
                });
                looked += usize::from(has_any);
                listened += usize::from(found.len() > before);
                if looked < LOOKED && listened < asked.enough {
                    Next::One
                } else {
                    Next::End
                }
            });
            if looked >= LOOKED || listened >= asked.enough {
                break;
            }
        }
        found.sort_unstable_by(|a, b| a.client.cmp(&b.client).then_with(|| a.name().cmp(b.name())));
        found
    }

    /// Returns the clients of all segments that may have been told of an address, in order.
    #[must_use]
    pub fn told(&self, address: Address) -> Vec<Client> {
        let mut clients = Vec::new();
        let from = (Segment::NONE, *EVERYBODY.start());
        self.visit_told(address, from, |client| {
            clients.push(client);
            Next::One
        });
        clients
    }

    /// Returns how many clients [`Names::told`] would return, or a little more.
    #[must_use]
    pub fn told_count(&self, address: Address) -> usize {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        self.told.count(self.hash_of(address), |entry| numbers.client_of(entry))
    }

    fn visit_told(&self, address: Address, from: Client, take: impl FnMut(Client) -> Next) {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        self.told
            .visit(self.hash_of(address), from, |entry| numbers.client_of(entry), take);
    }
}

fn after(address: Address) -> Option<Address> {
    let next = u128::from_be_bytes(address.octets()).checked_add(1)?;
    Some(Address::v6(next.to_be_bytes()))
}

fn before(address: Address) -> Option<Address> {
    let before = u128::from_be_bytes(address.octets()).checked_sub(1)?;
    Some(Address::v6(before.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{Admission, AnswerFacts, EvidenceKind, NameRecord, Provenance, Span};

    const SERVER: Address = Address::v4([203, 0, 113, 1]);

    fn client(n: u32) -> Address {
        Address::v4((0x0a00_0000 + n).to_be_bytes())
    }

    fn given(segment: Segment, n: u32, name: u8) -> NameRecord {
        let mut facts = AnswerFacts::one(EvidenceKind::DnsAddress, 60, Timestamp(i64::from(name)));
        if name % 4 == 3 {
            facts.admission = Admission::Unsolicited;
        }
        let name = format!("n{name}.example").into();
        NameRecord {
            segment,
            address: SERVER,
            evidence: Evidence {
                provenance: Arc::new(Provenance::new(name, client(0), Box::default())),
                client: client(n),
                facts,
            },
        }
    }

    fn counts(evidence: &Evidence) -> bool {
        evidence.facts.admission == Admission::Admitted
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_look_at_everybody_finds(
            written in prop::collection::vec((0_u32..2, 0_u32..60, 0_u8..8), 1..150),
            ranges in prop::collection::btree_set(0_u32..60, 0..7),
            enough in 1_usize..40,
            left_out in (0_u32..60, 0_u32..9),
            drops in any::<bool>(),
        ) {
            let names = Names::new();
            for (segment, n, name) in &written {
                names.write(&mut vec![given(Segment::vni(*segment), *n, *name)]);
            }
            if drops {
                // Stale entries stay in the index.
                names.evict(names.octets() / 2);
                names.write(&mut vec![given(Segment::vni(0), 3, 1)]);
            }
            let ends: Vec<u32> = ranges.into_iter().collect();
            let among: Vec<_> = ends.chunks_exact(2).map(|ends| client(ends[0])..=client(ends[1] - 1)).collect();
            let segment = Segment::vni(0);
            let left_out = client(left_out.0)..=client(left_out.0 + left_out.1);
            let asked = Asked { segment, address: SERVER, at: Timestamp(0), among: &among, enough };
            let found = names.of_told(
                &asked,
                |client| left_out.contains(&client).then_some(*left_out.end()),
                counts,
            );

            let mut expected: Vec<Evidence> = Vec::new();
            let mut clients = 0;
            let all = (0..60).map(client).filter(|client| among.iter().any(|range| range.contains(client)));
            for client in all.filter(|client| !left_out.contains(client)) {
                if clients == enough {
                    break;
                }
                let before = expected.len();
                names.of_client(segment, SERVER, client, Timestamp(0), |evidence| expected.extend(Some(evidence).filter(counts)));
                let own = expected.get_mut(before..).unwrap();
                own.sort_unstable_by(|a, b| a.name().cmp(b.name()));
                clients += usize::from(!own.is_empty());
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn around_a_client_is_everybody_once() {
        for n in [client(7), *EVERYBODY.start(), *EVERYBODY.end()] {
            let ranges = around(n);
            assert!(ranges[0].contains(&n));
            for other in [client(0), client(7), client(8), *EVERYBODY.start(), *EVERYBODY.end()] {
                assert_eq!(
                    ranges.iter().filter(|range| range.contains(&other)).count(),
                    1,
                    "{n} {other}"
                );
            }
        }
    }

    #[test]
    fn no_more_are_asked_than_a_contact_may_cost() {
        let names = Names::new();
        let mut pieces: Vec<NameRecord> = (0..10_000).map(|n| given(Segment::NONE, n, 3)).collect();
        pieces.extend((20_000..30_000).map(|n| given(Segment::NONE, n, 1)));
        names.write(&mut pieces);
        let from = |from: u32| {
            let among = around(client(from));
            let asked = Asked {
                segment: Segment::NONE,
                address: SERVER,
                at: Timestamp(0).plus(Span::seconds(1)),
                among: &among,
                enough: ENOUGH,
            };
            let mut looked = 0;
            let found = names.of_told(
                &asked,
                |_| None,
                |evidence| {
                    looked += 1;
                    counts(evidence)
                },
            );
            (looked, found.len())
        };
        assert_eq!(from(0), (LOOKED, 0));
        assert_eq!(from(9_990), (10 + ENOUGH, ENOUGH));
        assert_eq!(from(25_000), (ENOUGH, ENOUGH));
        assert_eq!(from(29_900), (100 + LOOKED - 100, 100));
    }
}
