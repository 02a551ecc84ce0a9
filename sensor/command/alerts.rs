//! `sensor alerts`: what the ledger holds.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::alerting::{alert_id, links};
use crate::model::{
    Alert, AlertDestination, AlertKind, AlertRecord, AlertState, AlertWorkload, Fate, Ledger, Novelty, Outcome, Pair,
    PairKey, WorkloadKey, WorkloadRecord,
};
use crate::settings::Settings;
use crate::store::Store;
use crate::views::alert_text;

use super::exit::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the ledger; a sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The settings, to be checked beforehand.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object a line, with the alert's `state`.
    #[arg(long)]
    json: bool,
    /// Also withdrawn alerts, and novelties that were learnt or over budget and raised nothing.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    if let Some(path) = &arguments.config {
        Settings::read(path)?;
    }
    let store = Store::open_read_only(&arguments.state)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut shown = 0_u64;
    let mut show = |alert: &Alert, state: AlertState| -> Result<(), Error> {
        shown += 1;
        if arguments.json {
            let mut line = serde_json::to_value(alert).map_err(std::io::Error::from)?;
            if let serde_json::Value::Object(fields) = &mut line {
                fields.insert(
                    "state".to_owned(),
                    serde_json::to_value(state).map_err(std::io::Error::from)?,
                );
            }
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", alert_text(alert, Some(state)))?;
        }
        Ok(())
    };
    for record in store.alerts()? {
        let AlertRecord { state, alert, .. } = record?;
        if arguments.all || state == AlertState::Raised {
            show(&alert, state)?;
        }
    }
    if arguments.all {
        for (alert, state) in unraised(&store)? {
            show(&alert, state)?;
        }
    }
    out.flush()?;
    if !arguments.json && shown == 0 {
        eprintln!("no alerts");
    }
    Ok(())
}

/// Returns novelties that raised nothing, by time: they are flags on their pairs (rules B4, A5).
fn unraised(store: &Store) -> Result<Vec<(Alert, AlertState)>, Error> {
    let mut found = Vec::new();
    let pairs = store.all_pairs()?;
    for (id, workload) in store.opening()?.workloads {
        for stored in pairs.of(id)? {
            let Some(novelty) = stored.pair.novelty() else { continue };
            let state = match novelty.fate {
                Fate::Learned => AlertState::Learned,
                Fate::Burst => AlertState::Burst,
                Fate::Suppressed => AlertState::Suppressed,
                Fate::Raised => continue,
            };
            found.push((of_pair(novelty, &workload, &stored.key, &stored.pair), state));
        }
    }
    found.sort_by_key(|(alert, _)| (alert.ts, alert.id));
    Ok(found)
}

/// Returns a flag on a pair in the form of an alert; what a pair does not keep is absent.
fn of_pair(novelty: Novelty, workload: &WorkloadRecord, key: &PairKey, pair: &Pair) -> Alert {
    let (kind, domain, tenant, ip) = match key {
        PairKey::Domain(domain) | PairKey::AttemptedDomain(domain) => {
            (AlertKind::NewExternalDomain, Some(domain.clone()), None, None)
        }
        PairKey::Tenant(tenant) | PairKey::AttemptedTenant(tenant) => {
            (AlertKind::NewTenant, None, Some(tenant.clone()), None)
        }
        PairKey::Address(ip) | PairKey::AttemptedAddress(ip) => (AlertKind::NewExternalIp, None, None, Some(*ip)),
    };
    let is_attempt = key.kind() == key.attempted().kind();
    let (name, address) = match &workload.key {
        WorkloadKey::Named(name) => (name.to_string(), None),
        WorkloadKey::Address(_, address) => (address.to_string(), Some(*address)),
    };
    let destination = AlertDestination {
        domain,
        tenant,
        name: pair.names().next().map(|first| first.name.clone()),
        ip,
        port: pair.ports().next(),
        transport: None,
    };
    let originator = AlertWorkload {
        name,
        address,
        group: workload.group.clone(),
        owner: None,
        segment: workload.segment.clone(),
        since: Some(workload.since),
    };
    let id = alert_id(kind, &workload.key, &key.text(), novelty.at);
    let mut alert = Alert::without_flow(id, kind, pair.first(), originator, destination);
    if is_attempt {
        alert.flow.outcome = Outcome::Attempted;
    }
    alert.flow.octets_out = pair.octets_out;
    alert.flow.octets_in = pair.octets_in;
    alert.baseline.first_contact = Some(pair.first());
    alert.baseline.last_contact = Some(pair.last());
    alert.links = links(&alert.destination);
    alert.summary = format!("a novelty that raised no alert; {} contacts since", pair.count);
    alert
}
