use crate::model::{SECOND, Timestamp};

use super::*;

const FIELDS: &str = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents";

fn header() -> Header {
    let mut header = Header::default();
    for line in [
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tconn",
        FIELDS,
        "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]",
    ] {
        header.take(line);
    }
    header
}

fn flow_of(line: &str) -> ImportedFlow {
    let header = header();
    let cells = header.cells(line);
    assert_eq!(cells.len(), header.columns.names.len());
    match read(header.log().unwrap(), &Cells::Table(&header.columns, &cells)) {
        Ok(Some(ImportedRow::Flow(flow))) => flow,
        other => panic!("{other:?}"),
    }
}

fn endpoint(text: &str) -> Endpoint {
    let parsed: std::net::SocketAddr = text.parse().unwrap();
    Endpoint {
        ip: Address::from(parsed.ip()),
        port: parsed.port(),
    }
}

const WENT_ON: ImportedSide = ImportedSide {
    octets: 0,
    spoke: true,
    went_on: true,
    reset: false,
    syn_ack: false,
};
const SYN: ImportedSide = ImportedSide {
    went_on: false,
    ..WENT_ON
};
const ACCEPTED: ImportedSide = ImportedSide {
    syn_ack: true,
    ..WENT_ON
};
const NOTHING: ImportedSide = ImportedSide { spoke: false, ..SYN };
const RESET: ImportedSide = ImportedSide { reset: true, ..NOTHING };

#[test]
fn a_row_of_conn_log_is_a_flow() {
    let line = "1772452800.096535\tCHhAvVGS1DHFjwGM9\t10.1.0.5\t48649\t203.0.113.7\t443\ttcp\tssl\t2.5\t902\t1203\tSF\tT\tF\t0\tShADadFf\t6\t1154\t5\t1471\t-";
    let first = Timestamp(1_772_452_800_096_535_000);
    let expected = ImportedFlow {
        first,
        last: Timestamp(first.0 + 5 * SECOND / 2),
        transport: Transport::Tcp,
        opener: endpoint("10.1.0.5:48649"),
        other: endpoint("203.0.113.7:443"),
        opening: ImportedOpening::Syn,
        from_opener: ImportedSide { octets: 902, ..WENT_ON },
        from_other: ImportedSide {
            octets: 1203,
            ..ACCEPTED
        },
        payload: ImportedPayload::Other,
        extent: ImportedExtent::Whole,
    };
    assert_eq!(flow_of(line), expected);
    let unset = "1772452800\tC1\tfd00::1\t5353\t2001:db8::1\t53\tudp\t-\t-\t-\t-\tS0\t-\t-\t0\tD\t1\t73\t0\t0\t(empty)";
    let flow = flow_of(unset);
    assert_eq!(
        (flow.first, flow.last.since(flow.first)),
        (Timestamp(1_772_452_800 * SECOND), Span::ZERO)
    );
    assert_eq!((flow.from_opener, flow.from_other), (SYN, NOTHING));
    assert_eq!(
        (flow.opening, flow.payload),
        (ImportedOpening::Datagram, ImportedPayload::Unknown)
    );
}

#[test]
fn history_says_what_each_side_showed_and_state_stands_in_for_it() {
    let cases = [
        ("tcp", "S", "-", ImportedOpening::Syn, false, [SYN, NOTHING]),
        ("tcp", "Sr", "-", ImportedOpening::Syn, false, [SYN, RESET]),
        (
            "tcp",
            "ShR",
            "-",
            ImportedOpening::Syn,
            false,
            [
                ImportedSide { reset: true, ..SYN },
                ImportedSide {
                    went_on: false,
                    ..ACCEPTED
                },
            ],
        ),
        (
            "tcp",
            "DadA",
            "-",
            ImportedOpening::Midstream,
            false,
            [WENT_ON, WENT_ON],
        ),
        (
            "tcp",
            "^hA",
            "-",
            ImportedOpening::SynAck,
            true,
            [
                WENT_ON,
                ImportedSide {
                    went_on: false,
                    ..ACCEPTED
                },
            ],
        ),
        ("udp", "Dd", "-", ImportedOpening::Datagram, false, [SYN, SYN]),
        ("udp", "^d", "-", ImportedOpening::Datagram, true, [NOTHING, SYN]),
        ("tcp", "-", "S0", ImportedOpening::Syn, false, [SYN, NOTHING]),
        ("tcp", "-", "REJ", ImportedOpening::Syn, false, [SYN, RESET]),
        ("tcp", "-", "RSTO", ImportedOpening::Syn, false, [WENT_ON, ACCEPTED]),
        ("tcp", "-", "SHR", ImportedOpening::SynAck, true, [NOTHING, ACCEPTED]),
        ("tcp", "-", "OTH", ImportedOpening::Midstream, false, [WENT_ON, NOTHING]),
        ("udp", "-", "SF", ImportedOpening::Datagram, false, [SYN, SYN]),
        ("udp", "-", "SHR", ImportedOpening::Datagram, true, [NOTHING, SYN]),
    ];
    for (proto, history, state, opening, is_flipped, [originator, responder]) in cases {
        let line = format!(
            "1.5\tC1\t10.1.0.5\t4000\t203.0.113.7\t443\t{proto}\t-\t-\t-\t-\t{state}\t-\t-\t0\t{history}\t1\t40\t0\t0\t-"
        );
        let flow = flow_of(&line);
        let (opener, from_opener, from_other) = if is_flipped {
            ("203.0.113.7:443", responder, originator)
        } else {
            ("10.1.0.5:4000", originator, responder)
        };
        assert_eq!(
            (flow.opening, flow.opener, flow.from_opener, flow.from_other),
            (opening, endpoint(opener), from_opener, from_other),
            "{proto} {history} {state}"
        );
    }
}

fn dns_of(row: &str) -> Result<Option<ImportedRow>, &'static str> {
    let value: serde_json::Value = serde_json::from_str(row).unwrap();
    let row = Cells::Object(value.as_object().unwrap());
    assert_eq!(log_of(&row), Some(Log::Dns));
    read(Log::Dns, &row)
}

#[test]
fn a_row_of_dns_log_is_a_lookup() {
    let row = r#"{"ts":1772452800.25,"uid":"C1","id.orig_h":"10.1.0.5","id.orig_p":51000,"id.resp_h":"10.1.0.2","id.resp_p":53,"proto":"udp","trans_id":7,"rtt":0.5,"query":"Shop.Example.EDU","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["lb.hosting.example","203.0.113.7","203.0.113.8"],"TTLs":[300.0,60.0,59.0],"rejected":false}"#;
    let Ok(Some(ImportedRow::Lookup(lookup))) = dns_of(row) else {
        panic!()
    };
    let answer = |last, ttl| ImportedAnswer {
        address: Address::v4([203, 0, 113, last]),
        ttl,
    };
    let expected = ImportedLookup {
        at: Timestamp(1_772_452_800_750_000_000),
        client: Address::v4([10, 1, 0, 5]),
        server: endpoint("10.1.0.2:53"),
        transport: Transport::Udp,
        name: "shop.example.edu".to_owned(),
        chain: vec!["lb.hosting.example".to_owned()],
        answers: vec![answer(7, 60), answer(8, 59)],
        query: ImportedQuery::Seen,
        is_recursive: true,
    };
    assert_eq!(lookup, expected);
    let unseen = row.replace(r#""rtt":0.5,"#, "");
    let Ok(Some(ImportedRow::Lookup(unseen))) = dns_of(&unseen) else {
        panic!()
    };
    assert_eq!(
        (unseen.query, unseen.at),
        (ImportedQuery::NotSeen, Timestamp(1_772_452_800_250_000_000))
    );
    let failed = row.replace(r#""rcode":0"#, r#""rcode":3"#);
    let Ok(Some(ImportedRow::Lookup(failed))) = dns_of(&failed) else {
        panic!()
    };
    assert!(failed.answers.is_empty() && failed.chain.is_empty());
    // A text record may hold anything, an address too.
    let text = row.replace(r#""qtype_name":"A""#, r#""qtype_name":"TXT""#);
    let Ok(Some(ImportedRow::Lookup(text))) = dns_of(&text) else {
        panic!()
    };
    assert!(text.chain.is_empty());
    let unanswered = r#"{"ts":1.0,"id.orig_h":"10.1.0.5","id.orig_p":1,"id.resp_h":"10.1.0.2","id.resp_p":53,"proto":"udp","trans_id":7,"query":"a.example"}"#;
    assert_eq!(dns_of(unanswered), Ok(None));
}

#[test]
fn what_is_missing_is_told() {
    let row = r#"{"trans_id":7,"proto":"udp"}"#;
    assert_eq!(dns_of(row), Err("no time in ts"));
    assert_eq!(dns_of(r#"{"trans_id":7}"#), Err("no proto"));
    assert_eq!(
        dns_of(r#"{"trans_id":7,"proto":"tcp","ts":1,"id.orig_h":"x","id.orig_p":1}"#),
        Err("no address and port of the originator")
    );
    assert_eq!(dns_of(r#"{"trans_id":7,"proto":"icmp"}"#), Ok(None));
}

#[test]
fn a_header_says_how_a_table_is_written() {
    let mut header = Header::default();
    for line in [
        "#separator \\x7c",
        "#set_separator|;",
        "#unset_field|?",
        "#empty_field|!",
        "#path|dns",
        "#fields|a|b",
    ] {
        header.take(line);
    }
    let cells = header.cells("?|x;y");
    let row = Cells::Table(&header.columns, &cells);
    assert_eq!((row.get("a"), row.list("b").len()), (None, 2));
    assert_eq!(header.log(), Ok(Log::Dns));
    header.take("#separator \\x09");
    assert!(header.columns.names.is_empty(), "a second table begins anew");
    header.take("#path\thttp");
    assert!(header.log().is_err_and(|problem| problem.contains("http.log")));
}
