use std::io::Write;
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::*;
use crate::model::Timestamp;

/// A frame as a test remembers it.
pub(super) type Kept = (Timestamp, LinkType, Vec<u8>);

/// Returns the frames of a file and how reading ended.
pub(super) fn read(path: &Path) -> (Vec<Kept>, Option<String>) {
    let mut file = match CaptureFile::open(path, SourceId(0)) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut frames = Vec::new();
    loop {
        match file.next() {
            Ok(Some(frame)) => frames.push((frame.time, frame.link, frame.octets.to_vec())),
            Ok(None) => return (frames, None),
            Err(error) => {
                assert!(file.next().unwrap().is_none(), "an error ends the file");
                return (frames, Some(error.to_string()));
            }
        }
    }
}

/// Returns the same by libpcap alone, with its endings told apart as far as ours are.
fn read_by_libpcap(path: &Path) -> (Vec<Kept>, Option<Fault>) {
    let mut file = match Savefile::open(path, "") {
        Ok(file) => file,
        Err(error) => return (Vec::new(), Some(Fault::Damaged(error.to_string()))),
    };
    let mut frames = Vec::new();
    loop {
        match file.next() {
            Ok(Some((time, link, octets))) => frames.push((time, link, octets.to_vec())),
            Ok(None) => return (frames, None),
            Err(fault) => return (frames, Some(fault)),
        }
    }
}

pub(super) fn written(octets: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(octets).unwrap();
    file
}

/// Returns a file of version 2.4 with this snap length and link type, little-endian, in microseconds.
pub(super) fn header(snap: u32, link: u32) -> Vec<u8> {
    let words = [0xa1b2_c3d4, 0x0004_0002, 0, 0, snap, link];
    words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
}

pub(super) fn frame(seconds: u32, fraction: u32, octets: &[u8]) -> Vec<u8> {
    let length = u32::try_from(octets.len()).unwrap();
    let words = [seconds, fraction, length, length];
    let mut whole: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    whole.extend_from_slice(octets);
    whole
}

#[test]
fn frames_are_given_with_their_time_and_counted() {
    let whole = [header(65535, 1), frame(7, 5, b"first"), frame(8, 0, b"")].concat();
    let file = written(&whole);
    let mut capture = CaptureFile::open(file.path(), SourceId(3)).unwrap();
    let first = capture.next().unwrap().unwrap();
    assert_eq!((first.time, first.octets), (Timestamp(7_000_005_000), &b"first"[..]));
    assert_eq!((first.link, first.source), (LinkType::Ethernet, SourceId(3)));
    assert!(capture.next().unwrap().unwrap().octets.is_empty());
    assert!(capture.next().unwrap().is_none());
    let total = whole.len() as u64;
    assert_eq!(
        (capture.frames(), capture.octets_read(), capture.octets_total()),
        (2, total, Some(total))
    );
}

#[test]
fn a_cut_file_gives_the_frames_before_the_cut_and_says_so() {
    let whole = [header(65535, 1), frame(7, 5, b"first"), frame(8, 0, b"second")].concat();
    for kept in [whole.len() - 1, whole.len() - 6, whole.len() - 21] {
        let file = written(&whole[..kept]);
        let (frames, end) = read(file.path());
        assert_eq!(frames.len(), 1);
        assert_eq!(end.unwrap(), format!("{} is cut in frame 2", file.path().display()));
    }
}

#[test]
fn an_absurd_length_is_named() {
    let mut whole = [header(65535, 1), frame(7, 5, b"first")].concat();
    whole[32..36].copy_from_slice(&300_000u32.to_le_bytes());
    let file = written(&whole);
    let (_, end) = read(file.path());
    let expected = format!(
        "{} is damaged at frame 1: it claims 300000 octets",
        file.path().display()
    );
    assert_eq!(end.unwrap(), expected);
}

#[test]
fn rule_w1_an_unknown_link_type_is_refused_by_name() {
    let file = written(&header(65535, 105));
    let expected = format!("{}: link type IEEE802_11 is not supported", file.path().display());
    assert_eq!(read(file.path()).1.unwrap(), expected);
}

#[test]
fn what_is_no_capture_is_refused() {
    for octets in [
        &b""[..],
        b"PK\x03\x04 and so on, for a while longer",
        &header(1, 1)[..9],
    ] {
        let file = written(octets);
        let error = CaptureFile::open(file.path(), SourceId(0)).err().unwrap();
        assert!(matches!(error, CaptureError::NotACapture { .. }), "{error}");
    }
    let missing = CaptureFile::open(Path::new("no/such/file"), SourceId(0)).err().unwrap();
    assert!(matches!(missing, CaptureError::Read { .. }), "{missing}");
}

#[test]
fn a_frame_beyond_the_snap_length_is_cut_as_libpcap_cuts_it() {
    let file = written(&[header(4, 1), frame(7, 5, b"first"), frame(8, 0, b"second")].concat());
    let (frames, end) = read(file.path());
    assert_eq!(end, None);
    assert_eq!(frames, read_by_libpcap(file.path()).0);
}

/// Returns the captures under a folder that stands beside the manifest, with those in its folders.
fn captures(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else {
            println!("skipped: no folder {}", folder.display());
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "pcap" || ending == "pcapng")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Captures that were made or damaged to be hostile; where the fraction is more than a second or the seconds have the
/// upper bit, libpcap's arithmetic in 32 signed bits overflows and ours does not.
const HOSTILE: &str = "hostile";
/// What libpcap says of pcapng that it does not read and we do: interfaces and sections that differ, frames beyond the
/// snap length, and no interfaces, hence no frames.
const OURS_ALONE: [&str; 4] = [
    "different from the",
    "different byte orders",
    "bigger than snaplen",
    "has no Interface Description Blocks",
];

#[test]
fn our_readers_and_libpcap_give_the_same_frames() {
    let (mut compared, mut ours_alone) = (0, 0);
    for path in [captures("captures"), captures("../shared/corpus")].concat() {
        let at = path.display();
        let opened = CaptureFile::open(&path, SourceId(0)).map(|file| file.reader);
        // What libpcap reads for us needs no comparison, and what is compressed it does not read.
        let is_packed = std::fs::read(&path).is_ok_and(|octets| octets.starts_with(&[0x1f, 0x8b]));
        if is_packed || matches!(opened, Ok(Reader::Savefile(..))) {
            continue;
        }
        let (ours, end) = read(&path);
        let (theirs, fault) = read_by_libpcap(&path);
        let is_ours_alone = match (opened, &fault) {
            (Ok(Reader::Pcapng(..)), Some(Fault::Damaged(reason))) => {
                OURS_ALONE.iter().any(|part| reason.contains(part))
            }
            _ => false,
        };
        if is_ours_alone {
            println!("{at}: {} frames, of which libpcap reads {}", ours.len(), theirs.len());
            assert!(ours.len() >= theirs.len(), "{at}");
            ours_alone += 1;
        } else {
            assert_eq!(ours.len(), theirs.len(), "{at}: {end:?}, {fault:?}");
            assert_eq!(end.is_some(), fault.is_some(), "{at}: {end:?}, {fault:?}");
            compared += 1;
        }
        let is_hostile = path.iter().any(|part| part == HOSTILE);
        for (number, (ours, theirs)) in (1..).zip(ours.iter().zip(&theirs)) {
            assert_eq!((ours.1, &ours.2), (theirs.1, &theirs.2), "frame {number} of {at}");
            // A frame without a time has none in libpcap, and that of the frame before here.
            let is_same_time = ours.0 == theirs.0 || theirs.0 == Timestamp(0);
            assert!(is_hostile || is_same_time, "time of frame {number} of {at}");
        }
    }
    println!("{compared} files compared, {ours_alone} beyond libpcap");
}
