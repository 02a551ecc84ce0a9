use super::*;

fn row(header: &str, line: &str) -> Result<Option<ImportedFlow>, &'static str> {
    let (columns, _) = columns(header).unwrap();
    let cells: Vec<&str> = line.split(' ').collect();
    assert_eq!(cells.len(), columns.names.len(), "{line}");
    flow(&Cells::Table(&columns, &cells))
}

const DEFAULT_ROW: &str =
    "2 123456789010 eni-1235b8ca123456789 10.1.0.5 203.0.113.7 40000 443 6 10 900 1772452800 1772452860 ACCEPT OK";

#[test]
fn a_row_of_the_default_format_is_a_part_of_a_flow() {
    let flow = row(DEFAULT_ROW, DEFAULT_ROW).unwrap().unwrap();
    assert_eq!(
        (flow.first, flow.last),
        (Timestamp(1_772_452_800 * SECOND), Timestamp(1_772_452_860 * SECOND))
    );
    // 40 octets a packet: IPv4 and TCP.
    assert_eq!((flow.from_opener.octets, flow.from_other.octets), (500, 0));
    assert_eq!(
        (flow.opening, flow.extent),
        (ImportedOpening::Midstream, ImportedExtent::Part)
    );
    assert!(flow.from_opener.spoke && !flow.from_opener.went_on);
}

#[test]
fn what_cloudwatch_exports_has_a_time_before_each_row() {
    let stamped = format!("2026-03-02T12:00:00.000Z {DEFAULT_ROW}");
    assert_eq!(without_stamp(&stamped), DEFAULT_ROW);
    assert_eq!(without_stamp("2026-03-02T12:00:00.000Z {\"a\": 1}"), "{\"a\": 1}");
    for line in [DEFAULT_ROW, "", "2026-03-02T12:00:00Z", "version srcaddr"] {
        assert_eq!(without_stamp(line), line);
    }
}

#[test]
fn rows_that_say_nothing_give_nothing() {
    for line in [
        "2 123456789010 eni-1 - - - - - - - 1772452800 1772452860 - NODATA",
        "2 123456789010 eni-1 - - - - - - - 1772452800 1772452860 - SKIPDATA",
        "2 123456789010 eni-1 10.1.0.5 203.0.113.7 0 0 1 4 336 1772452800 1772452860 ACCEPT OK",
        "2 123456789010 eni-1 10.1.0.5 203.0.113.7 4000 53 17 4 336 1772452800 1772452860 REJECT OK",
    ] {
        assert_eq!(row(DEFAULT_ROW, line), Ok(None), "{line}");
    }
}

#[test]
fn what_is_missing_is_told() {
    for (from, to, problem) in [
        (" 6 ", " - ", "no protocol"),
        ("10.1.0.5", "-", "no source address and port"),
        (" 443 ", " - ", "no destination address and port"),
        ("1772452800", "-", "no time in start"),
        ("ACCEPT", "MAYBE", "action is neither ACCEPT nor REJECT"),
    ] {
        assert_eq!(row(DEFAULT_ROW, &DEFAULT_ROW.replace(from, to)), Err(problem));
    }
}

#[test]
fn a_custom_format_goes_by_its_header_and_flags_say_who_began() {
    let header = "version srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags pkt-srcaddr pkt-dstaddr log-status";
    let line = |flags: &str, action: &str| {
        format!("3 10.0.0.9 203.0.113.7 40000 443 6 1 44 1772452800 1772452800 {action} {flags} 10.1.0.5 - OK")
    };
    let of = |flags: &str, action: &str| row(header, &line(flags, action)).unwrap().unwrap();
    assert_eq!(of("2", "ACCEPT").opening, ImportedOpening::Syn);
    assert_eq!(
        of("2", "ACCEPT").opener.ip,
        Address::v4([10, 1, 0, 5]),
        "who sent the packet itself"
    );
    assert_eq!(of("3", "ACCEPT").opening, ImportedOpening::Syn);
    assert!(of("3", "ACCEPT").from_opener.went_on);
    assert_eq!(of("18", "ACCEPT").opening, ImportedOpening::SynAck);
    assert!(of("18", "ACCEPT").from_opener.syn_ack);
    assert_eq!(of("0", "ACCEPT").opening, ImportedOpening::Midstream);
    assert!(of("4", "ACCEPT").from_opener.reset && !of("4", "ACCEPT").from_opener.spoke);
    let rejected = of("2", "REJECT");
    assert!(rejected.from_other.reset && !rejected.from_opener.went_on);
    assert!(
        columns("3 10.0.0.9 203.0.113.7 40000 443").is_none(),
        "a custom format without its header"
    );
}

#[test]
fn a_row_of_a_query_log_is_a_lookup() {
    let text = r#"{"version":"1.100000","account_id":"123456789010","region":"eu-west-1","vpc_id":"vpc-1","query_timestamp":"2026-03-02T12:00:00Z","query_name":"Shop.example.edu.","query_type":"A","query_class":"IN","rcode":"NOERROR","answers":[{"Rdata":"lb.hosting.example.","Type":"CNAME","Class":"IN"},{"Rdata":"203.0.113.7","Type":"A","Class":"IN"},{"Rdata":"x","Type":"A","Class":"IN"}],"srcaddr":"10.1.0.5","srcport":"51000","transport":"UDP","srcids":{"instance":"i-1"}}"#;
    let read = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        query(value.as_object().unwrap())
    };
    let lookup = read(text).unwrap().unwrap();
    assert_eq!(lookup.name, "shop.example.edu");
    assert_eq!(lookup.chain, ["lb.hosting.example"]);
    let answer = ImportedAnswer {
        address: Address::v4([203, 0, 113, 7]),
        ttl: 0,
    };
    assert_eq!(lookup.answers, [answer]);
    assert_eq!(
        (lookup.client, lookup.server.ip),
        (Address::v4([10, 1, 0, 5]), RESOLVER)
    );
    assert!(
        read(&text.replace("NOERROR", "NXDOMAIN"))
            .unwrap()
            .unwrap()
            .answers
            .is_empty()
    );
    assert_eq!(read(&text.replace("\"rcode\"", "\"code\"")), Ok(None));
    assert_eq!(read(&text.replace("10.1.0.5", "web")), Err("no address in srcaddr"));
    assert_eq!(
        read(&text.replace("2026-03-02T12:00:00Z", "noon")),
        Err("no time in query_timestamp")
    );
}
