//! What a scenario expects: JSON Lines, one expected line of alerts, records, ledger or counters each.
//!
//! The first key says what the line is about and its value in which step: `{"alert":1,"kind":"new_external_domain"}`.
//! Dots in keys lead into objects. Only the fields given are compared, but all lines of a kind have to be listed once one
//! of them is: alerts in any case, contacts, dns, flows and the ledger if any is listed for the step, or `"none":"flow"`
//! with `"step"`, or `"counted":1,"of":"alert","is":60` with fields that the counted lines have. A text that starts with `@` is a time after the recipe's start, one that starts with `$` is a name for
//! whatever value stands there first. `stat` compares counters, `said` says which `text` stands on standard error.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::programs::Seen;
use super::recipe;

/// What one step gave.
pub struct Given {
    pub seen: Seen,
    pub ledger: Vec<Value>,
}

const KINDS: [&str; 5] = ["alert", "contact", "dns", "flow", "ledger"];

/// Compares; returns a line for each difference.
pub fn differences(expected: &str, start: i64, given: &[Given]) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines: Vec<Map<String, Value>> = super::programs::lines(expected)
        .into_iter()
        .map(|line| line.as_object().cloned().expect("an object a line"))
        .collect();
    let mut bound = HashMap::new();
    for (n, step) in given.iter().enumerate() {
        let step_number = Value::from(n + 1);
        if step.seen.status != 0 {
            wrong.push(format!(
                "step {}: status {}: {}",
                n + 1,
                step.seen.status,
                step.seen.said
            ));
        }
        for kind in KINDS {
            let wanted: Vec<_> = lines
                .iter()
                .filter(|line| line.get(kind) == Some(&step_number))
                .collect();
            let is_none = lines.iter().any(|line| {
                line.get("none").and_then(Value::as_str) == Some(kind)
                    && line.get("step").is_none_or(|step| *step == step_number)
            });
            let actual = of_kind(kind, step);
            let counted = lines.iter().filter(|line| {
                line.get("counted") == Some(&step_number) && line.get("of").and_then(Value::as_str) == Some(kind)
            });
            let mut is_counted = false;
            for line in counted {
                is_counted = true;
                let fields = line
                    .iter()
                    .filter(|(key, _)| !["counted", "of", "is"].contains(&key.as_str()));
                let fields: Vec<_> = fields.collect();
                let matches = |actual: &Value| fields.iter().all(|(key, value)| at(actual, key) == *value);
                let count = Value::from(actual.iter().filter(|actual| matches(actual)).count());
                if line.get("is") != Some(&count) {
                    wrong.push(format!("step {}: {count} lines: {}", n + 1, short(line)));
                }
            }
            if wanted.is_empty() && !is_none && (kind != "alert" || is_counted) {
                continue;
            }
            if wanted.len() != actual.len() {
                wrong.push(format!(
                    "step {}: {} lines of {kind}, expected {}",
                    n + 1,
                    actual.len(),
                    wanted.len()
                ));
            }
            for (place, line) in wanted.iter().enumerate() {
                let Some(actual) = actual.get(place) else {
                    wrong.push(format!(
                        "step {}: {kind} {}: missing: {}",
                        n + 1,
                        place + 1,
                        short(line)
                    ));
                    continue;
                };
                for (key, value) in line.iter().filter(|(key, _)| *key != kind) {
                    let found = at(actual, key);
                    if !is_equal(value, found, start, &mut bound) {
                        wrong.push(format!(
                            "step {}: {kind} {}: {key} is {found}, expected {value}",
                            n + 1,
                            place + 1
                        ));
                    }
                }
            }
            for surplus in actual.iter().skip(wanted.len()) {
                wrong.push(format!("step {}: {kind}: not expected: {}", n + 1, brief(surplus)));
            }
        }
        for line in lines.iter().filter(|line| line.get("stat") == Some(&step_number)) {
            for (key, value) in line.iter().filter(|(key, _)| *key != "stat") {
                let found = at(&step.seen.stats, key);
                if found != value {
                    wrong.push(format!("step {}: counter {key} is {found}, expected {value}", n + 1));
                }
            }
        }
        for line in lines.iter().filter(|line| line.get("said") == Some(&step_number)) {
            let text = line.get("text").and_then(Value::as_str).expect("a text");
            if !step.seen.said.contains(text) {
                wrong.push(format!("step {}: nobody said {text:?}: {}", n + 1, step.seen.said));
            }
        }
    }
    for line in &lines {
        let known = KINDS
            .iter()
            .chain(&["stat", "said", "none", "counted"])
            .any(|kind| line.contains_key(*kind));
        assert!(known, "a line is about nothing: {line:?}");
    }
    wrong
}

/// Returns what a step gave, as expectations to be read by a person (`UPDATE_EXPECTED=1`).
pub fn as_expected(given: &[Given]) -> String {
    let mut text = String::new();
    for (n, step) in given.iter().enumerate() {
        for kind in KINDS {
            for value in of_kind(kind, step) {
                text.push_str(&format!("{{\"{kind}\":{},{}\n", n + 1, &value.to_string()[1..]));
            }
        }
    }
    text
}

fn of_kind<'a>(kind: &str, step: &'a Given) -> &'a [Value] {
    match kind {
        "alert" => &step.seen.alerts,
        "contact" => &step.seen.contacts,
        "dns" => &step.seen.dns,
        "flow" => &step.seen.flows,
        _ => &step.ledger,
    }
}

fn at<'a>(value: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(value, |value, part| match part.parse::<usize>() {
        Ok(n) if value.is_array() => value.get(n).unwrap_or(&Value::Null),
        _ => value.get(part).unwrap_or(&Value::Null),
    })
}

fn is_equal(wanted: &Value, found: &Value, start: i64, bound: &mut HashMap<String, Value>) -> bool {
    match wanted {
        Value::String(text) if text.starts_with('@') => {
            let time = start + recipe::span(&text[1..]);
            found.as_str().is_some_and(|found| recipe::instant(found) == time)
        }
        Value::String(text) if text.starts_with('$') => {
            bound.entry(text.clone()).or_insert_with(|| found.clone()) == found && !found.is_null()
        }
        Value::Object(fields) => fields
            .iter()
            .all(|(key, wanted)| is_equal(wanted, at(found, key), start, bound)),
        Value::Array(items) => found.as_array().is_some_and(|found| {
            found.len() == items.len()
                && items
                    .iter()
                    .zip(found)
                    .all(|(wanted, found)| is_equal(wanted, found, start, bound))
        }),
        other => other == found,
    }
}

fn short(line: &Map<String, Value>) -> String {
    Value::Object(line.clone()).to_string()
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    let end = text.char_indices().nth(900).map_or(text.len(), |(end, _)| end);
    text[..end].to_owned()
}
