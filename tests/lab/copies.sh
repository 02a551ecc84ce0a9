#!/bin/sh
# The test of copies (rule W5): where both ends of conversations are mirrored into one segment, what is raised has to be
# what one copy of the same traffic raises, live on both ingests and in replay.
#
#     SENSOR=target/release/sensor REPLAY=target/release/replay tests/lab/copies.sh [4|6]
#
# 4, over IPv4, is the default; 6 is such a day over IPv6 alone, whose packets have no identification.
#
# The mirror of the lab is the first one: each frame once, where it enters the switch. A second one shows each frame again,
# where it leaves the switch for a workload or the resolver, and behind the gateway, both ways. So what goes out comes
# twice, the second time with a TTL one lower and another router's hardware addresses; what comes in comes three times,
# first as the outside sent it; what stays inside comes twice and alike to the last octet.
#
#     span    ──► span ──┬──► copies      both as SPAN ports that one interface of the sensor gets
#     there   ──► there ─┘
#     VNI 42, from 10.250.0.9  ──┬──► vxlan      both in VXLAN, in VNIs that one [[segment]] joins
#     VNI 43, from 10.250.0.10 ──┘
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lab.sh"
. "$HERE/traffic.sh"
. "$HERE/trial.sh"
lab_require jq taskset ss logger python3

FAMILY=${1:-4}
case $FAMILY in 4 | 6) ;; *) lab_fail "usage: copies.sh [4|6]" ;; esac

trial_begin copies

# --- the second mirror -----------------------------------------------------------------------------------------------

second_mirror() {
  lab_link switch there0 02:00:0a:fa:02:09 sensor there 02:00:0a:fa:02:01
  ip -n "$LAB_PREFIX-switch" addr add 10.250.0.10/24 dev under0
  ip -n "$LAB_PREFIX-switch" link add vx1 type vxlan id 43 local 10.250.0.10 remote 10.250.0.1 dstport 4789 dev under0 ttl 64 nolearning
  ip -n "$LAB_PREFIX-switch" link set vx1 mtu 8900 up
  for port in web app batch dns; do
    lab_tap switch $port egress action mirred egress mirror dev there0 pipe action mirred egress mirror dev vx1
  done
  lab_link gateway tap 02:00:0a:fa:03:01 switch behind 02:00:0a:fa:03:09
  lab_tap gateway eth1 ingress action mirred egress mirror dev tap
  lab_tap gateway eth1 egress action mirred egress mirror dev tap
  lab_tap switch behind ingress action mirred egress mirror dev there0 pipe action mirred egress redirect dev vx1
  # Both SPAN ports once more on one interface, as if they had come there, with the stamps that they have.
  lab_link switch copies0 02:00:0a:fa:04:09 sensor copies 02:00:0a:fa:04:01
  for port in span there; do
    lab_tap sensor $port ingress action mirred ingress mirror dev copies
  done
  # VXLAN is received where it is listened for.
  ip -n "$LAB_PREFIX-sensor" addr add 10.250.0.1/24 dev vxlan
}

# --- traffic ---------------------------------------------------------------------------------------------------------

# Log lines, each in a datagram to a collector outside that no name leads to. UDP has no sequence numbers, so these are the
# octets that copies would double; there are so few that only twice as many would make the alert one higher, live too.
# What the collector received is the truth. Over IPv4 all lines are the same, and identifications tell them apart; over
# IPv6 nothing would (see docs/rules.md), so they have numbers.
LINES=70
COLLECTOR=203.0.113.68 NUMBER='' HOPS='ip[8]'
[ "$FAMILY" = 4 ] || COLLECTOR=2001:db8:bad::68 NUMBER=%03d HOPS='ip6[7]'

collector_up() {
  cat > "$WORK/collector.py" <<'PYTHON'
import socket, sys

collector = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
collector.bind((sys.argv[1], 514))
octets = sum(len(collector.recv(65535)) for line in range(int(sys.argv[2])))
with open(sys.argv[3], "w") as file:
    print(octets, file=file)
PYTHON
  lab_start outside collector python3 "$WORK/collector.py" $COLLECTOR $LINES "$WORK/received"
  tries=0
  until ip netns exec "$LAB_PREFIX-outside" ss -Hlun 'sport = :514' | grep -q .; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || lab_fail "the collector does not listen: $(cat "$LAB_DIR/collector.log")"
    sleep 0.1
  done
}

# Ten at a time, as fast as they go: within a few milliseconds of each other, and no more than any buffer holds.
log_lines() {
  line=$(head -c 60 /dev/zero | tr '\0' 'x')
  for n in $(seq $LINES); do
    # shellcheck disable=SC2059  # a number, or none
    printf "$NUMBER$line\n" "$n"
    [ $((n % 10)) != 0 ] || sleep 0.1
  done | at batch logger --udp --server $COLLECTOR --port 514 --rfc3164 --tag batch
  tries=0
  until [ -s "$WORK/received" ]; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || lab_fail "the collector did not get all lines"
    sleep 0.1
  done
}

# What is lived through, and what it raises, as `raised` takes it.
all_days() {
  case $FAMILY in
    4) day_one; log_lines; day_two ;;
    6) ipv6_day; log_lines ;;
  esac
}

all_raise() {
  case $FAMILY in 4) both_days_raise ;; 6) ipv6_day_raises ;; esac
  echo "new_external_ip batch $COLLECTOR"
}

# --- comparing -------------------------------------------------------------------------------------------------------

# Replays captures: replayed NAME OPTION… FILE…
replayed() {
  name=$1; shift
  "$REPLAY" --config "$WORK/sensor.toml" --state "$WORK/$name.state" --stats "$WORK/$name.counters" --records "$WORK/$name.records" \
    --alerts "$WORK/$name.events" "$@" || wrong "$name: replay failed"
  all_raise | raised "$name"
}

# What two runs have to agree on that were given the same frames with the same stamps, one of them with copies: ids and
# everything else, to the last octet. But for a copy an epoch may end a little earlier or later, and a flow last a little
# longer: so left out are when something was decided, in how many events, how long the flow lasted, the sentence that says
# so, and of a flow that is open how much had come by then (see FACTS).
ALIKE='del(.at, .revision, .event, .flow.duration, .summary) |
  if .flow.end == null then del(.flow.outcome, .flow.octets_out, .flow.octets_in) else . end'

# Compares all of what two runs raised: same_lines NAME NAME.
same_lines() {
  for side in "$1" "$2"; do jq -c -S "$ALIKE" "$WORK/$side.raised" | sort > "$WORK/$side.alike"; done
  diff -u "$WORK/$1.alike" "$WORK/$2.alike" >&2 || wrong "$1 and $2 differ"
  # What was seen first and last of a flow may be a copy, and copies are known that are within 10 ms.
  jq -n -e --slurpfile one "$WORK/$1.raised" --slurpfile other "$WORK/$2.raised" \
    '[$one, $other] | map(map({ key: .id, value: .flow.duration }) | from_entries) | . as [$one, $other] | all($one | keys[]; ($one[.] - $other[.]) | fabs <= 0.02)' \
    > /dev/null || wrong "$1 and $2: durations differ by more than copies are apart"
}

# Compares what two replays wrote down of flows, answers and contacts, octets with them: same_records NAME NAME.
same_records() {
  for side in "$1" "$2"; do
    for list in flows dns contacts; do jq -c 'del(.ts, .file, .frame, .evidence.ts)' "$WORK/$side.records/$list.jsonl" | sort > "$WORK/$side.$list"; done
  done
  for list in flows dns contacts; do diff -u "$WORK/$1.$list" "$WORK/$2.$list" >&2 || wrong "$1 and $2: $list differ"; done
}

# Says whether counters hold something true: counted NAME FILTER.
counted() { jq -e "$2" "$WORK/$1.counters" > /dev/null || wrong "$1: not so: $2: $(jq -c '[.packets, .duplicates, .flows, .dns]' "$WORK/$1.counters")"; }

# Prints how many milliseconds copies of datagrams were apart at most. With all that -v shows but the hops, the same text is
# the same datagram: none of them is sent again within 300 ms.
milliseconds_apart() {
  tcpdump -r "$WORK/copies.pcap" -nn -tt -v udp 2> /dev/null | awk '
    function met() { if (what in seen && now - seen[what] < 0.3 && now - seen[what] > most) most = now - seen[what]; seen[what] = now }
    /^[0-9]/ { if (what != "") met(); now = $1; $1 = ""; sub(/(ttl|hlim) [0-9]+/, ""); what = $0; next }
    { what = what $0 }
    END { met(); printf "%.3f\n", most * 1000 }'
}

# --- the run ---------------------------------------------------------------------------------------------------------

# All of the lab on one processor: a frame then reaches the first mirror before the second one, whoever reads them. The
# sensors take what there is.
PROCESSORS=$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status)
taskset -cp "${PROCESSORS%%[-,]*}" $$ > /dev/null

trial_settings > "$WORK/apart.toml"
{ cat "$WORK/apart.toml"; printf '\n[[segment]]\nname = "estate"\nvni = [42, 43]\n'; } > "$WORK/sensor.toml"

lab_up "$FAMILY"
second_mirror
collector_up

recorders=
for iface in span there copies; do
  recorder_start $iface "$WORK/$iface.pcap"; recorders="$recorders $RECORDER:$iface"
done
recorder_start vxlan "$WORK/vxlan.pcap" 'udp port 4789'; recorders="$recorders $RECORDER:vxlan"

# Four sensors: NAME:ARGUMENT:ADDRESS-OR-INTERFACE.
SENSORS="live-one:interface:span live-copies:interface:copies live-vxlan:interface:vxlan live-listen:listen:udp://10.250.0.1:4789"
for x in $SENSORS; do
  name=${x%%:*} what=${x#*:}
  sensor_start "$name" taskset -c "$PROCESSORS" "$SENSOR" run "--${what%%:*}" "${what#*:}" --threads 2 --config "$WORK/sensor.toml" --state "$WORK/$name.state"
done

all_days
settle
taskset -cp "$PROCESSORS" $$ > /dev/null

for x in $SENSORS; do sensor_stop "${x%%:*}"; done
for x in $recorders; do recorder_stop "${x%:*}" "${x#*:}"; done

# Copies are known within 10 ms (W5), and came 0.1 to 0.4 apart here. Where a machine holds a packet up for as long as
# that on its way from one mirror to the other, there is nothing to try.
apart=$(milliseconds_apart)
if [ "${apart%.*}" -ge 9 ]; then
  trial_end "not tried: this machine is so busy that copies come $apart ms apart"
  exit 0
fi

# One copy; the second mirror alone, which shows twice what comes in; and both, from two recordings, from one, and in VXLAN.
tcpdump -r "$WORK/vxlan.pcap" --time-stamp-precision nano -w "$WORK/vxlan-one.pcap" 'src host 10.250.0.9' 2> "$WORK/filter.log" || wrong "tcpdump: $(cat "$WORK/filter.log")"
replayed one "$WORK/span.pcap"
replayed other "$WORK/there.pcap"
replayed merged --merge "$WORK/span.pcap" "$WORK/there.pcap"
replayed copies "$WORK/copies.pcap"
replayed vxlan-one "$WORK/vxlan-one.pcap"
replayed vxlan "$WORK/vxlan.pcap"
for x in $SENSORS; do all_raise | raised "${x%%:*}"; done

# The same frames: everything is the same.
same_lines one merged
same_lines vxlan-one vxlan
# Other mirrors of them, and other readers: all but ids and times is.
for side in other copies live-one live-copies; do same_alerts one $side; done
for side in live-vxlan live-listen; do same_alerts vxlan-one $side; done
for side in other merged copies; do same_records one $side; done
same_records vxlan-one vxlan

# Nothing else counts twice either, and what was dropped is at least one packet of two: none is mirrored less than twice.
for side in one other merged copies vxlan-one vxlan live-one live-copies live-vxlan live-listen; do
  jq -c '[.flows.opened, .dns.queries, .dns.responses, .contacts.judged]' "$WORK/$side.counters"
done | sort -u > "$WORK/counted"
[ "$(wc -l < "$WORK/counted")" = 1 ] || wrong "flows, queries, responses or contacts differ: $(tr '\n' ' ' < "$WORK/counted")"
for side in merged copies vxlan live-copies live-vxlan live-listen; do counted $side '.duplicates.dropped * 2 >= .packets'; done
# A machine that is slow repeats a segment now and then, and over IPv6 that is alike.
for side in one vxlan-one live-one; do counted $side '.duplicates.dropped * 20 < .packets'; done

# That there were copies to find: both mirrors show each log line, one a hop later than the other; what the collector was
# given is what is written down; and to whom nobody says that both VNIs are one network, there is everything twice.
shown() { tcpdump -r "$WORK/$1.pcap" -nn "dst host $COLLECTOR and udp port 514 and $HOPS == $2" 2>/dev/null | wc -l; }
[ "$(shown span 64) $(shown there 63) $(shown copies 64) $(shown copies 63)" = "$LINES $LINES $LINES $LINES" ] || wrong "the mirrors do not show all log lines"
for side in one merged copies vxlan-one vxlan; do
  octets=$(jq 'select(.responder.port == 514) | .octets_out' "$WORK/$side.records/flows.jsonl")
  [ "$octets" = "$(cat "$WORK/received")" ] || wrong "$side: $octets octets to the collector, which received $(cat "$WORK/received")"
done
"$REPLAY" --config "$WORK/apart.toml" --stats "$WORK/apart.counters" --alerts "$WORK/apart.events" "$WORK/vxlan.pcap" || wrong "apart: replay failed"
counted apart ".flows.opened == 2 * $(jq .flows.opened "$WORK/one.counters")"

echo "copies, IPv$FAMILY: $(wc -l < "$WORK/one.raised") alerts; ids: $(same_ids one merged) the same as with copies, $(same_ids vxlan-one vxlan) in VXLAN, $(same_ids copies live-copies) live, $(same_ids vxlan live-vxlan) live in VXLAN, $(same_ids vxlan live-listen) listening"
echo "  copies are at most $apart ms apart"
for side in merged copies vxlan live-copies live-vxlan live-listen; do
  jq -r --arg name $side '"  \($name): \(.packets) packets, \(.duplicates.dropped) of them copies"' "$WORK/$side.counters"
done
trial_end "over IPv$FAMILY, both ends of conversations give what one copy gives"
