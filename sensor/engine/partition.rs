//! Which partition a packet belongs to.

use crate::model::Address;

/// How many partitions there are. Fixed, so that limits and results depend on no number of threads.
pub const PARTITIONS: usize = 64;

/// Returns the partition of an address pair, the same for both directions.
///
/// Only exclusive or, shifts and one multiplication of 32 bits, so that a classic BPF program can do the same on the
/// kernel's side.
#[must_use]
pub fn partition(a: Address, b: Address) -> usize {
    let fold = |address: Address| {
        let (high, low) = address.halves();
        (high >> 32) as u32 ^ high as u32 ^ (low >> 32) as u32 ^ low as u32
    };
    let mixed = (fold(a) ^ fold(b)).wrapping_mul(0x9e37_79b1);
    (mixed >> 26) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_share_a_partition_and_pairs_spread() {
        let mut seen = [0_u32; PARTITIONS];
        for client in 0..64_u8 {
            for server in 0..64_u8 {
                let a = Address::v4([10, 0, 0, client]);
                let b = Address::v4([203, 0, 113, server]);
                assert_eq!(partition(a, b), partition(b, a));
                seen[partition(a, b)] += 1;
            }
        }
        assert!(seen.iter().filter(|n| **n > 0).count() >= PARTITIONS / 2);
    }

    #[test]
    fn partitions_are_those_that_the_kernels_program_makes() {
        // `capture/steering_tests.rs` has the same pairs.
        for (a, b, expected) in [
            ("10.1.0.5", "203.0.113.10", 43),
            ("10.1.0.6", "198.51.100.80", 40),
            ("10.1.0.5", "10.1.0.2", 20),
            ("10.1.0.7", "203.0.113.66", 3),
            ("fd00:10:1::5", "2001:db8:1::10", 57),
            ("2001:db8::1", "2001:db8::2", 54),
        ] {
            let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
            assert_eq!(partition(address(a), address(b)), expected, "{a}, {b}");
        }
    }
}
