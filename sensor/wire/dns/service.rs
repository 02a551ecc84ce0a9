//! The data of SVCB and HTTPS records, RFC 9460 section 2.2.

use smallvec::SmallVec;

use super::name::{Labels, Work};
use crate::model::{Address, Layer, Malformed};

/// Octets of the priority, which stands before the target.
pub(super) const PRIORITY: usize = 2;
/// The key of `ipv4hint`, RFC 9460 section 7.3.
const IPV4_HINT: u16 = 4;
/// The key of `ipv6hint`, RFC 9460 section 7.3.
const IPV6_HINT: u16 = 6;

/// What a record says, beside its target.
pub(super) struct Service {
    /// Whether it only names another owner to look at (priority 0, section 2.4.2); parameters do not count then.
    pub is_alias: bool,
    /// The addresses of both hints.
    pub hints: SmallVec<[Address; 8]>,
}

/// Reads the data of a record, which starts at `start` in its message, and its target name.
///
/// Other parameters than the hints are ignored, `mandatory` with them: we do not connect.
///
/// # Errors
///
/// `Short` when the data ends within a field; `Field` for a target that cannot be, keys that do not grow, and hints
/// that are not whole addresses.
pub(super) fn parse(
    message: &[u8],
    start: usize,
    data: &[u8],
    target: &mut Labels,
    work: &mut Work,
) -> Result<Service, Malformed> {
    let cut = Malformed::short(Layer::Dns, PRIORITY + 1, data.len());
    let (priority, _) = data.split_first_chunk::<PRIORITY>().ok_or(cut)?;
    let end = target.read(message, start + PRIORITY, work)?;
    let parameters = end
        .checked_sub(start)
        .and_then(|length| data.get(length..))
        .ok_or(cut)?;
    let mut service = Service {
        is_alias: *priority == [0, 0],
        hints: SmallVec::new(),
    };
    if !service.is_alias {
        hints(parameters, &mut service.hints)?;
    }
    Ok(service)
}

/// Reads the hints among the parameters.
fn hints(mut parameters: &[u8], hints: &mut SmallVec<[Address; 8]>) -> Result<(), Malformed> {
    let mut last = None;
    while !parameters.is_empty() {
        let Some((&[k, l, m, n], rest)) = parameters.split_first_chunk::<4>() else {
            return Err(Malformed::short(Layer::Dns, 4, parameters.len()));
        };
        let length = usize::from(u16::from_be_bytes([m, n]));
        let Some((value, others)) = rest.split_at_checked(length) else {
            return Err(Malformed::short(Layer::Dns, length, rest.len()));
        };
        let key = u16::from_be_bytes([k, l]);
        if last.is_some_and(|last| key <= last) {
            return Err(Malformed::field(Layer::Dns, "SvcParamKey"));
        }
        match key {
            IPV4_HINT => addresses(value, Address::v4, hints)?,
            IPV6_HINT => addresses(value, Address::v6, hints)?,
            _ => {}
        }
        last = Some(key);
        parameters = others;
    }
    Ok(())
}

/// Reads a list of addresses of one family.
fn addresses<const N: usize>(
    value: &[u8],
    address: fn([u8; N]) -> Address,
    hints: &mut SmallVec<[Address; 8]>,
) -> Result<(), Malformed> {
    let (whole, rest) = value.as_chunks::<N>();
    if whole.is_empty() || !rest.is_empty() {
        return Err(Malformed::field(Layer::Dns, "hint"));
    }
    hints.extend(whole.iter().map(|octets| address(*octets)));
    Ok(())
}
