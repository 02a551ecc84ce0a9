use super::*;

/// Runs a program on a payload as the kernel does: a load past the end gives 0 (Linux, `kernel/bpf/core.c`).
fn run(program: &[sock_filter], payload: &[u8]) -> u32 {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0_usize);
    loop {
        let step = program[at];
        let code = u32::from(step.code);
        at += 1;
        let octets = |start: u32, n: usize| {
            let start = usize::try_from(start).ok()?;
            let octets = payload.get(start..start + n)?;
            Some(octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet)))
        };
        let size = match code & 0x18 {
            BPF_H => 2,
            BPF_B => 1,
            _ => 4,
        };
        match code & 0x07 {
            BPF_LD => {
                let loaded = match code & 0xe0 {
                    BPF_ABS => octets(step.k, size),
                    BPF_IND => octets(x + step.k, size),
                    BPF_IMM => Some(step.k),
                    BPF_MEM => Some(memory[step.k as usize]),
                    _ => panic!("load {code:#x}"),
                };
                let Some(loaded) = loaded else { return 0 };
                a = loaded;
            }
            BPF_LDX => match code & 0xe0 {
                BPF_IMM => x = step.k,
                BPF_MEM => x = memory[step.k as usize],
                _ => panic!("load {code:#x}"),
            },
            BPF_ST => memory[step.k as usize] = a,
            BPF_STX => memory[step.k as usize] = x,
            BPF_ALU => {
                let operand = if code & BPF_X == 0 { step.k } else { x };
                a = match code & 0xf0 {
                    BPF_ADD => a.wrapping_add(operand),
                    BPF_AND => a & operand,
                    BPF_LSH => a << operand,
                    BPF_RSH => a >> operand,
                    BPF_MUL => a.wrapping_mul(operand),
                    BPF_MOD => a % operand,
                    BPF_XOR => a ^ operand,
                    _ => panic!("arithmetic {code:#x}"),
                };
            }
            BPF_JMP => {
                at += match code & 0xf0 {
                    BPF_JA => step.k as usize,
                    BPF_JEQ if a == step.k => usize::from(step.jt),
                    BPF_JEQ => usize::from(step.jf),
                    _ => panic!("jump {code:#x}"),
                }
            }
            BPF_RET => return if code & ACCUMULATOR == 0 { step.k } else { a },
            _ if code & 0xf8 == BPF_TXA => a = x,
            _ => x = a,
        }
    }
}

/// A pair of addresses and its partition, which the engine's tests hold too.
const PAIRS: [(&str, &str, u32); 6] = [
    ("10.1.0.5", "203.0.113.10", 43),
    ("10.1.0.6", "198.51.100.80", 40),
    ("10.1.0.5", "10.1.0.2", 20),
    ("10.1.0.7", "203.0.113.66", 3),
    ("fd00:10:1::5", "2001:db8:1::10", 57),
    ("2001:db8::1", "2001:db8::2", 54),
];

/// An IP packet between two addresses, with its EtherType.
fn packet(from: &str, to: &str) -> (u16, Vec<u8>) {
    use std::net::IpAddr;
    match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let start = [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0];
            (0x0800, [&start[..], &from.octets(), &to.octets(), &[0x11; 8]].concat())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let start = [0x60, 0, 0, 0, 0, 8, 17, 64];
            (0x86dd, [&start[..], &from.octets(), &to.octets(), &[0x11; 8]].concat())
        }
        _ => panic!("two families"),
    }
}

fn frame(tags: &[u16], (ethertype, packet): &(u16, Vec<u8>)) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 7]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

fn in_vxlan(flags: u8, protocol: u8, inside: &[u8]) -> Vec<u8> {
    [&[flags, 0, 0, protocol, 0, 0, 42, 0], inside].concat()
}

fn in_geneve(options: usize, protocol: u16, inside: &[u8]) -> Vec<u8> {
    let header = [u8::try_from(options).unwrap(), 0x40];
    let words = vec![0xa5; options * 4];
    [&header, &protocol.to_be_bytes()[..], &[0, 0, 42, 0], &words, inside].concat()
}

#[test]
fn every_way_to_the_inner_addresses_leads_both_directions_to_one_socket() {
    for sockets in [1, 2, 3, 8, 64] {
        let [vxlan, geneve] = [Envelope::Vxlan, Envelope::Geneve].map(|envelope| in_udp(envelope, sockets));
        for (a, b, partition) in PAIRS {
            for inside in [packet(a, b), packet(b, a)] {
                let (ethertype, octets) = &inside;
                let told = |name: &str, program: &[sock_filter], payload: &[u8]| {
                    assert_eq!(
                        run(program, payload),
                        partition % sockets,
                        "{name}: {a}, {b}, {sockets}"
                    );
                };
                for tags in [&[][..], &[0x8100], &[0x88a8], &[0x9100], &[0x88a8, 0x8100]] {
                    let frame = frame(tags, &inside);
                    told("VXLAN", &vxlan, &in_vxlan(0x08, 0, &frame));
                    told("group policy", &vxlan, &in_vxlan(0x8c, 1, &frame));
                    told("extension with a frame", &vxlan, &in_vxlan(0x0c, 3, &frame));
                    for options in [0, 1, 63] {
                        told("GENEVE", &geneve, &in_geneve(options, 0x6558, &frame));
                    }
                }
                let protocol = if *ethertype == 0x0800 { 1 } else { 2 };
                told("extension with IP", &vxlan, &in_vxlan(0x0c, protocol, octets));
                told("GENEVE with IP", &geneve, &in_geneve(2, *ethertype, octets));
            }
        }
    }
}

#[test]
fn what_is_not_known_and_what_was_cut_goes_to_the_first_socket() {
    let inside = packet("10.1.0.5", "203.0.113.10");
    let sockets = 64;
    let vxlan = in_udp(Envelope::Vxlan, sockets);
    let geneve = in_udp(Envelope::Geneve, sockets);
    let whole = in_vxlan(0x08, 0, &frame(&[0x8100], &inside));
    let addresses_end = 8 + 18 + 20;
    for end in 0..addresses_end {
        assert_eq!(run(&vxlan, &whole[..end]), 0, "cut at {end}");
    }
    assert_ne!(run(&vxlan, &whole[..addresses_end]), 0);
    let arp = frame(&[], &(0x0806, vec![0; 28]));
    assert_eq!(run(&vxlan, &in_vxlan(0x08, 0, &arp)), 0);
    assert_eq!(run(&geneve, &in_geneve(1, 0x6558, &arp)), 0);
    assert_eq!(run(&geneve, &in_geneve(1, 0x8847, &inside.1)), 0);
    assert_eq!(run(&geneve, &in_geneve(63, 0x6558, &[])), 0);
    let three = frame(&[0x88a8, 0x8100, 0x8100], &inside);
    assert_eq!(run(&vxlan, &in_vxlan(0x08, 0, &three)), 0);
}

#[test]
fn pairs_spread_over_the_sockets() {
    let program = in_udp(Envelope::Vxlan, 4);
    let mut seen = [0_u32; 4];
    for client in 0..=255 {
        let inside = packet(&format!("10.1.0.{client}"), "203.0.113.10");
        seen[run(&program, &in_vxlan(8, 0, &frame(&[], &inside))) as usize] += 1;
    }
    assert!(seen.iter().all(|n| (32..=96).contains(n)), "{seen:?}");
}
