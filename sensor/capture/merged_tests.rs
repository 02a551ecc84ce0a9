use std::io::Write;

use tempfile::NamedTempFile;

use super::*;

/// Returns a file with a frame of one octet for each time, in seconds.
fn file(times: &[u32]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    let mut words = vec![0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1];
    file.write_all(&words.drain(..).flat_map(u32::to_le_bytes).collect::<Vec<_>>())
        .unwrap();
    for (number, time) in (1..).zip(times) {
        let header = [*time, 0, 1, 1].map(u32::to_le_bytes).concat();
        file.write_all(&[header, vec![number]].concat()).unwrap();
    }
    file
}

fn merged(files: &[&NamedTempFile]) -> Merged {
    let open = |file: &&NamedTempFile| CaptureFile::open(file.path(), SourceId(0)).unwrap();
    Merged::new(files.iter().map(open).collect())
}

/// Returns times, files and numbers of all frames, and the errors between them.
fn given(mut files: Merged) -> (Vec<(i64, usize, u64)>, Vec<String>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    loop {
        match files.next() {
            Ok(Some((frame, place))) => {
                assert_eq!(u64::from(frame.octets[0]), place.frame);
                frames.push((frame.time.0 / 1_000_000_000, place.file, place.frame));
            }
            Ok(None) => return (frames, errors),
            Err(error) => errors.push(error.to_string()),
        }
    }
}

#[test]
fn the_earliest_frame_comes_first_and_on_a_tie_that_of_the_file_given_first() {
    let (one, two, three) = (file(&[1, 4, 4, 9]), file(&[]), file(&[2, 4, 5]));
    let (frames, errors) = given(merged(&[&one, &two, &three]));
    let expected = [
        (1, 0, 1),
        (2, 2, 1),
        (4, 0, 2),
        (4, 0, 3),
        (4, 2, 2),
        (5, 2, 3),
        (9, 0, 4),
    ];
    assert_eq!(frames, expected);
    assert!(errors.is_empty());
}

#[test]
fn a_file_whose_clock_steps_back_is_not_sorted() {
    let (one, two) = (file(&[5, 3, 4, 8]), file(&[4, 6]));
    let (frames, _) = given(merged(&[&one, &two]));
    let expected = [(4, 1, 1), (5, 0, 1), (3, 0, 2), (4, 0, 3), (6, 1, 2), (8, 0, 4)];
    assert_eq!(frames, expected);
}

#[test]
fn a_cut_file_is_told_of_once_and_the_others_go_on() {
    let (one, two) = (file(&[1, 3]), file(&[2, 4, 6]));
    let length = one.as_file().metadata().unwrap().len();
    one.as_file().set_len(length - 1).unwrap();
    let (frames, errors) = given(merged(&[&one, &two]));
    assert_eq!(frames, [(1, 0, 1), (2, 1, 1), (4, 1, 2), (6, 1, 3)]);
    assert_eq!(errors, [format!("{} is cut in frame 2", one.path().display())]);
}

#[test]
fn octets_are_counted_over_all_files() {
    let files = [file(&[1, 3]), file(&[2, 4, 6])];
    let mut both = merged(&[&files[0], &files[1]]);
    while both.next().unwrap().is_some() {}
    let total = files.iter().map(|file| file.as_file().metadata().unwrap().len());
    assert_eq!(both.octets_read(), total.sum::<u64>());
}
