//! The short form of fuzzing (fuzz/README.md): the kept corpus of each target, as it is and changed at random, without
//! counting coverage. `make fuzz` is the long form.

#[path = "../fuzz/oracle.rs"]
mod oracle;
#[path = "../fuzz/targets.rs"]
mod targets;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::support::checkout;

/// The fewest inputs that a corpus has to have.
const FEWEST: usize = 100;
/// How often a target's corpus is changed.
const CASES: u32 = 40_000;

/// What is done to an input.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, u8),
    /// Octets of one place stand at another one as well.
    Copy(prop::sample::Index, prop::sample::Index, u8),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let value = prop_oneof![Just(0_u8), Just(1), Just(0xff), Just(0xc0), any::<u8>()];
    prop_oneof![
        3 => (at(), value).prop_map(|(at, value)| Change::Set(at, value)),
        3 => (at(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..5)).prop_map(|(at, octets)| Change::Insert(at, octets)),
        1 => (at(), 1_u8..6).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => (at(), at(), 1_u8..16).prop_map(|(from, to, length)| Change::Copy(from, to, length)),
        1 => at().prop_map(Change::Cut),
    ]
}

fn apply(octets: &mut Vec<u8>, change: &Change) {
    let whole = octets.len();
    if whole == 0 {
        return;
    }
    let end = |at: usize, length: u8| (at + usize::from(length)).min(whole);
    match change {
        Change::Set(at, value) => octets[at.index(whole)] = *value,
        Change::Flip(at, bit) => octets[at.index(whole)] ^= 1 << bit,
        Change::Insert(at, some) => {
            let at = at.index(whole);
            octets.splice(at..at, some.iter().copied());
        }
        Change::Remove(at, length) => {
            let at = at.index(whole);
            octets.drain(at..end(at, *length));
        }
        Change::Copy(from, to, length) => {
            let from = from.index(whole);
            let some = octets[from..end(from, *length)].to_vec();
            let to = to.index(whole);
            let end = (to + some.len()).min(whole);
            octets[to..end].copy_from_slice(&some[..end - to]);
        }
        Change::Cut(at) => octets.truncate(at.index(whole)),
    }
}

/// Returns the inputs of a packed corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let packed = std::fs::read(checkout(&format!("fuzz/corpus/{target}"))).expect("a corpus");
    let mut rest = packed.as_slice();
    let mut inputs = Vec::new();
    while let Some((length, octets)) = rest.split_first_chunk() {
        let (input, others) = octets.split_at(u32::from_be_bytes(*length) as usize);
        inputs.push(input.to_vec());
        rest = others;
    }
    assert!(rest.is_empty() && inputs.len() >= FEWEST, "{} inputs", inputs.len());
    inputs
}

fn fuzz(name: &str, target: fn(&[u8])) {
    let inputs = corpus(name);
    inputs.iter().for_each(|input| target(input));
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let changed =
        (prop::sample::select(inputs), prop::collection::vec(change(), 1..5)).prop_map(|(mut input, changes)| {
            changes.iter().for_each(|change| apply(&mut input, change));
            input
        });
    // The same changes each time: what is new is found by the long form.
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let result = TestRunner::new_with_rng(config, random).run(&changed, |input| {
        target(&input);
        Ok(())
    });
    if let Err(broken) = result {
        panic!("{broken}");
    }
}

macro_rules! targets {
    ($($test:ident: $target:ident)*) => {$(
        #[test]
        fn $test() {
            fuzz(stringify!($target), targets::$target);
        }
    )*};
}

targets! {
    no_frames_break_the_decoder: decode
    no_message_breaks_dns: dns
    no_segments_break_streams: streams
    no_text_breaks_settings: settings
    no_file_breaks_the_readers: readers
    what_domain_reads_of_a_message_is_what_we_read: domain
    what_etherparse_reads_of_a_frame_is_what_we_read: etherparse
}

#[test]
fn a_jumbogram_is_as_long_as_its_option_says_whatever_etherparse_takes_it_for() {
    let udp = [0x10, 0, 0x20, 0, 0, 0, 0, 0, b'x', b'y'];
    let option = [17, 0, 0xc2, 4, 0, 1, 0x11, 0x70];
    let mut frame = vec![
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 0, 64,
    ];
    frame.extend([0xfd; 32]);
    frame.extend(option);
    frame.extend(udp);
    let read = firstcontact::wire::decode(
        firstcontact::model::LinkType::Ethernet,
        &frame,
        &firstcontact::wire::Ports::new(&[], &[], &[]),
    )
    .expect("a datagram");
    assert_eq!((read.payload_octets, read.payload), (0x1_1170 - 8 - 8, &b"xy"[..]));
    oracle::frame(&frame);
}
