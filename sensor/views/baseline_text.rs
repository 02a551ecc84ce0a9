//! The baseline as text for a terminal.

use crate::alerting::{day, escaped, moment, octets, plain};
use crate::model::{PairLine, SegmentLine, Timestamp, WorkloadLine};

/// Returns what a workload is called: its name, or segment and address.
#[must_use]
pub fn workload_name(workload: &WorkloadLine) -> String {
    match (&workload.name, workload.address) {
        (Some(name), _) => plain(name),
        (None, Some(address)) => format!("{}/{address}", escaped(&workload.segment)),
        (None, None) => "-".to_owned(),
    }
}

/// Returns a workload as one line; `at` is the packet time of the ledger.
#[must_use]
pub fn workload_text(workload: &WorkloadLine, at: Option<Timestamp>) -> String {
    let mut text = workload_name(workload);
    if workload.name.is_some() {
        text.push_str(&format!(", segment {}", escaped(&workload.segment)));
    }
    if let Some(group) = &workload.group {
        text.push_str(&format!(", group {}", escaped(group)));
    }
    text.push_str(&format!(
        ", since {}, {}",
        moment(workload.since),
        learning(workload.learns_until, at)
    ));
    text
}

/// Returns a segment as one line.
#[must_use]
pub fn segment_text(segment: &SegmentLine, at: Option<Timestamp>) -> String {
    format!(
        "segment {}, since {}, {}",
        escaped(&segment.segment),
        moment(segment.since),
        learning(segment.learns_until, at)
    )
}

fn learning(until: Option<Timestamp>, at: Option<Timestamp>) -> String {
    match until {
        None => "does not learn".to_owned(),
        Some(until) if at.is_none_or(|at| at < until) => format!("learns until {}", moment(until)),
        Some(until) => format!("learnt until {}", moment(until)),
    }
}

/// Returns a pair as lines, the first with what it is, the others indented.
#[must_use]
pub fn pair_text(pair: &PairLine) -> String {
    let days = u128::from_str_radix(&pair.days, 16).map_or(0, u128::count_ones);
    let mut text = format!("{} {}\n", pair.kind.name(), plain(&pair.destination));
    text.push_str(&format!(
        "  {} to {}, {}, {}, {} out, {} in",
        moment(pair.first),
        moment(pair.last),
        counted(u64::from(pair.count), "contact"),
        counted(u64::from(days), "day"),
        octets(pair.octets_out),
        octets(pair.octets_in),
    ));
    if !pair.ports.is_empty() {
        let ports: Vec<String> = pair.ports.iter().map(u16::to_string).collect();
        text.push_str(&format!(", port {}", ports.join(" ")));
    }
    for name in &pair.names {
        text.push_str(&format!("\n  {} by {}", plain(&name.name), name.server));
    }
    if let Some(novelty) = pair.novelty {
        text.push_str(&format!(
            "\n  new on {}: {}",
            day(novelty.at),
            match novelty.fate {
                crate::model::Fate::Raised => "an alert was raised",
                crate::model::Fate::Learned => "learnt",
                crate::model::Fate::Burst => "over the alert budget",
                crate::model::Fate::Suppressed => "suppressed",
            }
        ));
    }
    text
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::*;

    #[test]
    fn nothing_from_the_network_reaches_the_terminal_as_it_is() {
        let bad = "a\u{1b}[2J\u{202e}b";
        let mut pair = Pair::new(Timestamp(0));
        pair.add_name(&std::sync::Arc::new(Provenance::new(
            bad.into(),
            Address::v4([10, 0, 0, 2]),
            [].into(),
        )));
        let pair = PairLine::of(&PairKey::Domain(bad.into()), &pair);
        let record = WorkloadRecord {
            key: WorkloadKey::Named(bad.into()),
            segment: bad.into(),
            group: Some(bad.into()),
            since: Timestamp(0),
            learns_until: Timestamp(0),
            last: Timestamp(0),
        };
        let texts = [pair_text(&pair), workload_text(&WorkloadLine::from(&record), None)];
        for text in texts {
            assert!(
                !text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'),
                "{text:?}"
            );
        }
    }

    #[test]
    fn learning_is_told_by_packet_time() {
        let until = Some(Timestamp(100));
        assert_eq!(learning(None, None), "does not learn");
        assert!(learning(until, Some(Timestamp(99))).starts_with("learns until"));
        assert!(learning(until, Some(Timestamp(100))).starts_with("learnt until"));
    }
}
