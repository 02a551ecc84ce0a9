#!/bin/sh
# The listening test: several hosts mirror their own traffic at once, by the kernel's VXLAN, and what `sensor run --listen`
# raises as a user without any right has to be what `sensor run --interface` raises on the same packets at the same time,
# and what `replay` raises from a recording of them.
#
#     SENSOR=target/release/sensor REPLAY=target/release/replay tests/lab/listen.sh
#
# Each of the three workloads is a mirror of its own: what crosses its eth0, either way, goes through tc mirred into a VXLAN
# device that leads to the sensor, as a cloud mirrors network interfaces. The sensor's end is a bridge with an address.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lab.sh"
. "$HERE/traffic.sh"
lab_require jq setpriv awk

lab_trial listen

# --- mirrors ---------------------------------------------------------------------------------------------------------

MIRRORS="web:5 app:6 batch:7"

mirrors_up() {
  ip -n "$LAB_PREFIX-sensor" link add taps address 02:00:0a:fb:00:01 type bridge mcast_snooping 0
  ip -n "$LAB_PREFIX-sensor" link set taps mtu 9000 up
  ip -n "$LAB_PREFIX-sensor" addr add 10.251.0.1/24 dev taps
  for x in $MIRRORS; do
    node=${x%:*} last=${x#*:}
    lab_link "$node" mirror "02:00:0a:fb:00:0$last" sensor "tap-$node" "02:00:0a:fb:01:0$last"
    ip -n "$LAB_PREFIX-sensor" link set "tap-$node" mtu 9000 master taps
    ip -n "$LAB_PREFIX-$node" link set mirror mtu 9000
    ip -n "$LAB_PREFIX-$node" addr add "10.251.0.$last/24" dev mirror
    ip -n "$LAB_PREFIX-$node" neigh add 10.251.0.1 lladdr 02:00:0a:fb:00:01 dev mirror nud permanent
    ip -n "$LAB_PREFIX-$node" link add vx0 type vxlan id 42 local "10.251.0.$last" remote 10.251.0.1 dstport 4789 dev mirror nolearning
    ip -n "$LAB_PREFIX-$node" link set vx0 mtu 8900 up
    ip netns exec "$LAB_PREFIX-$node" tc qdisc add dev eth0 clsact
    for way in ingress egress; do
      ip netns exec "$LAB_PREFIX-$node" tc filter add dev eth0 "$way" bpf bytecode '1,6 0 0 4294967295,' action mirred egress mirror dev vx0
    done
  done
}

# --- sensors ---------------------------------------------------------------------------------------------------------

# Nobody: another user, no group, no capability, and no way to get one.
NOBODY="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"

# Waits until a sensor says that it watches: sensor_ready NAME.
sensor_ready() {
  tries=0
  until grep -qs watching "$LAB_DIR/sensor-$1.log"; do
    lab_runs "$LAB_PID" || lab_fail "$1: the sensor ended at its start: $(cat "$LAB_DIR/sensor-$1.log")"
    tries=$((tries + 1)); [ "$tries" -lt 300 ] || lab_fail "$1: the sensor does not start within 30 s"
    sleep 0.1
  done
}

# Stops a sensor: sensor_stop NAME PID. Its counters are the last thing it says.
sensor_stop() {
  lab_runs "$2" || wrong "$1: the sensor ended by itself: $(tail -n 5 "$LAB_DIR/sensor-$1.log")"
  status=0; lab_stop "$2" || status=$?
  [ "$status" = 0 ] || wrong "$1: the sensor ended with status $status on SIGTERM: $(tail -n 5 "$LAB_DIR/sensor-$1.log")"
  sed -n 's/.*counters: //p' "$LAB_DIR/sensor-$1.log" > "$WORK/$1.counters"
  jq -e '.loss.kernel == 0 and .loss.queue == 0 and .packets > 0' "$WORK/$1.counters" > /dev/null || wrong "$1: lost frames: $(cat "$WORK/$1.counters")"
}

# A start as nobody that has to fail: refused_start WORDS ARGUMENT…
refused_start() {
  words=$1; shift
  status=0
  ip netns exec "$LAB_PREFIX-sensor" $NOBODY "$WORK/sensor" run --state "$WORK/refused.state" "$@" > "$WORK/refused.log" 2>&1 || status=$?
  [ "$status" = 1 ] || wrong "$*: status $status, expected 1"
  grep -q "^error: .*$words" "$WORK/refused.log" || wrong "$*: says nothing of '$words': $(cat "$WORK/refused.log")"
}

FACTS='[.kind, .workload.name, .workload.address, .workload.segment, .destination.domain, .destination.tenant, .destination.ip, .evidence.name, .evidence.client, .flow.octets_out, .flow.octets_in] | map(. // "-" | tostring) | join(" ")'

# Takes what stands raised out of a list of alerts: raised NAME.
raised() {
  jq -c 'select((.state // "raised") == "raised") | select(.kind != null)' "$WORK/$1.jsonl" > "$WORK/$1.raised" || wrong "$1: not JSON Lines"
  jq -r "$FACTS" "$WORK/$1.raised" | sort > "$WORK/$1.facts"
  jq -r .id "$WORK/$1.raised" | sort > "$WORK/$1.ids"
}

# --- the run ---------------------------------------------------------------------------------------------------------

{ cat "$HERE/../../config/demo.toml"; printf '\n[baseline]\nlearning = "0s"\nlearning_new = "0s"\n'; } > "$WORK/sensor.toml"
cp "$SENSOR" "$WORK/sensor"                                     # nobody may not be let into the folder of the build
mkdir "$WORK/listen.state" "$WORK/interface.state" "$WORK/refused.state"
chown 65534:65534 "$WORK/listen.state" "$WORK/refused.state"
chmod 755 "$WORK"

lab_up
mirrors_up
recorder_start taps "$WORK/taps.pcap" 'udp port 4789'

lab_start sensor sensor-listen $NOBODY "$WORK/sensor" run --listen udp://10.251.0.1:4789 --threads 2 --config "$WORK/sensor.toml" --state "$WORK/listen.state"
listen=$LAB_PID
sensor_ready listen
lab_start sensor sensor-interface "$SENSOR" run --interface taps --threads 2 --config "$WORK/sensor.toml" --state "$WORK/interface.state"
interface=$LAB_PID
sensor_ready interface

awk '$1 ~ /^Cap(Inh|Prm|Eff|Bnd|Amb):$/ && $2 !~ /^0+$/ { print; bad = 1 } $1 == "Uid:" && $2 != 65534 { print; bad = 1 } END { exit bad }' \
  "/proc/$listen/status" || wrong "the listening sensor has rights"
refused_start 'the port is taken' --listen udp://0.0.0.0:4789
refused_start 'takes CAP_NET_BIND_SERVICE' --listen vxlan://10.251.0.1:789

day_one
day_two
sleep 8                                                         # settle is 5 s; what is judged is stored soon after

sensor_stop listen "$listen"
sensor_stop interface "$interface"
recorder_stop "$RECORDER" taps

"$SENSOR" alerts --state "$WORK/listen.state" --json --all > "$WORK/listen.jsonl" || wrong "listen: sensor alerts failed"
"$SENSOR" alerts --state "$WORK/interface.state" --json --all > "$WORK/interface.jsonl" || wrong "interface: sensor alerts failed"
"$REPLAY" --config "$WORK/sensor.toml" --state "$WORK/replay.state" --stats "$WORK/replay.counters" --alerts "$WORK/replay.events" "$WORK/taps.pcap" || wrong "replay failed"
"$SENSOR" alerts --state "$WORK/replay.state" --json --all > "$WORK/replay.jsonl" || wrong "replay: sensor alerts failed"
for side in listen interface replay; do raised $side; done

sort > "$WORK/expected" <<'ALERTS'
new_external_domain app example.edu
new_external_domain app example.net
new_external_domain app example.org
new_external_domain app vendor.example
new_external_domain batch example.com
new_external_domain batch example.net
new_external_domain batch storage.example
new_external_domain web example.com
new_external_domain web example.net
new_external_domain web example.org
new_external_ip batch 203.0.113.66
ALERTS
for side in listen interface replay; do
  jq -r '"\(.kind) \(.workload.name) \(if .kind == "new_external_ip" then .destination.ip else .destination.domain end)"' "$WORK/$side.raised" | sort > "$WORK/$side.short"
  diff -u "$WORK/expected" "$WORK/$side.short" >&2 || wrong "$side differs from what has to come out"
done
diff -u "$WORK/listen.facts" "$WORK/interface.facts" >&2 || wrong "listen and interface differ"
diff -u "$WORK/listen.facts" "$WORK/replay.facts" >&2 || wrong "listen and replay differ"
# What came as VXLAN gave the same packets to all three.
for side in listen interface replay; do jq -c '[.packets, .flows.opened, .dns.responses]' "$WORK/$side.counters"; done | uniq | awk 'END { exit NR != 1 }' ||
  wrong "packets differ: $(jq -c '[.packets, .flows.opened, .dns.responses]' "$WORK/listen.counters" "$WORK/interface.counters" "$WORK/replay.counters" | tr '\n' ' ')"

for x in $MIRRORS; do
  tcpdump -r "$WORK/taps.pcap" -nn -c 1 "src host 10.251.0.${x#*:}" 2>/dev/null | grep -q . || wrong "${x%:*} mirrored nothing"
done

# Ids hold the contact's time, which the kernel gives once for all its readers, but for TCP that was sent on this very
# machine (see live.sh): those are given apart, and printed, not judged.
echo "listen: $(wc -l < "$WORK/listen.raised") alerts; ids: $(comm -12 "$WORK/listen.ids" "$WORK/interface.ids" | wc -l) the same as from the interface, $(comm -12 "$WORK/listen.ids" "$WORK/replay.ids" | wc -l) as in replay"
[ -z "$FAILED" ] || exit 1
echo "listen: listening, the interface and replay agree"
