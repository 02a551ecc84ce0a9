//! One copy of each name.

use std::sync::Arc;

use hashbrown::HashSet;

/// The least number of names before unused ones are looked for.
const FIRST_PURGE: usize = 1024;

/// Hands out one shared copy of each name; copies that nobody else holds are dropped now and again.
#[derive(Debug)]
pub struct Interner {
    names: HashSet<Arc<str>, foldhash::fast::RandomState>,
    purge_at: usize,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            names: HashSet::default(),
            purge_at: FIRST_PURGE,
        }
    }
}

impl Interner {
    /// Returns the shared copy of a name.
    pub fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        if self.names.len() >= self.purge_at {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.purge_at = (self.names.len() * 2).max(FIRST_PURGE);
        }
        let name: Arc<str> = Arc::from(name);
        self.names.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shared_and_unused_ones_are_dropped() {
        let mut interner = Interner::default();
        let kept = interner.intern("kept.example");
        assert!(Arc::ptr_eq(&kept, &interner.intern("kept.example")));
        for n in 0..10_000 {
            interner.intern(&format!("{n}.example"));
        }
        assert!(interner.names.len() <= FIRST_PURGE);
        assert!(Arc::ptr_eq(&kept, &interner.intern("kept.example")));
    }
}
