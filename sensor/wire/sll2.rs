//! Linux cooked capture version 2, LINKTYPE_LINUX_SLL2 of tcpdump's registry.

use super::sll::Cooked;
use crate::model::{Layer, Malformed};

/// Octets of the header.
const LEN: usize = 20;

/// Reads one header of version 2; interface index and packet type are ignored.
///
/// # Errors
///
/// `Short` with under 20 octets.
pub(super) fn parse(octets: &[u8]) -> Result<Cooked<'_>, Malformed> {
    let Some((header, payload)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::LinuxCooked, LEN, octets.len()));
    };
    let [p, q, _, _, _, _, _, _, d, e, _, length, address @ ..] = *header;
    let device = u16::from_be_bytes([d, e]);
    let protocol = u16::from_be_bytes([p, q]);
    Ok(Cooked::new(device, u16::from(length), address, protocol, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MacAddress;

    #[test]
    fn the_address_and_the_protocol_are_read() {
        let octets = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x45];
        let header = parse(&octets).unwrap();
        assert_eq!(header.from, Some(MacAddress([1, 2, 3, 4, 5, 6])));
        assert_eq!((header.ethertype, header.payload), (Some(0x0800), &[0x45][..]));
    }
}
