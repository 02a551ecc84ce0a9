//! The tables of the settings file, one function each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::budgets::budgets;
use super::document::{Document, Table, Value};
use super::refused::Refused;
use super::sinks::{kept_lines, sinks};
use super::values::{
    KEY, VLAN, VNI, addresses, duration, numbers, ports, prefix, prefixes, scopes, segment_name, segment_parts, size,
    some_ports, texts, word,
};
use super::{Mode, Settings};
use crate::destination::{Aggregation, AggregationError};
use crate::model::{AggregateRule, ListenUrl, NamedSegment, NetworkPolicy, SegmentDetail, Span, WorkloadRule};

/// Every table and its keys.
const TABLES: [(&str, &[&str]); 12] = [
    (
        "",
        &[
            "memory",
            "network",
            "wire",
            "segment",
            "names",
            "baseline",
            "destination",
            "capture",
            "workload",
            "aggregate",
            "sink",
            "delivery",
        ],
    ),
    ("network", &["internal", "dns_ports", "vxlan_ports", "geneve_ports"]),
    ("wire", &["tunnels"]),
    ("segment", &["by", "name", "vni", "vlan", "key", "source"]),
    ("names", &["settle", "scopes", "resolvers", "trusted_servers"]),
    (
        "baseline",
        &[
            "window",
            "retention",
            "learning",
            "learning_new",
            "destinations",
            "disk",
            "alerts_a_minute",
        ],
    ),
    ("destination", &["public_suffix_list"]),
    ("capture", &["interface", "listen", "ring"]),
    ("workload", &["name", "prefixes", "group", "segment", "owner", "scopes"]),
    ("aggregate", &["suffix", "strip", "tenant", "verbatim", "alias_of"]),
    ("sink", &["url", "from", "ca", "certificate", "key", "server_name"]),
    ("delivery", &["lines"]),
];

/// The least memory that holds any table at all.
const LEAST_MEMORY: u64 = 1 << 20;

/// The least ring: a few frames of 64 KiB.
const LEAST_RING: u64 = 1 << 20;

/// The longest settle. An answer that is later withdraws an alert (rule A3), which comes to the same.
const LONGEST_SETTLE: Span = Span::seconds(60);

/// The longest window: a pair keeps the active days of the last 128 (rule B5), and older ones are not known.
const LONGEST_WINDOW: Span = Span::days(128);

/// Reads the whole file.
pub(super) fn read(text: &str, path: &Path) -> Result<Settings, Refused> {
    let file = path.display().to_string();
    let document = Document {
        file: &file,
        text,
        tables: &TABLES,
    };
    let parsed = document.parse()?;
    let root = document.root(parsed.get_ref())?;
    let mut settings = Settings::default();
    if let Some(value) = root.get("memory") {
        settings.memory = size(&value, LEAST_MEMORY)?;
    }
    network(&root, &mut settings)?;
    segments(&root, &mut settings)?;
    names(&root, &mut settings)?;
    baseline(&root, &mut settings)?;
    capture(&root, &mut settings)?;
    settings.workloads = workloads(&root)?;
    settings.sinks = sinks(&root, path.parent().unwrap_or(Path::new("")))?;
    if let Some(lines) = kept_lines(&root)? {
        settings.kept_lines = lines;
    }
    destination(&root, path, &mut settings)?;
    Ok(settings)
}

fn network(root: &Table<'_>, settings: &mut Settings) -> Result<(), Refused> {
    if let Some(table) = root.table("network")? {
        if let Some(value) = table.get("internal") {
            settings.network.internal = prefixes(&value)?;
        }
        if let Some(value) = table.get("dns_ports") {
            settings.network.dns_ports = some_ports(&value)?;
        }
        if let Some(value) = table.get("vxlan_ports") {
            settings.network.vxlan_ports = ports(&value)?;
        }
        if let Some(value) = table.get("geneve_ports") {
            settings.network.geneve_ports = ports(&value)?;
            let is_vxlan = |port: &u16| settings.network.vxlan_ports.contains(port);
            if let Some(port) = settings.network.geneve_ports.iter().copied().find(is_vxlan) {
                return Err(value.refused_for(format!("{port} stands in network.vxlan_ports too")));
            }
        }
    }
    if let Some(table) = root.table("wire")?
        && let Some(value) = table.get("tunnels")
    {
        settings.network.tunnels = prefixes(&value)?;
    }
    Ok(())
}

/// TOML gives a table and an array of tables no name in common, so that `by` may stand in a `[[segment]]` of its own.
fn segments(root: &Table<'_>, settings: &mut Settings) -> Result<(), Refused> {
    let mut has_by = false;
    for table in root.one_or_several("segment")? {
        if let Some(value) = table.get("by") {
            if let Some(name) = table.get("name") {
                return Err(name.refused_for("`by` is for all segments and stands in a table of its own".into()));
            }
            if std::mem::replace(&mut has_by, true) {
                return Err(value.refused_for("`by` stands in an earlier [[segment]]".into()));
            }
            settings.segment.by = segment_parts(&value)?;
            continue;
        }
        let name = table.required("name", "the segment's name, or `by`")?;
        let named = NamedSegment {
            name: segment_name(&name)?,
            vni: table
                .get("vni")
                .map(|value| numbers(&value, VNI))
                .transpose()?
                .unwrap_or_default(),
            vlan: table
                .get("vlan")
                .map(|value| numbers(&value, VLAN))
                .transpose()?
                .unwrap_or_default(),
            key: table
                .get("key")
                .map(|value| numbers(&value, KEY))
                .transpose()?
                .unwrap_or_default(),
            source: table
                .get("source")
                .map(|value| addresses(&value))
                .transpose()?
                .unwrap_or_default(),
        };
        if named.holds(&SegmentDetail::default()) {
            return Err(name.refused_for(format!(
                "segment {:?} has no values, expected vni, vlan, key or source",
                named.name
            )));
        }
        settings.segment.named.push(named);
    }
    Ok(())
}

fn names(root: &Table<'_>, settings: &mut Settings) -> Result<(), Refused> {
    let Some(table) = root.table("names")? else {
        return Ok(());
    };
    if let Some(value) = table.get("settle") {
        let settle = duration(&value)?;
        if settle <= Span::ZERO || settle > LONGEST_SETTLE {
            return Err(value.refused("more than \"0s\" and at most \"60s\""));
        }
        settings.names.settle = settle;
    }
    if let Some(value) = table.get("scopes") {
        settings.names.scopes = scopes(&value)?;
    }
    if let Some(value) = table.get("resolvers") {
        settings.names.resolvers = addresses(&value)?;
    }
    if let Some(value) = table.get("trusted_servers") {
        settings.names.trusted_servers = addresses(&value)?;
    }
    Ok(())
}

fn baseline(root: &Table<'_>, settings: &mut Settings) -> Result<(), Refused> {
    let Some(table) = root.table("baseline")? else {
        return Ok(());
    };
    let baseline = &mut settings.baseline;
    let window = table.get("window");
    if let Some(value) = &window {
        baseline.window = duration(value)?;
        if baseline.window <= Span::ZERO || baseline.window > LONGEST_WINDOW {
            return Err(value.refused("more than \"0s\" and at most \"128d\", as the active days of 128 days are kept"));
        }
    }
    let retention = table.get("retention");
    if let Some(value) = &retention {
        baseline.retention = duration(value)?;
    }
    if baseline.retention < baseline.window
        && let Some(value) = retention.or(window)
    {
        let (window, retention) = (shown(baseline.window), shown(baseline.retention));
        return Err(value.refused(&format!(
            "a window no longer than the retention; the window is \"{window}\" and the retention \"{retention}\""
        )));
    }
    if let Some(value) = table.get("learning") {
        baseline.learning = Some(duration(&value)?);
    }
    if let Some(value) = table.get("learning_new") {
        baseline.learning_new = Some(duration(&value)?);
    }
    budgets(&table, baseline)
}

fn shown(span: Span) -> String {
    let nanoseconds = u64::try_from(span.0).unwrap_or_default();
    let duration = std::time::Duration::from_nanos(nanoseconds);
    // Days, as the settings write them, where `humantime` would go on to months.
    if span.whole_days() > 0 && span == Span::days(span.whole_days()) {
        format!("{}d", span.whole_days())
    } else {
        humantime::format_duration(duration).to_string()
    }
}

fn capture(root: &Table<'_>, settings: &mut Settings) -> Result<(), Refused> {
    let Some(table) = root.table("capture")? else {
        return Ok(());
    };
    if let Some(value) = table.get("interface") {
        settings.capture.interface = Some(word(&value)?);
    }
    if let Some(value) = table.get("listen") {
        if settings.capture.interface.is_some() {
            return Err(value.refused_for("there is capture.interface too, and it is one or the other".into()));
        }
        settings.capture.listen = listen(&value, &settings.network)?;
    }
    if let Some(value) = table.get("ring") {
        settings.capture.ring = size(&value, LEAST_RING)?;
    }
    Ok(())
}

/// Reads addresses to listen on. What comes to their ports is said by `[network]`, which is read before.
fn listen(value: &Value<'_>, network: &NetworkPolicy) -> Result<Vec<ListenUrl>, Refused> {
    let expected = "URLs, such as [\"udp://0.0.0.0:4789\"]";
    let items = value.items(expected)?;
    let mut urls = Vec::with_capacity(items.len());
    for item in &items {
        let url = item.text(expected)?.parse();
        urls.push(url.map_err(|expected: String| item.refused(&expected))?);
    }
    match network.clone().listen(&urls) {
        Ok(_) => Ok(urls),
        Err((position, problem)) => Err(items.get(position).unwrap_or(value).refused_for(problem)),
    }
}

fn workloads(root: &Table<'_>) -> Result<Vec<WorkloadRule>, Refused> {
    let mut rules: Vec<WorkloadRule> = Vec::new();
    // Whose a prefix already is, within the segment that its rule is limited to.
    let mut owners: HashMap<(Option<Arc<str>>, IpNet), Arc<str>> = HashMap::new();
    for table in root.tables("workload")? {
        let name = word(&table.required("name", "the workload's name")?)?;
        let segment = table.get("segment").map(|value| word(&value)).transpose()?;
        let expected = "prefixes, such as [\"10.1.0.0/24\"]";
        let list = table.required("prefixes", expected)?;
        let items = list.items(expected)?;
        if items.is_empty() {
            return Err(list.refused(expected));
        }
        let mut prefixes = Vec::with_capacity(items.len());
        for item in items {
            let prefix = prefix(&item)?;
            if let Some(owner) = owners.insert((segment.clone(), prefix), name.clone())
                && owner != name
            {
                return Err(item.refused_for(format!("{prefix} already belongs to workload {owner:?}")));
            }
            prefixes.push(prefix);
        }
        let rule = WorkloadRule {
            prefixes,
            segment,
            group: table.get("group").map(|value| word(&value)).transpose()?,
            owner: table.get("owner").map(|value| word(&value)).transpose()?,
            scopes: table.get("scopes").map(|value| scopes(&value)).transpose()?,
            name,
        };
        // Several rules may give one workload prefixes in several segments; they speak of the same workload.
        if let Some(earlier) = rules.iter().find(|earlier| earlier.name == rule.name)
            && (&earlier.group, &earlier.owner, earlier.scopes) != (&rule.group, &rule.owner, rule.scopes)
        {
            let name = table.required("name", "the workload's name")?;
            return Err(name.refused_for(format!(
                "an earlier workload {:?} has another group, owner or scopes, expected the same",
                rule.name
            )));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn destination(root: &Table<'_>, path: &Path, settings: &mut Settings) -> Result<(), Refused> {
    let list = root
        .table("destination")?
        .and_then(|table| table.get("public_suffix_list"));
    if let Some(value) = &list {
        let folder = path.parent().unwrap_or(Path::new(""));
        let file = folder.join(value.text("the path of a public suffix list")?);
        let text = std::fs::read_to_string(&file)
            .map_err(|error| value.refused_for(format!("{} cannot be read: {error}", file.display())))?;
        settings.public_suffix_list = Some(text.into());
    }
    let tables = root.tables("aggregate")?;
    for table in &tables {
        let expected = "a suffix such as \"cloud.example\"";
        settings.aggregates.push(AggregateRule {
            suffix: table.required("suffix", expected)?.text(expected)?.to_owned(),
            strip: table
                .get("strip")
                .map(|value| texts(&value))
                .transpose()?
                .unwrap_or_default(),
            tenant: table
                .get("tenant")
                .map(|value| value.boolean())
                .transpose()?
                .unwrap_or_default(),
            verbatim: table
                .get("verbatim")
                .map(|value| texts(&value))
                .transpose()?
                .unwrap_or_default(),
            alias_of: table
                .get("alias_of")
                .map(|value| value.text("the suffix of another rule").map(str::to_owned))
                .transpose()?,
        });
    }
    // Whether the rules can be used is for those to say who use them.
    match Aggregation::new(&settings.policy(Mode::Live)) {
        Ok(_) => Ok(()),
        Err(AggregationError::SuffixList(reason)) => Err(list.map_or_else(
            || unplaced(path, &reason),
            |value| value.refused_for(format!("not a public suffix list: {reason}")),
        )),
        Err(AggregationError::Rule { index, field, reason }) => {
            let value = tables.get(index).and_then(|table| match field {
                "strip" => table.get("strip"),
                "alias_of" => table.get("alias_of"),
                _ => table.get("suffix"),
            });
            Err(value.map_or_else(|| unplaced(path, &reason), |value| value.refused_for(reason.clone())))
        }
    }
}

/// A refusal that no key is to blame for.
fn unplaced(path: &Path, reason: &str) -> Refused {
    Refused {
        file: path.display().to_string(),
        line: None,
        key: None,
        problem: reason.into(),
    }
}
