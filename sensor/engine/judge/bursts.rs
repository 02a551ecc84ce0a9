//! Alerts of bursts: more novelties than a person reads (rule A5).

use std::sync::Arc;

use crate::alerting::{BurstScope, EndedBurst, FULL, burst_id, links, summary};
use crate::model::{
    Address, Alert, AlertBaseline, AlertDestination, AlertEvent, AlertFlow, AlertKind, AlertRecord, AlertState,
    AlertWorkload, Counter, FlowStart, LedgerError, Lowered, Observation, Outcome, Reach, SECOND, Severity, Timestamp,
    WorkloadKey,
};

use super::Judge;

impl Judge {
    /// Puts out the alerts of bursts that are over (rule A5).
    pub(super) fn end_bursts(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        for burst in self.budget.ended(now) {
            let alert = self.burst_alert(&burst);
            if self.alert_record(alert.id)?.is_none() {
                self.out.counters.count(Counter::AlertsRaised);
                self.put_out(AlertRecord {
                    state: AlertState::Raised,
                    alert,
                    considered: Vec::new(),
                    lowered: Lowered::default(),
                });
            }
            if let BurstScope::Destination(hash) = burst.scope {
                self.burst_names.remove(&hash);
            }
        }
        Ok(())
    }

    fn burst_alert(&mut self, burst: &EndedBurst) -> Alert {
        let (scope, id, segment, domain) = match burst.scope {
            BurstScope::Workload(id) => {
                let key = self
                    .registry
                    .record(id)
                    .map(|record| record.key.to_string())
                    .unwrap_or_default();
                let segment = self
                    .registry
                    .record(id)
                    .map_or_else(|| Arc::from("-"), |record| record.segment.clone());
                (format!("workload {key}"), Some(id), segment, None)
            }
            BurstScope::Destination(hash) => {
                let name = self.burst_names.get(&hash).cloned().unwrap_or_default();
                (format!("destination {name}"), None, Arc::from("-"), Some(name))
            }
        };
        let record = id.and_then(|id| self.registry.record(id));
        let name = match record.map(|record| &record.key) {
            Some(WorkloadKey::Named(name)) => name.to_string(),
            Some(WorkloadKey::Address(_, address)) => address.to_string(),
            None => "several".to_owned(),
        };
        let address = match record.map(|record| &record.key) {
            Some(WorkloadKey::Address(_, address)) => Some(*address),
            _ => None,
        };
        let ip = domain.as_ref().and_then(|text| text.parse::<std::net::IpAddr>().ok());
        let ts = Timestamp(burst.minute.saturating_mul(60 * SECOND));
        let destination = AlertDestination {
            domain: domain.filter(|_| ip.is_none()).map(Arc::from),
            tenant: None,
            name: None,
            ip: ip.map(Address::from),
            port: None,
            transport: None,
        };
        let mut alert = Alert {
            id: burst_id(&scope, burst.minute),
            revision: 1,
            kind: AlertKind::Burst,
            title: AlertKind::Burst.title().to_owned(),
            event: AlertEvent::Raised,
            ts,
            at: self.out.batch.at,
            severity: Severity::High,
            confidence: FULL,
            novelty: Reach::Workload,
            prevalence: 0,
            workload: AlertWorkload {
                name,
                address,
                group: record.and_then(|record| record.group.clone()),
                owner: None,
                segment,
                since: record.map(|record| record.since),
            },
            links: links(&destination),
            destination,
            evidence: None,
            unexplained: None,
            other_names: Vec::new(),
            claimed_name: None,
            flow: AlertFlow {
                start: FlowStart::Syn,
                outcome: Outcome::Established,
                octets_out: 0,
                octets_in: 0,
                duration: 0.0,
                end: None,
                community_id: None,
            },
            baseline: AlertBaseline {
                window_days: u32::try_from(self.policy.baseline.window.whole_days()).unwrap_or(u32::MAX),
                first_contact: None,
                last_contact: None,
                workload_since: record.map(|record| record.since),
                destinations: 0,
            },
            observation: Observation::default(),
            attack: vec!["T1568".to_owned()],
            replaces: None,
            count: Some(burst.count),
            summary: String::new(),
        };
        alert.summary = summary(&alert);
        alert
    }
}
