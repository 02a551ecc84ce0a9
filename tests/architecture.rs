//! The house stands as DESIGN, section 4 says: imports go down the table, time is an argument, files are short.

use std::path::{Path, PathBuf};

use crate::support::checkout;

/// A folder of `sensor/`, its level, and what it may import beside itself.
struct Folder {
    name: &'static str,
    level: u8,
}

const fn folder(name: &'static str, level: u8) -> Folder {
    Folder { name, level }
}

const FOLDERS: [Folder; 21] = [
    folder("model", 0),
    folder("wire", 1),
    folder("flow", 2),
    folder("names", 2),
    folder("identity", 2),
    folder("destination", 2),
    folder("baseline", 2),
    folder("alerting", 2),
    folder("enrichment", 2),
    folder("engine", 3),
    folder("views", 3),
    folder("capture", 4),
    folder("import", 4),
    folder("inventory", 4),
    folder("settings", 4),
    folder("store", 4),
    folder("sinks", 4),
    folder("metrics", 4),
    folder("confine", 4),
    folder("console", 5),
    folder("run", 6),
];

/// Tests of a folder that may look at another one, and why.
const TEST_EXCEPTIONS: [(&str, &str, &str); 1] = [("engine", "store", "the judge is tested on a real ledger")];

/// Folders that read no clock: time reaches them as an argument (rule T1).
const CLOCKLESS: [&str; 10] = [
    "model",
    "wire",
    "flow",
    "names",
    "identity",
    "destination",
    "baseline",
    "alerting",
    "enrichment",
    "engine",
];

const CLOCKS: [&str; 5] = [
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "clock_gettime",
];

/// The one file with unsafe code.
const UNSAFE: &str = "sensor/sinks/unacknowledged.rs";

const LONGEST_FILE: usize = 500;
const LONG_FILE: usize = 400;

fn level(name: &str) -> Option<u8> {
    FOLDERS
        .iter()
        .find(|folder| folder.name == name)
        .map(|folder| folder.level)
}

/// Says whether a folder may import another one.
fn may_import(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    let (Some(own), Some(other)) = (level(from), level(to)) else {
        // `command` is on top and imports everything; a folder that the table does not name may nothing.
        return from == "command" && level(to).is_some();
    };
    match (own, from) {
        (4, "settings") => other == 0 || other == 2,
        (4, _) => other == 0,
        (3, "views") => other == 0 || other == 2,
        (5, _) => other == 0 || to == "views",
        _ => other < own,
    }
}

/// Takes comments and the content of string literals out, so that only code is left; lines stay where they are.
fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => {
                while rest.peek().is_some_and(|c| *c != '\n') {
                    rest.next();
                }
            }
            '"' => {
                code.push('"');
                while let Some(inner) = rest.next() {
                    match inner {
                        '\\' => {
                            rest.next();
                        }
                        '"' => break,
                        '\n' => code.push('\n'),
                        _ => {}
                    }
                }
                code.push('"');
            }
            // A character literal such as '"' or '\''; a lifetime has no closing quote.
            '\'' => {
                let mut ahead = rest.clone();
                let first = ahead.next();
                if first == Some('\\') {
                    rest.next();
                    rest.next();
                    while rest.next().is_some_and(|c| c != '\'') {}
                } else if ahead.next() == Some('\'') {
                    rest.next();
                    rest.next();
                } else {
                    code.push('\'');
                }
            }
            c => code.push(c),
        }
    }
    code
}

/// Returns the folders that a piece of code names by `crate::`, with the line.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let is_word = code[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        if is_word {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let path = &code[at + "crate::".len()..];
        match path.strip_prefix('{') {
            Some(group) => found.extend(firsts(group).into_iter().map(|name| (line, name))),
            None => found.push((line, word(path))),
        }
    }
    found
}

/// Returns the first word of each path of a `use` group, up to its closing brace.
fn firsts(group: &str) -> Vec<String> {
    let (mut depth, mut starts, mut names) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts = true,
            c if starts && !c.is_whitespace() => {
                starts = false;
                names.push(word(&group[at..]));
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> String {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text[..end].to_owned()
}

/// Returns what is wrong with one file of a folder of `sensor/`; `path` is only told.
fn violations(folder: &str, path: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let code = code(source);
    let tests_begin = code.find("#[cfg(test)]").map(|at| code[..at].matches('\n').count() + 1);
    let is_tests = |line: usize| path.contains("tests") || tests_begin.is_some_and(|begin| line >= begin);
    for (line, to) in imports(&code) {
        let is_macro_or_item = level(&to).is_none() && to != "command";
        let is_excused = is_tests(line)
            && TEST_EXCEPTIONS
                .iter()
                .any(|(from, other, _)| *from == folder && *other == to);
        if is_macro_or_item || may_import(folder, &to) || is_excused {
            continue;
        }
        wrong.push(format!("{path}:{line}: {folder} imports {to}"));
    }
    for (number, line) in code.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if path != UNSAFE && words.any(|word| word == "unsafe") {
            wrong.push(format!("{path}:{}: unsafe", number + 1));
        }
        if CLOCKLESS.contains(&folder) {
            for clock in CLOCKS.iter().filter(|clock| line.contains(**clock)) {
                wrong.push(format!("{path}:{}: {folder} reads a clock: {clock}", number + 1));
            }
        }
    }
    let length = source.lines().count();
    if length > LONGEST_FILE {
        wrong.push(format!("{path}: {length} lines, at most {LONGEST_FILE}"));
    }
    wrong
}

/// Returns every Rust file below a folder, in order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn imports_go_down_the_table_and_the_engine_reads_no_clock() {
    let root = checkout("sensor");
    let mut wrong = Vec::new();
    for path in sources(&root) {
        let below = path.strip_prefix(&root).expect("below sensor/");
        let folder = below.iter().next().unwrap_or_default().to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path).expect("a source");
        let told = format!("sensor/{}", below.display());
        if folder.ends_with(".rs") {
            // `lib.rs` and `main.rs` name every folder.
            continue;
        }
        if level(&folder).is_none() && folder != "command" {
            wrong.push(format!("{told}: DESIGN, section 4 has no folder {folder}"));
        }
        if (LONG_FILE..=LONGEST_FILE).contains(&source.lines().count()) {
            println!("{told} has {} lines", source.lines().count());
        }
        wrong.extend(violations(&folder, &told, &source));
    }
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn files_beside_the_sensor_are_short_too() {
    let mut wrong = Vec::new();
    for folder in ["replay", "tests", "benches"] {
        for path in sources(&checkout(folder)) {
            let length = std::fs::read_to_string(&path).expect("a source").lines().count();
            if length > LONGEST_FILE {
                wrong.push(format!("{}: {length} lines", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_violation_is_found_where_one_is_made() {
    let of = |folder: &str, source: &str| violations(folder, "made-up.rs", source);
    let found = of("flow", "use crate::names::Names;");
    assert_eq!(found, ["made-up.rs:1: flow imports names"]);
    let found = of(
        "engine",
        "\nuse crate::{\n  model::{Address, store},\n  store::Store,\n};",
    );
    assert_eq!(found, ["made-up.rs:2: engine imports store"]);
    let found = of("wire", "fn f() { let x = crate::engine::EPOCH; }");
    assert_eq!(found, ["made-up.rs:1: wire imports engine"]);
    let found = of("sinks", "#[cfg(test)]\nmod tests { use crate::store::Store; }");
    assert_eq!(found, ["made-up.rs:2: sinks imports store"]);
    let found = of("run", "use crate::command::Exit;");
    assert_eq!(found, ["made-up.rs:1: run imports command"]);
    let found = of("views", "use crate::engine::Judge;");
    assert_eq!(found, ["made-up.rs:1: views imports engine"]);
    let found = of("names", "fn f() { std::time::Instant::now(); }");
    assert_eq!(found, ["made-up.rs:1: names reads a clock: Instant::now"]);
    let found = of("run", "fn f() { unsafe { g() } }");
    assert_eq!(found, ["made-up.rs:1: unsafe"]);
    let long = "//\n".repeat(LONGEST_FILE + 1);
    assert_eq!(of("run", &long), ["made-up.rs: 501 lines, at most 500"]);
}

#[test]
fn what_is_allowed_is_not_taken_for_a_violation() {
    for (folder, source) in [
        ("flow", "use crate::model::Address; // not crate::names::Names"),
        ("flow", "const TEXT: &str = \"use crate::names::Names; unsafe\";"),
        ("flow", "/// See [`crate::names`].\npub struct A;"),
        (
            "engine",
            "use crate::{flow::FlowTable, model::{Address}, names::Names};",
        ),
        ("settings", "use crate::destination::Aggregation;"),
        ("console", "use crate::views::alert_text;"),
        ("run", "fn f() -> std::time::Instant { std::time::Instant::now() }"),
        ("command", "use crate::run::Replay;"),
        (
            "wire",
            "const QUOTE: char = '\"'; const LIFE: &'static str = \"\"; use crate::model::Layer;",
        ),
    ] {
        assert_eq!(
            violations(folder, "made-up.rs", source),
            Vec::<String>::new(),
            "{source}"
        );
    }
}
