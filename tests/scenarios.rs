//! One folder a rule and behaviour: settings, recipe, what is expected, and why (`tests/scenarios/`).
//!
//! `SCENARIO=part-of-a-name` runs some. `UPDATE_EXPECTED=1` prints what the program gives, to be held against the rules
//! by a person; it writes nothing.

use std::path::{Path, PathBuf};

use crate::support::expected::{Given, as_expected, differences};
use crate::support::programs::{Replay, ledger};
use crate::support::{checkout, recipe};

/// Returns the scenario folders, in order.
pub fn folders() -> Vec<PathBuf> {
    let all = std::fs::read_dir(checkout("tests/scenarios")).expect("tests/scenarios can be read");
    let mut folders: Vec<PathBuf> = all
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    folders.retain(|folder| name(folder).contains(&wanted));
    folders
}

/// Returns a folder's name.
pub fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(folder: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(file)).ok()
}

/// Runs the steps of a scenario over one ledger.
pub fn run(folder: &Path, threads: u16) -> (i64, Vec<Given>) {
    let steps = recipe::parse(&read(folder, "recipe").expect("a recipe"));
    let state = tempfile::tempdir().expect("a temporary folder");
    let state = state.path().join("state");
    let start = steps[0].capture.start;
    let given = steps.into_iter().map(|step| {
        let replay = Replay {
            settings: read(folder, "settings.toml"),
            state: Some(state.clone()),
            learns: step.learns,
            shift: step.shift,
            threads: Some(threads),
            ..Replay::default()
        };
        Given {
            seen: replay.run(&step.capture),
            ledger: ledger(&state),
        }
    });
    (start, given.collect())
}

#[test]
fn every_scenario_gives_what_its_rule_says() {
    let is_shown = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    let folders = folders();
    assert!(!folders.is_empty());
    for folder in &folders {
        let name = name(folder);
        let about = read(folder, "README.md").unwrap_or_default();
        if about.lines().count() < 2 {
            wrong.push(format!("{name}: README.md has to say what and why"));
        }
        let (start, given) = run(folder, 2);
        if is_shown {
            print!("--- {name}\n{}", as_expected(&given));
            continue;
        }
        let expected = read(folder, "expected.jsonl").unwrap_or_default();
        let differences = differences(&expected, start, &given);
        wrong.extend(
            differences
                .into_iter()
                .map(|difference| format!("{name}: {difference}")),
        );
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
