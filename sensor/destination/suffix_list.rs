//! The public suffix list: which part of a name is open to registration (rule D1).

use psl_types::{Info, List, Type};

use super::name::Name;

/// The list compiled in, or the one that the settings give.
#[derive(Debug)]
pub(super) enum SuffixList {
    /// The list of the `psl` crate.
    BuiltIn,
    /// A list read from text.
    Given(Box<publicsuffix::List>),
}

impl List for SuffixList {
    fn find<'a, T>(&self, labels: T) -> Info
    where
        T: Iterator<Item = &'a [u8]>,
    {
        match self {
            Self::BuiltIn => psl::List.find(labels),
            Self::Given(list) => list.find(labels),
        }
    }
}

impl SuffixList {
    /// Returns how many labels the registrable domain of the ICANN section has; `None` for a name without one.
    pub(super) fn icann(&self, name: &Name<'_>) -> Option<usize> {
        let mut considered = name.labels();
        loop {
            let (count, section) = self.suffix(considered);
            // A rule of the private section hides the shorter one of the ICANN section, which is what is left when
            // the private rule has a label too few to match.
            match section {
                Some(Type::Private) if count > 1 => {
                    let skip = considered.len().saturating_sub(count - 1);
                    considered = considered.get(skip..).unwrap_or_default();
                }
                _ => return Self::with_one_more(name, count),
            }
        }
    }

    /// Returns how many labels the registrable domain of the whole list has; `None` for a name without one.
    pub(super) fn whole(&self, name: &Name<'_>) -> Option<usize> {
        Self::with_one_more(name, self.suffix(name.labels()).0)
    }

    fn with_one_more(name: &Name<'_>, count: usize) -> Option<usize> {
        (count < name.labels().len()).then_some(count + 1)
    }

    /// Returns how many labels the longest matching suffix has, and its section; unknown ones are one label long.
    fn suffix(&self, labels: &[&str]) -> (usize, Option<Type>) {
        let found = self.find(labels.iter().rev().map(|label| label.as_bytes()));
        let mut octets = 0;
        let mut count = 0;
        for label in labels.iter().rev() {
            if octets >= found.len {
                break;
            }
            octets += label.len() + usize::from(count > 0);
            count += 1;
        }
        (count, found.typ)
    }
}
