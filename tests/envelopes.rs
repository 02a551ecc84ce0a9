//! Rules W1 and W2: one exchange in every envelope (`captures/envelopes`) gives the same names and flows as without any.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::programs::Replay;
use crate::support::{Seen, checkout};

/// The fewest captures that there have to be, so that a folder that is not there is no success.
const FEWEST: usize = 25;

fn captures() -> Vec<PathBuf> {
    let all = std::fs::read_dir(checkout("captures/envelopes")).expect("captures/envelopes can be read");
    let mut found: Vec<PathBuf> = all.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

fn replay(capture: &Path) -> Seen {
    Replay::default().run_files(&[capture])
}

/// Returns records without their segments, which the envelopes name.
fn without_segment(records: &[Value]) -> Vec<Value> {
    let mut records = records.to_vec();
    for record in records.iter_mut().filter_map(Value::as_object_mut) {
        assert!(record.remove("segment").is_some());
    }
    records
}

#[test]
fn rule_w2_every_envelope_gives_the_names_and_flows_of_the_plain_capture() {
    let plain = replay(&checkout("captures/envelopes/plain.pcap"));
    assert_eq!((plain.dns.len(), plain.flows.len(), plain.alerts.len()), (2, 4, 2));
    let captures = captures();
    assert!(captures.len() >= FEWEST);
    let mut wrong = Vec::new();
    for capture in captures {
        let seen = replay(&capture);
        let name = capture.file_stem().unwrap_or_default().to_string_lossy();
        let kinds = |seen: &Seen| {
            seen.alerts
                .iter()
                .map(|alert| alert["kind"].clone())
                .collect::<Vec<_>>()
        };
        let is_same = without_segment(&seen.dns) == without_segment(&plain.dns)
            && without_segment(&seen.flows) == without_segment(&plain.flows)
            && kinds(&seen) == kinds(&plain)
            && seen.stats["packets"] == seen.stats["frames"];
        if !is_same {
            wrong.push(format!(
                "{name}: {} {:#} {:?} {:?}",
                seen.said, seen.stats, seen.dns, seen.flows
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rule_w3_envelopes_name_the_segment_where_the_settings_say_so() {
    let by_all = "[segment]\nby = [\"vni\", \"vlan\", \"key\"]\n";
    for (name, segment) in [
        ("plain", "-"),
        ("tags", "vlan=9"),
        ("gre-bridged", "key=7"),
        ("pptp", "-"),
        ("erspan-1", "-"),
        ("erspan-2", "key=9"),
        ("erspan-3-platform", "key=9"),
        ("vxlan-extension", "vni=42"),
        ("geneve", "vni=42"),
        ("eight", "vni=42,vlan=9,key=7"),
    ] {
        let replay = Replay {
            settings: Some(by_all.into()),
            ..Replay::default()
        };
        let seen = replay.run_files(&[&checkout(&format!("captures/envelopes/{name}.pcap"))]);
        assert_eq!(seen.flows[0]["segment"], segment, "{name}: {}", seen.said);
    }
}
