//! Rows that cannot be read.

use std::borrow::Cow;

/// How many faults are told one by one.
const TOLD: usize = 10;

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Cow<'static, str>,
}

/// The rows that could not be read: all are counted, and the first ten are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    told: Vec<String>,
    count: u64,
}

impl Faults {
    /// Adds a row of a file.
    pub fn add(&mut self, file: &str, fault: &Fault) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{file}:{}: {}", fault.line, fault.problem));
        }
    }

    /// Returns how many there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns a line for each of the first ones, and one for how many more there were.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.told.clone();
        let more = self.count - lines.len() as u64;
        if more > 0 {
            lines.push(format!("and {more} more rows that cannot be read"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_are_told_and_the_others_are_counted() {
        let mut faults = Faults::default();
        for line in 1..=12 {
            let problem = "no time".into();
            faults.add("conn.log", &Fault { line, problem });
        }
        let lines = faults.lines();
        assert_eq!((faults.count(), lines.len()), (12, 11));
        assert_eq!(lines[0], "conn.log:1: no time");
        assert_eq!(lines[10], "and 2 more rows that cannot be read");
    }
}
