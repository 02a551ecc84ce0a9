use super::*;

fn rows(lines: &[&str]) -> Vec<ImportedRow> {
    let (mut pending, mut out) = (Pending::default(), Vec::new());
    for line in lines {
        let value: Value = serde_json::from_str(line).unwrap();
        read(value.as_object().unwrap(), &mut pending, &mut out).unwrap();
    }
    out.extend(pending.take());
    out
}

fn lookup(row: &ImportedRow) -> &ImportedLookup {
    match row {
        ImportedRow::Lookup(lookup) => lookup,
        ImportedRow::Flow(flow) => panic!("{flow:?}"),
    }
}

fn flow(lines: &str) -> ImportedFlow {
    match rows(&[lines]).remove(0) {
        ImportedRow::Flow(flow) => flow,
        other => panic!("{other:?}"),
    }
}

const FLOW: &str = r#"{"timestamp":"2026-03-02T12:00:09.000000+0000","flow_id":1,"event_type":"flow","src_ip":"10.1.0.5","src_port":40000,"dest_ip":"203.0.113.7","dest_port":443,"proto":"TCP","app_proto":"tls","flow":{"pkts_toserver":6,"pkts_toclient":5,"bytes_toserver":824,"bytes_toclient":2270,"start":"2026-03-02T12:00:00.020000+0000","end":"2026-03-02T12:00:02.520000+0000","age":2,"state":"closed","reason":"timeout","alerted":false},"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b","syn":true,"fin":true,"psh":true,"ack":true,"state":"closed"}}"#;

#[test]
fn a_flow_record_is_a_flow_without_the_headers_that_it_counts() {
    let flow = flow(FLOW);
    assert_eq!(flow.last.since(flow.first), crate::model::Span::millis(2500));
    assert_eq!(
        (flow.opening, flow.payload),
        (ImportedOpening::Syn, ImportedPayload::Other)
    );
    assert_eq!((flow.opener.port, flow.other.port), (40_000, 443));
    // 54 octets a packet: Ethernet, IPv4, TCP.
    assert_eq!((flow.from_opener.octets, flow.from_other.octets), (500, 2000));
    assert!(flow.from_opener.went_on && flow.from_other.syn_ack && !flow.from_other.reset);
}

#[test]
fn flags_say_how_far_a_flow_got() {
    let with = |out: &str, back: &str| {
        let text = FLOW
            .replace(r#""tcp_flags_ts":"1b""#, &format!(r#""tcp_flags_ts":"{out}""#))
            .replace(r#""tcp_flags_tc":"1b""#, &format!(r#""tcp_flags_tc":"{back}""#));
        flow(&text)
    };
    let attempted = with("02", "00");
    assert!(attempted.from_opener.spoke && !attempted.from_opener.went_on && !attempted.from_other.spoke);
    let refused = flow(
        &FLOW
            .replace("\"1b\"", "\"14\"")
            .replace(r#""tcp_flags_ts":"14""#, r#""tcp_flags_ts":"02""#)
            .replace(r#""pkts_toclient":5"#, r#""pkts_toclient":1"#),
    );
    assert!(refused.from_other.reset && !refused.from_other.spoke);
    assert_eq!(with("1a", "1a").opening, ImportedOpening::Syn);
    let answered = with("18", "1a");
    assert_eq!((answered.opening, answered.opener.port), (ImportedOpening::SynAck, 443));
    assert_eq!(with("18", "18").opening, ImportedOpening::Midstream);
    // Without flags the state tells.
    let text = FLOW.replace("\"tcp\":{", "\"no\":{");
    assert!(flow(&text).from_opener.went_on && flow(&text).from_other.spoke);
    let new = flow(&text.replace(r#""state":"closed","reason""#, r#""state":"new","reason""#));
    assert!(!new.from_opener.went_on && !new.from_other.spoke);
}

#[test]
fn records_of_version_1_are_put_together_along_their_chain() {
    let record = |rest: &str| {
        format!(
            r#"{{"timestamp":"2026-03-02T12:00:00.000000+0000","flow_id":9,"event_type":"dns","src_ip":"10.1.0.2","src_port":53,"dest_ip":"10.1.0.5","dest_port":51000,"proto":"UDP","dns":{{"type":"answer","id":7,"rcode":"NOERROR",{rest}}}}}"#
        )
    };
    let alias = record(r#""rrname":"Shop.example.edu","rrtype":"CNAME","ttl":300,"rdata":"lb.hosting.example""#);
    let address = record(r#""rrname":"lb.hosting.example","rrtype":"A","ttl":60,"rdata":"203.0.113.7""#);
    let stray = record(r#""rrname":"other.example","rrtype":"A","ttl":60,"rdata":"203.0.113.99""#);
    let next = address.replace("\"id\":7", "\"id\":8");
    let query = record(r#""rrname":"x""#).replace("answer", "query");
    let rows = rows(&[&query, &alias, &address, &stray, FLOW, &next]);
    assert_eq!(rows.len(), 3);
    let whole = rows
        .iter()
        .filter(|row| matches!(row, ImportedRow::Lookup(_)))
        .map(lookup);
    let whole: Vec<(&str, &[String], Vec<u32>)> = whole
        .map(|lookup| {
            let ttls = lookup.answers.iter().map(|answer| answer.ttl).collect();
            (lookup.name.as_str(), lookup.chain.as_slice(), ttls)
        })
        .collect();
    let chain = ["lb.hosting.example".to_owned()];
    assert_eq!(
        whole,
        [
            ("shop.example.edu", &chain[..], vec![60]),
            ("lb.hosting.example", &[], vec![60])
        ]
    );
    let first = rows
        .iter()
        .find(|row| matches!(row, ImportedRow::Lookup(_)))
        .map(lookup)
        .unwrap();
    assert_eq!((first.client, first.server.port), (Address::v4([10, 1, 0, 5]), 53));
}

#[test]
fn versions_2_and_3_have_answers_or_groups_of_them() {
    let record = |dns: &str| {
        format!(
            r#"{{"timestamp":"2026-03-02T12:00:00.000000+0000","event_type":"dns","src_ip":"10.1.0.5","src_port":51000,"dest_ip":"10.1.0.2","dest_port":53,"proto":"UDP","dns":{dns}}}"#
        )
    };
    let detailed = record(
        r#"{"version":2,"type":"answer","id":7,"flags":"8180","qr":true,"rd":true,"ra":true,"rrname":"a.example","rrtype":"A","rcode":"NOERROR","answers":[{"rrname":"a.example","rrtype":"CNAME","ttl":5,"rdata":"b.example"},{"rrname":"b.example","rrtype":"A","ttl":60,"rdata":"203.0.113.7"}],"grouped":{"A":["203.0.113.9"]}}"#,
    );
    let grouped = record(
        r#"{"version":3,"type":"response","id":7,"queries":[{"rrname":"a.example","rrtype":"A"}],"rcode":"NOERROR","grouped":{"CNAME":["b.example"],"A":["203.0.113.7"],"AAAA":["2001:db8::7"]}}"#,
    );
    let failed = record(r#"{"version":2,"type":"answer","rrname":"a.example","rcode":"NXDOMAIN","rd":false}"#);
    let request = record(r#"{"version":3,"type":"request","queries":[{"rrname":"a.example","rrtype":"A"}]}"#);
    let rows = rows(&[&detailed, &grouped, &failed, &request]);
    let said: Vec<_> = rows
        .iter()
        .map(lookup)
        .map(|lookup| {
            let ttls: Vec<u32> = lookup.answers.iter().map(|answer| answer.ttl).collect();
            (lookup.name.as_str(), lookup.chain.len(), ttls, lookup.is_recursive)
        })
        .collect();
    assert_eq!(
        said,
        [
            ("a.example", 1, vec![60], true),
            ("a.example", 1, vec![0, 0], true),
            ("a.example", 0, vec![], false)
        ]
    );
}

#[test]
fn a_chain_that_goes_round_ends() {
    let mut pending = Pending::default();
    let record = |rest: &str| {
        let text = format!(
            r#"{{"timestamp":"2026-03-02T12:00:00Z","event_type":"dns","src_ip":"10.1.0.2","src_port":53,"dest_ip":"10.1.0.5","dest_port":51000,"proto":"UDP","dns":{{"type":"answer",{rest}}}}}"#
        );
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let mut out = Vec::new();
    for rest in [
        r#""rrname":"a","rrtype":"CNAME","rdata":"b""#,
        r#""rrname":"b","rrtype":"CNAME","rdata":"a""#,
    ] {
        read(record(rest).as_object().unwrap(), &mut pending, &mut out).unwrap();
    }
    let row = pending.take().unwrap();
    assert!(lookup(&row).answers.is_empty());
}

#[test]
fn what_is_missing_is_told_and_other_records_are_passed_over() {
    let read_one = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        let mut out = Vec::new();
        read(value.as_object().unwrap(), &mut Pending::default(), &mut out).map(|()| out.len())
    };
    assert_eq!(read_one("{}"), Err("no event_type"));
    assert_eq!(read_one(r#"{"event_type":"http"}"#), Ok(0));
    assert_eq!(read_one(r#"{"event_type":"flow"}"#), Err("no proto"));
    assert_eq!(read_one(r#"{"event_type":"flow","proto":"ICMP"}"#), Ok(0));
    assert_eq!(
        read_one(&FLOW.replace("\"start\"", "\"begin\"")),
        Err("no time in flow.start")
    );
    assert_eq!(
        read_one(&FLOW.replace("10.1.0.5", "web")),
        Err("no src_ip and src_port")
    );
}
