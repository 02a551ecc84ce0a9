//! The words of a line of a recipe, and what they stand for.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::frames::{self, SECOND};

/// The words of a line that are not read yet.
pub struct Words<'a>(VecDeque<&'a str>);

impl<'a> From<&'a str> for Words<'a> {
    fn from(line: &'a str) -> Self {
        Self(line.split_whitespace().collect())
    }
}

impl<'a> Words<'a> {
    /// Takes the first word.
    pub fn next(&mut self) -> &'a str {
        self.0.pop_front().expect("a further word")
    }

    pub fn expect(&mut self, word: &str) {
        assert_eq!(self.next(), word);
    }

    pub fn rest(&mut self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::mem::take(&mut self.0).into_iter()
    }

    /// Takes a word out, wherever it stands.
    pub fn flag(&mut self, word: &str) -> bool {
        let place = self.0.iter().position(|other| *other == word);
        place.and_then(|place| self.0.remove(place)).is_some()
    }

    /// Takes a word and the one after it out.
    pub fn option(&mut self, word: &str) -> Option<&'a str> {
        let place = self.0.iter().position(|other| *other == word)?;
        self.0.remove(place);
        Some(self.0.remove(place).expect("a value"))
    }

    pub fn size(&mut self, word: &str) -> u32 {
        self.option(word).map_or(0, number)
    }

    pub fn endpoints(&mut self) -> (SocketAddr, SocketAddr) {
        let from = frames::endpoint(self.next());
        self.expect(">");
        (from, frames::endpoint(self.next()))
    }

    pub fn addresses(&mut self) -> (IpAddr, IpAddr) {
        let from = frames::ip(self.next());
        self.expect(">");
        (from, frames::ip(self.next()))
    }

    /// Returns the first word, which stays.
    pub fn first(&self) -> Option<&'a str> {
        self.0.front().copied()
    }

    /// Says whether no word is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses words that nobody took.
    pub fn done(&self) {
        assert!(self.0.is_empty(), "left over: {:?}", self.0);
    }
}

/// Returns a number.
pub fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

/// Returns the octets of a text in hexadecimal.
pub fn hexadecimal(word: &str) -> Vec<u8> {
    let digits: Vec<char> = word.chars().collect();
    let octets = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    octets
        .map(|octet| u8::from_str_radix(&octet, 16).expect("hexadecimal"))
        .collect()
}

/// Returns an instant in nanoseconds.
pub fn instant(text: &str) -> i64 {
    let instant: jiff::Timestamp = text.parse().unwrap_or_else(|_| panic!("not an instant: {text}"));
    i64::try_from(instant.as_nanosecond()).expect("an instant of this time")
}

/// Returns a span in nanoseconds: seconds, or numbers with the units d h m s; decimals are exact.
pub fn span(text: &str) -> i64 {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    assert!(rest.starts_with(|c: char| c.is_ascii_digit()), "not a time: {text}");
    let mut total = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        let (unit, after) = after.split_at(usize::from(!after.is_empty()));
        let unit = SECOND
            * match unit {
                "d" => 86_400,
                "h" => 3600,
                "m" => 60,
                "s" | "" => 1,
                other => panic!("no unit {other}"),
            };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        total += number::<i64>(whole) * unit;
        if !fraction.is_empty() {
            let scale = 10_i64.pow(fraction.len() as u32);
            total += number::<i64>(fraction) * (unit / scale);
        }
        rest = after;
    }
    sign * total
}
