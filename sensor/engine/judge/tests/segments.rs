//! Segments that look like one address space are told of, once (rule W3).

use crate::model::*;

use super::lab::*;

fn alike(ran: &Ran) -> Vec<&str> {
    let told = ran.events.iter().filter(|event| event.kind == EventKind::SegmentsAlike);
    told.map(|event| event.text.as_str()).collect()
}

#[test]
fn rule_w3_an_address_in_two_vnis_suggests_a_named_segment_once() {
    let lab = Lab::new();
    let mut frames = Vec::new();
    for (n, vni) in (0..).zip([42, 43, 44, 43]) {
        frames.extend(in_vni(vni, handshake(n * 1000, (CLIENT, 40_000 + n as u16), SERVER)));
    }
    assert_eq!(
        alike(&lab.run(&frames)),
        [
            "10.0.0.1 is in segment vni=42 and in segment vni=43; if that is one host, give them one name with [[segment]]"
        ]
    );
}

#[test]
fn rule_w3_vnis_with_one_originator_each_suggest_a_named_segment() {
    let run = |mut frames: Vec<(i64, Vec<u8>)>| {
        frames.sort_by_key(|(at, _)| *at);
        frames.push(tick(11 * 60_000));
        Lab::new().run(&frames)
    };
    let of = |vnis: std::ops::Range<u8>, last: u8| {
        let mut frames = Vec::new();
        for n in vnis {
            let at = i64::from(n) * 100;
            let client = [10, 1, n, if n == 3 { last } else { 5 }];
            frames.extend(in_vni(u32::from(n), handshake(at, (client, 40_000), SERVER)));
        }
        frames
    };
    assert_eq!(
        alike(&run(of(1..9, 5))),
        ["each of 8 VNIs has one originator; if they are sessions of one mirror, give them one name with [[segment]]"]
    );
    assert_eq!(alike(&run(of(1..8, 5))), [""; 0]);
    assert_eq!(alike(&run([of(1..9, 5), of(3..4, 6)].concat())), [""; 0]);
}
