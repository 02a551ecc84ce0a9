//! A row by the names of its fields, whether a table or an object of JSON holds it.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The fields of a table, and how its cells are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Columns {
    pub names: Vec<String>,
    /// What stands for a value that is not set.
    pub unset: String,
    /// What stands for a list without elements.
    pub empty: String,
    /// What separates the elements of a list.
    pub set_separator: String,
}

impl Columns {
    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cells<'a> {
    /// Of a table; cells are as they were written.
    Table(&'a Columns, &'a [&'a str]),
    /// An object of JSON.
    Object(&'a Map<String, Value>),
}

impl<'a> Cells<'a> {
    /// Returns a field as text; none if it is absent or not set.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        match self {
            Self::Table(columns, cells) => {
                let cell = *cells.get(columns.place(name)?)?;
                (cell != columns.unset).then(|| unescaped(cell))
            }
            Self::Object(fields) => text_of(fields.get(name)?),
        }
    }

    /// Returns a field as a list; nothing if it is absent or not set.
    pub fn list(&self, name: &str) -> Vec<Cow<'a, str>> {
        match self {
            Self::Table(columns, cells) => {
                let Some(cell) = columns.place(name).and_then(|place| cells.get(place)) else {
                    return Vec::new();
                };
                if *cell == columns.unset || *cell == columns.empty {
                    return Vec::new();
                }
                cell.split(columns.set_separator.as_str()).map(unescaped).collect()
            }
            Self::Object(fields) => match fields.get(name) {
                Some(Value::Array(values)) => values.iter().map(|value| text_of(value).unwrap_or_default()).collect(),
                _ => Vec::new(),
            },
        }
    }

    /// Returns a field as what it is parsed to.
    pub fn parse<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

/// Returns a value of JSON as text: numbers as they are written, nothing for `null`, lists and objects.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("T")),
        Value::Bool(false) => Some(Cow::Borrowed("F")),
        _ => None,
    }
}

/// Returns a cell with `\xHH` as the character it stands for, as Zeek writes separators and what is not printable. What
/// stands for no ASCII character stays as it is.
fn unescaped(cell: &str) -> Cow<'_, str> {
    if !cell.contains("\\x") {
        return Cow::Borrowed(cell);
    }
    let mut plain = String::with_capacity(cell.len());
    let mut rest = cell;
    while let Some((before, escape)) = rest.split_once("\\x") {
        plain.push_str(before);
        let octet = escape.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet.filter(u8::is_ascii) {
            Some(octet) => {
                plain.push(char::from(octet));
                rest = escape.get(2..).unwrap_or_default();
            }
            None => {
                plain.push_str("\\x");
                rest = escape;
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_unescaped_and_unset_ones_are_absent() {
        let columns = Columns {
            names: ["a", "b", "c", "d"].map(str::to_owned).into(),
            unset: "-".to_owned(),
            empty: "(empty)".to_owned(),
            set_separator: ",".to_owned(),
        };
        let cells = ["-", "x\\x2cy,z\\xff", "(empty)"];
        let row = Cells::Table(&columns, &cells);
        assert_eq!((row.get("a"), row.get("d"), row.get("e")), (None, None, None));
        assert_eq!(row.list("b"), ["x,y", "z\\xff"]);
        assert!(row.list("c").is_empty() && row.list("a").is_empty() && row.list("e").is_empty());
    }

    #[test]
    fn a_number_of_json_keeps_its_digits() {
        let value: Value = serde_json::from_str(r#"{"ts":1600000000.123456,"n":null,"t":true,"l":[1,"a"]}"#).unwrap();
        let row = Cells::Object(value.as_object().unwrap());
        assert_eq!(row.get("ts").as_deref(), Some("1600000000.123456"));
        assert_eq!((row.get("n"), row.get("t").as_deref()), (None, Some("T")));
        assert_eq!(row.list("l"), ["1", "a"]);
    }
}
