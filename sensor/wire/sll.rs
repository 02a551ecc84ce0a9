//! Linux cooked capture, LINKTYPE_LINUX_SLL of tcpdump's registry.

use super::ethernet::LONGEST_LENGTH;
use crate::model::{Layer, MacAddress, Malformed};

/// Octets of the header.
const LEN: usize = 16;
/// ARPHRD_NETLINK: the protocol is a netlink family, not an EtherType.
const NETLINK: u16 = 824;
/// The protocol of frames with an LLC header (ETH_P_802_2); all others below 0x0600 are of no use here.
const LLC: u16 = 4;

/// One cooked header of either version, taken apart.
pub(super) struct Cooked<'a> {
    /// The sender's address, if it has the six octets of Ethernet.
    pub from: Option<MacAddress>,
    /// The EtherType, or the length of an LLC frame, or `None` where the device speaks another numbering.
    pub ethertype: Option<u16>,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Cooked<'a> {
    /// Returns the header with these fields; the address is padded to eight octets on the wire.
    pub(super) fn new(device: u16, length: u16, address: [u8; 8], protocol: u16, payload: &'a [u8]) -> Self {
        let [from @ .., _, _] = address;
        Self {
            from: (length == 6).then_some(MacAddress(from)),
            ethertype: (device != NETLINK && (protocol == LLC || protocol > LONGEST_LENGTH)).then_some(protocol),
            payload,
        }
    }
}

/// Reads one header of version 1; the packet type (sent, received) is ignored.
///
/// # Errors
///
/// `Short` with under 16 octets.
pub(super) fn parse(octets: &[u8]) -> Result<Cooked<'_>, Malformed> {
    let Some((header, payload)) = octets.split_first_chunk::<LEN>() else {
        return Err(Malformed::short(Layer::LinuxCooked, LEN, octets.len()));
    };
    let [_, _, d, e, l, m, address @ .., p, q] = *header;
    let number = |high, low| u16::from_be_bytes([high, low]);
    Ok(Cooked::new(number(d, e), number(l, m), address, number(p, q), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_and_the_protocol_are_read() {
        let octets = [0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 9, 9, 0x86, 0xdd, 0x60];
        let header = parse(&octets).unwrap();
        assert_eq!(header.from, Some(MacAddress([1, 2, 3, 4, 5, 6])));
        assert_eq!((header.ethertype, header.payload), (Some(0x86dd), &[0x60][..]));
    }

    #[test]
    fn netlink_messages_carry_no_ethertype() {
        let octets = [0, 4, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
        let header = parse(&octets).unwrap();
        assert_eq!((header.from, header.ethertype), (None, None));
    }

    #[test]
    fn of_linuxs_own_numbers_only_llc_is_of_use() {
        for (protocol, expected) in [(4, Some(4)), (0x000c, None), (0x05ff, None), (0x0600, Some(0x0600))] {
            let header = Cooked::new(1, 6, [0; 8], protocol, &[]);
            assert_eq!(header.ethertype, expected, "{protocol:#x}");
        }
    }
}
