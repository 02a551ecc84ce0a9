//! JSON in pure ASCII.
//!
//! RFC 5424 section 6.4 wants a byte order mark before UTF-8 text and calls everything else octets of unknown encoding.
//! ASCII is right either way, so no mark is needed that receivers would have to strip before they parse.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Returns the value as compact JSON in printable ASCII: everything else in strings is written as `\uXXXX`.
///
/// A value that cannot be written (only a map with keys that are not strings) gives `null`; alerts have none.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut out, Ascii));
    match (written, String::from_utf8(out)) {
        (Ok(()), Ok(text)) => text,
        _ => "null".to_owned(),
    }
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for run in fragment.split_inclusive(|c: char| !is_plain(c)) {
            let special = run.chars().next_back().filter(|&c| !is_plain(c));
            let plain = run.len() - special.map_or(0, char::len_utf8);
            writer.write_all(run.as_bytes().get(..plain).unwrap_or_default())?;
            if let Some(c) = special {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// Control characters below the space never get here: `serde_json` escapes them itself.
fn is_plain(c: char) -> bool {
    c.is_ascii() && c != '\u{7f}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_beyond_printable_ascii_is_escaped() {
        assert_eq!(
            json("büro \u{1f600}\u{7f}\u{1}\n\"\\/"),
            r#""b\u00fcro \ud83d\ude00\u007f\u0001\n\"\\/""#
        );
        assert_eq!(json(&["ü", "üü", "", "a"]), r#"["\u00fc","\u00fc\u00fc","","a"]"#);
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_back_is_what_was_written(text in "(?s).{0,60}") {
            let json = json(&text);
            assert!(json.bytes().all(|octet| (0x20..0x7f).contains(&octet)));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
