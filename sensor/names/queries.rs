//! Queries that wait for their responses (rule N2).

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::model::{Address, Segment, SourceId, Span, Timestamp};

/// A response later than this after its query answers nothing: resolvers give up after 5 to 30 s.
pub const QUERY_LIFE: Span = Span::seconds(30);

/// So many that were answered, beside as many as wait, are not worth putting the others in order again.
const ANSWERED: usize = 1 << 10;

/// What makes a response the answer to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QueryKey<'a> {
    /// The address space.
    pub segment: Segment,
    /// Who asked.
    pub client: Address,
    /// The client's port.
    pub client_port: u16,
    /// Who is asked.
    pub server: Address,
    /// The server's port.
    pub server_port: u16,
    /// The id in the header of query and response.
    pub id: u16,
    /// The name that is asked, lower case.
    pub name: &'a [u8],
}

/// The queries of one partition.
///
/// A query is kept as a seeded 64-bit hash of its key: two that share one are as likely as a disk's undetected read
/// error, and nobody outside can make them.
#[derive(Debug)]
pub struct QueryTable {
    waiting: HashTable<(u64, Timestamp)>,
    /// Oldest first, with who delivered each; also those that were answered, until there are many of them.
    order: VecDeque<(u64, Timestamp, SourceId)>,
    hasher: foldhash::quality::RandomState,
    limit: usize,
    evicted: u64,
}

impl QueryTable {
    /// Returns an empty table that keeps at most `limit` queries; a further one drops the oldest.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            waiting: HashTable::new(),
            order: VecDeque::new(),
            hasher: foldhash::quality::RandomState::default(),
            limit: limit.max(1),
            evicted: 0,
        }
    }

    /// Notes a query that `source` delivered; asked again, it waits anew.
    pub fn ask(&mut self, key: &QueryKey<'_>, source: SourceId, at: Timestamp) {
        let hash = self.hasher.hash_one(key);
        match self.waiting.find_mut(hash, |entry| entry.0 == hash) {
            Some(entry) => entry.1 = at,
            None => {
                self.waiting.insert_unique(hash, (hash, at), |entry| entry.0);
            }
        }
        if self.order.len() > 2 * self.waiting.len() + ANSWERED {
            let waiting = &self.waiting;
            let waits = |entry: &(u64, Timestamp)| waiting.find(entry.0, |other| other == entry).is_some();
            self.order.retain(|(hash, asked, _)| waits(&(*hash, *asked)));
        }
        self.order.push_back((hash, at, source));
        while self.order.len() > self.limit {
            self.evicted += u64::from(self.drop_oldest().is_some());
        }
    }

    /// Says whether a response answers a query that waits; the query waits no longer then.
    pub fn answer(&mut self, key: &QueryKey<'_>, at: Timestamp) -> bool {
        let hash = self.hasher.hash_one(key);
        match self.waiting.find_entry(hash, |entry| entry.0 == hash) {
            Ok(entry) => {
                let ((_, asked), _) = entry.remove();
                at.since(asked) <= QUERY_LIFE
            }
            Err(_) => false,
        }
    }

    /// Drops what nobody answered in time, and tells who delivered it; returns how many queries a full table dropped since
    /// the last call.
    pub fn mark(&mut self, now: Timestamp, mut unanswered: impl FnMut(SourceId)) -> u64 {
        while self
            .order
            .front()
            .is_some_and(|(_, asked, _)| now.since(*asked) > QUERY_LIFE)
        {
            if let Some(source) = self.drop_oldest() {
                unanswered(source);
            }
        }
        std::mem::take(&mut self.evicted)
    }

    /// Drops everything: time went back (rule T1).
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.order.clear();
    }

    /// Drops the oldest query if it still waits from that time; returns who delivered it if so.
    fn drop_oldest(&mut self) -> Option<SourceId> {
        let (hash, asked, source) = self.order.pop_front()?;
        let entry = self.waiting.find_entry(hash, |entry| *entry == (hash, asked));
        entry.ok()?.remove();
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: QueryKey<'static> = QueryKey {
        segment: Segment::NONE,
        client: Address::v4([10, 0, 0, 1]),
        client_port: 4000,
        server: Address::v4([10, 0, 0, 2]),
        server_port: 53,
        id: 7,
        name: b"a.example",
    };

    const SOURCE: SourceId = SourceId(3);

    #[test]
    fn rule_n5_a_query_that_nobody_answers_is_told_once() {
        let mut table = QueryTable::new(8);
        for id in 0..3 {
            table.ask(&QueryKey { id, ..KEY }, SourceId(id), Timestamp(0));
        }
        table.ask(&KEY, SOURCE, Timestamp(1));
        assert!(table.answer(&QueryKey { id: 1, ..KEY }, Timestamp(2)));
        let mut told = Vec::new();
        table.mark(Timestamp(0).plus(QUERY_LIFE), |source| told.push(source));
        assert_eq!(told, []);
        table.mark(Timestamp(2).plus(QUERY_LIFE), |source| told.push(source));
        table.mark(Timestamp(9).plus(QUERY_LIFE), |source| told.push(source));
        assert_eq!(told, [SourceId(0), SourceId(2), SOURCE]);
    }

    #[test]
    fn what_was_answered_takes_no_room_and_what_was_not_is_told() {
        let mut table = QueryTable::new(1 << 20);
        for id in 0..50_000 {
            let key = QueryKey {
                id,
                client_port: id,
                ..KEY
            };
            table.ask(&key, SOURCE, Timestamp(i64::from(id)));
            if id % 1_000 != 0 {
                assert!(table.answer(&key, Timestamp(i64::from(id))));
            }
            assert!(table.order.len() <= ANSWERED + 2 * table.waiting.len() + 3);
        }
        let mut told = 0;
        table.mark(Timestamp(50_000).plus(QUERY_LIFE), |_| told += 1);
        assert_eq!((told, table.order.len(), table.waiting.len()), (50, 0, 0));
    }

    #[test]
    fn a_query_is_answered_once_and_in_time() {
        let mut table = QueryTable::new(8);
        table.ask(&KEY, SOURCE, Timestamp(0));
        assert!(!table.answer(
            &QueryKey {
                name: b"b.example",
                ..KEY
            },
            Timestamp(1)
        ));
        assert!(table.answer(&KEY, Timestamp(1)));
        assert!(!table.answer(&KEY, Timestamp(2)));
        table.ask(&KEY, SOURCE, Timestamp(0));
        assert!(!table.answer(&KEY, Timestamp(0).plus(QUERY_LIFE).plus(Span(1))));
    }

    #[test]
    fn a_full_table_drops_the_oldest() {
        let mut table = QueryTable::new(2);
        for id in 0..3 {
            table.ask(&QueryKey { id, ..KEY }, SOURCE, Timestamp(i64::from(id)));
        }
        assert_eq!(table.mark(Timestamp(3), |_| ()), 1);
        assert!(!table.answer(&QueryKey { id: 0, ..KEY }, Timestamp(3)));
        assert!(table.answer(&QueryKey { id: 2, ..KEY }, Timestamp(3)));
    }

    #[test]
    fn a_query_asked_again_waits_anew() {
        let mut table = QueryTable::new(8);
        table.ask(&KEY, SOURCE, Timestamp(0));
        table.ask(&KEY, SOURCE, Timestamp(0).plus(Span::seconds(20)));
        table.mark(Timestamp(0).plus(Span::seconds(40)), |_| panic!("it was asked again"));
        assert!(table.answer(&KEY, Timestamp(0).plus(Span::seconds(45))));
    }
}
