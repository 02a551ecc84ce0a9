use std::net::SocketAddr;

use super::*;
use crate::model::{Endpoint, NetworkPolicy, SECOND, Span};
use crate::store::Store;

fn imported() -> Imported {
    let store = Arc::new(Store::temporary(8 << 20, Span::days(180)).unwrap());
    Imported::new(ImportSetup {
        network: Arc::new(Network::new(&NetworkPolicy::default())),
        dns_ports: PortSet::new(&[53]),
        limits: Limits::of(64 << 20),
        names: Arc::new(Names::new()),
        ledger: store as _,
        segment: "-".into(),
    })
}

fn endpoint(text: &str) -> Endpoint {
    let parsed: SocketAddr = text.parse().unwrap();
    Endpoint {
        ip: Address::from(parsed.ip()),
        port: parsed.port(),
    }
}

/// One direction of a part of a flow, in seconds.
fn part(from: &str, to: &str, (first, last): (i64, i64), octets: u64, transport: Transport) -> ImportedFlow {
    ImportedFlow {
        first: Timestamp(first * SECOND),
        last: Timestamp(last * SECOND),
        transport,
        opener: endpoint(from),
        other: endpoint(to),
        opening: match transport {
            Transport::Udp => ImportedOpening::Datagram,
            _ => ImportedOpening::Midstream,
        },
        from_opener: ImportedSide {
            octets,
            spoke: true,
            ..ImportedSide::default()
        },
        from_other: ImportedSide::default(),
        payload: ImportedPayload::Unknown,
        extent: ImportedExtent::Part,
    }
}

/// Takes rows in order; returns all updates, epoch by epoch.
fn updates(rows: &[ImportedFlow]) -> Vec<Vec<FlowUpdate>> {
    let mut imported = imported();
    let mut epochs = Vec::new();
    for row in rows {
        if let Some(mark) = imported.ending(row.first) {
            let (_, report) = imported.report(&mark, Report::default());
            epochs.push(report.flows.candidates);
        }
        imported.flow(row, Lasting::Over);
    }
    let mark = imported.last_mark();
    let (_, report) = imported.report(&mark, Report::default());
    epochs.push(report.flows.candidates);
    epochs
}

const HERE: &str = "10.1.0.5:40000";
const THERE: &str = "203.0.113.7:443";

#[test]
fn rows_of_both_directions_and_of_several_stretches_are_one_flow() {
    let tcp = Transport::Tcp;
    let rows = [
        part(THERE, HERE, (0, 60), 2000, tcp),
        part(HERE, THERE, (0, 60), 500, tcp),
        part(HERE, THERE, (60, 120), 7, tcp),
        // Silent for longer than a flow may be.
        part(HERE, THERE, (120 + 3601, 4000), 9, tcp),
    ];
    let epochs = updates(&rows);
    let said: Vec<Vec<_>> = epochs
        .iter()
        .map(|updates| {
            let mut said: Vec<_> = updates
                .iter()
                .map(|update| {
                    let (low, high) = (update.sides.low.octets, update.sides.high.octets);
                    (update.flow.0, update.is_first, low, high, update.end)
                })
                .collect();
            said.sort_by_key(|update| update.0);
            said
        })
        .collect();
    assert_eq!(
        said,
        [
            vec![(1, true, 500, 2000, None)],
            vec![(1, false, 507, 2000, None)],
            vec![(1, false, 507, 2000, Some(FlowEnd::Idle)), (4, true, 9, 0, None)],
        ]
    );
}

#[test]
fn rule_f2_of_two_directions_that_begin_at_once_the_ephemeral_port_asked() {
    let (ntp, host) = ("203.0.113.7:123", "10.1.0.5:50000");
    let udp = Transport::Udp;
    for rows in [
        [part(ntp, host, (0, 9), 1, udp), part(host, ntp, (0, 9), 2, udp)],
        [part(host, ntp, (0, 9), 2, udp), part(ntp, host, (0, 9), 1, udp)],
    ] {
        let epochs = updates(&rows);
        let update = epochs[0][0];
        assert_eq!(update.key.endpoint(update.opener), endpoint(host));
    }
}

#[test]
fn silent_flows_end_when_they_are_looked_for() {
    let udp = Transport::Udp;
    let rows = [
        part("10.1.0.5:50000", "203.0.113.7:123", (0, 9), 1, udp),
        part("10.1.0.5:50001", "203.0.113.7:123", (500, 509), 1, udp),
        part("10.1.0.5:50002", "203.0.113.7:123", (1000, 1009), 1, udp),
    ];
    let ended: Vec<usize> = updates(&rows)
        .iter()
        .map(|updates| {
            updates
                .iter()
                .filter(|update| update.end == Some(FlowEnd::Idle))
                .count()
        })
        .collect();
    assert_eq!(ended, [0, 0, 2]);
}

#[test]
fn rule_b1_a_flow_is_told_of_on_each_day_on_which_it_lasts() {
    let mut imported = imported();
    let flow = ImportedFlow {
        extent: ImportedExtent::Whole,
        ..part(HERE, THERE, (86_390, 2 * 86_400 + 5), 1, Transport::Tcp)
    };
    imported.flow(&flow, Lasting::GoesOn(7));
    let mut ends = Vec::new();
    for day in 1..=2 {
        let at = Day(day).start();
        let mark = imported.ending(at).unwrap();
        let (_, report) = imported.report(&mark, Report::default());
        ends.extend(report.flows.candidates.iter().map(|update| (update.last, update.end)));
        imported.go_on(7, at, flow.last);
    }
    let mark = imported.last_mark();
    let (_, report) = imported.report(&mark, Report::default());
    ends.extend(report.flows.candidates.iter().map(|update| (update.last, update.end)));
    assert_eq!(
        ends,
        [
            (Timestamp(Day(1).start().0 - 1), None),
            (Timestamp(Day(2).start().0 - 1), None),
            (flow.last, Some(FlowEnd::Closed))
        ]
    );
    assert!(imported.going.is_empty());
}
