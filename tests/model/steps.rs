//! What may happen to the ledgers, in any order.

use std::fmt;

use proptest::prelude::*;

use super::world::{Stretch, stretch};

/// With more steps than this, the rules would not say when all that is expired goes: that is by the last 600 batches (B5),
/// and a step makes some thirty. [`Step::Age`] makes as many as it takes.
const STEPS: usize = 12;

/// What happens to a ledger: the first or the second one.
#[derive(Debug, Clone)]
pub enum Step {
    /// A run over some captures, one after the other; the clock goes forward or back between them (T1).
    Run(usize, Learns, Vec<Stretch>),
    /// The captures of the run before, once more; all that a workload had contact with may be forgotten before.
    Repeat(usize, Option<usize>),
    /// A run that is killed with so many percent of its input given, and the same command again.
    KillAndAgain(usize, i64, Stretch),
    /// A run that is killed, and another one.
    KillAndOther(usize, i64, Stretch, Stretch),
    /// The other ledger, taken over from its folder.
    Merge(usize),
    /// The other ledger, imported from its export.
    Import(usize),
    /// The ledger is what both make, in a new folder: whichever comes first, and however often.
    Unite(usize),
    /// A workload's pairs with a destination, or all of them, are to be new again.
    Forget(usize, usize, Option<usize>),
    /// So many days later there are enough batches in both ledgers that what is expired goes.
    Age(i64),
    /// A workload is to learn until so many days after the ledger's time, or before.
    Learn(usize, usize, i64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Learns {
    Only,
    AsSet,
}

impl fmt::Debug for Learns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Only { "--learn" } else { "" })
    }
}

/// A sequence, with the settings `learning` and `learning_new` in hours.
#[derive(Debug, Clone)]
pub struct Life {
    pub hours: [i64; 2],
    pub steps: Vec<Step>,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    let onward = || prop::sample::select(vec![0_i64, 1, 29, 60, 88, 90, 91, 120]);
    let days = || prop_oneof![3 => onward(), 1 => prop::sample::select(vec![-1_i64, -30, -50, -89, -91, -200])];
    let learns = prop_oneof![5 => Just(Learns::AsSet), 1 => Just(Learns::Only)];
    let run = (which(), learns, prop::collection::vec(stretch(days(), 5), 1..=2));
    prop_oneof![
        6 => run.prop_map(|(on, learns, run)| Step::Run(on, learns, run)),
        2 => (which(), prop::option::of(0..5_usize)).prop_map(|(on, forgets)| Step::Repeat(on, forgets)),
        2 => (which(), 0..=100_i64, stretch(days(), 6)).prop_map(|(on, at, run)| Step::KillAndAgain(on, at, run)),
        2 => (which(), 0..=100_i64, stretch(days(), 5), stretch(days(), 3))
            .prop_map(|(on, at, run, other)| Step::KillAndOther(on, at, run, other)),
        1 => prop::sample::select(vec![1_i64, 91, 170, 185, 400]).prop_map(Step::Age),
        1 => which().prop_map(Step::Merge),
        1 => which().prop_map(Step::Import),
        1 => which().prop_map(Step::Unite),
        1 => (which(), 0..5_usize, prop::option::of(0..15_usize)).prop_map(|(on, who, what)| Step::Forget(on, who, what)),
        1 => (which(), 0..5_usize, prop::sample::select(vec![-1_i64, 1, 40])).prop_map(|(on, who, n)| Step::Learn(on, who, n)),
    ]
}

/// Returns any life.
pub fn life() -> impl Strategy<Value = Life> {
    let hours = prop_oneof![3 => Just([0, 24]), 1 => Just([0, 0]), 1 => Just([14 * 24, 24])];
    (hours, prop::collection::vec(step(), 1..=STEPS)).prop_map(|(hours, steps)| Life { hours, steps })
}
