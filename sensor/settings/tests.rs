use std::net::IpAddr;

use super::*;
use crate::model::{Address, Scopes, SegmentPart, SinkUrl};

const FILE: &str = "sensor.toml";

/// The example that ships.
const EXAMPLE: &str = include_str!("../../config/sensor.toml");

fn read(text: &str) -> Settings {
    Settings::parse(text, Path::new(FILE)).unwrap()
}

fn refusal(text: &str) -> String {
    let line = Settings::parse(text, Path::new(FILE)).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

#[test]
fn an_empty_file_means_the_defaults() {
    assert_eq!(read(""), Settings::default());
    let live = Policy {
        time: TimeSource::Live,
        ..Policy::default()
    };
    assert_eq!(Settings::default().policy(Mode::Live), live);
}

#[test]
fn the_example_holds_the_defaults() {
    assert_eq!(read(EXAMPLE), Settings::default());
}

#[test]
fn the_example_names_every_default_and_its_examples_can_be_used() {
    let text: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(example) if !example.starts_with(' ') => example,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let settings = read(&text);
    assert_eq!(settings.baseline.learning, Some(Policy::default().baseline.learning));
    assert_eq!(
        settings.baseline.learning_new,
        Some(Policy::default().baseline.learning_new)
    );
    assert_eq!(settings.capture.interface.as_deref(), Some("eth1"));
    // The one setting that excludes another of the examples.
    let listen = EXAMPLE.lines().find_map(|line| line.strip_prefix("#   listen = "));
    let instead = text.replace("interface = \"eth1\"", &format!("listen = {}", listen.unwrap()));
    let urls: Vec<String> = read(&instead).capture.listen.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["udp://0.0.0.0:4789", "udp://[::]:6081", "vxlan://0.0.0.0:8472"]);
    assert_eq!(settings.kept_lines, Settings::default().kept_lines);
    let [sink] = settings.sinks.as_slice() else { panic!() };
    assert_eq!(
        sink,
        &SinkRule::from("tcp://siem.example:601".parse::<SinkUrl>().unwrap())
    );
    assert_eq!(
        settings.workloads,
        [WorkloadRule {
            name: "web".into(),
            prefixes: vec!["10.1.0.0/24".parse().unwrap(), "2001:db8:1::/64".parse().unwrap()],
            segment: Some("vni=42".into()),
            group: Some("frontend".into()),
            owner: Some("web-team@example.com".into()),
            scopes: Some(Scopes {
                client: true,
                host: false,
                workload: false,
                resolver: false,
                any: true,
            }),
        }]
    );
    let aggregation = crate::destination::Aggregation::new(&settings.policy(Mode::Live)).unwrap();
    for end in ["cloud.example", "cloud6.example"] {
        let found = aggregation.destination(&format!("customer.storage-v2.eu1.{end}"));
        assert_eq!(&*found.domain, "storage.cloud.example");
        assert_eq!(found.tenant.as_deref(), Some("customer.storage.cloud.example"));
    }
}

#[test]
fn every_key_of_the_design_is_read() {
    let settings = read(
        r#"
memory = "512MiB"

[network]
internal = ["10.0.0.0/8", "203.0.113.0/24", "2001:db8::7", "::ffff:192.0.2.0/120"]
dns_ports = [53, 5353]
vxlan_ports = [4789, 8472]
geneve_ports = [6081, 6082]

[segment]
by = ["vni", "vlan", "key", "source"]

[names]
settle = "1500ms"
scopes = ["client", "any"]
resolvers = ["10.0.0.2"]
trusted_servers = ["9.9.9.9", "2620:fe::fe"]

[baseline]
window = "30d"
retention = "60d"
learning = "7d"
learning_new = "12h"
destinations = 5_000
disk = "256MiB"
alerts_a_minute = 20

[capture]
interface = "eth0"
ring = "128MiB"

[[workload]]
name = "web"
prefixes = ["10.1.0.0/24"]

[[workload]]
name = "web"
segment = "vni=7"
prefixes = ["10.1.0.0/24"]

[[sink]]
url = "udp://[2001:db8::1]"
"#,
    );
    assert_eq!(settings.memory, 512 << 20);
    let internal: Vec<String> = settings.network.internal.iter().map(ToString::to_string).collect();
    assert_eq!(
        internal,
        ["10.0.0.0/8", "203.0.113.0/24", "2001:db8::7/128", "192.0.2.0/24"]
    );
    assert_eq!(settings.network.dns_ports, [53, 5353]);
    assert_eq!(settings.network.vxlan_ports, [4789, 8472]);
    assert_eq!(settings.network.geneve_ports, [6081, 6082]);
    assert_eq!(
        settings.segment.by,
        [
            SegmentPart::Vni,
            SegmentPart::Vlan,
            SegmentPart::Key,
            SegmentPart::Source
        ]
    );
    assert_eq!(settings.names.settle, Span::millis(1500));
    assert!(settings.names.scopes.client && settings.names.scopes.any && !settings.names.scopes.host);
    assert_eq!(settings.names.resolvers, [address("10.0.0.2")]);
    assert_eq!(
        settings.names.trusted_servers,
        [address("9.9.9.9"), address("2620:fe::fe")]
    );
    assert_eq!(settings.capture.ring, 128 << 20);
    assert_eq!(settings.workloads.len(), 2);
    assert_eq!(
        settings.sinks,
        [SinkRule::from("udp://[2001:db8::1]:514".parse::<SinkUrl>().unwrap())]
    );
    let baseline = settings.policy(Mode::Replay).baseline;
    assert_eq!(baseline.window, Span::days(30));
    assert_eq!(baseline.retention, Span::days(60));
    assert_eq!(baseline.learning, Span::days(7));
    assert_eq!(baseline.learning_new, Span::hours(12));
    assert_eq!((baseline.destinations, baseline.disk), (5_000, 256 << 20));
    assert_eq!(baseline.alerts_a_minute, 20);
}

#[test]
fn rule_b4_replay_learns_only_if_the_file_says_so() {
    let learning = |text: &str, mode| {
        let baseline = read(text).policy(mode).baseline;
        (baseline.learning, baseline.learning_new)
    };
    assert_eq!(learning("", Mode::Live), (Span::days(14), Span::hours(24)));
    assert_eq!(learning("", Mode::Replay), (Span::ZERO, Span::ZERO));
    let one = "[baseline]\nlearning = \"3d\"";
    assert_eq!(learning(one, Mode::Replay), (Span::days(3), Span::ZERO));
    assert_eq!(learning(one, Mode::Live), (Span::days(3), Span::hours(24)));
    let none = "[baseline]\nlearning = \"0s\"\nlearning_new = \"0s\"";
    assert_eq!(learning(none, Mode::Live), (Span::ZERO, Span::ZERO));
}

#[test]
fn a_refusal_names_file_line_key_what_was_found_and_what_was_expected() {
    for (text, line) in [
        (
            "[network]\ninternal = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/33\",\n]",
            "sensor.toml:4: network.internal[1]: found \"10.0.0.0/33\", expected a prefix such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            "[[workload]]\nname = \"a\"\nprefixes = [\"10.0.0.0/8\"]\n[[workload]]\nname = \"b\"\nprefixes = [\"10.1.0.1/24\"]",
            "sensor.toml:6: workload[1].prefixes[0]: found \"10.1.0.1/24\", expected 10.1.0.0/24, the prefix without the bits of a host",
        ),
        (
            "[names]\nsettle = 5",
            "sensor.toml:2: names.settle: found 5, expected a duration with its unit, such as \"5s\", \"24h\" or \"90d\"",
        ),
        (
            "[names]\nsettle = \"5\"",
            "sensor.toml:2: names.settle: found \"5\", expected a duration with its unit, such as \"5s\", \"24h\" or \"90d\"",
        ),
        (
            "[names]\nsettle = \"2m\"",
            "sensor.toml:2: names.settle: found \"2m\", expected more than \"0s\" and at most \"60s\"",
        ),
        (
            "memory = 5",
            "sensor.toml:1: memory: found 5, expected a size such as \"512MiB\" or \"1GiB\"",
        ),
        (
            "memory = \"1kB\"",
            "sensor.toml:1: memory: found \"1kB\", expected at least 1.0 MiB",
        ),
        (
            "[network]\ndns_ports = [53, 0]",
            "sensor.toml:2: network.dns_ports[1]: found 0, expected a port from 1 to 65535",
        ),
        (
            "[network]\ndns_ports = 53",
            "sensor.toml:2: network.dns_ports: found 53, expected at least one port, such as [53]",
        ),
        (
            "[network]\ninternal = []",
            "sensor.toml:2: network.internal: found an empty array, expected at least one prefix, such as [\"10.0.0.0/8\"]",
        ),
        (
            "[network]\nvxlan_ports = [6082]\ngeneve_ports = [6081, 6082]",
            "sensor.toml:3: network.geneve_ports: 6082 stands in network.vxlan_ports too",
        ),
        (
            "[segment]\nby = [\"mac\"]",
            "sensor.toml:2: segment.by[0]: found \"mac\", expected \"vni\", \"vlan\", \"key\" or \"source\"",
        ),
        (
            "[[segment]]\nvni = [1]",
            "sensor.toml:1: segment[0].name: missing, expected the segment's name, or `by`",
        ),
        (
            "[[segment]]\nname = \"prod\"",
            "sensor.toml:2: segment[0].name: segment \"prod\" has no values, expected vni, vlan, key or source",
        ),
        (
            "[[segment]]\nname = \"vni=4\"\nvni = [4]",
            "sensor.toml:2: segment[0].name: found \"vni=4\", expected a name without `=` and `,` that is not `-`",
        ),
        (
            "[[segment]]\nname = \"prod\"\nvni = [16777216]",
            "sensor.toml:3: segment[0].vni[0]: found 16777216, expected VNIs from 0 to 16777215, such as [42, 43]",
        ),
        (
            "[[segment]]\nname = \"prod\"\nvlan = [4095]",
            "sensor.toml:3: segment[0].vlan[0]: found 4095, expected VLANs from 1 to 4094, such as [7]",
        ),
        (
            "[[segment]]\nname = \"prod\"\nby = [\"vni\"]",
            "sensor.toml:2: segment[0].name: `by` is for all segments and stands in a table of its own",
        ),
        (
            "[[segment]]\nby = []\n[[segment]]\nby = []",
            "sensor.toml:4: segment[1].by: `by` stands in an earlier [[segment]]",
        ),
        (
            "[segment]\nby = [\"vni\", \"vni\"]",
            "sensor.toml:2: segment.by[1]: vni stands here twice",
        ),
        (
            "[names]\nscopes = [\"clients\"]",
            "sensor.toml:2: names.scopes[0]: found \"clients\", expected \"client\", \"host\", \"workload\", \"resolver\" or \"any\"",
        ),
        (
            "[names]\nresolvers = [\"dns.example\"]",
            "sensor.toml:2: names.resolvers[0]: found \"dns.example\", expected an address such as 10.0.0.2 or 2001:db8::2",
        ),
        (
            "[baseline]\nwindow = \"129d\"",
            "sensor.toml:2: baseline.window: found \"129d\", expected more than \"0s\" and at most \"128d\", as the active days of 128 days are kept",
        ),
        (
            "[baseline]\n\nretention = \"30d\"",
            "sensor.toml:3: baseline.retention: found \"30d\", expected a window no longer than the retention; the window is \"90d\" and the retention \"30d\"",
        ),
        (
            "\n[[workload]]\nprefixes = [\"10.0.0.0/8\"]",
            "sensor.toml:2: workload[0].name: missing, expected the workload's name",
        ),
        (
            "[[workload]]\nname = \"\"\nprefixes = [\"10.0.0.0/8\"]",
            "sensor.toml:2: workload[0].name: found \"\", expected a name of 1 to 255 octets, without control characters or spaces at its ends",
        ),
        (
            "[[workload]]\nname = \"a\"\nprefixes = [\"10.0.0.0/8\"]\n[[workload]]\nname = \"b\"\nprefixes = [\"10.0.0.0/8\"]",
            "sensor.toml:6: workload[1].prefixes[0]: 10.0.0.0/8 already belongs to workload \"a\"",
        ),
        (
            "[[workload]]\nname = \"a\"\nprefixes = [\"10.0.0.0/8\"]\n[[workload]]\nname = \"a\"\ngroup = \"g\"\nprefixes = [\"10.0.0.0/9\"]",
            "sensor.toml:5: workload[1].name: an earlier workload \"a\" has another group, owner or scopes, expected the same",
        ),
        (
            "[[sink]]\nurl = \"http://siem.example\"",
            "sensor.toml:2: sink[0].url: found \"http://siem.example\", expected a URL that starts with udp://, tcp://, tls://, relp://, unix:// or file://",
        ),
        (
            "[[sink]]\nurl = \"udp://a\"\n[[sink]]\nurl = \"udp://a:514\"",
            "sensor.toml:4: sink[1].url: udp://a:514 stands here twice",
        ),
        (
            "[capture]\nlisten = [\"udp://0.0.0.0:4789\", \"4789\"]",
            "sensor.toml:2: capture.listen[1]: found \"4789\", expected a URL such as udp://0.0.0.0:4789, udp://[::]:6081 or vxlan://192.0.2.1:8472",
        ),
        (
            "[capture]\nlisten = [\"udp://0.0.0.0:4789\"]\n[network]\nvxlan_ports = [8472]",
            "sensor.toml:2: capture.listen[0]: port 4789 is neither in network.vxlan_ports nor in network.geneve_ports; vxlan://0.0.0.0:4789 or geneve://0.0.0.0:4789 says which it is",
        ),
        (
            "[capture]\nlisten = [\"udp://[::]:4789\", \"vxlan://[::]\"]",
            "sensor.toml:2: capture.listen[1]: [::]:4789 stands there twice",
        ),
        (
            "[capture]\nlisten = [\"udp://0.0.0.0:4789\"]\ninterface = \"eth1\"",
            "sensor.toml:2: capture.listen: there is capture.interface too, and it is one or the other",
        ),
        (
            "[sink]\nurl = \"udp://a\"",
            "sensor.toml:1: sink: found a table, expected tables [[sink]]",
        ),
        ("names = 3", "sensor.toml:1: names: found 3, expected a table [names]"),
        (
            "[[aggregate]]\nsuffix = \"cloud.example\"\nstrip = [\"a.b\"]",
            "sensor.toml:3: aggregate[0].strip: \"a.b\" is not a part of one label",
        ),
        (
            "[[aggregate]]\nsuffix = \"cloud.example\"\n[[aggregate]]\nsuffix = \"Cloud.example.\"",
            "sensor.toml:4: aggregate[1].suffix: a second rule for cloud.example",
        ),
        (
            "[baseline]\ndestinations = 0",
            "sensor.toml:2: baseline.destinations: found 0, expected a number of destinations from 1 to 10000000",
        ),
        (
            "[baseline]\ndestinations = 10000001",
            "sensor.toml:2: baseline.destinations: found 10000001, expected a number of destinations from 1 to 10000000",
        ),
        (
            "[baseline]\ndisk = \"1000KiB\"",
            "sensor.toml:2: baseline.disk: found \"1000KiB\", expected at least 1.0 MiB",
        ),
        (
            "[baseline]\nalerts_a_minute = \"60\"",
            "sensor.toml:2: baseline.alerts_a_minute: found \"60\", expected a number of alerts from 1 to 10000",
        ),
        (
            "[[aggregate]]\nsuffix = \"cloud.example\"\ntenant = 1",
            "sensor.toml:3: aggregate[0].tenant: found 1, expected true or false",
        ),
    ] {
        assert_eq!(refusal(text), line);
    }
}

#[test]
fn a_key_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    for (text, line) in [
        (
            "[network]\nintrenal = []",
            "sensor.toml:2: network.intrenal: no such key; is network.internal meant?",
        ),
        (
            "window = \"30d\"",
            "sensor.toml:1: window: no such key; is baseline.window meant?",
        ),
        (
            "[[workload]]\nname = \"a\"\nprefix = [\"10.0.0.0/8\"]",
            "sensor.toml:3: workload[0].prefix: no such key; is workload.prefixes meant?",
        ),
        (
            "[segment]\nzzz = 1",
            "sensor.toml:2: segment.zzz: no such key; there are segment.by, segment.name, segment.vni, segment.vlan, segment.key, segment.source",
        ),
        (
            "[segment]\n\"a\\nb\" = 1",
            "sensor.toml:2: segment.\"a\\nb\": no such key; there are segment.by, segment.name, segment.vni, segment.vlan, segment.key, segment.source",
        ),
    ] {
        assert_eq!(refusal(text), line);
    }
}

#[test]
fn what_is_not_toml_is_refused_by_its_line() {
    let line = refusal("memory = \"1GiB\"\n[network\n");
    assert!(line.starts_with("sensor.toml:2: not TOML: "), "{line}");
    let line = refusal("[names]\nsettle = \"1s\"\nsettle = \"2s\"\n");
    assert!(line.starts_with("sensor.toml:3: not TOML: "), "{line}");
}

#[test]
fn a_file_that_is_not_there_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let refused = Settings::read(&path).unwrap_err();
    assert_eq!(refused.file, path.display().to_string());
    assert!(refused.problem.starts_with("cannot be read: "), "{refused}");
}

#[test]
fn a_public_suffix_list_is_found_from_the_folder_of_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sensor.toml");
    std::fs::write(&path, "[destination]\npublic_suffix_list = \"list.dat\"\n").unwrap();
    let missing = Settings::read(&path).unwrap_err();
    assert_eq!(
        (missing.line, missing.key.as_deref()),
        (Some(2), Some("destination.public_suffix_list"))
    );
    std::fs::write(folder.path().join("list.dat"), "<html>").unwrap();
    let refused = Settings::read(&path).unwrap_err();
    assert!(refused.problem.starts_with("not a public suffix list: "), "{refused}");
    let list = "// ===BEGIN ICANN DOMAINS===\ncom\n";
    std::fs::write(folder.path().join("list.dat"), list).unwrap();
    assert_eq!(Settings::read(&path).unwrap().public_suffix_list.as_deref(), Some(list));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in "[\\[\\]a-z\"=\\.\n #0-9]{0,60}") {
        if let Err(refused) = Settings::parse(&text, Path::new(FILE)) {
            proptest::prop_assert!(!refused.to_string().contains('\n'));
        }
    }
}
