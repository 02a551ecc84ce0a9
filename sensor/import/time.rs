//! Times as logs write them.

use crate::model::{SECOND, Span, Timestamp};

/// Reads a time: seconds since 1970 with or without a fraction, or ISO 8601 with an offset.
///
/// Zeek writes the former, or the latter where it is told to; Suricata writes the latter, without a colon in the offset.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    match seconds(text) {
        Some(span) => Some(Timestamp(span.0)),
        None => {
            let instant: jiff::Timestamp = text.parse().ok()?;
            i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
        }
    }
}

/// Reads seconds with or without a fraction; digits beyond nanoseconds are left out.
pub(super) fn seconds(text: &str) -> Option<Span> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let nanoseconds = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = nanoseconds.fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let whole: i64 = whole.parse().ok()?;
    let whole = whole.checked_mul(SECOND)?.checked_add(nanoseconds)?;
    Some(Span(sign * whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_iso_8601() {
        let cases = [
            ("1600000000.123456", 1_600_000_000_123_456_000),
            ("1600000000", 1_600_000_000_000_000_000),
            ("0.0000000019", 1),
            ("-1.5", -1_500_000_000),
            ("2020-09-13T12:26:40.123456Z", 1_600_000_000_123_456_000),
            ("2020-09-13T14:26:40.123456+0200", 1_600_000_000_123_456_000),
            ("2020-09-13T14:26:40+02:00", 1_600_000_000_000_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(time(text), Some(Timestamp(expected)), "{text}");
        }
        for wrong in [
            "",
            ".",
            "-",
            "1.x",
            "1e9",
            "99999999999999999999",
            "2020-09-13",
            "yesterday",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
