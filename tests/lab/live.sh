#!/bin/sh
# The live test: what `sensor run` raises on a mirror has to be what `replay` raises from a recording of that mirror.
#
#     SENSOR=target/release/sensor REPLAY=target/release/replay tests/lab/live.sh
#
# Three trials, each with a recorder beside the sensor, and with rsyslog on TCP and UDP as its sinks:
#   captures   day-two.pcap is sent down the mirror's link, over a baseline that was learnt from day-one.pcap: two alerts
#   span       both days are lived through in the lab, on the plain mirror and without a baseline: eleven alerts
#   vxlan      the same packets at the same time from the VXLAN mirror: the same eleven
# It exits 0 only if in every trial live, replay and what has to come out agree, syslog got every alert over both
# transports, and the sensor stopped cleanly on SIGTERM. What a failed run saw stays in the folder that it names.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
CAPTURES=$HERE/../../captures
. "$HERE/lab.sh"
. "$HERE/traffic.sh"
lab_require rsyslogd tcpreplay jq ss

for file in "$CAPTURES/day-one.pcap" "$CAPTURES/day-two.pcap" "$HERE/../../config/demo.toml"; do
  [ -s "$file" ] || lab_fail "$file is missing"
done

lab_trial live

# --- rsyslog, in the sensor's namespace, as a user's collector would be configured -----------------------------------

start_rsyslog() {
  cat > "$WORK/rsyslog.conf" <<CONF
global(workDirectory="$WORK" maxMessageSize="64k")
module(load="imtcp")
module(load="imudp")
template(name="as_received" type="string" string="%rawmsg%\n")
ruleset(name="tcp") { action(type="omfile" file="$WORK/syslog-tcp.log" template="as_received") }
ruleset(name="udp") { action(type="omfile" file="$WORK/syslog-udp.log" template="as_received") }
input(type="imtcp" address="127.0.0.1" port="601" supportOctetCountedFraming="on" ruleset="tcp")
input(type="imudp" address="127.0.0.1" port="514" ruleset="udp")
CONF
  rsyslogd -N1 -f "$WORK/rsyslog.conf" >"$WORK/rsyslog.check" 2>&1 || lab_fail "rsyslog refuses its settings: $(cat "$WORK/rsyslog.check")"
  lab_start sensor rsyslog rsyslogd -n -f "$WORK/rsyslog.conf" -i "$WORK/rsyslog.pid"
  tries=0
  until ip netns exec "$LAB_PREFIX-sensor" ss -Hltn 'sport = :601' | grep -q . && ip netns exec "$LAB_PREFIX-sensor" ss -Hlun 'sport = :514' | grep -q .; do
    tries=$((tries + 1)); [ "$tries" -lt 50 ] || lab_fail "rsyslog does not listen: $(cat "$LAB_DIR/rsyslog.log")"
    sleep 0.1
  done
}

# --- a trial ---------------------------------------------------------------------------------------------------------

# The packet sockets bound to an interface of the sensor: the recorder's, and the sensor's once it captures.
packet_sockets() {
  index=$(ip netns exec "$LAB_PREFIX-sensor" cat "/sys/class/net/$1/ifindex")
  ip netns exec "$LAB_PREFIX-sensor" awk -v index_="$index" 'NR > 1 && $5 == index_ { n++ } END { print n + 0 }' /proc/net/packet
}

# Starts recorder and sensor on an interface: trial_start NAME IFACE. A baseline may lie in $WORK/NAME.state already.
trial_start() {
  mkdir -p "$WORK/$1.state"
  cp -a "$WORK/$1.state" "$WORK/$1.replay-state"                # the replay has to start from where the sensor started
  recorder_start "$2" "$WORK/$1.pcap"
  eval "recorder_$1=\$RECORDER"
  before=$(packet_sockets "$2")
  [ "$before" -ge 1 ] || lab_fail "$1: the recorder has no packet socket on $2"
  lab_start sensor "sensor-$1" "$SENSOR" run --interface "$2" --config "$WORK/live.toml" --state "$WORK/$1.state"
  eval "sensor_$1=\$LAB_PID"
  # It captures once its sockets are there and their number no longer grows.
  tries=0 now=$before last=
  until [ "$now" -gt "$before" ] && [ "$now" = "$last" ]; do
    lab_runs "$LAB_PID" || lab_fail "$1: the sensor ended at its start: $(cat "$LAB_DIR/sensor-$1.log")"
    tries=$((tries + 1)); [ "$tries" -lt 60 ] || lab_fail "$1: the sensor does not capture on $2 after 30 s: $(cat "$LAB_DIR/sensor-$1.log")"
    sleep 0.5
    last=$now now=$(packet_sockets "$2")
  done
}

# Stops sensor and recorder: trial_stop NAME IFACE.
trial_stop() {
  eval "pid=\$sensor_$1 recorder=\$recorder_$1"
  lab_runs "$pid" || wrong "$1: the sensor ended by itself: $(tail -n 5 "$LAB_DIR/sensor-$1.log")"
  status=0; lab_stop "$pid" || status=$?                       # SIGTERM
  [ "$status" = 0 ] || wrong "$1: the sensor ended with status $status on SIGTERM: $(tail -n 5 "$LAB_DIR/sensor-$1.log")"
  recorder_stop "$recorder" "$2"
}

# What two runs must agree on. Ids hold the contact's time and are printed, not judged. The kernel stamps a frame once for
# all its readers, so the ids of the first trial and those of UDP contacts are the same. A TCP frame that was sent on
# this very machine still carries its sender's pacing time where the stamp would be, and then sensor and recorder are
# each given their own, a microsecond apart: those ids differ, here and not behind a real mirror.
FACTS='[.kind, .workload.name, .workload.address, .destination.domain, .destination.tenant, .destination.ip] | map(. // "-") | join(" ")'

# Compares live, replay and what has to come out: trial_judge NAME, the latter as "kind workload domain-or-address" lines
# on standard input.
trial_judge() {
  sort > "$WORK/$1.expected"
  "$SENSOR" alerts --state "$WORK/$1.state" --json --all > "$WORK/$1.live.jsonl" || wrong "$1: sensor alerts failed"
  "$REPLAY" --config "$WORK/replay.toml" --state "$WORK/$1.replay-state" --alerts "$WORK/$1.replay.jsonl" "$WORK/$1.pcap" || wrong "$1: replay failed"

  # Learned, suppressed and withdrawn ones are in both outputs in other forms: only what stands raised is compared.
  jq -c 'select((.state // "raised") == "raised") | select(.kind != null)' "$WORK/$1.live.jsonl" > "$WORK/$1.live" || wrong "$1: sensor alerts: not JSON Lines"
  jq -sc 'map(select(.event == "withdrawn") | .id) as $gone | .[] | select(.event == "raised" and (.id | IN($gone[]) | not))' "$WORK/$1.replay.jsonl" > "$WORK/$1.replay" || wrong "$1: replay: not JSON Lines"

  for side in live replay; do
    jq -r "$FACTS" "$WORK/$1.$side" | sort > "$WORK/$1.$side.facts"
    jq -r '"\(.kind) \(.workload.name) \(if .kind == "new_external_ip" then .destination.ip else .destination.domain end)"' "$WORK/$1.$side" | sort > "$WORK/$1.$side.short"
    diff -u "$WORK/$1.expected" "$WORK/$1.$side.short" >&2 || wrong "$1: $side differs from what has to come out"
    jq -r '.id' "$WORK/$1.$side" | sort > "$WORK/$1.$side.ids"
  done
  diff -u "$WORK/$1.live.facts" "$WORK/$1.replay.facts" >&2 || wrong "$1: live and replay differ"

  while read -r id; do
    for transport in tcp udp; do
      grep -qF -- "$id" "$WORK/syslog-$transport.log" 2>/dev/null || wrong "$1: alert $id did not reach syslog over $transport"
    done
  done < "$WORK/$1.live.ids"

  echo "$1: $(wc -l < "$WORK/$1.live") alerts live, $(wc -l < "$WORK/$1.replay") in replay; $(comm -12 "$WORK/$1.live.ids" "$WORK/$1.replay.ids" | wc -l) ids are the same"
  jq -r "\"  \" + .id + \" \" + ($FACTS)" "$WORK/$1.live"
}

# Settle is 5 s: a contact is judged by then, and everything judged is delivered soon after.
settle() { sleep 8; }

# --- the run ---------------------------------------------------------------------------------------------------------

# Live, a sensor learns for 14 days; here it has to speak at once.
{ cat "$HERE/../../config/demo.toml"; printf '\n[baseline]\nlearning = "0s"\nlearning_new = "0s"\n'; } > "$WORK/replay.toml"
{ cat "$WORK/replay.toml"; printf '\n[[sink]]\nurl = "tcp://127.0.0.1:601"\n\n[[sink]]\nurl = "udp://127.0.0.1:514"\n'; } > "$WORK/live.toml"

lab_up
start_rsyslog

# Day one, moved to 24 h before now, whenever it was recorded: a baseline of over 90 days ago would be none.
first=$(tcpdump -r "$CAPTURES/day-one.pcap" -nn -tt -c 1 2>/dev/null | cut -d. -f1)
shift_by=$(($(date +%s) - 86400 - first))
case $shift_by in -*) ;; *) shift_by=+$shift_by ;; esac
"$REPLAY" --config "$WORK/replay.toml" --state "$WORK/captures.state" --learn --shift "${shift_by}s" --alerts "$WORK/learn.jsonl" "$CAPTURES/day-one.pcap" ||
  lab_fail "replay does not learn day one"
[ ! -s "$WORK/learn.jsonl" ] || wrong "captures: replay --learn raised alerts: $(head -n 3 "$WORK/learn.jsonl")"

trial_start captures span
ip netns exec "$LAB_PREFIX-switch" tcpreplay -q -i span0 "$CAPTURES/day-two.pcap" > "$WORK/tcpreplay.log" 2>&1 || lab_fail "tcpreplay: $(cat "$WORK/tcpreplay.log")"
settle
trial_stop captures span
trial_judge captures <<'ALERTS'
new_external_domain app example.edu
new_external_ip batch 203.0.113.66
ALERTS

trial_start span span
trial_start vxlan vxlan
day_one
day_two
settle
trial_stop span span
trial_stop vxlan vxlan
for trial in span vxlan; do
  trial_judge $trial <<'ALERTS'
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
done

[ -z "$FAILED" ] || exit 1
echo "live: live and replay agree"
