//! Segments that look like one address space, which `[[segment]]` could say (rule W3).
//!
//! A mirror with a VNI for each of its sessions tears one estate apart: the answer is in one segment and the contact in
//! another. Nothing in the frames tells that from tenants who use the same addresses, so this only suggests.

use std::net::IpAddr;

use hashbrown::HashMap;

use crate::model::{Address, EventKind, Segment, Timestamp};

use super::Judge;

/// So many VNIs with one originator each are no coincidence.
const LEAST_SINGLE: usize = 8;
/// How many originators are remembered; what comes later suggests nothing.
const REMEMBERED: usize = 1 << 16;

/// Which originators were seen in which VNI.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// The first segment of each originator.
    first: HashMap<Address, Segment, foldhash::quality::RandomState>,
    /// The originator of each segment, or that there are several.
    single: HashMap<Segment, Option<Address>, foldhash::quality::RandomState>,
    is_told_of_shared: bool,
    is_told_of_single: bool,
}

impl Alike {
    /// Notes an originator; returns the segment in which it was seen before, if that is to be told.
    fn note(&mut self, segment: Segment, address: Address) -> Option<Segment> {
        let is_link_local = match address.ip() {
            IpAddr::V4(four) => four.is_link_local(),
            IpAddr::V6(six) => six.is_unicast_link_local(),
        };
        let has_vni = segment.detail().is_some_and(|detail| detail.vni.is_some());
        if !has_vni || is_link_local || self.first.len() >= REMEMBERED {
            return None;
        }
        let single = self.single.entry(segment).or_insert(Some(address));
        if *single != Some(address) {
            *single = None;
        }
        let first = *self.first.entry(address).or_insert(segment);
        (first != segment && !std::mem::replace(&mut self.is_told_of_shared, true)).then_some(first)
    }

    /// Returns how many VNIs there are if each has one originator and that is to be told.
    fn all_single(&mut self) -> Option<usize> {
        let is_so = self.single.len() >= LEAST_SINGLE && self.single.values().all(Option::is_some);
        (is_so && !std::mem::replace(&mut self.is_told_of_single, true)).then(|| self.single.len())
    }
}

impl Judge {
    /// Notes an originator that is new in its segment.
    pub(super) fn note_originator(&mut self, segment: Segment, address: Address, at: Timestamp) {
        if let Some(first) = self.alike.note(segment, address) {
            let text = format!(
                "{address} is in segment {} and in segment {}; if that is one host, give them one name with [[segment]]",
                self.text_of(first),
                self.text_of(segment)
            );
            self.tell(at, EventKind::SegmentsAlike, text);
        }
    }

    /// Looks now and again whether all segments have one originator each.
    pub(super) fn compare_segments(&mut self, now: Timestamp) {
        if let Some(count) = self.alike.all_single() {
            let text = format!(
                "each of {count} VNIs has one originator; if they are sessions of one mirror, give them one name with [[segment]]"
            );
            self.tell(now, EventKind::SegmentsAlike, text);
        }
    }
}
