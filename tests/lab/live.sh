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
. "$HERE/trial.sh"
lab_require rsyslogd tcpreplay jq ss

for file in "$CAPTURES/day-one.pcap" "$CAPTURES/day-two.pcap" "$HERE/../../config/demo.toml"; do
  [ -s "$file" ] || lab_fail "$file is missing"
done

trial_begin live

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

# --- watching ---------------------------------------------------------------------------------------------------------

# Starts recorder and sensor on an interface: watch_start NAME IFACE. A baseline may lie in $WORK/NAME.state already.
watch_start() {
  mkdir -p "$WORK/$1.state"
  cp -a "$WORK/$1.state" "$WORK/$1-replay.state"                # the replay has to start from where the sensor started
  recorder_start "$2" "$WORK/$1.pcap"
  eval "recorder_$1=\$RECORDER"
  sensor_start "$1" "$SENSOR" run --interface "$2" --config "$WORK/live.toml" --state "$WORK/$1.state"
}

# Stops sensor and recorder: watch_stop NAME IFACE.
watch_stop() {
  sensor_stop "$1"
  eval "recorder_stop \"\$recorder_$1\" $2"
}

# Compares live, replay and what has to come out: watch_judge NAME, the latter on standard input as `raised` takes it.
watch_judge() {
  "$REPLAY" --config "$WORK/replay.toml" --state "$WORK/$1-replay.state" --alerts "$WORK/$1-replay.events" "$WORK/$1.pcap" || wrong "$1: replay failed"
  tee "$WORK/$1.list" | raised "$1"
  raised "$1-replay" < "$WORK/$1.list"
  same_alerts "$1" "$1-replay"

  while read -r id; do
    for transport in tcp udp; do
      grep -qF -- "$id" "$WORK/syslog-$transport.log" 2>/dev/null || wrong "$1: alert $id did not reach syslog over $transport"
    done
  done < "$WORK/$1.ids"

  echo "$1: $(wc -l < "$WORK/$1.raised") alerts live, $(wc -l < "$WORK/$1-replay.raised") in replay; $(same_ids "$1" "$1-replay") ids are the same"
  jq -r '"  \(.id) \(.kind) \(.workload.name) \(.destination.domain // .destination.ip)"' "$WORK/$1.raised"
}

# --- the run ---------------------------------------------------------------------------------------------------------

trial_settings > "$WORK/replay.toml"
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

watch_start captures span
ip netns exec "$LAB_PREFIX-switch" tcpreplay -q -i span0 "$CAPTURES/day-two.pcap" > "$WORK/tcpreplay.log" 2>&1 || lab_fail "tcpreplay: $(cat "$WORK/tcpreplay.log")"
settle
watch_stop captures span
watch_judge captures <<'ALERTS'
new_external_domain app example.edu
new_external_ip batch 203.0.113.66
ALERTS

watch_start span span
watch_start vxlan vxlan
day_one
day_two
settle
watch_stop span span
watch_stop vxlan vxlan
for name in span vxlan; do both_days_raise | watch_judge $name; done

trial_end "live and replay agree"
