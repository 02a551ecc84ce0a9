//! Places in a list, found by a hash of what stands there.

/// The cells of the smallest table.
const LEAST: usize = 8;

/// A cell without a place. Not zero: zeroed memory is mapped when it is read and once more when it is written, and what
/// looks for a place reads first.
const FREE: u64 = u64::MAX;

/// Where in a list something stands, by 32 bits of its hash; the list itself decides whether it does.
///
/// Hash and place stand in one cell, in a table of open addressing with linear probing: a look costs one line of memory,
/// where a table with its tags apart costs two, and the lists that these find things in are larger than any cache. Neither
/// growing nor most misses look at the list.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// A hash above a place, or [`FREE`]: no list is so long. A power of two of them, or none.
    cells: Vec<u64>,
    used: usize,
}

impl Places {
    /// Returns an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cells: Vec::new(),
            used: 0,
        }
    }

    /// Returns an empty table that need not grow for this many places.
    #[must_use]
    pub fn with_capacity(places: usize) -> Self {
        let mut table = Self::new();
        table.reserve(places);
        table
    }

    /// Makes room for this many places more.
    pub fn reserve(&mut self, places: usize) {
        let all = self.used + places;
        let cells = match all {
            0 => 0,
            _ => (all + all / 2 + 1).next_power_of_two().max(LEAST),
        };
        if cells > self.cells.len() {
            self.grow(cells);
        }
    }

    /// Returns how many places there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Says whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Forgets every place.
    pub fn clear(&mut self) {
        self.cells.fill(FREE);
        self.used = 0;
    }

    /// Returns the places under a hash, in no order; another hash may share its 32 bits.
    pub fn of(&self, hash: u64) -> impl Iterator<Item = u32> {
        let short = shorten(hash);
        let mut at = self.start(short);
        std::iter::from_fn(move || {
            loop {
                let cell = *self.cells.get(at)?;
                if cell == FREE {
                    return None;
                }
                at = self.next(at);
                if cell >> 32 == short {
                    return Some(cell as u32);
                }
            }
        })
    }

    /// Returns something of where the places under a hash begin, so that it is near when they are asked for.
    #[must_use]
    pub fn touch(&self, hash: u64) -> u64 {
        self.cells.get(self.start(shorten(hash))).copied().unwrap_or_default()
    }

    /// Adds a place less than the greatest number; one that stands there already stands there twice then.
    pub fn insert(&mut self, hash: u64, place: u32) {
        // At most two cells of three are used, so that probing soon meets a free one.
        if (self.used + 1) * 3 > self.cells.len() * 2 {
            self.grow((self.cells.len() * 2).max(LEAST));
        }
        self.put(shorten(hash) << 32 | u64::from(place));
        self.used += 1;
    }

    /// Removes a place; says whether it stood under this hash.
    pub fn remove(&mut self, hash: u64, place: u32) -> bool {
        let short = shorten(hash);
        let wanted = short << 32 | u64::from(place);
        let mut hole = self.start(short);
        loop {
            match self.cells.get(hole) {
                None | Some(&FREE) => return false,
                Some(cell) if *cell == wanted => break,
                Some(_) => hole = self.next(hole),
            }
        }
        self.used -= 1;
        // Cells behind the hole that began their probing at or before it move up, so that none is cut off.
        let mut at = self.next(hole);
        while let Some(&cell) = self.cells.get(at)
            && cell != FREE
        {
            let mask = self.cells.len() - 1;
            let probed = at.wrapping_sub(self.start(cell >> 32)) & mask;
            if probed >= at.wrapping_sub(hole) & mask {
                self.set(hole, cell);
                hole = at;
            }
            at = self.next(at);
        }
        self.set(hole, FREE);
        true
    }

    fn grow(&mut self, cells: usize) {
        for cell in std::mem::replace(&mut self.cells, vec![FREE; cells]) {
            if cell != FREE {
                self.put(cell);
            }
        }
    }

    /// Puts a cell into the first free one from where its probing begins; there is one.
    fn put(&mut self, cell: u64) {
        let mut at = self.start(cell >> 32);
        while self.cells.get(at).is_some_and(|cell| *cell != FREE) {
            at = self.next(at);
        }
        self.set(at, cell);
    }

    fn set(&mut self, at: usize, cell: u64) {
        if let Some(place) = self.cells.get_mut(at) {
            *place = cell;
        }
    }

    const fn start(&self, short: u64) -> usize {
        short as usize & self.cells.len().wrapping_sub(1)
    }

    const fn next(&self, at: usize) -> usize {
        (at + 1) & self.cells.len().wrapping_sub(1)
    }
}

const fn shorten(hash: u64) -> u64 {
    hash >> 32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_found_until_they_are_removed(
            steps in prop::collection::vec((0_u64..40, 0_u32..4, any::<bool>()), 1..300),
        ) {
            let mut places = Places::new();
            let mut expected = BTreeSet::new();
            for (hash, place, adds) in steps {
                // Few hashes, close to each other, so that probing runs into others' cells.
                let wide = (hash % 16) << 32 | hash;
                let key = (hash % 16, place);
                if adds && expected.insert(key) {
                    places.insert(wide, place);
                } else if !adds {
                    prop_assert_eq!(places.remove(wide, place), expected.remove(&key));
                }
                prop_assert_eq!(places.len(), expected.len());
                for hash in 0..16 {
                    let found: BTreeSet<u32> = places.of(hash << 32).collect();
                    let wanted: BTreeSet<u32> = expected.iter().filter(|(h, _)| *h == hash).map(|(_, place)| *place).collect();
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }

    #[test]
    fn nothing_is_found_in_an_empty_table() {
        assert_eq!(Places::new().of(7).count(), 0);
        assert!(!Places::new().remove(7, 0));
        assert_eq!(Places::with_capacity(100).of(7).count(), 0);
    }
}
