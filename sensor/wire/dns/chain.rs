//! The names that a response leads to from the one that was asked.

use std::sync::Arc;

use smallvec::SmallVec;

use super::name::{Name, Work};
use crate::model::{Layer, Malformed};

/// How many names a chain may hold; resolvers give up after a dozen or two.
const MOST: usize = 64;
/// What looking at a name costs, in octets copied: they lie apart.
pub(super) const LOOK: usize = 4;
/// How many octets of two names are compared in the time in which one is copied.
const COMPARED: usize = 16;

/// A name on the chain, in the order of its discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link(usize);

impl Link {
    /// The name that was asked.
    pub(super) const QUESTION: Self = Self(0);

    /// Returns how many names were found before this one.
    #[must_use]
    pub const fn place(self) -> usize {
        self.0
    }

    /// Says whether it is the name that was asked.
    #[must_use]
    pub const fn is_question(self) -> bool {
        self.0 == Self::QUESTION.0
    }

    /// Returns the name that was found next, which the chain need not hold.
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How a name was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// By CNAME and DNAME records alone.
    Name,
    /// Through an SVCB or HTTPS record in alias form: hints count, address records do not (rule N1).
    Alias,
}

/// One name behind the question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    labels: SmallVec<[u8; 64]>,
    from: Link,
    at: Option<usize>,
    reach: Reach,
}

impl Entry {
    fn new(from: Link, labels: &[u8], at: Option<usize>, reach: Reach) -> Self {
        Self {
            labels: SmallVec::from_slice(labels),
            from,
            at,
            reach,
        }
    }
}

/// The names behind the question that a response led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Linked(SmallVec<[Entry; 2]>);

impl Linked {
    /// Returns the names from this one back to the question, which is left out, as labels in wire form.
    pub fn back_from(&self, link: Link) -> impl Iterator<Item = &[u8]> {
        let mut at = link;
        std::iter::from_fn(move || {
            let entry = self.0.get(at.0.checked_sub(1)?)?;
            at = entry.from;
            Some(entry.labels.as_slice())
        })
    }

    /// Returns all of these names in presentation form, in the order of their discovery.
    #[must_use]
    pub fn texts(&self) -> SmallVec<[Arc<str>; 2]> {
        self.0
            .iter()
            .map(|entry| (&Name::from_labels(&entry.labels)).into())
            .collect()
    }

    /// Returns the names after the question up to and with this one, from what [`Linked::texts`] gave: to write each anew
    /// for every name that it leads to would let a long chain cost the square of its length.
    #[must_use]
    pub fn names_to(&self, link: Link, texts: &[Arc<str>]) -> Box<[Arc<str>]> {
        let mut names: SmallVec<[Arc<str>; 8]> = SmallVec::new();
        let mut at = link;
        while let Some(place) = at.0.checked_sub(1)
            && let (Some(entry), Some(text)) = (self.0.get(place), texts.get(place))
        {
            names.push(Arc::clone(text));
            at = entry.from;
        }
        names.into_iter().rev().collect()
    }
}

/// The names reached so far. Each is held once, so circles end.
pub(super) struct Chain<'a> {
    question: &'a [u8],
    at: usize,
    entries: SmallVec<[Entry; 2]>,
}

impl<'a> Chain<'a> {
    /// Returns the chain of a question whose name stands at `at` in the message.
    pub(super) fn new(question: &'a [u8], at: usize) -> Self {
        Self {
            question,
            at,
            entries: SmallVec::new(),
        }
    }

    /// Adds the name that `from` leads to and that stands at `at`, unless it is held already.
    ///
    /// # Errors
    ///
    /// `Field("chain")` when there is no room, `Field("name")` when the allowance does not suffice.
    pub(super) fn add(
        &mut self,
        from: Link,
        labels: &[u8],
        at: Option<usize>,
        reach: Reach,
        work: &mut Work,
    ) -> Result<(), Malformed> {
        if self.is_full() {
            return Err(Malformed::field(Layer::Dns, "chain"));
        }
        if self.find(labels, work)?.is_some() {
            return Ok(());
        }
        self.entries.push(Entry::new(from, labels, at, reach));
        Ok(())
    }

    /// Says whether there is no room for another name, so that none need be looked for.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    /// Returns how many names are held.
    pub(super) fn len(&self) -> usize {
        1 + self.entries.len()
    }

    /// Says whether there is such a name.
    pub(super) fn holds(&self, link: Link) -> bool {
        link.0 < self.len()
    }

    /// Returns the name with these labels.
    ///
    /// # Errors
    ///
    /// `Field("name")` when the allowance does not suffice.
    pub(super) fn find(&self, labels: &[u8], work: &mut Work) -> Result<Option<Link>, Malformed> {
        let mut link = Link::QUESTION;
        while self.holds(link) {
            if self.is(link, labels, work)? {
                return Ok(Some(link));
            }
            link = link.next();
        }
        Ok(None)
    }

    /// Says whether a name has these labels.
    ///
    /// # Errors
    ///
    /// `Field("name")` when the allowance does not suffice.
    pub(super) fn is(&self, link: Link, labels: &[u8], work: &mut Work) -> Result<bool, Malformed> {
        let own = self.labels(link);
        if own.len() != labels.len() {
            work.spend(LOOK)?;
            return Ok(false);
        }
        // Names that differ late cost more, and somebody may have made all of them so.
        work.spend(LOOK + own.len() / COMPARED)?;
        Ok(own == labels)
    }

    /// Returns the name that stands there in the message.
    pub(super) fn written_at(&self, at: usize) -> Option<Link> {
        if self.at == at {
            return Some(Link::QUESTION);
        }
        let position = self.entries.iter().position(|entry| entry.at == Some(at));
        position.map(|behind| Link(1 + behind))
    }

    /// Returns the labels of a name.
    pub(super) fn labels(&self, link: Link) -> &[u8] {
        self.entry(link).map_or(self.question, |entry| &entry.labels)
    }

    /// Returns how a name was reached.
    pub(super) fn reach(&self, link: Link) -> Reach {
        self.entry(link).map_or(Reach::Name, |entry| entry.reach)
    }

    /// Returns the names behind the question.
    pub(super) fn into_linked(self) -> Linked {
        Linked(self.entries)
    }

    /// Returns a name behind the question.
    fn entry(&self, link: Link) -> Option<&Entry> {
        self.entries.get(link.0.checked_sub(1)?)
    }
}
