//! Domain names, RFC 1035 sections 3.1 and 4.1.4, in wire and in presentation form.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::{Layer, Malformed};

/// How many compression pointers a name may hold: one before each label that 255 octets have room for.
const POINTERS: u32 = 127;
/// What following one pointer costs; a jump takes longer than copying an octet.
const JUMP: usize = 4;

/// What reading a message may still cost, in octets copied or compared.
pub(super) struct Work(usize);

impl Work {
    /// What no message may cost more than, whatever its length: it takes under a millisecond (`benches/worst.rs`).
    pub(super) const MOST: usize = 4096 + 4 * 65_535;

    /// Returns the allowance of a message of this length: enough for any that a server would write, in whatever order.
    ///
    /// A dozen of the longest names, which compression makes short, in the wrong order need sixteen steps an octet. Messages
    /// over 16 KiB have no more than those of that length: what is so long is long by its addresses, hints or texts.
    pub(super) const fn new(length: usize) -> Self {
        let allowance = 4096 + 16 * length;
        Self(if allowance < Self::MOST { allowance } else { Self::MOST })
    }

    /// Takes the cost of one step.
    ///
    /// # Errors
    ///
    /// `Field("name")` when the allowance does not suffice.
    pub(super) fn spend(&mut self, cost: usize) -> Result<(), Malformed> {
        match self.0.checked_sub(cost) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(Malformed::field(Layer::Dns, "name")),
        }
    }

    /// Returns what is left.
    #[cfg(test)]
    pub(super) const fn left(&self) -> usize {
        self.0
    }
}

/// A name in wire form and lower case: labels with their lengths, without the root's.
pub(super) struct Labels {
    octets: [u8; Self::MOST],
    length: usize,
}

impl Labels {
    /// The octets of the longest name; with the root there are 255.
    pub(super) const MOST: usize = 254;

    /// Returns the root.
    pub(super) const fn new() -> Self {
        Self {
            octets: [0; Self::MOST],
            length: 0,
        }
    }

    /// Returns the labels.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// Reads the name at `at` behind what is held; returns where it ends in the message.
    ///
    /// Each pointer must lead further back than the last one, so that no name is read twice.
    ///
    /// # Errors
    ///
    /// `Short` when the message ends within the name; `Field("name")` for a pointer forward, an unknown label type,
    /// over 255 octets, or when the allowance is used up.
    pub(super) fn read(&mut self, message: &[u8], at: usize, work: &mut Work) -> Result<usize, Malformed> {
        let broken = Malformed::field(Layer::Dns, "name");
        let mut end = None;
        let mut pointers = 0;
        let mut limit = at;
        let mut at = at;
        loop {
            let cut = Malformed::short(Layer::Dns, at + 1, message.len());
            match message.get(at).copied().ok_or(cut)? {
                0 => return Ok(end.unwrap_or(at + 1)),
                length @ 1..=63 => {
                    let next = at + 1 + usize::from(length);
                    let label = message.get(at + 1..next).ok_or(cut)?;
                    work.spend(label.len())?;
                    self.push(length, label).ok_or(broken)?;
                    at = next;
                }
                0xc0.. => {
                    let target = pointer(message, at).ok_or(cut)?;
                    pointers += 1;
                    if target >= limit || pointers > POINTERS {
                        return Err(broken);
                    }
                    work.spend(JUMP)?;
                    end = end.or(Some(at + 2));
                    limit = target;
                    at = target;
                }
                _ => return Err(broken),
            }
        }
    }

    /// Adds one label; `None` if there is no room.
    fn push(&mut self, length: u8, label: &[u8]) -> Option<()> {
        let end = self.length + 1 + label.len();
        let (first, rest) = self.octets.get_mut(self.length..end)?.split_first_mut()?;
        *first = length;
        // Labels are short: a plain loop is faster than calls to copy and to change case.
        for (place, octet) in rest.iter_mut().zip(label) {
            *place = octet.to_ascii_lowercase();
        }
        self.length = end;
        Some(())
    }
}

/// Returns the target of the compression pointer at `at`, or `None` if something else stands there.
pub(super) fn pointer(message: &[u8], at: usize) -> Option<usize> {
    match message.get(at..)?.first_chunk()? {
        &[high @ 0xc0..=0xff, low] => Some(usize::from(u16::from_be_bytes([high & 0x3f, low]))),
        _ => None,
    }
}

/// Returns where the name at `at` ends; `None` if the message ends before, or an unknown label type hides it.
pub(super) fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Returns how many octets of the first name stand before the second one, or `None` if it is not below that.
pub(super) fn below(labels: &[u8], above: &[u8]) -> Option<usize> {
    let kept = labels.strip_suffix(above)?.len();
    let mut at = 0;
    while at < kept {
        at += 1 + usize::from(*labels.get(at)?);
    }
    (at == kept && kept > 0).then_some(kept)
}

/// A domain name in presentation form: lower case, without the final dot; the root is `.`.
///
/// What is not printable ASCII, and a dot or backslash within a label, stands as `\DDD` (RFC 1035 section 5.1), so
/// that two names are equal exactly when their texts are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Nearly every name fits; the longest has 1,002 characters.
    text: SmallVec<[u8; 104]>,
}

impl Name {
    /// Returns the presentation form of labels.
    pub(super) fn from_labels(labels: &[u8]) -> Self {
        let Some((&first, rest)) = labels.split_first() else {
            return Self {
                text: SmallVec::from_slice(b"."),
            };
        };
        // Nearly every name is its wire form with dots for lengths.
        let mut text = SmallVec::from_slice(rest);
        let mut at = 0;
        let mut length = first;
        loop {
            let end = at + usize::from(length);
            let label = rest.get(at..end).unwrap_or_default();
            if !label.iter().fold(true, |plain, &octet| plain & is_plain(octet)) {
                return Self::escaped(labels);
            }
            let (Some(place), Some(&next)) = (text.get_mut(end), rest.get(end)) else {
                return Self { text };
            };
            *place = b'.';
            (at, length) = (end + 1, next);
        }
    }

    /// Returns the same for labels of any octets.
    #[cold]
    fn escaped(mut labels: &[u8]) -> Self {
        let mut text = SmallVec::new();
        while let Some((&length, rest)) = labels.split_first() {
            let (label, others) = rest.split_at_checked(usize::from(length)).unwrap_or((rest, &[]));
            if !text.is_empty() {
                text.push(b'.');
            }
            for &octet in label {
                if is_plain(octet) {
                    text.push(octet);
                } else {
                    text.extend_from_slice(&[b'\\', b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10]);
                }
            }
            labels = others;
        }
        Self { text }
    }

    /// Returns the octets of the text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Returns the text, which is ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// Which octets stand for themselves: printable ASCII but the dot and the backslash.
#[expect(clippy::indexing_slicing, reason = "its indices are checked when it is compiled")]
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut octet = b'!';
    while octet <= b'~' {
        plain[octet as usize] = octet != b'.' && octet != b'\\';
        octet += 1;
    }
    plain
};

/// Says whether an octet stands for itself; a table, because this is asked for every octet of every name.
fn is_plain(octet: u8) -> bool {
    PLAIN.get(usize::from(octet)).copied().unwrap_or_default()
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&Name> for Arc<str> {
    fn from(name: &Name) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
