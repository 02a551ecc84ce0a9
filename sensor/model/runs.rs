//! Items in order, in which some are looked for.

use std::cmp::Ordering;

/// Returns the items of a sorted run that `order` calls equal.
pub fn same_in<T>(run: &[T], order: impl Fn(&T) -> Ordering + Copy) -> impl Iterator<Item = &T> {
    let start = run.partition_point(|item| order(item).is_lt());
    let from = run.get(start..).unwrap_or_default();
    from.iter().take_while(move |item| order(item).is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_is_found_wherever_it_stands() {
        let run = [1, 3, 3, 3, 7];
        for (wanted, expected) in [(0, 0), (1, 1), (2, 0), (3, 3), (7, 1), (9, 0)] {
            assert_eq!(same_in(&run, |item: &i32| item.cmp(&wanted)).count(), expected);
        }
    }
}
