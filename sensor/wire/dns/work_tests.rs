//! The bound on what reading a message costs: steps are counted, and `benches/worst.rs` says how long they take.

use super::name::Work;
use super::*;

/// Reads a response as [`parse_response`] does; returns the steps that it took, and what it gave.
fn read(message: &[u8]) -> (usize, usize, u32) {
    let mut work = Work::new(message.len());
    let allowed = work.left();
    let mut labels = Labels::new();
    let (header, question) = open(message, Role::Response, &mut labels, &mut work).unwrap();
    let mut answers = SmallVec::new();
    let mut walk = Walk {
        message,
        work,
        chain: Chain::new(labels.as_slice(), HEADER),
        waiting: SmallVec::new(),
        aliases: SmallVec::new(),
        answers: &mut answers,
        malformed: 0,
    };
    assert_eq!(walk.records(question.end, u32::from(header.answers)), Some(()));
    walk.settle();
    let (left, malformed) = (walk.work.left(), walk.malformed);
    (allowed - left, answers.len(), malformed)
}

/// Returns a message by what it is made of.
fn message(made_of: &str) -> Vec<u8> {
    let mut all = worst::messages().into_iter();
    all.find(|(name, _)| *name == made_of).unwrap().1
}

#[test]
fn no_message_costs_more_than_it_is_allowed() {
    for (made_of, message) in worst::messages() {
        assert!(message.len() <= worst::GREATEST);
        let (steps, _, _) = read(&message);
        assert!(steps <= Work::MOST, "{made_of}: {steps} steps");
        let response = parse_response(&message).unwrap();
        assert!(!response.is_cut, "{made_of}");
    }
}

#[test]
fn a_long_message_that_is_not_made_to_cost_much_is_read_to_its_end() {
    for (made_of, least) in [
        ("addresses", 4090),
        ("hints of one service", 16_000),
        ("services with a hint", 2700),
        ("addresses of a long chain", 3000),
    ] {
        let (_, answers, malformed) = read(&message(made_of));
        assert!(answers >= least, "{made_of}: {answers} answers");
        assert_eq!(malformed, 0, "{made_of}");
    }
}

/// Returns a response whose CNAME records lead along so many of the longest names to so many addresses, the last record
/// first; all names share all labels but their first one.
fn long_names(names: u8, addresses: u8) -> Vec<u8> {
    let suffix = [
        &[63][..],
        &[b'x'; 63],
        &[63],
        &[b'y'; 63],
        &[63],
        &[b'z'; 63],
        &[53],
        &[b'w'; 53],
        &[0],
    ]
    .concat();
    let name = |number: u8| [3, b'a' + number / 26, b'a' + number % 26, b'n', 0xc0, 16];
    let record = |owner: u8, number: u8, data: &[u8]| {
        let length = u8::try_from(data.len()).unwrap();
        [&name(owner)[..], &[0, number, 0, 1, 0, 0, 0, 60, 0, length], data].concat()
    };
    let given = (0..addresses).map(|address| record(names, 1, &[192, 0, 2, address]));
    let leading = (0..names).rev().map(|number| record(number, 5, &name(number + 1)));
    let records: Vec<_> = given.chain(leading).collect();
    let header = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, names + addresses, 0, 0, 0, 0];
    [&header[..], &name(0)[..4], &suffix, &[0, 1, 0, 1], &records.concat()].concat()
}

#[test]
fn a_chain_of_the_longest_names_is_read_against_the_order_of_its_records() {
    for (names, addresses) in [(4, 4), (4, 30), (8, 8), (8, 30), (12, 1), (12, 8)] {
        let message = long_names(names, addresses);
        let (_, answers, malformed) = read(&message);
        assert_eq!((answers, malformed), (usize::from(addresses), 0), "{names} names");
    }
}
