//! Items that are added often, and looked for seldom, in order.

use std::cmp::Ordering;

/// Items in sorted runs, each at least twice as long as the next: adding costs little, and looking a few searches.
#[derive(Debug, Clone)]
pub struct Runs<T> {
    runs: Vec<Vec<T>>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { runs: Vec::new() }
    }
}

impl<T: Ord + Copy> Runs<T> {
    /// Adds items in any order.
    pub fn add(&mut self, mut run: Vec<T>) {
        if run.is_empty() {
            return;
        }
        run.sort_unstable();
        while let Some(mut longer) = self.runs.pop_if(|last| last.len() < 2 * run.len()) {
            merge(&mut longer, &run);
            run = longer;
        }
        self.runs.push(run);
    }

    /// Returns how many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns the items that `order`, which says how an item stands to what is looked for, calls equal.
    pub fn same(&self, order: impl Fn(&T) -> Ordering + Copy) -> impl Iterator<Item = &T> {
        self.runs.iter().flat_map(move |run| same_in(run, order))
    }

    /// Takes every run out.
    pub fn take(&mut self) -> Vec<Vec<T>> {
        std::mem::take(&mut self.runs)
    }
}

/// Returns the items of a sorted run that `order` calls equal.
pub fn same_in<T>(run: &[T], order: impl Fn(&T) -> Ordering + Copy) -> impl Iterator<Item = &T> {
    let start = run.partition_point(|item| order(item).is_lt());
    let from = run.get(start..).unwrap_or_default();
    from.iter().take_while(move |item| order(item).is_eq())
}

/// Merges a sorted run into another from the back, where that one lies: fresh memory for each merge would cost more than
/// all else.
fn merge<T: Ord + Copy>(into: &mut Vec<T>, run: &[T]) {
    let mut left = into.len();
    into.extend_from_slice(run);
    let mut end = into.len();
    let mut rest = run;
    while let Some((&last, before)) = rest.split_last() {
        end -= 1;
        let other = left.checked_sub(1).and_then(|at| into.get(at)).copied();
        let greater = match other.filter(|other| *other > last) {
            Some(other) => {
                left -= 1;
                other
            }
            None => {
                rest = before;
                last
            }
        };
        if let Some(place) = into.get_mut(end) {
            *place = greater;
        }
    }
}
