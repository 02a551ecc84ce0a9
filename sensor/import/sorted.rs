//! Rows in the order of time, in bounded memory.
//!
//! Rows are gathered, sorted and set aside in a temporary file as one run; at the end the runs are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Timestamp;

/// How much one run holds, in octets of rows.
const RUN: usize = 64 << 20;
/// How much is read of a run at a time.
const READ: usize = 32 << 10;

/// Rows that are to be put in order.
#[derive(Debug)]
pub struct Sorter<T> {
    run_size: usize,
    octets: Vec<u8>,
    index: Vec<(Timestamp, usize, usize)>,
    aside: Option<File>,
    runs: Vec<(u64, u64)>,
    rows: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Default for Sorter<T> {
    fn default() -> Self {
        Self::with_run(RUN)
    }
}

impl<T: Serialize + DeserializeOwned> Sorter<T> {
    fn with_run(run_size: usize) -> Self {
        Self {
            run_size,
            octets: Vec::new(),
            index: Vec::new(),
            aside: None,
            runs: Vec::new(),
            rows: PhantomData,
        }
    }

    /// Takes a row.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be written.
    pub fn add(&mut self, at: Timestamp, row: &T) -> io::Result<()> {
        let start = self.octets.len();
        serde_json::to_writer(&mut self.octets, row)?;
        self.index.push((at, start, self.octets.len()));
        if self.octets.len() >= self.run_size {
            self.set_aside()?;
        }
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        // Stable: rows of one time stay as they came.
        self.index.sort_by_key(|(at, ..)| *at);
        let aside = match &mut self.aside {
            Some(aside) => aside,
            none => none.insert(tempfile::tempfile()?),
        };
        let from = self.runs.last().map_or(0, |(_, end)| *end);
        aside.seek(SeekFrom::Start(from))?;
        let mut out = BufWriter::new(aside);
        let mut end = from;
        for (at, start, stop) in &self.index {
            let row = self.octets.get(*start..*stop).unwrap_or_default();
            let length = u32::try_from(row.len()).map_err(io::Error::other)?;
            out.write_all(&at.0.to_be_bytes())?;
            out.write_all(&length.to_be_bytes())?;
            out.write_all(row)?;
            end += 12 + u64::from(length);
        }
        out.flush()?;
        drop(out);
        self.runs.push((from, end));
        self.octets.clear();
        self.index.clear();
        Ok(())
    }

    /// Returns the rows in the order of their times, and where those are equal in the order in which they came.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be written or read.
    pub fn finish(mut self) -> io::Result<Sorted<T>> {
        if !self.index.is_empty() {
            self.set_aside()?;
        }
        let mut sorted = Sorted {
            runs: Vec::new(),
            heap: BinaryHeap::new(),
            rows: PhantomData,
        };
        let Some(aside) = self.aside.map(Rc::new) else {
            return Ok(sorted);
        };
        for (number, (at, end)) in self.runs.into_iter().enumerate() {
            let section = Section {
                file: Rc::clone(&aside),
                at,
                end,
            };
            sorted.runs.push((BufReader::with_capacity(READ, section), Vec::new()));
            sorted.advance(number)?;
        }
        Ok(sorted)
    }
}

/// Rows in order.
#[derive(Debug)]
pub struct Sorted<T> {
    /// Each run with its next row.
    runs: Vec<(BufReader<Section>, Vec<u8>)>,
    heap: BinaryHeap<Reverse<(i64, usize)>>,
    rows: PhantomData<T>,
}

impl<T: DeserializeOwned> Sorted<T> {
    fn advance(&mut self, number: usize) -> io::Result<()> {
        let Some((run, row)) = self.runs.get_mut(number) else {
            return Ok(());
        };
        let mut at = [0; 8];
        match run.read_exact(&mut at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        let mut length = [0; 4];
        run.read_exact(&mut length)?;
        row.clear();
        let length = u64::from(u32::from_be_bytes(length));
        run.by_ref().take(length).read_to_end(row)?;
        self.heap.push(Reverse((i64::from_be_bytes(at), number)));
        Ok(())
    }

    /// Returns the next row with its time; none at the end.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub fn next_row(&mut self) -> io::Result<Option<(Timestamp, T)>> {
        let Some(Reverse((at, number))) = self.heap.pop() else {
            return Ok(None);
        };
        let Some((_, row)) = self.runs.get(number) else {
            return Ok(None);
        };
        let row = serde_json::from_slice(row)?;
        self.advance(number)?;
        Ok(Some((Timestamp(at), row)))
    }
}

/// A part of a file.
#[derive(Debug)]
struct Section {
    file: Rc<File>,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let room = into.len().min(left);
        let read = self.file.read_at(into.get_mut(..room).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_in_the_order_of_time_and_then_as_they_came(
            times in prop::collection::vec(-3..9_i64, 0..60),
            run in 1..200_usize,
        ) {
            let mut sorter = Sorter::with_run(run);
            for (number, at) in times.iter().enumerate() {
                sorter.add(Timestamp(*at), &number).unwrap();
            }
            let mut expected: Vec<(Timestamp, usize)> =
                times.iter().enumerate().map(|(number, at)| (Timestamp(*at), number)).collect();
            expected.sort();
            let mut sorted = sorter.finish().unwrap();
            let mut rows = Vec::new();
            while let Some(row) = sorted.next_row().unwrap() {
                rows.push(row);
            }
            prop_assert_eq!(rows, expected);
        }
    }
}
