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
. "$HERE/trial.sh"
lab_require jq setpriv awk

trial_begin listen

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
    for way in ingress egress; do lab_tap "$node" eth0 $way action mirred egress mirror dev vx0; done
  done
}

# --- sensors ---------------------------------------------------------------------------------------------------------

# Nobody: another user, no group, no capability, and no way to get one.
NOBODY="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"

# A start as nobody that has to fail: refused_start WORDS ARGUMENT…
refused_start() {
  words=$1; shift
  status=0
  ip netns exec "$LAB_PREFIX-sensor" $NOBODY "$WORK/sensor" run --state "$WORK/refused.state" "$@" > "$WORK/refused.log" 2>&1 || status=$?
  [ "$status" = 1 ] || wrong "$*: status $status, expected 1"
  grep -q "^error: .*$words" "$WORK/refused.log" || wrong "$*: says nothing of '$words': $(cat "$WORK/refused.log")"
}

# --- the run ---------------------------------------------------------------------------------------------------------

trial_settings > "$WORK/sensor.toml"
cp "$SENSOR" "$WORK/sensor"                                     # nobody may not be let into the folder of the build
mkdir "$WORK/listen.state" "$WORK/interface.state" "$WORK/refused.state"
chown 65534:65534 "$WORK/listen.state" "$WORK/refused.state"
chmod 755 "$WORK"

lab_up
mirrors_up
recorder_start taps "$WORK/taps.pcap" 'udp port 4789'

sensor_start listen $NOBODY "$WORK/sensor" run --listen udp://10.251.0.1:4789 --threads 2 --config "$WORK/sensor.toml" --state "$WORK/listen.state"
sensor_start interface "$SENSOR" run --interface taps --threads 2 --config "$WORK/sensor.toml" --state "$WORK/interface.state"

awk '$1 ~ /^Cap(Inh|Prm|Eff|Bnd|Amb):$/ && $2 !~ /^0+$/ { print; bad = 1 } $1 == "Uid:" && $2 != 65534 { print; bad = 1 } END { exit bad }' \
  "/proc/$(cat "$WORK/listen.pid")/status" || wrong "the listening sensor has rights"
refused_start 'the port is taken' --listen udp://0.0.0.0:4789
refused_start 'takes CAP_NET_BIND_SERVICE' --listen vxlan://10.251.0.1:789

day_one
day_two
settle

sensor_stop listen
sensor_stop interface
recorder_stop "$RECORDER" taps

"$REPLAY" --config "$WORK/sensor.toml" --state "$WORK/replay.state" --stats "$WORK/replay.counters" --alerts "$WORK/replay.events" "$WORK/taps.pcap" || wrong "replay failed"
for side in listen interface replay; do both_days_raise | raised $side; done
same_alerts listen interface
same_alerts listen replay
# What came as VXLAN gave the same packets to all three.
for side in listen interface replay; do jq -c '[.packets, .flows.opened, .dns.responses]' "$WORK/$side.counters"; done | uniq | awk 'END { exit NR != 1 }' ||
  wrong "packets differ: $(jq -c '[.packets, .flows.opened, .dns.responses]' "$WORK/listen.counters" "$WORK/interface.counters" "$WORK/replay.counters" | tr '\n' ' ')"

for x in $MIRRORS; do
  tcpdump -r "$WORK/taps.pcap" -nn -c 1 "src host 10.251.0.${x#*:}" 2>/dev/null | grep -q . || wrong "${x%:*} mirrored nothing"
done

echo "listen: $(wc -l < "$WORK/listen.raised") alerts; ids: $(same_ids listen interface) the same as from the interface, $(same_ids listen replay) as in replay"
trial_end "listening, the interface and replay agree"
