use proptest::prelude::*;

use super::*;

fn read(format: LogFormat, octets: &[u8]) -> Vec<Result<ImportedRow, Fault>> {
    let mut file = LogFile::new(octets, format);
    std::iter::from_fn(|| file.next_row().unwrap()).collect()
}

const TABLE: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\thistory\n1.0\t10.1.0.5\t4000\t203.0.113.7\t443\ttcp\tS\n";
const EVE: &str = r#"{"timestamp":"2026-03-02T12:00:00Z","event_type":"flow","proto":"UDP","src_ip":"10.1.0.5","src_port":1,"dest_ip":"203.0.113.7","dest_port":2,"flow":{"start":"2026-03-02T12:00:00Z"}}"#;
const VPC: &str = "2 1 eni-1 10.1.0.5 203.0.113.7 40000 443 6 10 900 1772452800 1772452860 ACCEPT OK\n";

fn faults(rows: &[Result<ImportedRow, Fault>]) -> Vec<(u64, &str)> {
    let faults = rows.iter().filter_map(|row| row.as_ref().err());
    faults.map(|fault| (fault.line, &*fault.problem)).collect()
}

#[test]
fn rows_that_cannot_be_read_are_told_by_line_and_the_others_are_read() {
    let text = format!(
        "{TABLE}1.0\t10.1.0.5\nnoon\t10.1.0.5\t1\t203.0.113.7\t443\ttcp\tS\n\n{}",
        &TABLE[TABLE.find("1.0").unwrap()..]
    );
    let rows = read(LogFormat::Zeek, text.as_bytes());
    assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 2);
    assert_eq!(
        faults(&rows),
        [(5, "it has 2 cells where #fields names 7"), (6, "no time in ts")]
    );
    let text = format!(
        "{VPC}3 1 eni-1\nversion srcaddr dstaddr srcport dstport protocol start\n3 10.1.0.5 203.0.113.7 1 2 17 5\n{VPC}"
    );
    let rows = read(LogFormat::VpcFlow, text.as_bytes());
    assert_eq!(
        faults(&rows),
        [
            (2, "it has 3 cells where the header names 14"),
            (5, "it has 14 cells where the header names 7")
        ]
    );
    let rows = read(LogFormat::Eve, format!("{EVE}\n{{\n\u{ff}\n{EVE}").as_bytes());
    assert_eq!(faults(&rows).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
    let rows = read(LogFormat::Eve, &[EVE.as_bytes(), b"\n\xff\n"].concat());
    assert_eq!(faults(&rows), [(2, "it is no UTF-8")]);
}

#[test]
fn a_log_that_goes_on_in_another_format_is_told_once() {
    for (format, first, then) in [
        (LogFormat::Zeek, TABLE, EVE),
        (LogFormat::Eve, EVE, VPC),
        (LogFormat::Eve, EVE, TABLE),
        (LogFormat::VpcFlow, VPC, EVE),
        (
            LogFormat::Route53,
            r#"{"query_timestamp":"2026-03-02T12:00:00Z","query_name":"a.","rcode":"NOERROR","srcaddr":"10.1.0.5"}"#,
            EVE,
        ),
    ] {
        let text = format!("{}\n{then}\n{then}\n{first}\n", first.trim_end());
        let rows = read(format, text.as_bytes());
        let told = faults(&rows);
        assert_eq!((rows.len(), told.len()), (2, 1), "{format}: {told:?}");
        assert!(told[0].1.starts_with("from here on it is "), "{told:?}");
    }
}

#[test]
fn names_are_no_longer_than_dns_allows() {
    let row = |name: &str| {
        format!(
            r#"{{"query_timestamp":"2026-03-02T12:00:00Z","srcaddr":"10.1.0.5","query_name":"{name}","rcode":"NOERROR"}}"#
        )
    };
    let text = [row(&"a".repeat(1024)), row(&"a".repeat(1025))].join("\n");
    let rows = read(LogFormat::Route53, text.as_bytes());
    assert_eq!(rows.len(), 2);
    assert_eq!(faults(&rows), [(2, "a name or its chain is longer than DNS allows")]);
}

#[test]
fn other_logs_of_zeek_are_told_once_as_tables_and_passed_over_in_a_stream() {
    let http = TABLE.replace("#path\tconn", "#path\thttp");
    let rows = read(LogFormat::Zeek, format!("{http}{http}").as_bytes());
    assert_eq!(
        faults(&rows),
        [(
            4,
            "a http.log of Zeek; conn.log and dns.log are read; it is read no further"
        )]
    );
    let stream = r#"{"_path":"http","ts":1}
{"ts":1,"id.orig_h":"10.1.0.5","method":"GET"}
{"ts":1}"#;
    assert_eq!(
        faults(&read(LogFormat::Zeek, stream.as_bytes())),
        [(3, "it is no row of conn.log or dns.log")]
    );
}

/// What real rows are made of, so that more than the first look is met.
fn pieces() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        Just("\"event_type\":\"dns\"".to_owned()),
        Just("\"event_type\":\"flow\"".to_owned()),
        Just("\"proto\":\"TCP\"".to_owned()),
        Just("\"proto\":\"udp\"".to_owned()),
        Just("\"src_ip\":\"10.1.0.5\",\"src_port\":53".to_owned()),
        Just("\"dest_ip\":\"fe80::1\",\"dest_port\":65536".to_owned()),
        Just("\"dest_ip\":\"203.0.113.7\",\"dest_port\":443".to_owned()),
        Just("\"timestamp\":\"2026-03-02T12:00:00.5+0000\"".to_owned()),
        Just("\"flow\":{\"start\":\"2026-03-02T12:00:00Z\",\"bytes_toserver\":18446744073709551615}".to_owned()),
        Just("\"tcp\":{\"tcp_flags_ts\":\"ff\",\"tcp_flags_tc\":\"0\"}".to_owned()),
        Just("\"dns\":{\"type\":\"answer\",\"rrname\":\".\",\"answers\":[1,{}],\"grouped\":{\"A\":[\"::1\",2]}}".to_owned()),
        Just("\"dns\":{\"type\":\"answer\",\"rrname\":\"a\",\"rrtype\":\"CNAME\",\"rdata\":\"a\"}".to_owned()),
        Just("\"ts\":-99999999999.9,\"id.orig_h\":\"::\",\"id.orig_p\":0,\"id.resp_h\":\"::1\",\"id.resp_p\":53".to_owned()),
        Just("\"ts\":1e300,\"duration\":1e300,\"history\":\"^\"".to_owned()),
        Just("\"trans_id\":1,\"query\":\"\",\"rcode\":0,\"answers\":[\"\",null,\"1.1.1.1\"],\"TTLs\":[-1]".to_owned()),
        Just("\"query_timestamp\":\"2026-03-02T12:00:00Z\",\"srcaddr\":\"::\",\"query_name\":\"..\",\"rcode\":\"NOERROR\"".to_owned()),
        ".{0,12}",
    ];
    prop::collection::vec(words, 0..8).prop_map(|words| format!("{{{}}}", words.join(",")))
}

fn table_lines() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        Just("-".to_owned()),
        Just("10.1.0.5".to_owned()),
        Just("#separator".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("-1.5".to_owned()),
        Just("tcp".to_owned()),
        Just("\\x".to_owned()),
        Just("\\xé".to_owned()),
        "[0-9a-zA-Z#\\\\é]{0,6}",
    ];
    (prop::collection::vec(cell, 0..16), prop_oneof![Just(" "), Just("\t")]).prop_map(|(cells, by)| cells.join(by))
}

proptest! {
    #[test]
    fn any_lines_are_read_without_panic(
        lines in prop::collection::vec(prop_oneof![pieces(), table_lines()], 0..6),
        octets: Vec<u8>,
        format in 0..5_usize,
    ) {
        let header = [TABLE, VPC, EVE, "", ""][format];
        let mut text = format!("{header}\n{}\n", lines.join("\n")).into_bytes();
        text.extend(octets);
        for format in LogFormat::ALL {
            let _ = read(format, &text);
        }
        let _ = LogFormat::of(&text);
    }
}
