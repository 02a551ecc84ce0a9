use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::tests::{Kept, frame, header, read, written};
use super::*;

/// Frames of a plain file that stands for all others.
const FRAMES: u32 = 40;

/// Returns a classic file whose frames compress in part.
fn plain() -> Vec<u8> {
    let mut octets = header(65535, 1);
    let mut random = 1_u32;
    for number in 0..FRAMES {
        let content: Vec<u8> = (0..60 + number)
            .map(|at| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at < 30 { 7 } else { random.to_be_bytes()[0] }
            })
            .collect();
        octets.extend(frame(number, 0, &content));
    }
    octets
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(octets).unwrap();
    packed.finish().unwrap()
}

fn zstd(octets: &[u8]) -> Vec<u8> {
    compress_to_vec(octets, CompressionLevel::Fastest)
}

/// Returns a frame that is to be skipped.
fn skippable(octets: &[u8]) -> Vec<u8> {
    let length = u32::try_from(octets.len()).unwrap();
    [&[0x53, 0x2a, 0x4d, 0x18], &length.to_le_bytes()[..], octets].concat()
}

/// Returns a zstd frame with this window descriptor and one block as it is.
fn with_window(descriptor: u8, octets: &[u8]) -> Vec<u8> {
    let length = u32::try_from(octets.len()).unwrap();
    let [a, b, c, _] = (length << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, descriptor, a, b, c], octets].concat()
}

fn in_two(octets: &[u8], pack: impl Fn(&[u8]) -> Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let (one, two) = octets.split_at(octets.len() / 2);
    (pack(one), pack(two))
}

/// Returns what a file in memory gives.
fn given(octets: &[u8]) -> (Vec<Kept>, Option<String>) {
    let file = written(octets);
    let (frames, end) = read(file.path());
    let name = file.path().display().to_string();
    (frames, end.map(|end| end.replace(&name, "FILE")))
}

#[test]
fn what_is_compressed_gives_the_frames_of_the_plain_file() {
    let plain = plain();
    let whole = given(&plain);
    assert_eq!((whole.0.len(), &whole.1), (40, &None));
    let (member, members) = in_two(&plain, gzip);
    let (one, two) = in_two(&plain, zstd);
    for packed in [
        gzip(&plain),
        [member, gzip(b""), members].concat(),
        zstd(&plain),
        [skippable(b"first"), one, skippable(b""), two, skippable(b"last")].concat(),
        with_window(0x20, &plain),
    ] {
        assert_eq!(given(&packed), whole);
        let file = written(&packed);
        let mut capture = CaptureFile::open(file.path(), SourceId(0)).unwrap();
        while capture.next().unwrap().is_some() {}
        let total = packed.len() as u64;
        assert_eq!((capture.octets_read(), capture.octets_total()), (total, Some(total)));
    }
}

#[test]
fn all_our_captures_give_the_same_compressed() {
    for path in Path::new("captures").read_dir().unwrap() {
        let path = path.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "pcap") {
            continue;
        }
        let plain = std::fs::read(&path).unwrap();
        let whole = given(&plain);
        assert_eq!(given(&gzip(&plain)), whole, "{}", path.display());
        assert_eq!(given(&zstd(&plain)), whole, "{}", path.display());
    }
}

#[test]
fn a_cut_compressed_file_gives_the_frames_before_the_cut_and_says_so() {
    let plain = plain();
    let (whole, _) = given(&plain);
    let (one, two) = in_two(&plain, zstd);
    // A block of zstd is given whole or not at all.
    for packed in [gzip(&plain), zstd(&plain), [one, skippable(b"a comment"), two].concat()] {
        let mut before = 0;
        for kept in 4..packed.len() {
            let (frames, end) = given(&packed[..kept]);
            assert_eq!(frames, whole[..frames.len()], "cut at {kept}");
            assert!(frames.len() >= before, "cut at {kept}");
            before = frames.len();
            let cut = format!("FILE is cut in frame {}", frames.len() + 1);
            match end {
                Some(end) if frames.is_empty() => assert!(end == cut || end.contains("not a capture"), "{kept}: {end}"),
                // Between two frames of zstd a file may end.
                None => assert_eq!(frames.len(), whole.len(), "cut at {kept}"),
                Some(end) => assert_eq!(end, cut, "cut at {kept}"),
            }
        }
        assert_eq!(before, whole.len());
    }
}

#[test]
fn a_zstd_frame_that_is_cut_gives_what_was_unpacked_of_its_window() {
    // Two blocks, of which the second is cut: nothing of the first is beyond the window.
    let plain = plain();
    let (one, two) = plain.split_at(plain.len() / 2);
    let block = |octets: &[u8], is_last: u32| {
        let [a, b, c, _] = (u32::try_from(octets.len()).unwrap() << 3 | is_last).to_le_bytes();
        [&[a, b, c], octets].concat()
    };
    let packed = [&[0x28, 0xb5, 0x2f, 0xfd, 4, 0x50][..], &block(one, 0), &block(two, 1)].concat();
    let (frames, end) = given(&packed[..packed.len() - two.len()]);
    assert!((18..25).contains(&frames.len()), "{}", frames.len());
    assert_eq!(end.unwrap(), format!("FILE is cut in frame {}", frames.len() + 1));
}

#[test]
fn damage_is_named_whatever_octet_has_it() {
    let plain = plain();
    let (whole, _) = given(&plain);
    for packed in [gzip(&plain), zstd(&plain)] {
        let mut named = 0;
        for at in 0..packed.len() {
            for flip in [1, 0x40, 0xff] {
                let mut damaged = packed.clone();
                damaged[at] ^= flip;
                let (frames, end) = given(&damaged);
                assert!(frames.len() <= whole.len(), "octet {at}");
                named += usize::from(end.is_some());
            }
        }
        // What is left is in the header: times, names, systems.
        assert!(named >= 3 * (packed.len() - 12), "{named} of {}", 3 * packed.len());
    }
    let mut damaged = gzip(&plain);
    let sum = damaged.len() - 8;
    damaged[sum] ^= 1;
    let (frames, end) = given(&damaged);
    assert_eq!(
        end.unwrap(),
        "FILE is damaged at frame 41: its gzip data cannot be unpacked"
    );
    assert_eq!(frames, whole);
    let mut damaged = zstd(&plain);
    *damaged.last_mut().unwrap() ^= 1;
    let (frames, end) = given(&damaged);
    assert_eq!(
        end.unwrap(),
        "FILE is damaged at frame 41: its zstd checksum does not match"
    );
    assert_eq!(frames, whole);
    let (_, end) = given(&[zstd(&plain), b"and more".to_vec()].concat());
    let expected = "FILE is damaged at frame 41: what follows a zstd frame is none";
    assert_eq!(end.unwrap(), expected);
}

#[test]
fn a_window_beyond_128_mib_is_refused() {
    let plain = plain();
    let widest = with_window(17 << 3, &plain);
    assert_eq!(given(&widest), given(&plain));
    let wider = with_window(18 << 3, &plain);
    let refusal = "FILE cannot be unpacked: its zstd window has 256 MiB, more than 128 MiB; \
                   unpack it with its own program first";
    assert_eq!(given(&wider), (Vec::new(), Some(refusal.to_owned())));
    let (frames, end) = given(&[zstd(&plain), wider].concat());
    assert_eq!((frames.len(), end.as_deref()), (40, Some(refusal)));
    let (_, end) = given(&with_window(31 << 3 | 7, &plain));
    assert!(end.unwrap().contains("cannot be unpacked: its zstd window has"));
    let mut with_dictionary = with_window(0x20, &plain);
    with_dictionary[4] = 1;
    with_dictionary.insert(6, 9);
    let refusal = "FILE cannot be unpacked: it needs zstd dictionary 9; unpack it with its own program first";
    assert_eq!(given(&with_dictionary).1.as_deref(), Some(refusal));
}

#[test]
fn what_is_compressed_and_no_capture_is_refused_as_it_is_plain() {
    for octets in [&b""[..], b"a text", b"not the packets that you are looking for"] {
        let plain = given(octets).1.unwrap();
        assert!(plain.contains("FILE is not a capture"), "{plain}");
        let gzipped = given(&gzip(octets)).1.unwrap();
        assert_eq!((&gzipped, given(&zstd(octets)).1.unwrap()), (&plain, plain.clone()));
    }
    let twice = given(&gzip(&gzip(&plain()))).1.unwrap();
    assert!(twice.contains("FILE is not a capture"), "{twice}");
}

#[test]
fn what_libpcap_reads_is_unpacked_for_it() {
    let mut old = plain();
    // Version 2.3.
    old[6] = 3;
    let whole = given(&old);
    assert_eq!((whole.0.len(), &whole.1), (40, &None));
    for packed in [gzip(&old), zstd(&old)] {
        assert_eq!(given(&packed), whole);
        let (frames, end) = given(&packed[..packed.len() - 3]);
        assert_eq!((frames.len(), end.as_deref()), (40, Some("FILE is cut in frame 41")));
    }
    let mut damaged = gzip(&old);
    let sum = damaged.len() - 8;
    damaged[sum] ^= 1;
    assert_eq!(
        given(&damaged).1.unwrap(),
        "FILE is damaged at frame 41: its gzip data cannot be unpacked"
    );
}
