//! Which of several sockets a datagram goes to: a classic BPF program that the kernel runs on each.
//!
//! It goes by the inner address pair, whatever outer port the mirror chose, so that both directions of a flow come to one
//! socket. The hash is that of the engine's partitions, and socket *s* of *S* gets what worker *s* of *S* serves. Nothing
//! depends on that but where work is done: who reads the sockets decodes frames anew. So the program knows what mirrors
//! send, and leaves all else to the first socket.
//!
//! Programs are put together from parts that run from their first to past their last instruction; one that ends the
//! program itself comes last. The parts behind [`ethernet`] do not know what led there, so that a program for an
//! interface (`PACKET_FANOUT_CBPF`) begins with its own way to the inner frame and goes on with them.

use nix::libc::{
    BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD,
    BPF_LDX, BPF_LSH, BPF_MEM, BPF_MISC, BPF_MOD, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST, BPF_STX, BPF_TAX, BPF_TXA, BPF_W,
    BPF_X, BPF_XOR, sock_filter,
};

use crate::model::Envelope;

/// What GENEVE's protocol type says for an Ethernet frame (RFC 8926 section 3.4).
const BRIDGED: u32 = 0x6558;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
/// What VLAN tags begin with: IEEE 802.1Q, 802.1ad, and what came before the latter.
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
/// How many tags are passed by.
const DEEPEST_TAG: usize = 2;
/// Where the octets of both addresses stand in an IP header.
const ADDRESSES_V4: [u32; 2] = [12, 16];
const ADDRESSES_V6: [u32; 8] = [8, 12, 16, 20, 24, 28, 32, 36];
/// What the engine multiplies the folded addresses by, and how far it shifts to get one of 64 partitions.
const MULTIPLIER: u32 = 0x9e37_79b1;
const PARTITION_SHIFT: u32 = 26;

/// The word of memory with what was gathered of the addresses.
const GATHERED: u32 = 0;
/// The word of memory with where the IP header begins.
const PLACE: u32 = 1;
/// The word of memory with what comes next.
const NEXT: u32 = 2;

/// Instructions, one after the other.
pub(super) type Part = Vec<sock_filter>;

/// Returns the program for payloads of UDP with such an envelope; its result is the number of one of so many sockets.
pub(super) fn in_udp(envelope: Envelope, sockets: u32) -> Part {
    let way = match envelope {
        Envelope::Vxlan => vxlan(),
        Envelope::Geneve => geneve(),
    };
    [way, when(&[BRIDGED], ethernet()), ip(sockets)].concat()
}

/// RFC 7348 section 5, and draft-ietf-nvo3-vxlan-gpe-12 section 3: the index goes past the header, the accumulator gets
/// what it announces as GENEVE would write it.
fn vxlan() -> Part {
    /// The P flag, alone among it and that of group policy, which uses the same octet otherwise.
    const EXTENDED: u32 = 0x04;
    const EXTENDED_OR_GROUP: u32 = 0x84;
    let announced = either(1, vec![set(IPV4)], either(2, vec![set(IPV6)], vec![set(BRIDGED)]));
    [
        vec![
            plain(BPF_LDX | BPF_W | BPF_IMM, 8),
            plain(BPF_LD | BPF_B | BPF_ABS, 0),
            alu(BPF_AND, EXTENDED_OR_GROUP),
        ],
        either(
            EXTENDED,
            [vec![plain(BPF_LD | BPF_B | BPF_ABS, 3)], announced].concat(),
            vec![set(BRIDGED)],
        ),
    ]
    .concat()
}

/// RFC 8926 section 3.4: the index goes past the options, the accumulator gets the protocol type.
fn geneve() -> Part {
    vec![
        plain(BPF_LD | BPF_B | BPF_ABS, 0),
        alu(BPF_AND, 0x3f),
        alu(BPF_LSH, 2),
        alu(BPF_ADD, 8),
        plain(BPF_MISC | BPF_TAX, 0),
        plain(BPF_LD | BPF_H | BPF_ABS, 2),
    ]
}

/// An Ethernet frame at the index: that goes past header and tags, the accumulator gets the EtherType.
fn ethernet() -> Part {
    let ethertype = || plain(BPF_LD | BPF_H | BPF_IND, 12);
    let tag = || when(&TAGS, [advance(4), vec![ethertype()]].concat());
    let mut part = vec![ethertype()];
    part.extend((0..DEEPEST_TAG).flat_map(|_| tag()));
    part.push(plain(BPF_ST, NEXT));
    part.extend(advance(14));
    part.push(plain(BPF_LD | BPF_MEM, NEXT));
    part
}

/// An IP packet at the index whose EtherType is in the accumulator: ends with the socket of its addresses.
fn ip(sockets: u32) -> Part {
    [
        vec![plain(BPF_STX, PLACE)],
        when(&[IPV4], [fold(&ADDRESSES_V4), socket_of(sockets)].concat()),
        when(&[IPV6], [fold(&ADDRESSES_V6), socket_of(sockets)].concat()),
        vec![plain(BPF_RET | BPF_K, 0)],
    ]
    .concat()
}

/// The exclusive or of words behind the index, in the accumulator. Which of them are whose does not matter to it, so both
/// directions have the same; nor would what an IPv4 address has before it in its mapped form, twice the same.
fn fold(words: &[u32]) -> Part {
    let mut part = vec![set(0), plain(BPF_ST, GATHERED)];
    for word in words {
        part.extend([
            plain(BPF_LDX | BPF_W | BPF_MEM, PLACE),
            plain(BPF_LD | BPF_W | BPF_IND, *word),
            plain(BPF_LDX | BPF_W | BPF_MEM, GATHERED),
            plain(BPF_ALU | BPF_XOR | BPF_X, 0),
            plain(BPF_ST, GATHERED),
        ]);
    }
    part
}

/// Ends with the socket of the folded addresses in the accumulator, as the engine makes partitions and workers of them.
fn socket_of(sockets: u32) -> Part {
    vec![
        alu(BPF_MUL, MULTIPLIER),
        alu(BPF_RSH, PARTITION_SHIFT),
        alu(BPF_MOD, sockets.max(1)),
        plain(BPF_RET | ACCUMULATOR, 0),
    ]
}

/// What a return gives: BPF_A of the kernel's `linux/filter.h`.
const ACCUMULATOR: u32 = 0x10;

/// Moves the index on; the accumulator is lost.
fn advance(by: u32) -> Part {
    vec![
        plain(BPF_MISC | BPF_TXA, 0),
        alu(BPF_ADD, by),
        plain(BPF_MISC | BPF_TAX, 0),
    ]
}

/// Runs a part if the accumulator is one of some values, else goes past it.
fn when(values: &[u32], part: Part) -> Part {
    let mut compared: Part = Vec::with_capacity(values.len() + part.len());
    for (position, value) in values.iter().enumerate() {
        let left = values.len() - position - 1;
        let past = if left == 0 { part.len() } else { 0 };
        compared.push(equal(*value, left, past));
    }
    compared.extend(part);
    compared
}

/// Runs one part if the accumulator is a value, else the other.
fn either(value: u32, part: Part, otherwise: Part) -> Part {
    let past = plain(BPF_JMP | BPF_JA, wide(otherwise.len()));
    let first = [part, vec![past]].concat();
    [vec![equal(value, 0, first.len())], first, otherwise].concat()
}

fn equal(value: u32, instructions_if_so: usize, instructions_if_not: usize) -> sock_filter {
    sock_filter {
        jt: narrow(instructions_if_so),
        jf: narrow(instructions_if_not),
        ..plain(BPF_JMP | BPF_JEQ | BPF_K, value)
    }
}

fn alu(operation: u32, operand: u32) -> sock_filter {
    plain(BPF_ALU | operation | BPF_K, operand)
}

fn set(value: u32) -> sock_filter {
    plain(BPF_LD | BPF_IMM, value)
}

fn plain(code: u32, operand: u32) -> sock_filter {
    sock_filter {
        // The codes of all instructions are under 256.
        code: u16::from(narrow(code as usize)),
        jt: 0,
        jf: 0,
        k: operand,
    }
}

/// Returns a number of the program itself, all of which fit; the kernel would refuse a program of others.
fn narrow(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn wide(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "steering_tests.rs"]
mod tests;
