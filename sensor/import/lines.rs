//! A file as lines of bounded length.

use std::io::{self, BufRead};

/// Octets of the longest line that is read; no row of any log comes near it.
pub const LONGEST_LINE: usize = 1 << 20;

/// The lines of a file, one after the other.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
}

/// A line as it was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A whole line without its end.
    Whole(&'a [u8]),
    /// A line that is longer than [`LONGEST_LINE`]; all of it was passed over.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    /// Returns the lines of a file of which nothing was read.
    #[must_use]
    pub const fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            number: 0,
        }
    }

    /// Returns the next line with its number, from 1; none at the end. The end of a line is LF or CR LF.
    ///
    /// # Errors
    ///
    /// When the file cannot be read on.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        self.line.clear();
        let mut is_too_long = false;
        loop {
            let held = self.reader.fill_buf()?;
            if held.is_empty() {
                if self.line.is_empty() && !is_too_long {
                    return Ok(None);
                }
                break;
            }
            let end = held.iter().position(|octet| *octet == b'\n');
            let part = held.get(..end.unwrap_or(held.len())).unwrap_or_default();
            if self.line.len() + part.len() > LONGEST_LINE {
                is_too_long = true;
                self.line.clear();
            } else if !is_too_long {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        if is_too_long {
            return Ok(Some((self.number, Line::TooLong)));
        }
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        Ok(Some((self.number, Line::Whole(line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf_or_cr_lf_or_the_file_and_none_is_longer_than_the_limit() {
        let long = vec![b'x'; LONGEST_LINE + 1];
        let mut file = b"a\r\n\n".to_vec();
        file.extend_from_slice(&long);
        file.extend_from_slice(b"\nb");
        let mut lines = Lines::new(io::BufReader::with_capacity(7, file.as_slice()));
        assert_eq!(lines.next_line().unwrap(), Some((1, Line::Whole(b"a"))));
        assert_eq!(lines.next_line().unwrap(), Some((2, Line::Whole(b""))));
        assert_eq!(lines.next_line().unwrap(), Some((3, Line::TooLong)));
        assert_eq!(lines.next_line().unwrap(), Some((4, Line::Whole(b"b"))));
        assert_eq!(lines.next_line().unwrap(), None);
    }
}
