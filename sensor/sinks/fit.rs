//! An alert as one JSON object that fits where it has to.
//!
//! Field names and nesting are those of the JSON Lines; only the order differs, so that a receiver that cuts messages
//! short still has the essentials: id, kind, event, severity, destination, and the workload's name and address. What is
//! least missed is left out first, whole field by whole field, and `left_out` says what. The object is always whole.

use serde::Serialize;
use serde_json::Value;

use super::ascii::json;
use crate::model::{Alert, AlertKind};

/// What goes first, in this order, when an alert is too long. `evidence.chain` empties the chain alone; what is not
/// here is short and stays.
const CUTS: [&str; 14] = [
    "links",
    "other_names",
    "evidence.chain",
    "observation",
    "title",
    "claimed_name",
    "baseline",
    "attack",
    "evidence",
    "flow",
    "summary",
    "prevalence",
    "at",
    "novelty",
];

/// How the essentials are shortened, step by step, until they fit: how many octets of JSON a string takes, and whether
/// destination and workload are reduced to what must be there.
const STEPS: [(usize, Depth); 5] = [
    (usize::MAX, Depth::Full),
    (96, Depth::Full),
    (48, Depth::Full),
    (32, Depth::Least),
    (16, Depth::Least),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Full,
    Least,
}

/// Returns the alert as printable ASCII JSON of at most `whole` octets, the essentials within the first `first`.
///
/// Both limits hold for any content if `first` is at least 334 and `whole` at least 1024, which a syslog header within
/// its own limits leaves.
pub(super) fn fit(alert: &Alert, first: usize, whole: usize) -> String {
    let fields = fields(alert);
    let mut shortest = String::new();
    for (limit, depth) in STEPS {
        let head = Head::new(alert, limit, depth);
        if head.essential > first {
            shortest = head.text;
            continue;
        }
        if let Some(text) = with_cuts(&head, &fields, whole) {
            return text;
        }
        shortest = head.text;
    }
    shortest + "}"
}

/// Returns the object with as little left out as makes it fit, or nothing if it does not.
///
/// Cuts go from the front of [`CUTS`] until the object fits; then each is taken back, the last first, if it fits even so.
fn with_cuts(head: &Head, fields: &[(&'static str, String)], whole: usize) -> Option<String> {
    let mut left_out = Vec::new();
    let mut text = joined(head, fields, &left_out);
    for cut in CUTS {
        if text.len() <= whole {
            break;
        }
        left_out.push(cut);
        text = joined(head, fields, &left_out);
    }
    for cut in CUTS.iter().rev() {
        let fewer: Vec<&str> = left_out.iter().copied().filter(|other| other != cut).collect();
        let fuller = joined(head, fields, &fewer);
        if fewer.len() < left_out.len() && fuller.len() <= whole {
            (left_out, text) = (fewer, fuller);
        }
    }
    (text.len() <= whole).then_some(text)
}

/// The essentials, as the start of an object that is still open.
struct Head {
    text: String,
    /// Where the last essential ends.
    essential: usize,
}

impl Head {
    fn new(alert: &Alert, limit: usize, depth: Depth) -> Self {
        let full = depth == Depth::Full;
        let text = |text: &str| cut(text, limit);
        let mut destination = Object::new();
        let to = &alert.destination;
        destination.add("domain", &to.domain.as_deref().map(text));
        destination.add("ip", &to.ip);
        destination.add("port", &to.port);
        destination.add("transport", &to.transport);
        if full || alert.kind == AlertKind::NewTenant {
            destination.add("tenant", &to.tenant.as_deref().map(text));
        }
        if full {
            destination.add("name", &to.name.as_deref().map(text));
        }
        let mut workload = Object::new();
        let from = &alert.workload;
        workload.add("name", &text(&from.name));
        workload.add("address", &from.address);
        let in_workload = workload.0.len();
        if full {
            workload.add("group", &from.group.as_deref().map(text));
            workload.add("owner", &from.owner.as_deref().map(text));
            workload.add("segment", &text(&from.segment));
            workload.add("since", &from.since);
        }
        let mut object = Object::new();
        object.add("id", &alert.id);
        object.add("kind", &alert.kind);
        object.add("event", &alert.event);
        object.add("severity", &alert.severity);
        object.add_json("destination", &destination.closed());
        object.add_json("workload", "");
        let essential = object.0.len() + in_workload;
        object.0.push_str(&workload.closed());
        Self {
            text: object.0,
            essential,
        }
    }
}

/// An object as it is written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn add<T: Serialize>(&mut self, key: &str, value: &T) {
        self.add_json(key, &json(value));
    }

    fn add_json(&mut self, key: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(json);
    }

    fn closed(self) -> String {
        self.0 + "}"
    }
}

/// Everything beside the essentials, in the order in which it is written.
fn fields(alert: &Alert) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("summary", json(&alert.summary)),
        ("revision", json(&alert.revision)),
        ("ts", json(&alert.ts)),
        ("at", json(&alert.at)),
        ("confidence", json(&alert.confidence)),
        ("unexplained", json(&alert.unexplained)),
        ("novelty", json(&alert.novelty)),
        ("prevalence", json(&alert.prevalence)),
        ("replaces", json(&alert.replaces)),
        ("evidence", json(&alert.evidence)),
        ("flow", json(&alert.flow)),
        ("attack", json(&alert.attack)),
        ("title", json(&alert.title)),
        ("baseline", json(&alert.baseline)),
        ("claimed_name", json(&alert.claimed_name)),
        ("other_names", json(&alert.other_names)),
        ("observation", json(&alert.observation)),
        ("links", json(&alert.links)),
    ];
    if let Some(count) = alert.count {
        fields.insert(1, ("count", json(&count)));
    }
    if let Some(evidence) = alert.evidence.as_ref().filter(|evidence| !evidence.chain.is_empty()) {
        let mut short = serde_json::to_value(evidence).unwrap_or_default();
        if let Some(chain) = short.get_mut("chain") {
            *chain = Value::Array(Vec::new());
        }
        fields.push(("evidence.chain", json(&short)));
    }
    fields
}

/// Writes the object with what is left.
fn joined(head: &Head, fields: &[(&'static str, String)], left_out: &[&str]) -> String {
    let is_left = |key: &str| !left_out.contains(&key);
    let short_evidence = fields
        .iter()
        .find(|(key, _)| *key == "evidence.chain")
        .map(|(_, json)| json);
    let mut object = Object(head.text.clone());
    for (key, json) in fields {
        match (*key, short_evidence) {
            ("evidence.chain", _) => {}
            ("evidence", Some(short)) if is_left(key) && !is_left("evidence.chain") => object.add_json(key, short),
            _ if is_left(key) => object.add_json(key, json),
            _ => {}
        }
    }
    let missing: Vec<&&str> = left_out
        .iter()
        .filter(|cut| {
            fields
                .iter()
                .any(|(key, json)| key == *cut && !matches!(json.as_str(), "null" | "[]" | "{}"))
        })
        .collect();
    if !missing.is_empty() {
        object.add("left_out", &missing);
    }
    object.closed()
}

/// Returns as much of the text as takes `limit` octets of JSON, three dots at its end if that is not all of it.
fn cut(text: &str, limit: usize) -> String {
    const DOTS: &str = "...";
    let room = |text: &str| json(text).len().saturating_sub(2);
    if room(text) <= limit {
        return text.to_owned();
    }
    let mut used = DOTS.len();
    let kept = text.chars().take_while(|c| {
        used += room(c.encode_utf8(&mut [0; 4]));
        used <= limit
    });
    kept.collect::<String>() + DOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    fn keys(text: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(text).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn an_alert_that_fits_is_written_whole() {
        let alert = sample::domain_alert();
        let text = fit(&alert, 400, 1950);
        assert!(text.starts_with(r#"{"id":"abababababababababababababababab","kind":"new_external_domain","event":"raised","severity":"medium","destination":{"domain":"example.edu","ip":"203.0.113.7","port":443,"transport":"tcp","tenant":null,"name":"paste.example.edu"},"workload":{"name":"web","address":"10.1.0.5","#), "{text}");
        assert_eq!(serde_json::from_str::<Alert>(&text).unwrap(), alert);
    }

    #[test]
    fn what_is_least_missed_goes_first_and_is_named() {
        let mut alert = sample::domain_alert();
        alert.links.insert("rdap".to_owned(), "x".repeat(2000));
        let text = fit(&alert, 400, 1950);
        assert!(text.ends_with(r#","left_out":["links"]}"#), "{text}");
        alert.evidence.as_mut().unwrap().chain = vec!["c".repeat(2000).into()];
        let value: Value = serde_json::from_str(&fit(&alert, 400, 1950)).unwrap();
        assert_eq!(value["left_out"], serde_json::json!(["links", "evidence.chain"]));
        assert_eq!(value["evidence"]["chain"], serde_json::json!([]));
        assert_eq!(value["evidence"]["name"], "paste.example.edu");
        assert!(keys(&fit(&alert, 400, 1950)).contains(&"summary".to_owned()));
    }

    #[test]
    fn long_names_are_cut_before_an_essential_is_lost() {
        let mut alert = sample::domain_alert();
        alert.destination.domain = Some("d".repeat(300).into());
        alert.workload.name = "ü".repeat(300);
        let text = fit(&alert, 334, 1900);
        let value: Value = serde_json::from_str(&text).unwrap();
        let name = value["workload"]["name"].as_str().unwrap();
        assert!(name.starts_with('ü') && name.ends_with("..."));
        assert!(text.find(r#""address":"10.1.0.5""#).unwrap() < 334, "{text}");
    }
}
