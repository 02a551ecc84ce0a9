//! Which format a file is in, by what it begins with.

use std::fmt;

use super::aws;

/// A format that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// What `sensor baseline export` writes.
    Baseline,
    /// Zeek's `conn.log` or `dns.log`, as a table or as JSON.
    Zeek,
    /// Suricata's EVE.
    Eve,
    /// AWS VPC flow logs.
    VpcFlow,
    /// Query logs of AWS' Route 53 resolver.
    Route53,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Baseline, Self::Zeek, Self::Eve, Self::VpcFlow, Self::Route53];

    /// Returns the name that arguments use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Zeek => "zeek",
            Self::Eve => "eve",
            Self::VpcFlow => "vpc-flow",
            Self::Route53 => "route53",
        }
    }

    /// Returns the format that the first line with anything in it is of. Objects of JSON are told by the names in them.
    #[must_use]
    pub fn of(octets: &[u8]) -> Option<Self> {
        let line = octets
            .split(|octet| *octet == b'\n')
            .map(<[u8]>::trim_ascii)
            .find(|line| !line.is_empty())?;
        let line = String::from_utf8_lossy(line);
        let line = aws::without_stamp(&line);
        if line.starts_with('{') {
            let has = |name: &str| line.contains(name);
            return if has("\"event_type\"") {
                Some(Self::Eve)
            } else if has("\"query_timestamp\"") {
                Some(Self::Route53)
            } else if has("\"record\"") {
                Some(Self::Baseline)
            } else if has("\"id.orig_h\"") || has("\"_path\"") {
                Some(Self::Zeek)
            } else {
                None
            };
        }
        if line.starts_with("#separator") || line.starts_with("#fields") {
            return Some(Self::Zeek);
        }
        aws::columns(line).map(|_| Self::VpcFlow)
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Baseline => "an exported baseline",
            Self::Zeek => "a log of Zeek",
            Self::Eve => "EVE of Suricata",
            Self::VpcFlow => "a VPC flow log",
            Self::Route53 => "a Route 53 query log",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_the_first_line() {
        let cases = [
            ("#separator \\x09\n", Some(LogFormat::Zeek)),
            ("\n\n{\"ts\":1.0,\"id.orig_h\":\"10.0.0.1\"}", Some(LogFormat::Zeek)),
            ("{\"timestamp\":\"x\",\"event_type\":\"flow\"}", Some(LogFormat::Eve)),
            (
                "{\"version\":\"1.1\",\"query_timestamp\":\"x\"}",
                Some(LogFormat::Route53),
            ),
            ("{\"record\":\"baseline\"}", Some(LogFormat::Baseline)),
            (
                "2 1 eni-1 10.0.0.1 1.1.1.1 1 2 6 1 40 1 2 ACCEPT OK",
                Some(LogFormat::VpcFlow),
            ),
            ("version srcaddr dstaddr", Some(LogFormat::VpcFlow)),
            (
                "2026-03-02T12:00:00.000Z 2 1 eni-1 - - - - - - - 1 2 - NODATA",
                Some(LogFormat::VpcFlow),
            ),
            (
                "2026-03-02T12:00:00Z {\"query_timestamp\":\"x\"}",
                Some(LogFormat::Route53),
            ),
            ("{\"a\":1}", None),
            ("time,from,to", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(LogFormat::of(text.as_bytes()), expected, "{text}");
        }
    }
}
