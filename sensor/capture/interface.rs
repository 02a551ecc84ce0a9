//! What a pcapng file says about one interface: draft-ietf-opsawg-pcapng, sections 3.5 and 4.2.

use super::error::Fault;
use super::input::Order;
use crate::model::{LinkType, SECOND, Timestamp};

/// The option that ends all options.
const END: u16 = 0;
/// The option with the unit of times.
const UNIT: u16 = 9;
/// The option with what is to be added to times.
const OFFSET: u16 = 14;

/// An interface of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interface {
    /// The link type, or the number of one that is not supported.
    pub link: Result<LinkType, i32>,
    /// Octets that were kept of a frame, `usize::MAX` for all.
    pub snap: usize,
    unit: Unit,
    /// Seconds to add.
    offset: i64,
}

/// The unit of times: so many nanoseconds, divided by so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unit {
    nanoseconds: u64,
    divisor: u128,
}

impl Unit {
    /// What holds without a word about it.
    const MICROSECOND: Self = Self {
        nanoseconds: 1000,
        divisor: 1,
    };

    /// Reads the option: the negative exponent of ten or, with the upper bit, of two.
    fn parse(octet: u8) -> Self {
        const SECOND_U64: u64 = SECOND.unsigned_abs();
        let exponent = u32::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            return Self {
                nanoseconds: SECOND_U64,
                divisor: 1 << exponent,
            };
        }
        match 9_u32.checked_sub(exponent) {
            Some(nine_less) => Self {
                nanoseconds: 10_u64.pow(nine_less),
                divisor: 1,
            },
            // What cannot be written is finer than any time is long.
            None => Self {
                nanoseconds: 1,
                divisor: 10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX),
            },
        }
    }
}

impl Interface {
    /// Reads the body of an interface description block.
    ///
    /// # Errors
    ///
    /// [`Fault::Damaged`] when it is short or its options cannot be walked: times would be guessed.
    pub(super) fn parse(body: &[u8], order: Order) -> Result<Self, Fault> {
        let Some((&[a, b, _, _, s, t, u, v], mut options)) = body.split_first_chunk::<8>() else {
            return Err(Fault::short("interface"));
        };
        let number = i32::from(order.half([a, b]));
        let mut interface = Self {
            link: LinkType::from_number(number).ok_or(number),
            snap: match order.word([s, t, u, v]) {
                0 => usize::MAX,
                snap => usize::try_from(snap).unwrap_or(usize::MAX),
            },
            unit: Unit::MICROSECOND,
            offset: 0,
        };
        while let Some((&[c, d, l, m], rest)) = options.split_first_chunk::<4>() {
            let (code, length) = (order.half([c, d]), usize::from(order.half([l, m])));
            if code == END {
                break;
            }
            let Some((value, rest)) = rest.split_at_checked(length) else {
                return Err(Fault::short("option"));
            };
            match (code, value) {
                (UNIT, &[unit]) => interface.unit = Unit::parse(unit),
                (OFFSET, &[a, b, c, d, e, f, g, h]) => interface.offset = order.long([a, b, c, d, e, f, g, h]),
                (UNIT | OFFSET, _) => return Err(Fault::short("option")),
                _ => {}
            }
            let padding = length.next_multiple_of(4) - length;
            options = rest.get(padding..).unwrap_or_default();
        }
        Ok(interface)
    }

    /// Returns the time that is so many units after the interface's start of counting.
    ///
    /// Parts of a nanosecond are left out. Times that cannot be had, some 290 years from 1970, are the last that can.
    #[inline]
    pub(super) fn time(&self, ticks: u64) -> Timestamp {
        let mut nanoseconds = u128::from(ticks) * u128::from(self.unit.nanoseconds);
        if self.unit.divisor != 1 {
            nanoseconds /= self.unit.divisor;
        }
        // Under 2^94, and the offset under 2^93.
        let nanoseconds = i128::try_from(nanoseconds).unwrap_or(i128::MAX);
        let since_1970 = nanoseconds.saturating_add(i128::from(self.offset) * i128::from(SECOND));
        let last = if since_1970 < 0 { i64::MIN } else { i64::MAX };
        Timestamp(i64::try_from(since_1970).unwrap_or(last))
    }
}
