//! Rule W4: one exchange in fragments of every kind (`captures/fragments`) gives the same names and flows as without.

use serde_json::Value;

use crate::support::programs::Replay;
use crate::support::{Seen, checkout};

const CAPTURES: [&str; 9] = [
    "in-order",
    "reversed",
    "smallest",
    "smallest-reversed",
    "twice",
    "overlapping",
    "in-vxlan",
    "of-vxlan",
    "of-and-in-vxlan",
];
/// Of these, the one with fragments that say nothing new.
const REPEATED: &str = "twice";

/// Returns records without what fragments change: the frame, the time and, in an envelope, the segment.
fn without_frame(records: &[Value]) -> Vec<Value> {
    let mut records = records.to_vec();
    for record in records.iter_mut().filter_map(Value::as_object_mut) {
        for field in ["frame", "ts", "segment"] {
            assert!(record.remove(field).is_some());
        }
    }
    records
}

fn count(seen: &Seen, group: &str, name: &str) -> u64 {
    seen.stats[group][name].as_u64().expect("a counter")
}

#[test]
fn rule_w4_every_kind_of_fragments_gives_the_names_and_flows_of_the_plain_capture() {
    let plain = Replay::default().run_files(&[&checkout("captures/envelopes/plain.pcap")]);
    assert_eq!((plain.dns.len(), plain.flows.len(), plain.alerts.len()), (2, 4, 2));
    for name in CAPTURES {
        let seen = Replay::default().run_files(&[&checkout(&format!("captures/fragments/{name}.pcap"))]);
        assert_eq!(
            without_frame(&seen.dns),
            without_frame(&plain.dns),
            "{name}: {}",
            seen.said
        );
        assert_eq!(without_frame(&seen.flows), without_frame(&plain.flows), "{name}");
        assert_eq!(
            (seen.alerts.len(), &seen.stats["packets"]),
            (2, &plain.stats["packets"]),
            "{name}"
        );
        let (joined, ignored) = (count(&seen, "fragments", "joined"), count(&seen, "ignored", "fragment"));
        let frames = seen.stats["frames"].as_u64().expect("a counter");
        assert_eq!(joined + ignored + 20, frames, "{name}: {:#}", seen.stats);
        assert_eq!(count(&seen, "fragments", "incomplete"), 0, "{name}");
        assert_eq!(ignored > 0, name == REPEATED, "{name}: {:#}", seen.stats);
    }
}
