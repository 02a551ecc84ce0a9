//! A sensor that sees only a part: started in the middle, or behind a mirror of one direction (rules N2, F2 and F3).
//!
//! Every capture of the project is cut at many places, and into its directions. What is left may say less than the whole
//! capture, and never that a contact went the other way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use firstcontact::capture::CaptureFile;
use firstcontact::identity::{Locality, Network};
use firstcontact::model::{Policy, SourceId};
use firstcontact::wire;
use serde_json::Value;

use crate::support::programs::Replay;
use crate::support::{Capture, Seen, checkout, frames};

/// Places at which a capture is cut.
const CUTS: usize = 12;

/// A frame, and whether the host that sent its packet is internal and the other external, or the other way round.
struct Shown {
    frame: frames::Frame,
    is_outbound: Option<bool>,
}

fn read(path: &Path) -> Vec<Shown> {
    let policy = Policy::default().network;
    let network = Network::new(&policy);
    let ports = wire::Ports::new(&policy.vxlan_ports, &policy.geneve_ports, &policy.dns_ports);
    let mut file = CaptureFile::open(path, SourceId(0)).expect("a capture");
    let mut all = Vec::new();
    while let Some(frame) = file.next().expect("a whole capture") {
        let decoded = wire::decode(frame.link, frame.octets, &ports).ok();
        let ends = decoded.map(|decoded| (network.locality(decoded.from), network.locality(decoded.to)));
        all.push(Shown {
            frame: frames::Frame {
                time: frame.time.0,
                octets: frame.octets.to_vec(),
                length: frame.octets.len(),
            },
            is_outbound: match ends {
                Some((Locality::Internal, Locality::External)) => Some(true),
                Some((Locality::External, Locality::Internal)) => Some(false),
                _ => None,
            },
        });
    }
    all
}

fn replay<'a>(shown: impl IntoIterator<Item = &'a Shown>) -> Seen {
    let mut capture = Capture::new();
    capture
        .frames
        .extend(shown.into_iter().map(|shown| shown.frame.clone()));
    let seen = Replay::default().run(&capture);
    assert_eq!(seen.status, 0, "{}", seen.said);
    seen
}

/// Returns the ends of a record, originator first.
fn ends(record: &Value) -> (String, String) {
    let end = |key: &str| format!("{} {}", record["segment"], record[key]);
    (end("originator"), end("responder"))
}

/// Returns who contacted whom; of a client's contacts with a DNS server one a day is judged, whichever port it came from.
fn parties(record: &Value) -> (String, String) {
    (record["originator"]["ip"].to_string(), ends(record).1)
}

/// Returns what a part of a capture says that the whole one does not.
fn invented(whole: &Seen, part: &Seen) -> Vec<String> {
    let known: BTreeSet<_> = whole.flows.iter().map(ends).collect();
    let flows = part.flows.iter().map(ends);
    let swapped = flows.filter(|(one, other)| !known.contains(&(one.clone(), other.clone())));
    let swapped = swapped.map(|ends| format!("flow {ends:?}"));
    let contacts: BTreeSet<_> = whole.contacts.iter().map(parties).collect();
    let more = part
        .contacts
        .iter()
        .map(parties)
        .filter(|parties| !contacts.contains(parties));
    swapped
        .chain(more.map(|parties| format!("contact {parties:?}")))
        .collect()
}

fn captures() -> Vec<PathBuf> {
    let all = checkout("captures").read_dir().expect("captures/");
    let mut all: Vec<PathBuf> = all
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    all.sort();
    assert!(all.len() >= 10);
    all
}

#[test]
fn rule_f3_a_start_in_the_middle_swaps_no_sides() {
    let mut wrong = Vec::new();
    let mut midstream = 0;
    for path in captures() {
        let shown = read(&path);
        let whole = replay(&shown);
        let cuts: BTreeSet<usize> = (1..CUTS).map(|cut| shown.len() * cut / CUTS).collect();
        for cut in cuts {
            let part = replay(&shown[cut..]);
            midstream += part.contacts.len();
            wrong.extend(
                invented(&whole, &part)
                    .into_iter()
                    .map(|what| format!("{} from frame {}: {what}", path.display(), cut + 1)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(midstream > 100, "{midstream} contacts say little");
}

#[test]
fn rules_n2_and_f3_a_mirror_of_one_direction_swaps_no_sides_and_hides_no_contact() {
    let mut wrong = Vec::new();
    let mut found: BTreeMap<bool, usize> = BTreeMap::new();
    for path in captures() {
        let shown = read(&path);
        let whole = replay(&shown);
        // What both show: a connection that was established, by name.
        let established = whole.flows.iter().filter(|flow| flow["outcome"] == "established");
        let established: BTreeSet<_> = established.map(ends).collect();
        for is_outbound in [true, false] {
            let part = replay(
                shown
                    .iter()
                    .filter(|shown| shown.is_outbound.is_none_or(|way| way == is_outbound)),
            );
            let told = |what: String| format!("{} outbound {is_outbound}: {what}", path.display());
            wrong.extend(invented(&whole, &part).into_iter().map(told));
            let contacts: BTreeSet<_> = part.contacts.iter().map(parties).collect();
            let missing = whole
                .contacts
                .iter()
                .filter(|contact| established.contains(&ends(contact)));
            let missing = missing.filter(|contact| !contacts.contains(&parties(contact)));
            wrong.extend(missing.map(|contact| told(format!("hides {contact}"))));
            *found.entry(is_outbound).or_default() += contacts.len();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found.values().all(|found| *found > 20), "{found:?} say little");
}
