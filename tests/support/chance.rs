//! Numbers by chance that a seed repeats.

use std::time::{SystemTime, UNIX_EPOCH};

/// Names the seed of an earlier run.
const SEED: &str = "FIRSTCONTACT_SEED";

/// Numbers by chance: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub struct Chance {
    pub seed: u64,
    state: u64,
}

impl Chance {
    /// Begins with the seed that was given, or with one by the clock.
    pub fn of_this_run() -> Self {
        let given = std::env::var(SEED).ok();
        let seed = given.map_or_else(by_the_clock, |text| text.parse().expect(SEED));
        Self { seed, state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 to below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn by_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    now.as_nanos() as u64
}
