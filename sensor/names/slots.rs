//! Places in a list, by a hash of what stands there.

use hashbrown::HashTable;

/// Finds places by 32 bits of a hash, which are kept: neither growing nor most misses look at the list itself.
#[derive(Debug, Default)]
pub(super) struct Slots(HashTable<(u32, u32)>);

impl Slots {
    pub const fn new() -> Self {
        Self(HashTable::new())
    }

    pub fn with_capacity(places: usize) -> Self {
        Self(HashTable::with_capacity(places))
    }

    /// Returns the places under a hash; another hash may share its 32 bits.
    pub fn of(&self, hash: u64) -> impl Iterator<Item = usize> {
        let short = shorten(hash);
        let found = self.0.iter_hash(spread(short));
        found
            .filter(move |(other, _)| *other == short)
            .map(|(_, place)| *place as usize)
    }

    /// Adds a place.
    pub fn insert(&mut self, hash: u64, place: u32) {
        let short = shorten(hash);
        self.0
            .insert_unique(spread(short), (short, place), |(short, _)| spread(*short));
    }
}

const fn shorten(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Brings 32 bits to where the table looks: at both ends.
const fn spread(short: u32) -> u64 {
    (short as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
