//! A name taken apart at its label boundaries.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The labels of a name, left to right.
pub(super) type Labels<'a> = SmallVec<[&'a str; 8]>;

/// A name without its trailing dot, and its labels.
#[derive(Debug)]
pub(super) struct Name<'a> {
    text: &'a str,
    labels: Labels<'a>,
}

impl<'a> Name<'a> {
    /// Takes a name apart; `None` when it has no label (the root) or an empty one (it then stands for itself).
    ///
    /// A dot behind a backslash is part of its label (RFC 1035 section 5.1), so a label that merely contains
    /// `.amazonaws` is no boundary.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let text = without_trailing_dots(text);
        let labels = split(text);
        if labels.iter().any(|label| label.is_empty()) {
            return None;
        }
        Some(Self { text, labels })
    }

    /// Returns the labels, left to right.
    pub(super) fn labels(&self) -> &[&'a str] {
        &self.labels
    }

    /// Returns the name itself.
    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the text of the right-most `count` labels, or `None` when there are fewer.
    pub(super) fn tail(&self, count: usize) -> Option<&'a str> {
        let first = self.labels.len().checked_sub(count)?;
        let dropped: usize = self.labels.iter().take(first).map(|label| label.len() + 1).sum();
        self.text.get(dropped..)
    }
}

/// Returns the name in lower case and in A-labels; most names are so already and are not copied.
///
/// A label that IDNA refuses is kept as it is: the function is total.
pub(super) fn normal(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        if name.bytes().any(|octet| octet.is_ascii_uppercase()) {
            return Cow::Owned(name.to_ascii_lowercase());
        }
        return Cow::Borrowed(name);
    }
    let mut whole = String::with_capacity(name.len());
    for (position, label) in split(name).into_iter().enumerate() {
        if position > 0 {
            whole.push('.');
        }
        match idna::domain_to_ascii(label) {
            Ok(ascii) if !label.is_ascii() && !label.contains('\\') => whole.push_str(&ascii),
            _ => whole.push_str(&label.to_ascii_lowercase()),
        }
    }
    Cow::Owned(whole)
}

/// Returns the name without the dots of the root at its end; one behind a backslash stays.
pub(super) fn without_trailing_dots(text: &str) -> &str {
    let trailing = split(text).iter().rev().take_while(|label| label.is_empty()).count();
    // A name of dots alone has one label more than dots.
    let keep = text.len().saturating_sub(trailing);
    text.get(..keep).unwrap_or(text)
}

fn split(text: &str) -> Labels<'_> {
    let mut labels = Labels::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (position, octet) in text.bytes().enumerate() {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'.' => {
                labels.push(text.get(start..position).unwrap_or_default());
                start = position + 1;
            }
            _ => {}
        }
    }
    labels.push(text.get(start..).unwrap_or_default());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_behind_a_backslash_is_part_of_its_label() {
        let name = Name::new(r"a.s3\.amazonaws.com").unwrap();
        assert_eq!(name.labels(), ["a", r"s3\.amazonaws", "com"]);
        assert_eq!(name.tail(2), Some(r"s3\.amazonaws.com"));
        assert_eq!(Name::new(r"a\\.b").unwrap().labels(), [r"a\\", "b"]);
    }

    #[test]
    fn dots_of_the_root_are_left_out_and_those_of_a_label_are_not() {
        assert_eq!(without_trailing_dots("a.b.."), "a.b");
        assert_eq!(without_trailing_dots(r"a\."), r"a\.");
        assert_eq!(without_trailing_dots("..."), "");
        assert_eq!(without_trailing_dots(""), "");
    }

    #[test]
    fn a_name_with_an_empty_label_is_not_taken_apart() {
        for text in ["", ".", ".com", "a..b"] {
            assert!(Name::new(text).is_none(), "{text}");
        }
    }

    #[test]
    fn labels_become_lower_case_a_labels_one_by_one() {
        assert_eq!(normal("WWW.Example.COM"), "www.example.com");
        assert_eq!(normal("www.Bücher.de"), "www.xn--bcher-kva.de");
        assert_eq!(normal("\u{fffd}.Bücher.de"), "\u{fffd}.xn--bcher-kva.de");
    }
}
