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
fn no_message_costs_more_than_a_few_steps_an_octet() {
    for (made_of, message) in worst::messages() {
        assert!(message.len() <= worst::GREATEST);
        let (steps, _, _) = read(&message);
        assert!(steps <= 4096 + 4 * message.len(), "{made_of}: {steps} steps");
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
