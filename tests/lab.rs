//! The live sensor on mirrors in labs of network namespaces, and before real receivers: the scripts of `tests/lab`, which
//! need root.

use std::process::{Command, Stdio};

use crate::support::checkout;
use crate::support::programs::skip;

const TOOLS: [&str; 15] = [
    "ip",
    "tc",
    "ethtool",
    "nginx",
    "unbound",
    "nsd",
    "chronyd",
    "tcpdump",
    "tcpreplay",
    "rsyslogd",
    "jq",
    "setpriv",
    "taskset",
    "logger",
    "python3",
];

/// What the receivers' test needs; its syslog-ng is unpacked, as it cannot be installed beside rsyslog.
const RECEIVERS: [&str; 6] = [
    "rsyslogd",
    "/opt/firstcontact-lab/syslog-ng/usr/sbin/syslog-ng",
    "openssl",
    "python3",
    "ss",
    "unshare",
];

/// What the test of killed sensors needs.
const CRASH: [&str; 4] = ["rsyslogd", "python3", "ss", "unshare"];

/// What the test of disks needs.
const DISK: [&str; 5] = ["mkfs.ext4", "fallocate", "setpriv", "python3", "unshare"];

fn is_there(tool: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", "command -v \"$0\" || command -v \"/usr/sbin/$0\"", tool]);
    command
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a script of the lab, which says by its exit status whether everything was right.
fn run(script: &str, arguments: &[&str], tools: &[&'static str]) {
    let id = Command::new("id").arg("-u").output().expect("id can be run");
    if id.stdout.trim_ascii() != b"0" {
        skip(&format!("{script}: it needs root"));
        return;
    }
    let missing: Vec<_> = tools.iter().copied().filter(|tool| !is_there(tool)).collect();
    if !missing.is_empty() {
        skip(&format!(
            "{script}: tests/lab/install.sh installs what is missing: {}",
            missing.join(" ")
        ));
        return;
    }
    let output = Command::new("sh")
        .arg(checkout(script))
        .args(arguments)
        .env("SENSOR", env!("CARGO_BIN_EXE_sensor"))
        .env("REPLAY", env!("CARGO_BIN_EXE_replay"))
        .stdin(Stdio::null())
        .output()
        .expect("the script can be run");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

#[test]
fn what_the_live_sensor_raises_is_what_a_replay_of_its_recording_raises() {
    run("tests/lab/live.sh", &[], &TOOLS);
}

#[test]
fn listening_without_privilege_raises_what_the_interface_and_a_replay_raise() {
    run("tests/lab/listen.sh", &[], &TOOLS);
}

#[test]
fn rule_w5_live_mirrors_of_both_ends_raise_what_one_of_them_raises() {
    run("tests/lab/copies.sh", &["4"], &TOOLS);
}

#[test]
fn rule_w5_live_mirrors_of_both_ends_raise_what_one_of_them_raises_over_ipv6() {
    run("tests/lab/copies.sh", &["6"], &TOOLS);
}

#[test]
fn rule_a4_real_receivers_get_every_field_of_every_alert_whatever_becomes_of_them() {
    run("tests/lab/receivers.sh", &["short"], &RECEIVERS);
}

#[test]
fn rule_a1_live_sensors_that_are_killed_beside_rsyslog_lose_no_alert_and_double_none() {
    run("tests/lab/crash.sh", &["12"], &CRASH);
}

#[test]
fn full_disks_and_folders_that_cannot_be_written_are_told_in_one_line_and_lose_nothing() {
    run("tests/lab/disk.sh", &[], &DISK);
}
