//! Patterns for labels, as `[[aggregate]] strip` writes them.

/// The longest label that is looked at: RFC 1035 section 2.3.4. A longer one is none and matches nothing.
const LONGEST_LABEL: usize = 63;

/// A pattern of one label: `*` is any run of characters, `?` any one, `#` any one digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Box<[u8]>);

impl Pattern {
    /// Makes a pattern; letters match in lower case, as names are by then.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase().into_bytes().into())
    }

    /// Says whether the pattern matches the whole of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        if text.len() > LONGEST_LABEL {
            return false;
        }
        let (mut pattern, mut text) = (&*self.0, text.as_bytes());
        // What follows the last star, and the text it was last tried on.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern.split_first(), text.split_first()) {
                (Some((b'*', after)), _) => {
                    retry = Some((after, text));
                    pattern = after;
                }
                (Some((&wanted, after)), Some((&found, rest))) if fits(wanted, found) => {
                    (pattern, text) = (after, rest);
                }
                (None, None) => return true,
                _ => {
                    let Some((after, tried)) = retry else { return false };
                    let Some((_, rest)) = tried.split_first() else {
                        return false;
                    };
                    retry = Some((after, rest));
                    (pattern, text) = (after, rest);
                }
            }
        }
    }
}

/// Takes one of the endings off `label`, the longest that is there, and leaves at least one character.
pub(super) fn without_ending<'a>(label: &'a str, endings: &[Pattern]) -> Option<&'a str> {
    if label.len() > LONGEST_LABEL {
        return None;
    }
    label
        .match_indices('-')
        .skip_while(|&(position, _)| position == 0)
        .find_map(|(position, _)| {
            let (before, ending) = label.split_at_checked(position)?;
            endings.iter().any(|pattern| pattern.matches(ending)).then_some(before)
        })
}

const fn fits(wanted: u8, found: u8) -> bool {
    match wanted {
        b'?' => true,
        b'#' => found.is_ascii_digit(),
        _ => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_labels() {
        for (pattern, label, matches) in [
            ("vpce", "vpce", true),
            ("vpce", "vpce-svc", false),
            ("??-east-#", "us-east-1", true),
            ("??-east-#", "us-east-x", false),
            ("??-east-#", "us-east-12", false),
            ("*-east-#", "us-gov-east-1", true),
            ("*a*b", "xxaxxbxab", true),
            ("*a*b", "xxaxxbxa", false),
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(label), matches, "{pattern} {label}");
        }
    }

    #[test]
    fn an_ending_leaves_something_in_front_of_it() {
        let endings = [Pattern::new("-fips"), Pattern::new("-*-az#")];
        assert_eq!(without_ending("kms-fips", &endings), Some("kms"));
        assert_eq!(without_ending("s3express-use1-az4", &endings), Some("s3express"));
        assert_eq!(without_ending("-fips", &endings), None);
        assert_eq!(without_ending("kms", &endings), None);
    }
}
