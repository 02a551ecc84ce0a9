//! A log, row by row, whatever its format.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use serde_json::{Map, Value};

use crate::model::ImportedRow;

use super::cells::{Cells, Columns};
use super::fault::Fault;
use super::format::LogFormat;
use super::lines::{Line, Lines};
use super::{aws, eve, zeek};

/// Octets of the longest name: 255 octets (RFC 1035 section 3.1), each of which may be written as four.
const LONGEST_NAME: usize = 1024;
/// Names between the one asked and its addresses; resolvers give up long before.
const LONGEST_CHAIN: usize = 64;

/// A log as it is read.
pub struct LogFile<R> {
    lines: Lines<R>,
    format: LogFormat,
    state: State,
    /// Rows that lines before gave.
    ready: VecDeque<ImportedRow>,
    is_over: bool,
}

/// What rows depend on beside themselves.
#[derive(Default)]
struct State {
    zeek: zeek::Header,
    flow_log: Option<Columns>,
    eve: eve::Pending,
}

/// Why a line gives nothing.
enum Problem {
    /// It cannot be read.
    Row(String),
    /// The file is no log that can be read.
    File(String),
}

impl From<&'static str> for Problem {
    fn from(problem: &'static str) -> Self {
        Self::Row(problem.to_owned())
    }
}

impl<R: BufRead> LogFile<R> {
    /// Returns a log of which nothing was read; it is no exported baseline.
    #[must_use]
    pub fn new(reader: R, format: LogFormat) -> Self {
        Self {
            lines: Lines::new(reader),
            format,
            state: State::default(),
            ready: VecDeque::new(),
            is_over: false,
        }
    }

    /// Returns the next row, or why a line cannot be read; none at the end. A log that goes on in another format ends
    /// with the fault that says so.
    ///
    /// # Errors
    ///
    /// When the file cannot be read on.
    pub fn next_row(&mut self) -> io::Result<Option<Result<ImportedRow, Fault>>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(Ok(row)));
            }
            if self.is_over {
                return Ok(None);
            }
            let Some((number, line)) = self.lines.next_line()? else {
                self.is_over = true;
                self.ready.extend(self.state.eve.take());
                continue;
            };
            let fault = |problem: String| Fault {
                line: number,
                problem: problem.into(),
            };
            let text = match line {
                Line::Whole(line) => std::str::from_utf8(line),
                Line::TooLong => return Ok(Some(Err(fault("the line is too long".to_owned())))),
            };
            let Ok(text) = text else {
                return Ok(Some(Err(fault("it is no UTF-8".to_owned()))));
            };
            let mut rows = Vec::new();
            let taken = self.state.take(self.format, text, &mut rows);
            let taken = taken.and_then(|()| sound(&mut rows));
            self.ready.extend(rows);
            let problem = match taken {
                Ok(()) => continue,
                Err(Problem::Row(problem)) => problem,
                Err(Problem::File(problem)) => {
                    self.is_over = true;
                    return Ok(Some(Err(fault(format!("{problem}; it is read no further")))));
                }
            };
            let problem = match LogFormat::of(text.as_bytes()) {
                Some(other) if other != self.format => {
                    self.is_over = true;
                    format!(
                        "from here on it is {other}, and before it is {}: it is read no further; give a file for each format",
                        self.format
                    )
                }
                _ => problem,
            };
            return Ok(Some(Err(fault(problem))));
        }
    }
}

impl State {
    fn take(&mut self, format: LogFormat, line: &str, out: &mut Vec<ImportedRow>) -> Result<(), Problem> {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            return Ok(());
        }
        match format {
            LogFormat::Baseline => Err(Problem::File("it is an exported baseline".to_owned())),
            LogFormat::Zeek if trimmed.starts_with('{') => {
                let object = object(trimmed)?;
                let row = Cells::Object(&object);
                match zeek::log_of(&row) {
                    Some(log) => {
                        out.extend(zeek::read(log, &row)?);
                        Ok(())
                    }
                    // Zeek may write all of its logs as one stream.
                    None if object.contains_key("_path") || object.contains_key("id.orig_h") => Ok(()),
                    None => Err("it is no row of conn.log or dns.log".into()),
                }
            }
            LogFormat::Zeek => self.zeek_table(line, out),
            LogFormat::Eve => Ok(eve::read(&object(trimmed)?, &mut self.eve, out)?),
            LogFormat::VpcFlow => self.flow_log(aws::without_stamp(trimmed), out),
            LogFormat::Route53 => {
                let record = object(aws::without_stamp(trimmed))?;
                out.extend(aws::query(&record)?.map(ImportedRow::Lookup));
                Ok(())
            }
        }
    }

    fn zeek_table(&mut self, line: &str, out: &mut Vec<ImportedRow>) -> Result<(), Problem> {
        if line.starts_with('#') {
            self.zeek.take(line);
            return Ok(());
        }
        let columns = &self.zeek.columns;
        if columns.names.is_empty() {
            return Err("no #fields stands before it".into());
        }
        let log = self.zeek.log().map_err(Problem::File)?;
        let cells = self.zeek.cells(line);
        if cells.len() != columns.names.len() {
            return Err(Problem::Row(format!(
                "it has {} cells where #fields names {}",
                cells.len(),
                columns.names.len()
            )));
        }
        out.extend(zeek::read(log, &Cells::Table(columns, &cells))?);
        Ok(())
    }

    fn flow_log(&mut self, line: &str, out: &mut Vec<ImportedRow>) -> Result<(), Problem> {
        // Files that were joined have a header each.
        if let Some((columns, is_header)) = aws::columns(line)
            && (is_header == aws::IsHeader::Yes || self.flow_log.is_none())
        {
            self.flow_log = Some(columns);
            if is_header == aws::IsHeader::Yes {
                return Ok(());
            }
        }
        let Some(columns) = &self.flow_log else {
            return Err("it is no row of the default format, and no header stands before it".into());
        };
        let cells: Vec<&str> = line.split_ascii_whitespace().collect();
        if cells.len() != columns.names.len() {
            return Err(Problem::Row(format!(
                "it has {} cells where the header names {}",
                cells.len(),
                columns.names.len()
            )));
        }
        out.extend(aws::flow(&Cells::Table(columns, &cells))?.map(ImportedRow::Flow));
        Ok(())
    }
}

/// Takes out what no DNS message can hold.
fn sound(rows: &mut Vec<ImportedRow>) -> Result<(), Problem> {
    let count = rows.len();
    rows.retain(|row| match row {
        ImportedRow::Flow(_) => true,
        ImportedRow::Lookup(lookup) => {
            let mut names = lookup.chain.iter().chain([&lookup.name]);
            names.all(|name| name.len() <= LONGEST_NAME) && lookup.chain.len() <= LONGEST_CHAIN
        }
    });
    if rows.len() < count {
        return Err("a name or its chain is longer than DNS allows".into());
    }
    Ok(())
}

fn object(line: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(line).map_err(|error| Problem::Row(format!("no object of JSON: {error}")))
}

#[cfg(test)]
mod tests;
