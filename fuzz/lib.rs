//! One test for each target; `cargo bolero` runs it with octets that it learns to choose by coverage.

#![cfg(test)]

mod oracle;
mod targets;

/// Makes the test of a target. It has the target's name, by which `scripts/fuzz.sh` starts it.
macro_rules! fuzz {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            bolero::check!().for_each(targets::$name);
        }
    )*};
}

fuzz! { decode dns streams settings readers domain etherparse }
