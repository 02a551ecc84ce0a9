//! The map as workers and the judge use it.

use proptest::prelude::*;

use super::*;
use crate::model::{Admission, AnswerFacts, EvidenceKind, KEPT_FOR, LIFE_FLOOR, Provenance};
use crate::names::{Asked, ENOUGH, EVERYBODY, NAMES_A_CLIENT};

fn evidence(client: u8, name: &str, at: i64, ttl: u32) -> Evidence {
    let last = Timestamp(at);
    Evidence {
        provenance: Arc::new(Provenance::new(
            name.into(),
            Address::v4([10, 0, 0, 53]),
            Box::default(),
        )),
        client: Address::v4([10, 0, 0, client]),
        facts: AnswerFacts {
            kind: EvidenceKind::DnsAddress,
            admission: Admission::Admitted,
            ttl,
            first: last,
            last,
            expires: last.plus(LIFE_FLOOR),
            greatest_ttl: ttl,
        },
    }
}

const SERVER: Address = Address::v4([203, 0, 113, 1]);

/// Writes one piece of evidence for the server; returns what should go to the ledger.
fn write(names: &Names, evidence: Evidence) -> Option<NameRecord> {
    let mut pieces = vec![NameRecord {
        segment: Segment::NONE,
        address: SERVER,
        evidence,
    }];
    names.write(&mut pieces);
    pieces.pop()
}

fn content(names: &Names) -> Vec<Evidence> {
    let asked = Asked {
        segment: Segment::NONE,
        address: SERVER,
        at: Timestamp(0),
        among: &[EVERYBODY],
        enough: ENOUGH,
    };
    names.of_told(&asked, |_| None, |_| true)
}

proptest! {
    #[test]
    fn the_order_of_writing_does_not_matter(
        mut written in prop::collection::vec((0_u8..3, 0_u8..3, 0_i64..50, 0_u32..9, any::<bool>()), 1..30),
        seed in any::<u64>(),
    ) {
        // Two answers never share a frame and an address.
        written.sort_by_key(|w| w.2);
        written.dedup_by_key(|w| w.2);
        let piece = |&(client, name, at, ttl, counts): &(u8, u8, i64, u32, bool)| {
            let mut piece = evidence(client, &format!("n{name}.example"), at, ttl);
            if !counts { piece.facts.admission = Admission::Unsolicited; }
            piece
        };
        let forwards = Names::new();
        for w in &written { write(&forwards, piece(w)); }
        let mut shuffled = written.clone();
        shuffled.sort_by_key(|w| (w.2 as u64).wrapping_mul(seed | 1));
        let other = Names::new();
        for w in &shuffled { write(&other, piece(w)); }
        prop_assert_eq!(content(&forwards), content(&other));
        prop_assert_eq!(forwards.len(), other.len());
    }
}

/// What a piece takes whose name no other piece of the client has.
const A_PIECE: usize = octets::PIECE + octets::PROVENANCE;

#[test]
fn eviction_drops_what_was_answered_longest_ago() {
    let names = Names::new();
    for n in 0..100 {
        write(&names, evidence(n, "a.example", i64::from(n), 0));
    }
    assert_eq!(names.octets(), 100 * A_PIECE);
    assert_eq!(names.evict(80 * A_PIECE), 30);
    assert_eq!((names.len(), names.octets()), (70, 70 * A_PIECE));
    assert_eq!(content(&names).iter().map(|e| e.facts.last.0).min(), Some(30));
}

#[test]
fn rule_n2_a_flood_of_answers_that_nobody_asked_for_drops_none_that_count() {
    let names = Names::new();
    write(&names, evidence(1, "asked.example", 0, 0));
    for n in 1..100_i64 {
        let mut flood = evidence(1, &format!("{n}.example"), n, 0);
        flood.facts.admission = Admission::Unsolicited;
        write(&names, flood);
    }
    names.evict(4 * A_PIECE);
    assert!(content(&names).iter().any(|e| &**e.name() == "asked.example"));
}

#[test]
fn a_client_keeps_a_bounded_number_of_names_for_an_address() {
    let names = Names::new();
    for n in 0..40 {
        write(&names, evidence(1, &format!("{n}.example"), n, 0));
    }
    assert_eq!(names.bound(), 24);
    assert_eq!(names.len(), NAMES_A_CLIENT);
    assert_eq!(content(&names).iter().map(|e| e.facts.last.0).min(), Some(24));
}

#[test]
fn rule_t2_which_names_a_client_keeps_does_not_depend_on_who_wrote_first() {
    let round = |at: i64| (0..20_i64).map(move |n| evidence(1, &format!("{n:02}.example"), at + n, 0));
    let both: Vec<Evidence> = round(0).chain(round(100)).collect();
    let (forwards, backwards) = (Names::new(), Names::new());
    for piece in &both {
        write(&forwards, piece.clone());
    }
    for piece in both.iter().rev() {
        write(&backwards, piece.clone());
    }
    assert_eq!((forwards.bound(), backwards.bound()), (4, 4));
    assert_eq!(content(&forwards), content(&backwards));
}

#[test]
fn evidence_goes_to_the_ledger_when_new_and_then_now_and_again() {
    let names = Names::new();
    let at = |minutes: i64| evidence(1, "a.example", Span::minutes(minutes).0, 60);
    assert!(write(&names, at(0)).is_some());
    assert!(write(&names, at(1)).is_none());
    assert!(write(&names, at(15)).is_some());
}

#[test]
fn rule_n3_a_use_renews_every_address_of_the_name_hints_too() {
    let names = Names::new();
    let other = Address::v4([203, 0, 113, 2]);
    let mut hint = evidence(1, "a.example", 0, 60);
    hint.facts.kind = EvidenceKind::DnsHint;
    let pieces = [SERVER, other].map(|address| NameRecord {
        segment: Segment::NONE,
        address,
        evidence: hint.clone(),
    });
    names.write(&mut pieces.to_vec());
    let used = Timestamp(0).plus(Span::minutes(50));
    names.renew(Segment::NONE, SERVER, &hint, used);
    for address in [SERVER, other] {
        let mut found = Vec::new();
        let late = Timestamp(0).plus(Span::minutes(100));
        names.of_client(Segment::NONE, address, hint.client, late, |evidence| {
            found.push(evidence)
        });
        assert_eq!(found[0].facts.expires, used.plus(LIFE_FLOOR));
        assert_eq!(found[0].facts.kind, EvidenceKind::DnsHint);
    }
}

#[test]
fn expired_evidence_is_kept_for_a_day() {
    let names = Names::new();
    write(&names, evidence(1, "a.example", 0, 60));
    assert_eq!(names.expire(Timestamp(0).plus(KEPT_FOR)), 0);
    assert_eq!(names.expire(Timestamp(0).plus(KEPT_FOR).plus(Span(1))), 1);
    assert!(names.is_empty());
}
