//! Which address space a frame belongs to (rule W3).

use hashbrown::HashMap;

use crate::model::{Segment, SegmentDetail, SegmentPart, SegmentPolicy};
use crate::wire;

/// Combinations of values whose segment is remembered; all are forgotten when there are more, and found again.
const REMEMBERED: usize = 1 << 16;

/// The segments of one stream.
#[derive(Debug)]
pub(super) struct Segments {
    policy: SegmentPolicy,
    /// Whether the VNI alone makes segments, as it does unless the settings say otherwise.
    is_by_vni: bool,
    /// What frames had, and the segment that it makes.
    found: HashMap<SegmentDetail, Segment, foldhash::fast::RandomState>,
    /// Segments that were numbered, by what they are made of.
    numbered: HashMap<SegmentDetail, Segment, foldhash::fast::RandomState>,
}

impl Segments {
    pub fn new(policy: &SegmentPolicy) -> Self {
        Self {
            is_by_vni: policy.by == [SegmentPart::Vni] && policy.named.is_empty(),
            policy: policy.clone(),
            found: HashMap::default(),
            numbered: HashMap::default(),
        }
    }

    /// Returns the segment of a frame; one that gets its number now is added to `fresh`.
    #[inline]
    pub fn of(&mut self, envelopes: &wire::Envelopes<'_>, fresh: &mut Vec<(Segment, SegmentDetail)>) -> Segment {
        if self.is_by_vni {
            return envelopes.vni.map_or(Segment::NONE, Segment::vni);
        }
        self.find(envelopes, fresh)
    }

    fn find(&mut self, envelopes: &wire::Envelopes<'_>, fresh: &mut Vec<(Segment, SegmentDetail)>) -> Segment {
        let whole = SegmentDetail {
            name: None,
            vni: envelopes.vni,
            vlan: envelopes.vlan,
            key: envelopes.key,
            source: envelopes.mirrored_by(),
        };
        if let Some(known) = self.found.get(&whole) {
            return *known;
        }
        let segment = self.number(self.detail(&whole), fresh);
        if self.found.len() >= REMEMBERED {
            self.found.clear();
        }
        self.found.insert(whole, segment);
        segment
    }

    /// Returns what the segment of a frame with these values is made of.
    fn detail(&self, whole: &SegmentDetail) -> SegmentDetail {
        let has = |part| self.policy.by.contains(&part);
        match self.policy.named.iter().find(|named| named.holds(whole)) {
            Some(named) => SegmentDetail {
                name: Some(named.name.clone()),
                ..SegmentDetail::default()
            },
            None => SegmentDetail {
                name: None,
                vni: whole.vni.filter(|_| has(SegmentPart::Vni)),
                vlan: whole.vlan.filter(|_| has(SegmentPart::Vlan)),
                key: whole.key.filter(|_| has(SegmentPart::Key)),
                source: whole.source.filter(|_| has(SegmentPart::Source)),
            },
        }
    }

    fn number(&mut self, detail: SegmentDetail, fresh: &mut Vec<(Segment, SegmentDetail)>) -> Segment {
        let by_itself = detail.vni.map_or(Segment::NONE, Segment::vni);
        if by_itself.detail().as_ref() == Some(&detail) {
            return by_itself;
        }
        if let Some(known) = self.numbered.get(&detail) {
            return *known;
        }
        let segment = Segment::numbered(u32::try_from(self.numbered.len()).unwrap_or(u32::MAX));
        self.numbered.insert(detail.clone(), segment);
        fresh.push((segment, detail));
        segment
    }
}
