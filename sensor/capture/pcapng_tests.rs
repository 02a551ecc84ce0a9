use std::io::Write;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::super::savefile::Savefile;
use super::*;

/// A frame as a test remembers it.
type Kept = (Timestamp, LinkType, Vec<u8>);

const ETHERNET: u16 = 1;
const WIRELESS: u16 = 105;
const LINUX_COOKED: u16 = 113;
const UNIT_OPTION: u16 = 9;
const OFFSET_OPTION: u16 = 14;

/// Returns a little-endian block.
fn block(kind: u32, body: &[&[u8]]) -> Vec<u8> {
    let mut body = body.concat();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes(), &length, &body[..], &length].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn section() -> Vec<u8> {
    block(SECTION, &[&words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX])])
}

fn interface(link: u16, snap: u32, options: &[u8]) -> Vec<u8> {
    block(INTERFACE, &[&words(&[u32::from(link), snap]), options])
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    let mut whole = [&code.to_le_bytes(), &length.to_le_bytes(), value].concat();
    whole.resize(whole.len().next_multiple_of(4), 0);
    whole
}

fn enhanced(interface: u32, ticks: u64, octets: &[u8]) -> Vec<u8> {
    let length = u32::try_from(octets.len()).unwrap();
    let (high, low) = ((ticks >> 32) as u32, ticks as u32);
    block(ENHANCED, &[&words(&[interface, high, low, length, length]), octets])
}

/// Returns the frames of a file and how reading ended.
fn read(input: impl Read) -> (Vec<Kept>, Option<String>) {
    let said = |fault: Fault| Some(fault.within("it", 0).to_string());
    let mut file = match Pcapng::open(Input::new(input)) {
        Ok(file) => file,
        Err(fault) => return (Vec::new(), said(fault)),
    };
    let mut frames = Vec::new();
    loop {
        match file.next() {
            Ok(Some((time, link, octets))) => frames.push((time, link, octets.to_vec())),
            Ok(None) => return (frames, None),
            Err(fault) => return (frames, said(fault)),
        }
    }
}

/// Returns the frames of a file that libpcap reads to its end.
fn read_by_libpcap(octets: &[u8]) -> Vec<Kept> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(octets).unwrap();
    let mut file = Savefile::open(file.path(), "it").unwrap();
    let mut frames = Vec::new();
    while let Some((time, link, octets)) = file.next().unwrap() {
        frames.push((time, link, octets.to_vec()));
    }
    frames
}

/// Returns a file with two interfaces that differ, every kind of packet block and blocks to be skipped.
fn varied() -> Vec<u8> {
    [
        section(),
        interface(ETHERNET, 5, &option(UNIT_OPTION, &[9])),
        interface(LINUX_COOKED, 0, &[]),
        block(0xbad, &[b"something else"]),
        enhanced(0, 7, b"first"),
        enhanced(1, 8, b"second"),
        block(SIMPLE, &[&words(&[60]), b"third"]),
        block(5, &[&words(&[0, 0, 0])]),
        block(OBSOLETE, &[&words(&[0xffff_0001, 0, 9, 6, 60]), b"fourth"]),
    ]
    .concat()
}

fn varied_frames() -> Vec<Kept> {
    [
        (7, LinkType::Ethernet, "first"),
        (8000, LinkType::LinuxCooked, "second"),
        (8000, LinkType::Ethernet, "third"),
        (9000, LinkType::LinuxCooked, "fourth"),
    ]
    .map(|(time, link, octets)| (Timestamp(time), link, octets.into()))
    .to_vec()
}

#[test]
fn every_interface_has_its_own_link_type_snap_length_and_unit() {
    assert_eq!(read(&varied()[..]), (varied_frames(), None));
}

#[test]
fn every_octet_is_taken_once() {
    let octets = varied();
    let mut file = Pcapng::open(Input::new(&octets[..])).unwrap();
    while file.next().unwrap().is_some() {}
    assert_eq!(file.input.octets_read, octets.len() as u64);
}

#[test]
fn octets_may_come_one_by_one() {
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let one = to.len().min(1);
            self.0.read(&mut to[..one])
        }
    }
    assert_eq!(read(Slow(&varied())), (varied_frames(), None));
}

#[test]
fn a_section_numbers_its_interfaces_anew_and_has_its_own_byte_order() {
    let big: Vec<u8> = [
        &[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX, 28][..],
        &[1, 20, 0x0065_0000, 0, 20],
        &[6, 36, 0, 0, 3, 4, 4, 0x0102_0304, 36],
    ]
    .concat()
    .iter()
    .flat_map(|word| word.to_be_bytes())
    .collect();
    let (frames, end) = read(&[varied(), big, section()].concat()[..]);
    assert_eq!(end, None);
    assert_eq!(frames[..4], varied_frames());
    assert_eq!(frames[4..], [(Timestamp(3000), LinkType::Raw, vec![1, 2, 3, 4])]);
    let (_, end) = read(&[varied(), section(), enhanced(0, 1, b"lost")].concat()[..]);
    assert_eq!(end.unwrap(), "it is damaged at frame 0: its section has no interface 0");
}

#[test]
fn units_and_offsets_of_time_are_those_of_libpcap() {
    // With more bits libpcap's numbers of 64 bits overflow.
    for unit in (0..=19).chain(0x80..=0x80 + 34) {
        let units = if unit < 0x80 { 10_f64 } else { 2_f64 }.powi(i32::from(unit & 0x7f));
        let now = (1_700_000_000.123_456 * units) as u64;
        for (ticks, offset) in [(0, 0), (1, 3), (now, 0), (now, -60), (12_345_678_901, 1_000_000_000)] {
            // libpcap's seconds end in 2038 on some systems.
            let seconds = ticks as f64 / units;
            if seconds > 2e9 {
                continue;
            }
            let options = [
                option(2, b"name"),
                option(UNIT_OPTION, &[unit]),
                option(OFFSET_OPTION, &i64::to_le_bytes(offset)),
                option(0, b""),
            ];
            let file = [
                section(),
                interface(ETHERNET, 0, &options.concat()),
                enhanced(0, ticks, b"frame"),
            ];
            let file = file.concat();
            let (ours, end) = read(&file[..]);
            assert_eq!(end, None);
            assert_eq!(
                ours,
                read_by_libpcap(&file),
                "unit {unit}, ticks {ticks}, offset {offset}"
            );
        }
    }
}

#[test]
fn a_time_beyond_all_that_can_be_is_the_last_that_can() {
    let time = |unit, offset, ticks| {
        let options = [
            option(UNIT_OPTION, &[unit]),
            option(OFFSET_OPTION, &i64::to_le_bytes(offset)),
        ];
        let file = [
            section(),
            interface(ETHERNET, 0, &options.concat()),
            enhanced(0, ticks, b""),
        ];
        read(&file.concat()[..]).0[0].0.0
    };
    assert_eq!(time(0, i64::MAX, u64::MAX), i64::MAX);
    assert_eq!(time(9, i64::MIN, u64::MAX), i64::MIN);
    assert_eq!(time(127, 1, u64::MAX), 1_000_000_000);
    assert_eq!(time(255, 1, u64::MAX), 1_000_000_000);
}

#[test]
fn a_simple_packet_block_ends_at_the_snap_length_as_in_libpcap() {
    let simple = block(SIMPLE, &[&words(&[60]), b"simp"]);
    let file = [section(), interface(ETHERNET, 4, &[]), simple].concat();
    let (ours, end) = read(&file[..]);
    assert_eq!(end, None);
    assert_eq!(ours, read_by_libpcap(&file));
}

#[test]
fn a_frame_beyond_the_snap_length_is_given_whole() {
    // libpcap gives up; what was kept is there all the same.
    let file = [section(), interface(ETHERNET, 4, &[]), enhanced(0, 1, b"enhanced")].concat();
    let (frames, end) = read(&file[..]);
    assert_eq!((&frames[0].2[..], end), (&b"enhanced"[..], None));
}

#[test]
fn rule_w1_an_unknown_link_type_is_refused_by_name_at_its_first_frame() {
    let refused = "it: link type IEEE802_11 is not supported";
    let interfaces = [section(), interface(ETHERNET, 0, &[]), interface(WIRELESS, 0, &[])].concat();
    let known = enhanced(0, 1, b"known");
    let unknown = enhanced(1, 1, b"unknown");
    let (frames, end) = read(&[&interfaces[..], &known, &unknown].concat()[..]);
    assert_eq!((frames.len(), end.as_deref()), (1, Some(refused)));
    let at_once = Pcapng::open(Input::new(&[&interfaces[..], &unknown].concat()[..])).err();
    assert!(matches!(at_once, Some(Fault::Link(105))));
    let (frames, end) = read(&[&interfaces[..], &known].concat()[..]);
    assert_eq!((frames.len(), end), (1, None));
}

#[test]
fn a_file_cut_anywhere_gives_the_frames_before_the_cut_and_says_so() {
    let whole = varied();
    let mut ends = Vec::new();
    let mut at = 0;
    while at < whole.len() {
        ends.push(at);
        at += u32::from_le_bytes(whole[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    for kept in 0..whole.len() {
        let (frames, end) = read(&whole[..kept]);
        assert_eq!(frames, varied_frames()[..frames.len()]);
        let cut = (!ends.contains(&kept)).then(|| "it is cut in frame 0".to_owned());
        assert_eq!(end, cut, "{kept} octets kept");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let start = [section(), interface(ETHERNET, 0, &[])].concat();
    let long = words(&[0, 0, 0, 300_000, 300_000]);
    let cases = [
        (words(&[6, 8, 0]), "its block claims 8 octets"),
        (words(&[6, 13, 0]), "its block claims 13 octets"),
        (words(&[6, 0x0100_0004, 0]), "its block claims 16777220 octets"),
        (words(&[9, 12, 16]), "the two lengths of its block differ"),
        (
            block(ENHANCED, &[&words(&[0, 0, 0, 5]), b""]),
            "its packet is too short",
        ),
        (
            block(ENHANCED, &[&words(&[0, 0, 0, 5, 5]), b"four"]),
            "it claims 5 octets",
        ),
        (block(ENHANCED, &[&long, &[0; 300_000]]), "it claims 300000 octets"),
        (enhanced(7, 0, b""), "its section has no interface 7"),
        (block(SIMPLE, &[]), "its simple packet is too short"),
        (block(INTERFACE, &[b"four"]), "its interface is too short"),
        (interface(ETHERNET, 0, &[2, 0, 9, 0, 1]), "its option is too short"),
        (interface(ETHERNET, 0, &option(9, b"")), "its option is too short"),
        (block(SECTION, &[b"four"]), "its section has no byte order"),
        (
            block(SECTION, &[&words(&[0x1a2b_3c4d])]),
            "its section header is too short",
        ),
        (
            block(SECTION, &[&words(&[0x1a2b_3c4d, 2, 0, 0])]),
            "its section is of version 2.0",
        ),
    ];
    for (damaged, expected) in cases {
        let (frames, end) = read(&[&start[..], &damaged].concat()[..]);
        assert!(frames.is_empty());
        assert_eq!(end.unwrap(), format!("it is damaged at frame 0: {expected}"));
    }
}

#[test]
fn the_interfaces_of_a_section_are_bounded() {
    let file = [section(), interface(ETHERNET, 0, &[]).repeat(INTERFACES + 1)].concat();
    let expected = "it is damaged at frame 0: its section has over 65536 interfaces";
    assert_eq!(read(&file[..]).1.unwrap(), expected);
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(&octets[..]);
        read(&[section(), octets].concat()[..]);
    }

    #[test]
    fn no_damage_makes_it_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut octets = varied();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let (frames, _) = read(&octets[..]);
        let given: usize = frames.iter().map(|frame| frame.2.len()).sum();
        prop_assert!(given <= octets.len());
    }
}
