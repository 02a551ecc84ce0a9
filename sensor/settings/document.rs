//! A TOML document that knows where everything in it stands.
//!
//! The values are walked and not derived, because a refusal names key, position and line, which a derived reader has
//! forgotten by then.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::refused::Refused;

/// The longest piece of a value that a refusal repeats, in characters.
const LONGEST_QUOTE: usize = 60;

/// How alike two keys are, from 0 to 1, for one to be taken for the other.
const ALIKE: f64 = 0.8;

/// The file and its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'t> {
    /// The file's name, for refusals.
    pub(super) file: &'t str,
    /// Its whole text.
    pub(super) text: &'t str,
    /// The keys that there are: each table with its keys, for suggestions.
    pub(super) tables: &'t [(&'static str, &'static [&'static str])],
}

impl<'t> Document<'t> {
    /// Takes the text apart.
    pub(super) fn parse(self) -> Result<Spanned<DeTable<'t>>, Refused> {
        DeTable::parse(self.text).map_err(|error| Refused {
            file: self.file.into(),
            line: error.span().map(|span| self.line(span.start)),
            key: None,
            problem: format!("not TOML: {}", error.message()),
        })
    }

    /// Returns the document's outermost table.
    pub(super) fn root(self, entries: &'t DeTable<'t>) -> Result<Table<'t>, Refused> {
        Table::new(self, String::new(), "", 0, entries)
    }

    fn line(self, position: usize) -> usize {
        let before = self.text.get(..position).unwrap_or(self.text);
        before.bytes().filter(|&octet| octet == b'\n').count() + 1
    }

    fn refused(self, position: usize, key: &str, problem: String) -> Refused {
        Refused {
            file: self.file.into(),
            line: Some(self.line(position)),
            key: Some(key.into()),
            problem,
        }
    }

    fn known(self, table: &str) -> &'t [&'static str] {
        let found = self.tables.iter().find(|(name, _)| *name == table);
        found.map_or(&[], |(_, keys)| keys)
    }

    /// Says what a key was probably meant to be: one like it in its own table, else in any.
    fn suggestion(self, table: &str, key: &str) -> String {
        let is_alike = |known: &str| strsim::jaro_winkler(known, key) >= ALIKE;
        let mut alike: Vec<String> = self
            .known(table)
            .iter()
            .filter(|known| is_alike(known))
            .map(|known| join(table, known))
            .collect();
        if alike.is_empty() {
            alike = self
                .tables
                .iter()
                .flat_map(|(name, keys)| {
                    keys.iter()
                        .filter(|known| is_alike(known))
                        .map(|known| join(name, known))
                })
                .collect();
        }
        if alike.is_empty() {
            let known: Vec<String> = self.known(table).iter().map(|known| join(table, known)).collect();
            return format!("there are {}", known.join(", "));
        }
        format!("is {} meant?", alike.join(" or "))
    }
}

/// One table, all of whose keys are known.
#[derive(Debug, Clone)]
pub(super) struct Table<'t> {
    document: Document<'t>,
    /// Its dotted name with positions; empty for the outermost.
    key: String,
    /// Its dotted name without positions.
    name: &'static str,
    position: usize,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    fn new(
        document: Document<'t>,
        key: String,
        name: &'static str,
        position: usize,
        entries: &'t DeTable<'t>,
    ) -> Result<Self, Refused> {
        let known = document.known(name);
        let unknown = entries.keys().filter(|entry| !known.contains(&&**entry.get_ref()));
        if let Some(unknown) = unknown.min_by_key(|entry| entry.span().start) {
            let text = unknown.get_ref();
            return Err(document.refused(
                unknown.span().start,
                &join(&key, &written(text)),
                format!("no such key; {}", document.suggestion(name, text)),
            ));
        }
        Ok(Self {
            document,
            key,
            name,
            position,
            entries,
        })
    }

    /// Returns the value of a key if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'t>> {
        debug_assert!(
            self.document.known(self.name).contains(&key),
            "{key} is asked for and not known"
        );
        let (_, value) = self.entries.iter().find(|(entry, _)| *entry.get_ref() == key)?;
        Some(Value {
            document: self.document,
            key: join(&self.key, key),
            value,
        })
    }

    /// Returns the value of a key that has to be there.
    pub(super) fn required(&self, key: &'static str, expected: &str) -> Result<Value<'t>, Refused> {
        self.get(key).ok_or_else(|| {
            let problem = format!("missing, expected {expected}");
            self.document.refused(self.position, &join(&self.key, key), problem)
        })
    }

    /// Returns the table `[key]` if it is there.
    pub(super) fn table(&self, key: &'static str) -> Result<Option<Self>, Refused> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.table(key, &format!("a table [{key}]")).map(Some)
    }

    /// Returns the table `[key]`, or the tables `[[key]]` in order.
    pub(super) fn one_or_several(&self, key: &'static str) -> Result<Vec<Self>, Refused> {
        match self.get(key) {
            Some(value) if value.value.get_ref().is_table() => Ok(self.table(key)?.into_iter().collect()),
            _ => self.tables(key),
        }
    }

    /// Returns the tables `[[key]]`, in order.
    pub(super) fn tables(&self, key: &'static str) -> Result<Vec<Self>, Refused> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let expected = format!("tables [[{key}]]");
        value
            .items(&expected)?
            .iter()
            .map(|item| item.table(key, &expected))
            .collect()
    }
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Value<'t> {
    document: Document<'t>,
    key: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Value<'t> {
    /// Refuses the value; `expected` follows the word "expected".
    pub(super) fn refused(&self, expected: &str) -> Refused {
        self.refused_for(format!("found {}, expected {expected}", self.found()))
    }

    /// Refuses the value in other words.
    pub(super) fn refused_for(&self, problem: String) -> Refused {
        self.document.refused(self.value.span().start, &self.key, problem)
    }

    /// Returns a string.
    pub(super) fn text(&self, expected: &str) -> Result<&'t str, Refused> {
        self.value.get_ref().as_str().ok_or_else(|| self.refused(expected))
    }

    /// Returns a string, or what TOML writes without quotes for a time.
    pub(super) fn text_or_time(&self, expected: &str) -> Result<String, Refused> {
        match self.value.get_ref() {
            DeValue::Datetime(time) => Ok(time.to_string()),
            _ => self.text(expected).map(str::to_owned),
        }
    }

    /// Returns what `read` makes of a string; `None` refuses it.
    pub(super) fn read<T>(&self, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Refused> {
        read(self.text(expected)?).ok_or_else(|| self.refused(expected))
    }

    /// Returns `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, Refused> {
        self.value
            .get_ref()
            .as_bool()
            .ok_or_else(|| self.refused("true or false"))
    }

    /// Returns a whole number that fits.
    pub(super) fn number<T: TryFrom<i64>>(&self, expected: &str) -> Result<T, Refused> {
        let integer = self.value.get_ref().as_integer();
        integer
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.refused(expected))
    }

    /// Returns the members of an array.
    pub(super) fn items(&self, expected: &str) -> Result<Vec<Self>, Refused> {
        let array = self.value.get_ref().as_array().ok_or_else(|| self.refused(expected))?;
        let items = array.iter().enumerate().map(|(position, value)| Self {
            document: self.document,
            key: format!("{}[{position}]", self.key),
            value,
        });
        Ok(items.collect())
    }

    fn table(&self, name: &'static str, expected: &str) -> Result<Table<'t>, Refused> {
        let entries = self.value.get_ref().as_table().ok_or_else(|| self.refused(expected))?;
        Table::new(self.document, self.key.clone(), name, self.value.span().start, entries)
    }

    fn found(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(text) => {
                let mut quote: String = text.chars().take(LONGEST_QUOTE).collect();
                if quote.len() < text.len() {
                    quote.push('…');
                }
                format!("{quote:?}")
            }
            DeValue::Array(array) if array.is_empty() => "an empty array".into(),
            DeValue::Array(_) => "an array".into(),
            DeValue::Table(_) => "a table".into(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Integer(value) => value.to_string(),
            DeValue::Float(value) => value.to_string(),
            DeValue::Datetime(value) => value.to_string(),
        }
    }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() {
        key.into()
    } else {
        format!("{table}.{key}")
    }
}

/// Returns a key as TOML writes it: bare if it may be, else quoted.
fn written(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
    if is_bare { key.into() } else { format!("{key:?}") }
}
