#!/usr/bin/env python3
"""Makes the flood of the receivers' test, and holds what receivers wrote against what was to be delivered.

    receivers.py flood NUMBER PCAP                a capture that raises so many alerts within a minute
    receivers.py fields LINES LEDGER RECEIVED     every field of every line, and of every alert's last state
    receivers.py all LINES RECEIVED               exits 0 once every line is there
    receivers.py order LINES RECEIVED             every line is there, in order; one may come again
    receivers.py count LINES RECEIVED             how many, in words

LINES is what `replay --alerts` wrote, LEDGER what `sensor alerts --json --all` prints, RECEIVED what a receiver took apart:
priority, version, time, host, program, process, message id, structured data and message, with tabs between.
"""
import json
import os
import struct
import sys

START = 1772452800 * 10**9      # 2026-03-02, 12:00:00 UTC
SEVERITIES = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
LOCAL0 = 16
PARTS = 9


# --- the flood ----------------------------------------------------------------------------------------------------------

def frame(source, destination, ports, flags, sequence, acknowledged):
    """Returns an Ethernet frame with one TCP segment without data; nobody looks at checksums on a mirror."""
    tcp = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 65535, 0, 0)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, destination)
    return bytes.fromhex("0200000000010200000000020800") + ip + tcp


def flood(number, path):
    """A bare address for each alert, fifty of them a workload: within the budget of 60 a minute (rule A5)."""
    syn, ack = 0x02, 0x10
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for alert in range(number):
            workload = 0x0A010000 + 256 + alert // 50
            server = 0xC6120000 + alert                         # 198.18.0.0/15, RFC 2544
            ports = (40000 + alert % 50, 443)
            at = START + alert * 10**6
            frames = (
                frame(workload, server, ports, syn, 1000, 0),
                frame(server, workload, ports[::-1], syn | ack, 2000, 1001),
                frame(workload, server, ports, ack, 1001, 2001),
            )
            for step, octets in enumerate(frames):
                seconds, nanoseconds = divmod(at + step * 10**5, 10**9)
                out.write(struct.pack("<IIII", seconds, nanoseconds, len(octets), len(octets)) + octets)


# --- what came of it ----------------------------------------------------------------------------------------------------

def json_lines(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def received(path):
    """Returns the lines of a receiver, taken apart; one that is being written is left out."""
    with open(path, encoding="ascii") as lines:
        text = lines.read()
    return [line.split("\t") for line in text[:text.rfind("\n") + 1].splitlines()]


def key(alert):
    return alert["id"], alert["revision"]


def check(condition, *words):
    if not condition:
        sys.exit("receivers.py: " + " ".join(str(word) for word in words))


def without(alert, left_out):
    """Returns the alert without what its message had no room for."""
    alert = json.loads(json.dumps(alert))
    for name in left_out:
        if name == "evidence.chain":
            alert["evidence"]["chain"] = []
        else:
            alert.pop(name)
    return alert


def seconds(time):
    """Returns a time to the microsecond, whatever way it is written in; receivers write `+00:00` for `Z`."""
    return time.replace("+00:00", "Z")[:26]


def fields(lines_path, ledger_path, received_path):
    lines = json_lines(lines_path)
    messages = {}
    for parts in received(received_path):
        check(len(parts) == PARTS, "parts:", parts)
        priority, version, time, host, program, process, kind, structured, text = parts
        alert = json.loads(text)
        check(key(alert) not in messages, "twice:", text)
        messages[key(alert)] = alert
        check(int(priority) == LOCAL0 * 8 + SEVERITIES[alert["severity"]], "priority", priority, text)
        check(version == "1" and program == "firstcontact", "header", parts)
        # We send none; syslog-ng numbers what comes from a socket of its own machine.
        check(structured == "-" or structured.startswith('-[meta sequenceId="'), "structured data", structured)
        check(process.isdigit(), "process", process)
        check(host == os.uname().nodename, "host", host)
        check(kind == alert["kind"], "message id", kind)
        check(seconds(time) == alert["at"][:26], "time", time, alert["at"])
    check(len(messages) == len(lines), len(messages), "messages for", len(lines), "lines")
    last = {}
    for line in lines:
        alert = messages[key(line)]
        left_out = alert.pop("left_out", [])
        check(alert == without(line, left_out), "differs:", alert, line)
        last[line["id"]] = alert, left_out
    ledger = {alert["id"]: alert for alert in json_lines(ledger_path)}
    check(set(last) == set(ledger), "the ledger has other alerts")
    for name, (alert, left_out) in last.items():
        kept = without(ledger[name], left_out)
        check(all(kept[field] == value for field, value in alert.items()), "the ledger has:", kept, "and not", alert)


def keys(lines_path, received_path):
    wanted = [key(line) for line in json_lines(lines_path)]
    return wanted, [key(json.loads(parts[-1])) for parts in received(received_path)]


def all_there(lines_path, received_path):
    wanted, came = keys(lines_path, received_path)
    check(set(wanted) <= set(came), "some are missing")


def order(lines_path, received_path):
    """Every line comes; and before a line comes for the first time, all before it have come."""
    wanted, came = keys(lines_path, received_path)
    check(list(dict.fromkeys(came)) == wanted, "other lines, or in another order")
    place = {name: number for number, name in enumerate(wanted)}
    # What comes again goes on from an earlier line, without a gap.
    for before, after in zip(came, came[1:]):
        check(place[after] <= place[before] + 1, "a gap behind", before)


def count(lines_path, received_path):
    wanted, came = keys(lines_path, received_path)
    print(f"{len(wanted)} alerts in order, {len(came) - len(wanted)} of them twice")


def main():
    command, *arguments = sys.argv[1:]
    if command == "flood":
        flood(int(arguments[0]), arguments[1])
    else:
        {"fields": fields, "all": all_there, "order": order, "count": count}[command](*arguments)


if __name__ == "__main__":
    main()
