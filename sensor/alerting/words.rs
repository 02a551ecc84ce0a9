//! Small words for people: octets, moments, durations, and names that cannot do harm.
//!
//! Names come from the network. In a sentence they are quoted and escaped as soon as they hold anything unusual, and
//! cut in the middle when they are long, so that both the host and its domain can still be told.

use std::fmt::Write as _;

use crate::model::{AlertDestination, AlertWorkload, Endpoint, FlowEnd, Timestamp};

/// How many characters a name takes in a sentence.
pub const NAME_LIMIT: usize = 80;

/// Returns text in which nothing can act on a terminal or deceive the eye.
///
/// Control characters, white space other than the space, marks that turn or hide text, quotes and backslashes are
/// written as Rust writes them (`\n`, `\u{1b}`, `\"`, `\\`). Nothing is cut.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.chars().map(piece).collect()
}

/// Returns a text that is escaped already, with whatever could still act on a terminal or deceive the eye written as
/// [`escaped`] does. Quotes and backslashes stay, so a sentence of our own comes out as it was.
#[must_use]
pub fn harmless(text: &str) -> String {
    let piece = |c: char| if deceives(c) { piece(c) } else { c.to_string() };
    text.chars().map(piece).collect()
}

/// Returns a name as it stands in a sentence: [`escaped`], in quotes if it holds anything unusual, and with its middle
/// cut out if it is longer than [`NAME_LIMIT`].
#[must_use]
pub fn plain(name: &str) -> String {
    let cut = cut(name, NAME_LIMIT);
    if !name.is_empty() && name.chars().all(is_usual) {
        cut
    } else {
        format!("\"{cut}\"")
    }
}

/// Escapes and cuts to `limit` characters: the first third, three dots, and the rest from the end.
fn cut(text: &str, limit: usize) -> String {
    let pieces: Vec<String> = text.chars().map(piece).collect();
    let length = |piece: &String| piece.chars().count();
    if pieces.iter().map(length).sum::<usize>() <= limit {
        return pieces.concat();
    }
    let head_room = limit / 3;
    let tail_room = limit.saturating_sub(head_room + 3);
    let within = |room: usize| {
        let mut used = 0;
        move |piece: &&String| {
            used += length(piece);
            used <= room
        }
    };
    let head: Vec<&String> = pieces.iter().take_while(within(head_room)).collect();
    let mut tail: Vec<&String> = pieces.iter().rev().take_while(within(tail_room)).collect();
    tail.reverse();
    head.into_iter()
        .map(String::as_str)
        .chain(["..."])
        .chain(tail.into_iter().map(String::as_str))
        .collect()
}

fn piece(c: char) -> String {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => c.escape_default().collect(),
        _ if deceives(c) => c.escape_unicode().collect(),
        _ => c.to_string(),
    }
}

/// Says whether a name may hold the character without being quoted.
fn is_usual(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/' | '*' | '@' | '+' | '=')
}

/// Control characters, white space that is not a space, and the marks of Unicode that turn, join or hide text.
fn deceives(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns an amount in B, kB, MB and so on (powers of 1000), one digit after the point, rounded down.
#[must_use]
pub fn octets(amount: u64) -> String {
    const UNITS: [(&str, u64); 6] = [
        ("EB", 1_000_000_000_000_000_000),
        ("PB", 1_000_000_000_000_000),
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    match UNITS.into_iter().find(|&(_, size)| amount >= size) {
        Some((unit, size)) => format!("{}.{} {unit}", amount / size, amount % size / (size / 10)),
        None => format!("{amount} B"),
    }
}

/// Returns an instant to the second, as `2023-11-14 22:13:20 UTC`.
#[must_use]
pub fn moment(ts: Timestamp) -> String {
    let text = ts.to_string();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(time)) if text.ends_with('Z') => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// Returns the day of an instant, as `2023-11-14`.
#[must_use]
pub fn day(ts: Timestamp) -> String {
    let text = ts.to_string();
    text.get(..10).map(str::to_owned).unwrap_or(text)
}

/// Returns a duration in seconds as people say it: `0.3 s`, `12 min`, `3.4 h`, `2.5 days`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// Returns a share between 0 and 1 in percent: `0.3 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Returns `name (address)`, or the address alone for a workload that goes by it.
#[must_use]
pub fn workload(workload: &AlertWorkload) -> String {
    match workload.address {
        Some(address) if address.to_string() == workload.name => address.to_string(),
        Some(address) => format!("{} ({address})", plain(&workload.name)),
        None => plain(&workload.name),
    }
}

/// Returns `203.0.113.7:443/tcp`, or as much of it as there is.
#[must_use]
pub fn endpoint(destination: &AlertDestination) -> Option<String> {
    let ip = destination.ip?;
    let mut text = match destination.port {
        Some(port) => Endpoint { ip, port }.to_string(),
        None => ip.to_string(),
    };
    if let Some(transport) = destination.transport {
        let _ = write!(text, "/{}", transport.name());
    }
    Some(text)
}

/// Returns what a flow did when it ended, as the end of a sentence.
#[must_use]
pub const fn flow_end(end: FlowEnd) -> &'static str {
    match end {
        FlowEnd::Closed => "was closed",
        FlowEnd::Reset => "was reset",
        FlowEnd::Replaced => "was replaced by a new one",
        FlowEnd::Idle => "fell idle",
        FlowEnd::Evicted => "was evicted from a full table",
        FlowEnd::TimeStep => "ended at a step of the clock",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SECOND;

    #[test]
    fn amounts_are_short() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_499, "12.4 kB"),
            (3_000_000, "3.0 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (amount, text) in cases {
            assert_eq!(octets(amount), text);
        }
        let cases = [
            (0.0, "0.0 s"),
            (12.34, "12.3 s"),
            (600.0, "10 min"),
            (9000.0, "2.5 h"),
            (216_000.0, "2.5 days"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(moment(Timestamp(1_700_000_000 * SECOND)), "2023-11-14 22:13:20 UTC");
        assert_eq!(day(Timestamp(1_700_000_000 * SECOND)), "2023-11-14");
    }

    #[test]
    fn a_hostile_name_is_quoted_and_escaped() {
        assert_eq!(plain("paste.example.edu"), "paste.example.edu");
        assert_eq!(plain("bücher-1"), "bücher-1");
        assert_eq!(plain(""), "\"\"");
        assert_eq!(plain("a b"), "\"a b\"");
        assert_eq!(plain("x\u{1b}[31m\"\\\n\u{202e}"), r#""x\u{1b}[31m\"\\\n\u{202e}""#);
        assert_eq!(harmless(&plain("\u{1b}\"")), plain("\u{1b}\""));
        assert_eq!(plain("a\u{9b}b\u{7f}"), r#""a\u{9b}b\u{7f}""#);
    }

    #[test]
    fn a_long_name_keeps_both_ends_and_is_never_cut_within_an_escape() {
        let name = format!("start.{}.example.edu", "x".repeat(300));
        let text = plain(&name);
        assert_eq!(text.len(), NAME_LIMIT);
        assert!(text.starts_with("start.") && text.ends_with(".example.edu") && text.contains("..."));
        let text = plain(&"\u{1b}".repeat(100));
        assert!(text.len() <= NAME_LIMIT + 2);
        assert_eq!(text.replace(r"\u{1b}", "").as_str(), "\"...\"");
    }
}
