use super::*;
use crate::model::{Address, Arrival, Segment};

const UDP: Layer4 = Layer4::Udp;
const PARTITION: usize = 7;

fn at(micros: i64) -> Timestamp {
    Timestamp(micros * 1000)
}

fn packet(time: Timestamp, layer4: Layer4) -> Packet {
    Packet {
        time,
        arrival: Arrival(1),
        source: SourceId(0),
        segment: Segment::NONE,
        from: Address::v4([10, 0, 0, 1]),
        to: Address::v4([203, 0, 113, 1]),
        from_port: 40_000,
        to_port: 443,
        from_mac: None,
        payload_octets: 300,
        layer4,
    }
}

fn look(payload: &[u8]) -> Look<'_> {
    Look {
        payload,
        identification: 9,
        path: Path {
            source: SourceId(0),
            from_mac: None,
            hop_limit: 64,
            envelopes: 0,
        },
        is_dns: false,
    }
}

fn behind_a_router(look: Look<'_>) -> Look<'_> {
    Look {
        path: Path {
            hop_limit: look.path.hop_limit - 1,
            ..look.path
        },
        ..look
    }
}

/// Meets a packet as the decoder does; says whether it goes no further.
fn is_dropped(copies: &mut Copies, packet: &Packet, look: &Look<'_>) -> bool {
    let needed = if look.is_dns { look.payload } else { &[] };
    copies.looks_at(PARTITION, packet, look.payload, needed) && copies.look(PARTITION, packet, look).is_some()
}

/// Meets datagrams that are no copies until the partition leaves off looking at all of them.
fn tire(copies: &mut Copies) {
    for n in 0..PATIENCE {
        let payload = [&n.to_be_bytes()[..], &[1; 298]].concat();
        assert!(!is_dropped(copies, &packet(at(0), UDP), &look(&payload)));
    }
}

/// Returns the payload of a datagram that is looked at as one of a few, or of one that is not.
fn payload(sampled: bool) -> Vec<u8> {
    let mut all = (0_u32..).map(|n| [&n.to_be_bytes()[..], &[2; 296]].concat());
    all.find(|payload| is_sampled(payload) == sampled).unwrap()
}

#[test]
fn rule_w5_a_copy_is_known_for_10_ms_whichever_way_it_comes() {
    let mut copies = Copies::new(100);
    let (first, octets) = (packet(at(0), UDP), [3; 300]);
    assert_eq!(copies.look(PARTITION, &first, &look(&octets)), None);
    let later = |micros| packet(at(micros), UDP);
    let own = look(&octets).path;
    assert_eq!(copies.look(PARTITION, &later(5000), &look(&octets)), Some(own));
    let copy = behind_a_router(look(&octets));
    assert_eq!(copies.look(PARTITION, &later(10_000), &copy), Some(own));
    assert_eq!(copies.look(PARTITION, &later(10_001), &copy), None, "it is another one");
}

#[test]
fn rule_f4_datagrams_that_anything_tells_apart_are_distinct() {
    let mut copies = Copies::new(100);
    let (first, octets) = (packet(at(0), UDP), [3; 300]);
    let plain = look(&octets);
    let mut last = octets;
    last[HEAD - 1] = 4;
    let others = [
        (
            first,
            Look {
                identification: 10,
                ..plain
            },
        ),
        (first, look(&last)),
        (
            Packet {
                payload_octets: 301,
                ..first
            },
            plain,
        ),
        (Packet { to_port: 444, ..first }, plain),
        (
            Packet {
                from: first.to,
                to: first.from,
                ..first
            },
            plain,
        ),
        (
            Packet {
                segment: Segment::vni(1),
                ..first
            },
            plain,
        ),
        (
            Packet {
                segment: Segment::NONE.tunnel(),
                ..first
            },
            plain,
        ),
    ];
    assert!(!is_dropped(&mut copies, &first, &plain));
    for (packet, look) in others {
        assert!(!is_dropped(&mut copies, &packet, &look), "{packet:?} {look:?}");
    }
    assert!(is_dropped(&mut copies, &first, &plain));
}

#[test]
fn rule_w5_a_partition_without_copies_looks_at_few_packets_until_one_is_a_copy() {
    let mut copies = Copies::new(10_000);
    tire(&mut copies);
    let unseen = payload(false);
    let syn = Layer4::Tcp {
        flags: TcpFlags(TcpFlags::SYN),
        sequence: 1,
    };
    let copy = behind_a_router(look(&unseen));
    for layer4 in [UDP, syn] {
        assert!(!is_dropped(&mut copies, &packet(at(0), layer4), &look(&unseen)));
        assert!(!is_dropped(&mut copies, &packet(at(0), layer4), &copy));
    }
    let seen = payload(true);
    let sign = behind_a_router(look(&seen));
    assert!(!is_dropped(&mut copies, &packet(at(0), UDP), &look(&seen)));
    assert!(is_dropped(&mut copies, &packet(at(0), UDP), &sign));
    for layer4 in [UDP, syn] {
        assert!(!is_dropped(&mut copies, &packet(at(0), layer4), &look(&unseen)));
        assert!(is_dropped(&mut copies, &packet(at(0), layer4), &copy));
    }
}

#[test]
fn rule_w5_dns_is_always_looked_at() {
    let mut copies = Copies::new(10_000);
    tire(&mut copies);
    let octets = payload(false);
    let dns = Look {
        is_dns: true,
        identification: 0,
        ..look(&octets)
    };
    assert!(!is_dropped(&mut copies, &packet(at(0), UDP), &dns));
    assert!(is_dropped(&mut copies, &packet(at(0), UDP), &dns));
}

#[test]
fn rule_f4_repeated_datagrams_that_nothing_tells_apart_count_where_there_are_no_copies() {
    let mut copies = Copies::new(10_000);
    let octets = payload(true);
    let alike = Look {
        identification: 0,
        ..look(&octets)
    };
    assert!(!is_dropped(&mut copies, &packet(at(0), UDP), &alike));
    assert!(is_dropped(&mut copies, &packet(at(0), UDP), &alike), "it may be a copy");
    tire(&mut copies);
    assert!(!is_dropped(&mut copies, &packet(at(1), UDP), &alike));
    // Now and again a sender repeats himself: that does not keep the partition looking.
    for n in 0..PATIENCE / 16 {
        copies.look(PARTITION, &packet(at(2), UDP), &alike);
        for m in 10..26 {
            let other = [&n.to_be_bytes()[..], &[m; 298]].concat();
            is_dropped(&mut copies, &packet(at(2), UDP), &look(&other));
        }
    }
    assert!(!is_dropped(&mut copies, &packet(at(2), UDP), &look(&payload(false))));
    assert!(!is_dropped(&mut copies, &packet(at(2), UDP), &look(&payload(false))));
}

#[test]
fn rule_w5_acknowledgments_without_identification_are_no_copies_of_each_other() {
    let mut copies = Copies::new(100);
    let layer4 = Layer4::Tcp {
        flags: TcpFlags(TcpFlags::ACK),
        sequence: 5,
    };
    let ack = Packet {
        payload_octets: 0,
        ..packet(at(0), layer4)
    };
    let plain = Look {
        identification: 0,
        ..look(&[])
    };
    for _ in 0..3 {
        assert!(!is_dropped(&mut copies, &ack, &plain));
    }
    assert!(is_dropped(&mut copies, &ack, &behind_a_router(plain)));
}

#[test]
fn rule_w5_what_a_snap_length_cut_elsewhere_is_the_same_datagram() {
    let mut copies = Copies::new(100);
    let (first, octets) = (packet(at(0), UDP), [3; 300]);
    assert!(!is_dropped(&mut copies, &first, &look(&octets[..54])));
    assert!(is_dropped(&mut copies, &first, &look(&octets[..50])));
    assert!(
        !is_dropped(&mut copies, &first, &look(&octets[..20])),
        "too little is left of it"
    );
}

#[test]
fn rule_w5_a_full_partition_forgets_the_oldest_and_counts_it() {
    let mut copies = Copies::new(2);
    let look_at = |n: u8, copies: &mut Copies| is_dropped(copies, &packet(at(0), UDP), &look(&[n; 300]));
    for n in 0..3 {
        assert!(!look_at(n, &mut copies));
    }
    assert_eq!(copies.take_evicted(), 1);
    assert!(look_at(1, &mut copies) && look_at(2, &mut copies));
    assert!(!look_at(0, &mut copies));
    copies.clear();
    assert!(!look_at(2, &mut copies), "time went back");
}

#[test]
fn places_go_round() {
    let mut recent = Recent {
        first: PLACES - 1,
        ..Recent::default()
    };
    let path = look(&[]).path;
    for hash in 0..5_u64 {
        recent.add(Met {
            hash: hash << 40,
            at: at(hash as i64),
            path,
        });
    }
    assert!((0..5_u64).all(|hash| recent.find(hash << 40).is_some()));
    recent.forget(at(3));
    let found: Vec<bool> = (0..5_u64).map(|hash| recent.find(hash << 40).is_some()).collect();
    assert_eq!(found, [false, false, false, true, true]);
}
