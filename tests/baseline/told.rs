//! What a capture tells, by its packets and by the logs that others would write of it.

use std::path::{Path, PathBuf};

use firstcontact::capture::CaptureFile;
use firstcontact::model::{LinkType, SourceId};
use serde_json::Value;

use super::{Ran, baseline, export};
use crate::support::frames::Frame;
use crate::support::logs::{self, DnsVersion};
use crate::support::programs::{Replay, lines, text};

/// What a capture gives: its export, and the material of logs.
pub struct Told {
    pub folder: tempfile::TempDir,
    pub settings: String,
    pub export: String,
    pub flows: Vec<logs::Flow>,
    pub lookups: Vec<logs::Lookup>,
}

impl Told {
    pub fn by(capture: &Path, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("replayed");
        let replay = Replay {
            settings: Some(settings.to_owned()),
            state: Some(state.clone()),
            learns: true,
            ..Replay::default()
        };
        let seen = replay.run_files(&[capture]);
        assert_eq!(seen.status, 0, "{}", seen.said);
        let mut file = CaptureFile::open(capture, SourceId(0)).expect("a capture");
        let mut frames = Vec::new();
        let mut link = LinkType::Ethernet;
        while let Some(frame) = file.next().expect("a whole capture") {
            link = frame.link;
            frames.push(Frame {
                time: frame.time.0,
                octets: frame.octets.to_vec(),
                length: frame.octets.len(),
            });
        }
        Self {
            settings: settings.to_owned(),
            export: export(&state),
            flows: logs::flows(&frames, link),
            lookups: logs::lookups(&seen.dns, &frames, link),
            folder,
        }
    }

    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Imports files with this content into a ledger of their own.
    pub fn import(&self, name: &str, files: &[(&str, String)]) -> PathBuf {
        let state = self.place(name);
        let done = self.import_into(&state, files);
        assert_eq!(done.status, 0, "{name}: {}", done.said);
        state
    }

    pub fn import_into(&self, state: &Path, files: &[(&str, String)]) -> Ran {
        let config = self.place("settings.toml");
        std::fs::write(&config, &self.settings).expect("a file");
        let mut arguments = vec!["--config".to_owned(), text(&config).to_owned()];
        for (name, content) in files {
            let path = self.place(name);
            std::fs::write(&path, content).expect("a file");
            arguments.push(text(&path).to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        baseline("import", state, &arguments)
    }

    /// The logs of a format.
    pub fn logs(&self, format: &str) -> Vec<(&'static str, String)> {
        let (flows, lookups) = (&self.flows, &self.lookups);
        match format {
            // Flows first: rows of all files are put in order.
            "zeek" => vec![
                ("conn.log", logs::zeek_conn(flows)),
                ("dns.log", logs::zeek_dns(lookups)),
            ],
            "zeek-json" => vec![("zeek.json", logs::zeek_json(flows, lookups))],
            "eve-1" => vec![("eve.json", logs::eve(flows, lookups, DnsVersion::One))],
            "eve-2" => vec![("eve.json", logs::eve(flows, lookups, DnsVersion::Two))],
            "eve-3" => vec![("eve.json", logs::eve(flows, lookups, DnsVersion::Three))],
            other => panic!("no format {other}"),
        }
    }
}

/// Returns segments, workloads and pairs of an export, without the fields that a format cannot hold. The header says when
/// the last packet came, and a resolver when it was found, which logs tell only roughly.
fn comparable(export: &str, without: &[&str]) -> Vec<Value> {
    let kept = lines(export)
        .into_iter()
        .filter(|line| line["record"] != "baseline" && line["record"] != "resolver");
    kept.map(|mut line| {
        for field in without {
            line.as_object_mut().unwrap().remove(*field);
        }
        line
    })
    .collect()
}

pub fn assert_same(what: &str, imported: &str, replayed: &str, without: &[&str]) {
    let (imported, replayed) = (comparable(imported, without), comparable(replayed, without));
    for line in &replayed {
        assert!(imported.contains(line), "{what}: not imported: {line}\n{imported:#?}");
    }
    for line in &imported {
        assert!(replayed.contains(line), "{what}: made up: {line}");
    }
    assert_eq!(imported, replayed, "{what}");
}
