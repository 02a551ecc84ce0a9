//! Octets as they are written to and read from rows.

use std::sync::Arc;

use crate::model::{Address, Timestamp};

/// Appends a varint: seven bits an octet, least first (LEB128).
pub fn put_varint(row: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        row.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    row.push(value as u8);
}

/// Appends a signed number in zigzag form, so that small ones of either sign are short.
pub fn put_signed(row: &mut Vec<u8>, value: i64) {
    put_varint(row, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a text behind its length.
pub fn put_text(row: &mut Vec<u8>, text: &str) {
    put_varint(row, text.len() as u64);
    row.extend_from_slice(text.as_bytes());
}

/// Appends an address: its length (4 or 16), then its octets.
pub fn put_address(row: &mut Vec<u8>, address: Address) {
    match address.as_v4() {
        Some(four) => {
            row.push(4);
            row.extend_from_slice(&four);
        }
        None => {
            row.push(16);
            row.extend_from_slice(&address.octets());
        }
    }
}

/// Appends an instant in eight octets.
pub fn put_time(row: &mut Vec<u8>, time: Timestamp) {
    row.extend_from_slice(&time.0.to_le_bytes());
}

/// Appends a wide number as its octets up to the highest that is not zero, behind their count.
pub fn put_wide(row: &mut Vec<u8>, value: u128) {
    let octets = value.to_le_bytes();
    let used = 16 - value.leading_zeros() as usize / 8;
    row.push(used as u8);
    row.extend(octets.iter().take(used));
}

/// A row that is being read, from its front.
#[derive(Debug, Clone, Copy)]
pub struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    /// Returns the body of a row of this format, or `None` for another version's.
    pub fn of(row: &'a [u8]) -> Option<Self> {
        match row.split_first() {
            Some((&super::VERSION, body)) => Some(Self(body)),
            _ => None,
        }
    }

    /// Returns a part of a row that another part tells the place of.
    pub const fn part(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Says whether everything was read.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns what was not read.
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Reads one octet.
    pub fn octet(&mut self) -> Option<u8> {
        let (&octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(octet)
    }

    /// Reads a fixed number of octets.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*octets)
    }

    /// Reads `count` octets.
    pub fn slice(&mut self, count: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(octets)
    }

    /// Reads a varint; one that needs more than 64 bits is refused.
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if octet & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a varint of at most 32 bits.
    pub fn varint_u32(&mut self) -> Option<u32> {
        self.varint()?.try_into().ok()
    }

    /// Reads a signed number in zigzag form.
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Reads a count of items that take at least one octet each; a greater one than that allows is refused.
    pub fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.varint()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    /// Reads a text.
    pub fn text(&mut self) -> Option<Arc<str>> {
        self.str().map(Arc::from)
    }

    /// Reads a text where it stands.
    pub fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.run()?).ok()
    }

    /// Reads the octets of a text.
    pub fn run(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.slice(count)
    }

    /// Reads an address; an IPv4 address in sixteen octets is refused, since it has another form.
    pub fn address(&mut self) -> Option<Address> {
        match self.octet()? {
            4 => Some(Address::v4(self.array()?)),
            16 => Some(Address::v6(self.array()?)).filter(|address| address.as_v4().is_none()),
            _ => None,
        }
    }

    /// Reads an instant.
    pub fn time(&mut self) -> Option<Timestamp> {
        self.array().map(i64::from_le_bytes).map(Timestamp)
    }

    /// Reads a wide number.
    pub fn wide(&mut self) -> Option<u128> {
        let used = usize::from(self.octet()?);
        let mut octets = [0; 16];
        octets.get_mut(..used)?.copy_from_slice(self.slice(used)?);
        Some(u128::from_le_bytes(octets))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_as_they_were_written(value: u64, signed: i64, wide: u128) {
            let mut row = vec![super::super::VERSION];
            put_varint(&mut row, value);
            put_signed(&mut row, signed);
            put_wide(&mut row, wide);
            let mut octets = Octets::of(&row).unwrap();
            prop_assert_eq!(octets.varint(), Some(value));
            prop_assert_eq!(octets.signed(), Some(signed));
            prop_assert_eq!(octets.wide(), Some(wide));
            prop_assert!(octets.is_empty());
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        let mut row = vec![super::super::VERSION];
        row.extend([0xff; 9]);
        row.push(2);
        assert_eq!(Octets::of(&row).unwrap().varint(), None);
    }
}
