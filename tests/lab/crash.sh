#!/bin/sh
# A live sensor that is killed again and again beside real rsyslog loses no alert and doubles none (rules A1, A4 and T3).
#
#     SENSOR=target/release/sensor tests/lab/crash.sh [KILLS]
#
# Everything is on the loopback of a network namespace of its own: the sensor listens to a mirror's VXLAN there, rsyslog to
# TCP and RELP, and tests/lab/crash.py plays the mirror, kills the sensor and judges. It exits 0 only if everything was
# right; what a failed run saw stays in the folder that it names.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
KILLS=${1:-12}
: "${SENSOR:?names the sensor program}"
fail() { echo "crash: $*; see $WORK" >&2; KEEP=yes; exit 1; }

if [ -z "${CRASH_INSIDE:-}" ]; then
  CRASH_INSIDE=yes exec unshare --net "$0" "$@"
fi
ip link set lo up

WORK=$(mktemp -d "${TMPDIR:-/tmp}/fc-crash.XXXXXX")
KEEP='' RSYSLOG_PID=''
for tool in rsyslogd python3 ss; do
  command -v "$tool" >/dev/null || fail "$tool is missing; tests/lab/install.sh installs it"
done
at_end() {
  [ -z "$RSYSLOG_PID" ] || kill -KILL "$RSYSLOG_PID" 2>/dev/null || true
  [ -n "$KEEP" ] || rm -rf "$WORK"
}
trap at_end EXIT
trap 'exit 130' INT TERM

cat > "$WORK/rsyslog.conf" <<CONF
global(workDirectory="$WORK" maxMessageSize="64k" net.enableDNS="off")
module(load="imtcp")
module(load="imrelp")
template(name="parts" type="string"
         string="%pri%\t%protocol-version%\t%timereported:::date-rfc3339%\t%hostname%\t%app-name%\t%procid%\t%msgid%\t%structured-data%\t%msg%\n")
ruleset(name="tcp" queue.type="Direct") { action(type="omfile" file="$WORK/tcp.log" template="parts") }
ruleset(name="relp" queue.type="Direct") { action(type="omfile" file="$WORK/relp.log" template="parts") }
input(type="imtcp" address="127.0.0.1" port="5601" ruleset="tcp")
input(type="imrelp" address="127.0.0.1" port="5251" ruleset="relp")
CONF
rsyslogd -n -f "$WORK/rsyslog.conf" -i "$WORK/rsyslog.pid" >> "$WORK/rsyslog.err" 2>&1 &
RSYSLOG_PID=$!
for port in 5601 5251; do
  tries=0
  until ss -Hltn "sport = :$port" | grep -q .; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || fail "rsyslog does not listen on $port: $(cat "$WORK/rsyslog.err")"
    sleep 0.1
  done
done

cat > "$WORK/settings.toml" <<CONF
[names]
settle = "400ms"
[baseline]
learning = "0s"
learning_new = "0s"
[[sink]]
url = "file://$WORK/alerts.jsonl"
[[sink]]
url = "tcp://127.0.0.1:5601"
[[sink]]
url = "relp://127.0.0.1:5251"
CONF

python3 "$HERE/crash.py" "$SENSOR" "$WORK" "$KILLS" || fail "not all was right"
