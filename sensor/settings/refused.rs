//! Why settings are refused, in one line.

use std::fmt;

/// Settings that cannot be used: which key of which file, what stood there and what was expected.
///
/// It is written in one line, such as
/// `sensor.toml:12: network.internal[1]: found "10.0.0.0/33", expected a prefix such as 10.0.0.0/8 or 2001:db8::/32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file, as it was named to us.
    pub file: String,
    /// The line, from 1, where one is to blame.
    pub line: Option<usize>,
    /// The key with its tables and positions, such as `workload[2].prefixes[0]`, where one is to blame.
    pub key: Option<String>,
    /// What stood there and what was expected.
    pub problem: String,
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        // Whatever others wrote, it stays one line.
        for part in self.problem.split_inclusive(['\n', '\r']) {
            f.write_str(part.trim_end_matches(['\n', '\r']))?;
            if part.ends_with(['\n', '\r']) {
                f.write_str(" ")?;
            }
        }
        Ok(())
    }
}
