//! Pages as the ledger holds them: up to 64 pairs of a workload, each of which can be read without the ones before it.
//!
//! ```text
//! page  VERSION, least `last`, greatest `last`, batch, `first` of the first pair, count, octets of each pair, then the pairs
//! ```
//!
//! Times in pairs are relative to the `first` in front; names may be told by where they stand further in front.

use crate::model::{PairBefore, PairKeyView, PairView, StoredPage, StoredPair, Timestamp};

use super::VERSION;
use super::octets::{Octets, put_time};
use super::pair::{Names, PairHead, put_pair};

/// What a pair takes on average, rounded up: to size what is written before it is.
const USUAL_PAIR: usize = 48;

/// When the pairs of a page had their last contacts: all that expiry must know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSpan {
    /// The least `last` of its pairs.
    pub least: Timestamp,
    /// The greatest `last` of its pairs.
    pub greatest: Timestamp,
}

/// What stands in front of the pairs.
struct Front {
    span: PageSpan,
    batch: u64,
    base: Timestamp,
    count: usize,
}

/// Returns the row of a page that a batch writes.
pub fn encode_page<'a>(batch: u64, pairs: &mut dyn Iterator<Item = PairView<'a>>) -> Vec<u8> {
    let mut body = Vec::with_capacity(StoredPair::A_PAGE as usize * USUAL_PAIR);
    let (mut least, mut greatest) = (Timestamp(i64::MAX), Timestamp::MIN);
    let mut before = None;
    let mut lengths = Vec::with_capacity(StoredPair::A_PAGE as usize * size_of::<u16>());
    for view in pairs {
        least = least.min(view.pair.last());
        greatest = greatest.max(view.pair.last());
        let before = before.get_or_insert_with(|| PairBefore {
            first: view.pair.first(),
            ..PairBefore::default()
        });
        let start = body.len();
        put_pair(&mut body, &view, before);
        // A pair has a destination, four names and eight ports at most, each of which has its bound.
        let length = u16::try_from(body.len() - start).unwrap_or(u16::MAX);
        lengths.extend_from_slice(&length.to_le_bytes());
    }
    let mut row = Vec::with_capacity(64 + lengths.len() + body.len());
    row.push(VERSION);
    put_time(&mut row, least);
    put_time(&mut row, greatest);
    row.extend_from_slice(&batch.to_le_bytes());
    put_time(&mut row, before.unwrap_or_default().first);
    row.push((lengths.len() / size_of::<u16>()) as u8);
    row.extend_from_slice(&lengths);
    row.extend_from_slice(&body);
    row
}

/// Reads what stands in front of the pairs.
fn read_front(octets: &mut Octets<'_>) -> Option<Front> {
    Some(Front {
        span: PageSpan {
            least: octets.time()?,
            greatest: octets.time()?,
        },
        batch: u64::from_le_bytes(octets.array()?),
        base: octets.time()?,
        count: usize::from(octets.octet()?),
    })
}

/// Reads of a page what it says of all of its pairs.
pub fn decode_page(number: u32, row: Box<[u8]>) -> Option<StoredPage> {
    let front = read_front(&mut Octets::of(&row)?)?;
    Some(StoredPage {
        number,
        batch: front.batch,
        least: front.span.least,
        row,
    })
}

/// Reads of a page only what expiry must know.
pub fn page_span(row: &[u8]) -> Option<PageSpan> {
    read_front(&mut Octets::of(row)?).map(|front| front.span)
}

/// Reads of a page only which batch wrote it.
pub fn page_batch(row: &[u8]) -> Option<u64> {
    read_front(&mut Octets::of(row)?).map(|front| front.batch)
}

/// Gives the head of each pair of a page to `take`, with what follows it and what times are relative to; stops where that
/// says so.
fn walk<'a>(row: &'a [u8], mut take: impl FnMut(PairHead<'a>, Octets<'a>, Timestamp) -> Option<Walk>) -> Option<()> {
    let mut octets = Octets::of(row)?;
    let front = read_front(&mut octets)?;
    let lengths = octets.slice(front.count * size_of::<u16>())?.as_chunks().0;
    let body = octets.rest();
    let mut start = 0;
    for length in lengths {
        let end = start + usize::from(u16::from_le_bytes(*length));
        let (head, rest) = PairHead::read(body.get(..end)?, start)?;
        if take(head, rest, front.base)? == Walk::Done {
            return Some(());
        }
        start = end;
    }
    (start == body.len()).then_some(())
}

/// Whether there is more to look at.
#[derive(PartialEq, Eq)]
enum Walk {
    Done,
    On,
}

/// Gives slot and destination of each pair of a page, which are one behind the other and in its place, to `take`.
pub fn page_slots(page: &StoredPage, take: &mut dyn FnMut(u32, PairKeyView<'_>)) -> Option<()> {
    let first = page.number.checked_mul(StoredPair::A_PAGE)?;
    let mut left = first..=first.checked_add(StoredPair::A_PAGE - 1)?;
    walk(&page.row, |head, _, _| {
        if !left.contains(&head.slot) {
            return None;
        }
        left = head.slot + 1..=*left.end();
        take(head.slot, head.key);
        Some(Walk::On)
    })
}

/// Gives the pairs of a page, all of them or the one in a slot, to `take`.
pub fn page_pairs(row: &[u8], slot: Option<u32>, take: &mut dyn FnMut(StoredPair)) -> Option<()> {
    let mut names = Names::default();
    walk(row, |head, mut rest, base| {
        if slot.is_none_or(|slot| slot == head.slot) {
            take(
                head.read_stored(&mut rest, base, &mut names)
                    .filter(|_| rest.is_empty())?,
            );
        }
        let is_done = slot.is_some_and(|slot| slot <= head.slot);
        Some(if is_done { Walk::Done } else { Walk::On })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;
    use crate::model::{Address, Pair, PairKey, Provenance, WorkloadId};

    fn read_all(row: &[u8]) {
        let _ = (page_span(row), page_batch(row), page_pairs(row, None, &mut |_| {}));
        if let Some(page) = decode_page(0, row.into()) {
            let _ = page_slots(&page, &mut |_, _| {});
        }
    }

    proptest! {
        #[test]
        fn a_page_comes_back_with_its_span((_, number, pairs) in samples::page_of_pairs(), batch: u64) {
            let row = encode_page(batch, &mut pairs.iter().map(|stored| stored.view(WorkloadId(1))));
            let span = page_span(&row).unwrap();
            if !pairs.is_empty() {
                prop_assert_eq!(Some(span.least), pairs.iter().map(|stored| stored.pair.last()).min());
                prop_assert_eq!(Some(span.greatest), pairs.iter().map(|stored| stored.pair.last()).max());
            }
            let page = decode_page(number, row.into()).unwrap();
            prop_assert_eq!((page.number, page.batch, page.least), (number, batch, span.least));
            let (mut all, mut keys) = (Vec::new(), Vec::new());
            prop_assert_eq!(page_pairs(&page.row, None, &mut |stored| all.push(stored)), Some(()));
            prop_assert_eq!(&all, &pairs);
            let mut take = |slot, key: PairKeyView<'_>| keys.push((slot, format!("{key:?}")));
            prop_assert_eq!(page_slots(&page, &mut take), Some(()));
            let expected = pairs.iter().map(|stored| (stored.slot, format!("{:?}", stored.key.view())));
            prop_assert!(keys.into_iter().eq(expected));
            for stored in &pairs {
                let mut one = Vec::new();
                prop_assert_eq!(page_pairs(&page.row, Some(stored.slot), &mut |stored| one.push(stored)), Some(()));
                prop_assert_eq!(one, std::slice::from_ref(stored));
            }
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            read_all(&row);
            row.insert(0, VERSION);
            read_all(&row);
        }

        #[test]
        fn decoding_a_damaged_page_never_panics((_, _, pairs) in samples::page_of_pairs(), at: prop::sample::Index, by: u8) {
            let mut row = encode_page(1, &mut pairs.iter().map(|stored| stored.view(WorkloadId(1))));
            let at = at.index(row.len());
            if let Some(octet) = row.get_mut(at) {
                *octet ^= by;
            }
            read_all(&row);
            row.truncate(at);
            read_all(&row);
            prop_assert_eq!(page_pairs(&row, None, &mut |_| {}), None);
        }
    }

    #[test]
    fn a_pair_with_the_longest_of_everything_fits() {
        let name = |n: usize| {
            Arc::new(Provenance::new(
                format!("{n}{}", "a".repeat(253)).into(),
                Address::v6([0xfe; 16]),
                Box::default(),
            ))
        };
        let mut pair = Pair::restored(Timestamp(i64::MIN), Timestamp(i64::MAX), u128::MAX);
        (pair.count, pair.octets_out, pair.octets_in) = (u32::MAX, u64::MAX, u64::MAX);
        (0..Pair::NAMES).for_each(|n| assert!(pair.add_name(&name(n))));
        (0..Pair::PORTS).for_each(|n| assert!(pair.add_port(n as u16)));
        let key = PairKey::Domain("b".repeat(255).into());
        let stored = StoredPair { slot: 63, key, pair };
        let row = encode_page(1, &mut [stored.view(WorkloadId(1))].into_iter());
        let mut read = Vec::new();
        assert_eq!(page_pairs(&row, None, &mut |stored| read.push(stored)), Some(()));
        assert_eq!(read, [stored]);
    }
}
