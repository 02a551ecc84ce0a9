//! Lines that come nearly in order, written in order.
//!
//! Flows are reported when they end and contacts when they are judged, long after other lines whose frames came later.
//! Lines are gathered in memory, sorted and set aside in a temporary file as one run; at the end the runs are merged.
//! Memory is bounded by the size of one run, and every file is read and written from front to back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How much one run holds, in octets of lines.
const RUN: usize = 16 << 20;
/// How much is read of a run at a time.
const READ: usize = 32 * 1024;

/// One file of ordered lines.
///
/// The file is created at once, which tells early whether it can be, and holds nothing until [`Spool::finish`].
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    run_size: usize,
    lines: Vec<u8>,
    index: Vec<Line>,
    aside: Option<File>,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    arrival: u64,
    start: usize,
    end: usize,
}

/// Where a run lies in the temporary file.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
}

impl Spool {
    /// Creates the file, or empties the one there is.
    ///
    /// # Errors
    ///
    /// When it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: File::create(path)?,
            run_size: RUN,
            lines: Vec::new(),
            index: Vec::new(),
            aside: None,
            runs: Vec::new(),
        })
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes one line, by the arrival number that orders it.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be written. The line is kept all the same, and so is every one before it.
    pub fn write<T: Serialize>(&mut self, arrival: u64, record: &T) -> io::Result<()> {
        let start = self.lines.len();
        if let Err(error) = serde_json::to_writer(&mut self.lines, record) {
            self.lines.truncate(start);
            return Err(error.into());
        }
        self.lines.push(b'\n');
        let end = self.lines.len();
        self.index.push(Line { arrival, start, end });
        if self.lines.len() >= self.run_size {
            self.set_aside()
        } else {
            Ok(())
        }
    }

    /// Writes all lines, ordered by arrival and, where that is equal, by when they came.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written; the file then holds the lines that still went in.
    pub fn finish(mut self) -> io::Result<()> {
        self.sort();
        let mut out = BufWriter::new(&self.file);
        let Some(aside) = &self.aside else {
            for line in &self.index {
                out.write_all(self.lines.get(line.start..line.end).unwrap_or_default())?;
            }
            return out.flush();
        };
        let mut sources: Vec<Box<dyn Lines + '_>> = Vec::new();
        for run in &self.runs {
            let Run { start, end } = *run;
            let section = Section {
                file: aside,
                at: start,
                end,
            };
            sources.push(Box::new(Stored(BufReader::with_capacity(READ, section))));
        }
        let rest = self
            .index
            .iter()
            .map(|line| (line.arrival, self.lines.get(line.start..line.end).unwrap_or_default()));
        sources.push(Box::new(Held(rest)));
        merge(sources, &mut out)?;
        out.flush()
    }

    /// The sort is stable: lines of one frame stay as they came.
    fn sort(&mut self) {
        self.index.sort_by_key(|line| line.arrival);
    }

    fn set_aside(&mut self) -> io::Result<()> {
        self.sort();
        if self.aside.is_none() {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            self.aside = Some(tempfile::tempfile_in(folder)?);
        }
        let Some(aside) = &mut self.aside else { return Ok(()) };
        let start = self.runs.last().map_or(0, |run| run.end);
        aside.seek(SeekFrom::Start(start))?;
        let mut out = BufWriter::new(aside);
        let mut end = start;
        for line in &self.index {
            let octets = self.lines.get(line.start..line.end).unwrap_or_default();
            let length = u32::try_from(octets.len()).map_err(io::Error::other)?;
            out.write_all(&line.arrival.to_be_bytes())?;
            out.write_all(&length.to_be_bytes())?;
            out.write_all(octets)?;
            end += 12 + u64::from(length);
        }
        out.flush()?;
        drop(out);
        self.runs.push(Run { start, end });
        self.lines.clear();
        self.index.clear();
        Ok(())
    }
}

/// Lines in order.
trait Lines {
    /// Puts the next line into `line` and returns its arrival number.
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<u64>>;
}

/// A run in the temporary file.
struct Stored<'a>(BufReader<Section<'a>>);

impl Lines for Stored<'_> {
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let mut arrival = [0; 8];
        match self.0.read_exact(&mut arrival) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        line.clear();
        let length = u64::from(u32::from_be_bytes(length));
        self.0.by_ref().take(length).read_to_end(line)?;
        Ok(Some(u64::from_be_bytes(arrival)))
    }
}

/// The last run, in memory.
struct Held<I>(I);

impl<'a, I: Iterator<Item = (u64, &'a [u8])>> Lines for Held<I> {
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let Some((arrival, octets)) = self.0.next() else {
            return Ok(None);
        };
        line.clear();
        line.extend_from_slice(octets);
        Ok(Some(arrival))
    }
}

/// A part of a file, read without moving the file's own place.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let room = into.len().min(left);
        let read = self.file.read_at(into.get_mut(..room).unwrap_or_default(), self.at)?;
        self.at += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// Merges ordered lines; of equal arrival numbers the earlier source comes first, since its lines came first.
fn merge(mut sources: Vec<Box<dyn Lines + '_>>, out: &mut impl Write) -> io::Result<()> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut heap = BinaryHeap::new();
    for (number, source) in sources.iter_mut().enumerate() {
        let mut line = Vec::new();
        if let Some(arrival) = source.next(&mut line)? {
            heap.push(Reverse((arrival, number)));
        }
        lines.push(line);
    }
    while let Some(Reverse((_, number))) = heap.pop() {
        let (Some(source), Some(line)) = (sources.get_mut(number), lines.get_mut(number)) else {
            continue;
        };
        out.write_all(line)?;
        if let Some(arrival) = source.next(line)? {
            heap.push(Reverse((arrival, number)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(arrivals: &[u64], run_size: usize) -> Vec<(u64, usize)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        let mut spool = Spool::create(&path).unwrap();
        spool.run_size = run_size;
        for (number, &arrival) in arrivals.iter().enumerate() {
            spool.write(arrival, &(arrival, number)).unwrap();
        }
        spool.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn lines_are_ordered_by_arrival_then_as_they_came(
            arrivals in prop::collection::vec(0_u64..20, 0..200),
            run_size in prop_oneof![Just(1_usize), 5_usize..400, Just(RUN)],
        ) {
            let mut expected: Vec<(u64, usize)> = arrivals.iter().copied().zip(0..).collect();
            expected.sort();
            prop_assert_eq!(written(&arrivals, run_size), expected);
        }
    }

    #[test]
    fn a_full_disk_loses_no_line_that_can_still_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        let mut spool = Spool::create(&path).unwrap();
        spool.run_size = 1;
        spool.write(2, &"two").unwrap();
        let whole = spool
            .aside
            .replace(File::options().read(true).write(true).open("/dev/full").unwrap());
        let error = spool.write(1, &"one").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        spool.aside = whole;
        spool.write(3, &"three").unwrap();
        spool.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "\"one\"\n\"two\"\n\"three\"\n");
    }
}
