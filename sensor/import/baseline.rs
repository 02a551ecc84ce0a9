//! Baselines that `sensor baseline export` wrote.

use std::io::{self, BufRead};

use crate::model::{
    BASELINE_FORMAT, BASELINE_VERSION, BaselineHeader, BaselineLine, Pair, PairKey, ResolverState, SegmentState,
    Timestamp, WorkloadRecord,
};

use super::fault::Fault;
use super::lines::{Line, Lines};

/// An exported baseline as it is read.
#[derive(Debug)]
pub struct BaselineFile<R> {
    lines: Lines<R>,
    at: Option<Timestamp>,
    /// Whether the last line that names a workload could be read: pairs belong to it.
    has_workload: bool,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A segment.
    Segment(SegmentState),
    /// A resolver.
    Resolver(ResolverState),
    /// A workload.
    Workload(WorkloadRecord),
    /// A pair of the workload before it.
    Pair(PairKey, Box<Pair>),
}

impl<R: BufRead> BaselineFile<R> {
    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// When the file cannot be read; `InvalidData` with what is wrong if it is no baseline of a version that this program
    /// reads.
    pub fn open(reader: R) -> io::Result<Self> {
        let refused = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        let mut lines = Lines::new(reader);
        let header = match lines.next_line()? {
            Some((_, Line::Whole(line))) => serde_json::from_slice(line).ok(),
            _ => None,
        };
        let Some(BaselineLine::Baseline(BaselineHeader { format, version, at })) = header else {
            return Err(refused(
                "it is no baseline that `sensor baseline export` wrote".to_owned(),
            ));
        };
        if format != BASELINE_FORMAT || version != BASELINE_VERSION {
            return Err(refused(format!(
                "it is `{}` version {version}; this program reads `{BASELINE_FORMAT}` version {BASELINE_VERSION}",
                format.escape_default()
            )));
        }
        Ok(Self {
            lines,
            at,
            has_workload: false,
        })
    }

    /// Returns the packet time of the ledger that was exported.
    #[must_use]
    pub const fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// Returns what the next line says, or why it cannot be read; none at the end. Pairs without a workload cannot be read
    /// either.
    ///
    /// # Errors
    ///
    /// When the file cannot be read on.
    pub fn next_item(&mut self) -> io::Result<Option<Result<Item, Fault>>> {
        let Some((number, line)) = self.lines.next_line()? else {
            return Ok(None);
        };
        let fault = |problem: &'static str| Fault {
            line: number,
            problem: problem.into(),
        };
        // A line that is cut or changed may have been a workload's, unless it still says that it is a pair's.
        let is_pair = matches!(line, Line::Whole(line) if line.starts_with(br#"{"record":"pair""#));
        let line = match line {
            Line::Whole(line) => serde_json::from_slice(line).map_err(|error| Fault {
                line: number,
                problem: error.to_string().into(),
            }),
            Line::TooLong => Err(fault("the line is too long")),
        };
        let line = match line {
            Ok(line) => line,
            Err(fault) => {
                self.has_workload &= is_pair;
                return Ok(Some(Err(fault)));
            }
        };
        let item = match line {
            BaselineLine::Baseline(_) => Err(fault("a second header: two files in one")),
            BaselineLine::Segment(segment) => Ok(Item::Segment(segment.into())),
            BaselineLine::Resolver(resolver) => Ok(Item::Resolver(resolver)),
            BaselineLine::Workload(workload) => {
                let record = workload.to_record();
                self.has_workload = record.is_ok();
                record.map(Item::Workload).map_err(fault)
            }
            BaselineLine::Pair(_) if !self.has_workload => Err(fault("it is not known whose pair this is")),
            BaselineLine::Pair(pair) => match pair.to_pair() {
                Ok((key, pair)) => Ok(Item::Pair(key, Box::new(pair))),
                Err(problem) => Err(fault(problem)),
            },
        };
        Ok(Some(item))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r#"{"record":"baseline","format":"firstcontact baseline","version":1,"at":null}"#;
    const WORKLOAD: &str = r#"{"record":"workload","name":"web","address":null,"segment":"-","group":null,"since":"2026-03-02T12:00:00Z","learns_until":null}"#;
    const PAIR: &str = r#"{"record":"pair","kind":"domain","destination":"example.com","first":"2026-03-02T12:00:00Z","last":"2026-03-02T12:00:00Z","count":1,"octets_out":1,"octets_in":2,"days":"1","ports":[443],"names":[],"novelty":null}"#;

    fn read(lines: &[&str]) -> Vec<Result<Item, Fault>> {
        let text = lines.join("\n");
        let mut file = BaselineFile::open(text.as_bytes()).unwrap();
        std::iter::from_fn(|| file.next_item().unwrap()).collect()
    }

    #[test]
    fn pairs_without_a_workload_are_faults_until_the_next_one() {
        let items = read(&[HEADER, PAIR, WORKLOAD, PAIR, "{", PAIR, WORKLOAD, PAIR, HEADER]);
        let are: Vec<bool> = items.iter().map(Result::is_ok).collect();
        assert_eq!(are, [false, true, true, false, false, true, true, false]);
        assert_eq!(items[0].as_ref().unwrap_err().line, 2);
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_told() {
        let cases = [
            (
                r#""days":"1""#,
                r#""days":"2""#,
                "the day of the last contact is not among the days",
            ),
            (r#""days":"1""#, r#""days":"g""#, "the days are no hexadecimal number"),
            (
                r#""kind":"domain""#,
                r#""kind":"address""#,
                "the destination is no address",
            ),
            (
                r#""last":"2026-03-02T12:00:00Z""#,
                r#""last":"2026-03-01T12:00:00Z""#,
                "the last contact is before the first",
            ),
        ];
        for (right, wrong, problem) in cases {
            let items = read(&[HEADER, WORKLOAD, &PAIR.replace(right, wrong)]);
            assert_eq!(items[1].as_ref().unwrap_err().problem, problem);
        }
    }

    #[test]
    fn other_files_and_other_versions_are_refused_in_one_line() {
        for first in ["", "{}", "x", &HEADER.replace(r#""version":1"#, r#""version":2"#)] {
            let error = BaselineFile::open(first.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(octets: Vec<u8>, line in "\\{\"record\":\"(pair|workload|segment)\".{0,60}") {
            let mut text = format!("{HEADER}\n{WORKLOAD}\n{line}\n").into_bytes();
            text.extend(octets);
            let mut file = BaselineFile::open(text.as_slice()).unwrap();
            while file.next_item().unwrap().is_some() {}
        }
    }
}
