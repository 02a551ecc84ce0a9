//! `import` of what cannot be read, or only in part.

use super::told::{Told, assert_same};
use super::{SETTINGS, baseline, export};
use crate::support::logs::{self, DnsVersion};
use crate::support::programs::text;

#[test]
fn rows_that_cannot_be_read_are_told_by_file_and_line_and_the_rest_is_taken_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    super::traffic(0).write(&path);
    let told = Told::by(&path, SETTINGS);
    let [mut conn, dns] = <[_; 2]>::try_from(told.logs("zeek")).expect("two logs");
    conn.1 = conn.1.replace("#close", "1.0\tbroken\n#close");
    // Lookups alone: flows that are given twice count twice.
    let mixed = format!("{}{}", logs::eve(&[], &told.lookups, DnsVersion::Two), conn.1);
    let state = told.place("state");
    let ran = told.import_into(&state, &[conn, dns, ("mixed.log", mixed)]);
    assert_eq!(ran.status, 1, "{}", ran.said);
    let said: Vec<&str> = ran.said.lines().filter(|line| !line.contains("INFO")).collect();
    let broken = said
        .iter()
        .filter(|line| line.contains("conn.log:") && line.ends_with("it has 2 cells where #fields names 14"));
    let mixed = said
        .iter()
        .filter(|line| line.contains("mixed.log:") && line.contains("from here on it is a log of Zeek"));
    assert_eq!((broken.count(), mixed.count(), said.len()), (1, 1, 4), "{}", ran.said);
    assert_eq!(said[3], "error: 2 rows cannot be read; the rest was taken over");
    assert_same("the rest", &export(&state), &told.export, &[]);
}

#[test]
fn what_is_no_log_is_refused_before_anything_is_imported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    super::traffic(0).write(&path);
    let told = Told::by(&path, SETTINGS);
    let good = || told.logs("zeek").remove(0);
    let state = told.place("state");
    let ran = told.import_into(&state, &[good(), ("notes.txt", "who knows\n".to_owned())]);
    assert_eq!((ran.status, ran.said.lines().count()), (2, 1), "{}", ran.said);
    assert!(
        ran.said.contains("notes.txt: it begins as no log that can be imported"),
        "{}",
        ran.said
    );
    let absent = told.place("absent.log");
    let ran = baseline("import", &state, &[text(&absent)]);
    assert_eq!((ran.status, ran.said.lines().count()), (1, 1), "{}", ran.said);
    let ran = baseline("import", &state, &["--format", "zeke", text(&absent)]);
    assert_eq!(ran.status, 2, "{}", ran.said);
    assert!(!state.exists());
    // A quiet hour is no mistake, and a log may be of another kind than it looks.
    let ran = told.import_into(&state, &[("empty.log", String::new())]);
    assert_eq!(ran.status, 0, "{}", ran.said);
    let conn = told.place("conn.log");
    std::fs::write(&conn, good().1).expect("a file");
    let ran = baseline("import", &state, &["--format", "eve", text(&conn)]);
    assert_eq!(ran.status, 1, "{}", ran.said);
    assert!(ran.said.contains("from here on it is a log of Zeek"), "{}", ran.said);
}

#[test]
fn logs_are_imported_compressed_into_a_named_segment_and_not_beside_a_sensor() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("frames.pcap");
    super::traffic(0).write(&path);
    let told = Told::by(&path, SETTINGS);
    let mut files = Vec::new();
    for (name, content) in told.logs("zeek") {
        let path = told.place(&format!("{name}.gz"));
        let file = std::fs::File::create(&path).expect("a file");
        let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packer.write_all(content.as_bytes()).expect("gzip");
        packer.finish().expect("gzip");
        files.push(text(&path).to_owned());
    }
    let state = told.place("state");
    let config = told.place("settings.toml");
    std::fs::write(&config, SETTINGS).expect("a file");
    let mut arguments = vec!["--segment", "lab", "--config", text(&config)];
    arguments.extend(files.iter().map(String::as_str));
    let held =
        firstcontact::store::Store::open(&state, 8 << 20, firstcontact::model::Span::days(180)).expect("a ledger");
    let ran = baseline("import", &state, &arguments);
    assert_eq!((ran.status, ran.said.lines().count()), (1, 1), "{}", ran.said);
    assert!(ran.said.contains("in use by another process"), "{}", ran.said);
    drop(held);
    let ran = baseline("import", &state, &arguments);
    assert_eq!(ran.status, 0, "{}", ran.said);
    // A file that is cut is told of, and what stands before is taken over.
    let cut = told.place("cut.gz");
    let whole = std::fs::read(&files[0]).expect("a file");
    std::fs::write(&cut, &whole[..whole.len() - 10]).expect("a file");
    let ran = baseline("import", &told.place("cut"), &[text(&cut), &files[1]]);
    assert_eq!(ran.status, 1, "{}", ran.said);
    assert!(
        ran.said
            .ends_with("cut.gz: cannot be read: it is compressed and ends before its end\n"),
        "{}",
        ran.said
    );
    assert!(!ran.said.contains(" 0 contacts"), "{}", ran.said);
    let renamed = told.export.replace(r#""segment":"-""#, r#""segment":"lab""#);
    assert_same("lab", &export(&state), &renamed, &[]);
}
