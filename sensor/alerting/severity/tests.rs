use super::*;

const FACTS: Facts<'static> = Facts {
    kind: AlertKind::NewExternalDomain,
    outcome: Outcome::Established,
    start: FlowStart::Syn,
    octets_out: 0,
    octets_in: 0,
    known_to_group: false,
    expired_known_domain: false,
    unexplained: None,
    loss: 0.0,
    several_names: false,
    untrusted_server: false,
    indicator: false,
    port: Some(443),
    transport: Some(Transport::Tcp),
    domain: Some("example.edu"),
    is_shared: false,
};

type Change = fn(&mut Facts<'_>);

#[test]
fn severity_follows_the_table() {
    use AlertKind::{Burst, NewExternalDomain, NewExternalIp, NewTenant};
    use Severity::{Critical, High, Info, Low, Medium};
    let of = |kind, change: Change| {
        let mut facts = Facts { kind, ..FACTS };
        change(&mut facts);
        assess(&facts).severity
    };
    let columns = [NewExternalIp, NewExternalDomain, NewTenant, Burst];
    let rows: [(Change, [Severity; 4]); 9] = [
        (|_| (), [High, Medium, Low, High]),
        (|f| f.outcome = Outcome::Attempted, [Medium, Low, Info, Medium]),
        (|f| f.outcome = Outcome::Refused, [Medium, Low, Info, Medium]),
        (|f| f.outcome = Outcome::Unanswered, [High, Medium, Low, High]),
        (|f| f.known_to_group = true, [Medium, Low, Info, Medium]),
        (|f| f.expired_known_domain = true, [Low, Low, Low, Low]),
        (|f| f.octets_in = 10_241, [Critical, High, Medium, Critical]),
        (|f| f.octets_out = 10_240, [High, Medium, Low, High]),
        (
            |f| {
                f.indicator = true;
                f.outcome = Outcome::Refused;
            },
            [Critical; 4],
        ),
    ];
    for (row, (change, expected)) in rows.into_iter().enumerate() {
        assert_eq!(columns.map(|kind| of(kind, change)), expected, "row {row}");
    }
}

#[test]
fn steps_add_up_and_stop_at_the_ends() {
    let facts = Facts {
        outcome: Outcome::Attempted,
        known_to_group: true,
        ..FACTS
    };
    assert_eq!(assess(&facts).severity, Severity::Info);
    let facts = Facts {
        kind: AlertKind::NewExternalIp,
        expired_known_domain: true,
        octets_out: 20_000,
        ..FACTS
    };
    assert_eq!(assess(&facts).severity, Severity::Medium);
}

#[test]
fn confidence_follows_the_table() {
    let of = |change: Change| {
        let mut facts = FACTS;
        change(&mut facts);
        assess(&facts).confidence
    };
    assert_eq!(of(|_| ()), 90);
    assert_eq!(of(|f| f.unexplained = Some(Unexplained::OtherClient)), 50);
    assert_eq!(of(|f| f.unexplained = Some(Unexplained::WarmUp)), 60);
    assert_eq!(of(|f| f.unexplained = Some(Unexplained::NoQuery)), 90);
    assert_eq!(of(|f| f.loss = 0.01), 90);
    assert_eq!(of(|f| f.loss = 0.011), 70);
    assert_eq!(of(|f| f.loss = 0.101), 50);
    assert_eq!(of(|f| f.start = FlowStart::Midstream), 70);
    assert_eq!(of(|f| f.several_names = true), 70);
    assert_eq!(of(|f| f.untrusted_server = true), 70);
    assert_eq!(
        of(|f| {
            f.unexplained = Some(Unexplained::OtherClient);
            f.loss = 1.0;
            f.several_names = true;
        }),
        LEAST
    );
}

#[test]
fn techniques_follow_port_service_and_amount() {
    assert_eq!(assess(&FACTS).attack, ["T1071.001"]);
    let dns = Facts {
        port: Some(53),
        ..FACTS
    };
    assert_eq!(assess(&dns).attack, ["T1071.004"]);
    let odd = Facts {
        port: Some(4444),
        octets_in: 20_000,
        octets_out: 20_000,
        ..FACTS
    };
    assert_eq!(assess(&odd).attack, ["T1041", "T1105", "T1571"]);
    let bucket = Facts {
        kind: AlertKind::NewTenant,
        domain: Some("s3.amazonaws.com"),
        is_shared: true,
        octets_out: 20_000,
        ..FACTS
    };
    assert_eq!(assess(&bucket).attack, ["T1071.001", "T1102", "T1567.002"]);
    let shared = Facts {
        domain: Some("github.io"),
        is_shared: true,
        octets_out: 20_000,
        ..FACTS
    };
    assert_eq!(assess(&shared).attack, ["T1071.001", "T1102", "T1567"]);
    let tunnel = Facts {
        port: None,
        transport: None,
        ..FACTS
    };
    assert_eq!(assess(&tunnel).attack, ["T1572"]);
    let burst = Facts {
        kind: AlertKind::Burst,
        port: None,
        transport: None,
        domain: None,
        ..FACTS
    };
    assert_eq!(assess(&burst).attack, ["T1071", "T1568"]);
    assert!(is_storage("bucket.s3.amazonaws.com") && !is_storage("fakes3.amazonaws.com") && !is_storage("notbox.com"));
}

#[test]
fn techniques_can_be_read_off_an_alert_again() {
    let mut alert = crate::model::sample::domain_alert();
    assert_eq!(techniques(&alert), ["T1041", "T1071.001"]);
    alert.flow.octets_out = 0;
    alert.flow.octets_in = NOTABLE_OCTETS + 1;
    alert.destination.tenant = Some("team".into());
    assert_eq!(techniques(&alert), ["T1071.001", "T1102", "T1105"]);
}
