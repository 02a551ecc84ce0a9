"""The mirror, the killer and the judge of tests/lab/crash.sh.

    crash.py SENSOR WORK KILLS        FIRSTCONTACT_SEED=… repeats the moments of an earlier run
    crash.py SENSOR WORK full FILLER  for tests/lab/disk.sh: the sensor's disk fills up, until FILLER is removed

Flows with a server of their own each begin one after the other, and are mirrored without a pause, whether a sensor runs or
not: what is sent while none runs is lost, and a flow that the next one sees in its middle is a contact (rule F3). So
whatever a kill takes out of memory, every flow has to raise its alert in the end, once. A flow ends when its alert is in
the file, every third not before another sensor has begun, and is sent to its end until the alert says so.
"""
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time

import receivers

FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
VNI = 42
RESOLVER = 0x0A010002
TICK = 0.02             # seconds between two rounds
SEND_EVERY = 0.1        # seconds between two packets of a flow
LIVES = 0.9             # seconds that a sensor lives at most
QUIET_EVERY = 25        # kills between two pauses, in which a connection may end in order: its receipt
QUIET = 6.5
PATIENCE = 90.0         # seconds until everything has to be told in the end
MOST = 4000             # flows until a disk is full
A_WORKLOAD = 40         # flows, within the budget of 60 alerts a minute (rule A5)


def check(condition, *words):
    if not condition:
        sys.exit("crash.py: WRONG: " + " ".join(str(word) for word in words))


# --- frames ------------------------------------------------------------------------------------------------------------

def ip(source, destination, protocol, payload):
    header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0, source, destination)
    inner = bytes.fromhex("0200000000010200000000020800") + header + payload
    return struct.pack(">BBHI", 8, 0, 0, VNI << 8) + inner


def tcp(source, destination, ports, flags, sequence, payload=b""):
    header = struct.pack(">HHIIBBHHH", *ports, sequence, 1 if flags & ACK else 0, 5 << 4, flags, 65535, 0, 0)
    return ip(source, destination, 6, header + payload)


def udp(source, destination, ports, payload):
    return ip(source, destination, 17, struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload)


def dns(number, client, name, address):
    """A query and its response."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    question = labels + struct.pack(">HH", 1, 1)
    query = struct.pack(">HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + question
    response = struct.pack(">HHHHHH", number & 0xFFFF, 0x8180, 1, 1, 0, 0) + question
    response += labels + struct.pack(">HHIHI", 1, 1, 60, 4, address)
    return udp(client, RESOLVER, (51000, 53), query), udp(RESOLVER, client, (53, 51000), response)


class Flow:
    """One contact with a server of its own."""

    def __init__(self, number):
        self.number = number
        self.client = 0x0A020000 + 256 + number // A_WORKLOAD
        self.server = 0xC6120000 + number                   # 198.18.0.0/15, RFC 2544
        self.is_udp = number % 5 == 1
        self.name = f"www.domain-{number}.example" if number % 5 == 2 else None
        self.ports = (40000 + number % A_WORKLOAD, 4433 if self.is_udp else 443)
        self.sent = self.octets = 0
        self.raised_by = self.updated_by = None             # number of the sensor
        self.next = 0.0

    def address(self):
        return socket.inet_ntoa(struct.pack(">I", self.server))

    def is_done(self):
        return self.raised_by is not None and (self.is_udp or self.updated_by is not None)

    def frames(self, generation, is_last):
        there, back = (self.client, self.server, self.ports), (self.server, self.client, self.ports[::-1])
        self.sent += 1
        if self.is_udp:
            if self.raised_by is None:
                yield udp(*there, struct.pack(">Q", self.sent))
                yield udp(*back, struct.pack(">Q", self.sent))
            return
        if self.name and self.raised_by is None:
            yield from dns(self.number * 7 + self.sent, self.client, self.name, self.server)
        if self.sent == 1:
            yield tcp(*there, SYN, 1000)
            yield tcp(*back, SYN | ACK, 5000)
            yield tcp(*there, ACK, 1001)
        ends = self.raised_by is not None and (is_last or self.number % 3 or generation > self.raised_by)
        if not ends:
            yield tcp(*there, PSH | ACK, 1001 + self.octets, b"a")
            yield tcp(*back, PSH | ACK, 5001 + self.octets, b"b")
            self.octets += 1
        else:
            yield tcp(*there, FIN | ACK, 1001 + self.octets)
            yield tcp(*back, FIN | ACK, 5001 + self.octets)


# --- the trial -----------------------------------------------------------------------------------------------------------

class Trial:
    def __init__(self, sensor, work, kills):
        self.sensor, self.work, self.kills = sensor, work, kills
        self.state = self.path("state")
        self.seed = int(os.environ.get("FIRSTCONTACT_SEED") or time.time_ns())
        self.chance = random.Random(self.seed)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.flows, self.by_address, self.active = [], {}, []
        self.generation, self.process, self.killed_at = 0, None, []
        self.file, self.partial = None, b""
        self.watched = self.starting = 0

    def path(self, name):
        return os.path.join(self.work, name)

    def start(self):
        self.generation += 1
        self.log = self.path("sensor.log")
        command = [self.sensor, "run", "--listen", "udp://127.0.0.1:4789", "--threads", str(1 + self.generation % 3)]
        command += ["--state", self.state, "--config", self.path("settings.toml")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.log, "wb"))

    def said(self):
        with open(self.log, "rb") as log:
            return log.read().decode(errors="replace")

    def kill(self):
        check(self.process.poll() is None, "the sensor ended by itself:", self.said()[-2000:])
        self.process.kill()
        self.process.wait()
        self.killed_at.append(time.time())
        if "watching" in self.said():
            self.watched += 1
        else:
            self.starting += 1

    def round(self, begins):
        """Begins so many flows, sends what is due, and reads what came of it."""
        now = time.time()
        for _ in range(begins):
            flow = Flow(len(self.flows))
            self.flows.append(flow)
            self.by_address[flow.address()] = flow
            self.active.append(flow)
        for flow in self.active:
            if now >= flow.next:
                flow.next = now + SEND_EVERY
                for frame in flow.frames(self.generation, self.generation > self.kills):
                    self.socket.sendto(frame, ("127.0.0.1", 4789))
        self.read()
        self.active = [flow for flow in self.active if not flow.is_done()]
        time.sleep(TICK)

    def read(self):
        """Takes what is new in the sensor's file: what stands behind the position may be cut off and come again."""
        try:
            octets = open(self.path("alerts.jsonl"), "rb")
        except FileNotFoundError:
            return
        with octets:
            octets.seek(self.file or 0)
            new = octets.read()
        whole = new[:new.rfind(b"\n") + 1]
        self.file = (self.file or 0) + len(whole)
        for line in whole.splitlines():
            try:
                alert = json.loads(line)
            except ValueError:
                continue        # Read while it was cut back; the judge reads the whole file.
            flow = self.by_address.get(alert["destination"]["ip"])
            check(flow, "an alert that nobody caused:", alert)
            if alert["event"] == "withdrawn":
                flow.raised_by = flow.updated_by = None
            elif flow.raised_by is None:
                flow.raised_by = self.generation
            if alert["event"] != "withdrawn" and alert["flow"]["end"]:
                flow.updated_by = self.generation

    def run(self):
        print(f"FIRSTCONTACT_SEED={self.seed}", flush=True)
        for number in range(self.kills):
            self.start()
            quiet = number % QUIET_EVERY == QUIET_EVERY - 1
            until = time.time() + (QUIET if quiet else self.chance.uniform(0, LIVES))
            while time.time() < until:
                # Two of three rounds without a new flow; none in a pause, that lines may come to an end.
                self.round(0 if quiet else int(self.chance.random() < 0.35))
            self.kill()
        self.finish()

    def finish(self):
        """Lets a last sensor run until every flow is told, and stops it in order."""
        self.start()
        until = time.time() + PATIENCE
        while self.active:
            check(self.process.poll() is None, "the sensor ended by itself:", self.said()[-2000:])
            check(time.time() < until, "flows without an alert, or an end:", [(f.number, f.raised_by, f.updated_by) for f in self.active[:10]])
            self.round(0)
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait() == 0, "the sensor did not stop in order:", self.said()[-2000:])

    def run_full(self, filler):
        """Lets the sensor's disk fill up; it has to say so and end, also when it is started again, until there is room."""
        self.state = os.path.join(os.path.dirname(filler), "live")
        self.start()
        until = time.time() + PATIENCE
        while self.process.poll() is None:
            check(time.time() < until, "the disk does not fill up")
            self.round(4 if len(self.flows) < MOST else 0)
        ends, first = 0, None
        while True:
            errors = [line for line in self.said().splitlines() if line.startswith("error: ")]
            check(self.process.returncode == 1, "it ended with", self.process.returncode, self.said()[-2000:])
            check(len(errors) == 1 and self.state in errors[0] and "No space left" in errors[0], "it says", self.said()[-2000:])
            ends, first = ends + 1, first or errors[0]
            if ends == 3:
                break
            # As a service manager does.
            self.start()
            until = time.time() + PATIENCE
            while self.process.poll() is None:
                check(time.time() < until, "it runs on a full disk")
                self.round(4 if len(self.flows) < MOST else 0)
        os.remove(filler)
        self.kills = 0
        self.finish()
        print(f"full, live: the sensor ended {ends} times before there was room, first with: {first}")

    def judge(self):
        listed = subprocess.run([self.sensor, "alerts", "--json", "--all", "--state", self.state], stdout=subprocess.PIPE, check=True)
        ledger = [json.loads(line) for line in listed.stdout.splitlines()]
        ids = {alert["id"]: alert for alert in ledger}
        check(len(ids) == len(ledger), "an id twice in the ledger")

        # Every flow raised one alert that stands, and nothing else did.
        standing = {}
        for alert in ledger:
            if alert["state"] != "withdrawn":
                standing.setdefault(alert["destination"]["ip"], []).append(alert)
        check(set(standing) == set(self.by_address), "contacts without an alert:", set(self.by_address) - set(standing))
        for address, alerts in standing.items():
            check(len(alerts) == 1, "alerts of one contact:", alerts)
            check(self.by_address[address].is_udp or alerts[0]["flow"]["end"], "the end of the flow is not told:", alerts[0])

        # The file has every revision of every alert, in order and once; its last one is what the ledger has.
        lines = receivers.json_lines(self.path("alerts.jsonl"))
        revisions = {}
        for line in lines:
            check(line["id"] in ids, "a line that the ledger knows nothing of:", line)
            before = revisions.get(line["id"])
            check(line["revision"] == (before["revision"] + 1 if before else 1), "revisions:", before, line)
            check((line["event"] == "raised") == (before is None), "events:", before, line)
            revisions[line["id"]] = line
        check(set(revisions) == set(ids), "the file has not all")
        for name, line in revisions.items():
            kept = ids[name]
            check(all(kept[field] == value for field, value in line.items()), "the ledger has", kept, "the file", line)

        return lines, ids

    def judge_receivers(self, lines, ids):
        """The receivers have the same, in order; a line may come again."""
        twice = []
        for sink in ("tcp", "relp"):
            receivers.order(self.path("alerts.jsonl"), self.path(sink + ".log"))
            came = receivers.received(self.path(sink + ".log"))
            twice.append(len(came) - len(lines))

        # What went on over a kill.
        def seconds(text):
            return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + text[19:29])
        def spans(since, until):
            return any(seconds(since) < at < seconds(until) for at in self.killed_at)
        raised = {line["id"]: line for line in lines if line["revision"] == 1}
        waited = sum(spans(line["ts"], line["at"]) for line in raised.values())
        told = sum(spans(raised[line["id"]]["at"], line["at"]) for line in lines if line["event"] == "updated")
        check(waited and told, "no contact and no alert outlived a kill:", waited, told)
        print(
            f"live: {self.kills} kills ({self.watched} while watching, {self.starting} while starting; FIRSTCONTACT_SEED={self.seed}): "
            f"{len(self.flows)} contacts, {len(ids)} alerts, {len(lines)} lines; {waited} contacts were judged, and {told} alerts "
            f"updated, by a later sensor than saw them begin. Ledger, file, rsyslog over TCP ({twice[0]} lines twice or more) and "
            f"RELP ({twice[1]}) have every line in order; no id twice, no line twice in the file"
        )


def main():
    sensor, work, kills, *filler = sys.argv[1:]
    os.environ["TZ"] = "UTC"
    time.tzset()
    trial = Trial(sensor, work, 0 if filler else int(kills))
    try:
        if filler:
            trial.kills = MOST      # Only the last sensor may end every flow.
            trial.run_full(*filler)
        else:
            trial.run()
    finally:
        if trial.process and trial.process.poll() is None:
            trial.process.kill()
    lines, ids = trial.judge()
    if not filler:
        trial.judge_receivers(lines, ids)


if __name__ == "__main__":
    main()
