#!/bin/sh
# Delivery to real receivers (rule A4): rsyslog and syslog-ng, each over UDP, TCP, TLS with certificates of both sides, and
# a unix socket; rsyslog over RELP too.
#
#     SENSOR=target/release/sensor REPLAY=target/release/replay tests/lab/receivers.sh [short]
#
#   fields    every field of every alert of a capture's day arrives, as the ledger has it
#   refused   wrong certificates are named in one line, and nothing is delivered
#   stopped   a receiver that is stopped while 10,000 alerts are outstanding gets all of them, in order
#   killed    one that is stopped, before it has read anything or in the middle of it, then killed and started again, gets
#             all of them, in order; some may come twice
#
# The long form then stops the sensor beside a receiver that is stopped for good. The short form has 2,000 alerts, and not every receiver over every transport in the latter two.
#
# Everything is on the loopback of a network namespace of its own, and no file lies outside one temporary folder. It exits 0
# only if all of it was right; what a failed run saw stays in the folder that it names.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
FORM=${1:-long}
SYSLOG_NG=${SYSLOG_NG:-/opt/firstcontact-lab/syslog-ng}
: "${SENSOR:?names the sensor program}" "${REPLAY:?names the replay program}"
say() { echo "receivers: $*"; }
fail() { echo "receivers: $*; see $WORK" >&2; KEEP=yes; exit 1; }

if [ -z "${RECEIVERS_INSIDE:-}" ]; then
  RECEIVERS_INSIDE=yes exec unshare --net "$0" "$@"
fi
ip link set lo up

WORK=$(mktemp -d "${TMPDIR:-/tmp}/fc-receivers.XXXXXX")
KEEP=
for tool in rsyslogd openssl python3 ss; do
  command -v "$tool" >/dev/null || fail "$tool is missing; tests/lab/install.sh installs it"
done
[ -x "$SYSLOG_NG/usr/sbin/syslog-ng" ] || fail "syslog-ng is missing; tests/lab/install.sh unpacks it"

RSYSLOG_PID='' SYSLOG_NG_PID='' SENSOR_PID=''
at_end() {
  for pid in $SENSOR_PID $RSYSLOG_PID $SYSLOG_NG_PID; do
    kill -CONT "$pid" 2>/dev/null || true
    kill -KILL "$pid" 2>/dev/null || true
  done
  [ -n "$KEEP" ] || rm -rf "$WORK"
}
trap at_end EXIT
trap 'exit 130' INT TERM

# --- certificates ----------------------------------------------------------------------------------------------------

certificate() { # NAME SUBJECT-ALTERNATIVE-NAMES
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1.example" \
    -keyout "$WORK/$1.key" -out "$WORK/$1.csr" 2>/dev/null
  printf 'subjectAltName=%s\n' "$2" > "$WORK/$1.ext"
  openssl x509 -req -in "$WORK/$1.csr" -CA "$WORK/ca.pem" -CAkey "$WORK/ca.key" -CAcreateserial -days 2 \
    -extfile "$WORK/$1.ext" -out "$WORK/$1.pem" 2>/dev/null
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=lab authority" \
  -addext basicConstraints=critical,CA:TRUE -keyout "$WORK/ca.key" -out "$WORK/ca.pem" 2>/dev/null
certificate collector "DNS:collector.example,IP:127.0.0.1"
certificate sensor "DNS:sensor.example"

# --- rsyslog ---------------------------------------------------------------------------------------------------------

# What a message is taken apart into, a line each; what the receivers call it differs.
# Rule sets write what comes before more is read or answered: what lies in a queue in memory dies with rsyslog.
cat > "$WORK/rsyslog.conf" <<CONF
global(workDirectory="$WORK" maxMessageSize="64k" net.enableDNS="off"
       defaultNetstreamDriverCAFile="$WORK/ca.pem"
       defaultNetstreamDriverCertFile="$WORK/collector.pem" defaultNetstreamDriverKeyFile="$WORK/collector.key")
module(load="imudp")
module(load="imtcp")
module(load="imrelp")
module(load="imuxsock" sysSock.use="off")
template(name="parts" type="string"
         string="%pri%\t%protocol-version%\t%timereported:::date-rfc3339%\t%hostname%\t%app-name%\t%procid%\t%msgid%\t%structured-data%\t%msg%\n")
ruleset(name="udp" queue.type="Direct") { action(type="omfile" file="$WORK/rsyslog-udp.log" template="parts") }
ruleset(name="tcp" queue.type="Direct") { action(type="omfile" file="$WORK/rsyslog-tcp.log" template="parts") }
ruleset(name="tls" queue.type="Direct") { action(type="omfile" file="$WORK/rsyslog-tls.log" template="parts") }
ruleset(name="relp" queue.type="Direct") { action(type="omfile" file="$WORK/rsyslog-relp.log" template="parts") }
ruleset(name="unix" queue.type="Direct") { action(type="omfile" file="$WORK/rsyslog-unix.log" template="parts") }
input(type="imudp" address="127.0.0.1" port="5514" ruleset="udp")
input(type="imtcp" address="127.0.0.1" port="5601" ruleset="tcp")
input(type="imtcp" address="127.0.0.1" port="5614" ruleset="tls"
      streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["sensor.example"])
input(type="imrelp" address="127.0.0.1" port="5251" ruleset="relp")
input(type="imuxsock" socket="$WORK/rsyslog.sock" useSpecialParser="off" parseHostname="on" useSysTimeStamp="off"
      ignoreTimestamp="off" rateLimit.interval="0" ruleset="unix")
CONF

rsyslog_start() {
  rsyslogd -n -f "$WORK/rsyslog.conf" -i "$WORK/rsyslog.pid" >> "$WORK/rsyslog.err" 2>&1 &
  RSYSLOG_PID=$!
  listens rsyslog 5601 5614 5251
}

# --- syslog-ng -------------------------------------------------------------------------------------------------------

cat > "$WORK/syslog-ng.conf" <<CONF
@version: 3.38
options { keep-hostname(yes); use-dns(no); log-msg-size(65536); frac-digits(6); ts-format(iso); create-dirs(no); };
template parts { template("\${PRI}\t1\t\${S_ISODATE}\t\${HOST}\t\${PROGRAM}\t\${PID}\t\${MSGID}\t-\${SDATA}\t\${MSG}\n"); };
source udp { syslog(ip(127.0.0.1) transport("udp") port(6514)); };
source tcp { syslog(ip(127.0.0.1) transport("tcp") port(6601)); };
source tls { syslog(ip(127.0.0.1) transport("tls") port(6614)
  tls(key-file("$WORK/collector.key") cert-file("$WORK/collector.pem") ca-file("$WORK/ca.pem") peer-verify(required-trusted))); };
source unix { unix-dgram("$WORK/syslog-ng.sock" flags(syslog-protocol)); };
destination udp { file("$WORK/syslog-ng-udp.log" template(parts)); };
destination tcp { file("$WORK/syslog-ng-tcp.log" template(parts)); };
destination tls { file("$WORK/syslog-ng-tls.log" template(parts)); };
destination unix { file("$WORK/syslog-ng-unix.log" template(parts)); };
log { source(udp); destination(udp); flags(flow-control); };
log { source(tcp); destination(tcp); flags(flow-control); };
log { source(tls); destination(tls); flags(flow-control); };
log { source(unix); destination(unix); flags(flow-control); };
CONF

syslog_ng_start() {
  LD_LIBRARY_PATH="$SYSLOG_NG/usr/lib/syslog-ng" "$SYSLOG_NG/usr/sbin/syslog-ng" -F --no-caps -f "$WORK/syslog-ng.conf" \
    --module-path "$(echo "$SYSLOG_NG"/usr/lib/syslog-ng/[0-9]*)" --persist-file "$WORK/syslog-ng.persist" \
    --pidfile "$WORK/syslog-ng.pid" --control "$WORK/syslog-ng.ctl" >> "$WORK/syslog-ng.err" 2>&1 &
  SYSLOG_NG_PID=$!
  listens syslog-ng 6601 6614
}

# Waits until a receiver listens: listens NAME PORT….
listens() {
  listens_name=$1; shift
  for port in "$@"; do
    tries=0
    until ss -Hltn "sport = :$port" | grep -q .; do
      tries=$((tries + 1)); [ "$tries" -lt 100 ] || fail "$listens_name does not listen on $port"
      sleep 0.1
    done
  done
}

# --- the sensor ------------------------------------------------------------------------------------------------------

# Prints settings for sinks that begin with the first line of the ledger: settings RECEIVER-TRANSPORT….
settings() {
  for sink in "$@"; do
    case $sink in
      rsyslog-udp) url=udp://127.0.0.1:5514 ;;
      rsyslog-tcp) url=tcp://127.0.0.1:5601 ;;
      rsyslog-tls) url=tls://127.0.0.1:5614 ;;
      rsyslog-relp) url=relp://127.0.0.1:5251 ;;
      rsyslog-unix) url=unix://$WORK/rsyslog.sock ;;
      syslog-ng-udp) url=udp://127.0.0.1:6514 ;;
      syslog-ng-tcp) url=tcp://127.0.0.1:6601 ;;
      syslog-ng-tls) url=tls://127.0.0.1:6614 ;;
      syslog-ng-unix) url=unix://$WORK/syslog-ng.sock ;;
    esac
    printf '[[sink]]\nurl = "%s"\nfrom = "1970-01-01T00:00:00Z"\n' "$url"
    case $sink in *-tls) printf 'ca = "ca.pem"\ncertificate = "sensor.pem"\nkey = "sensor.key"\nserver_name = "collector.example"\n' ;; esac
  done
}

# Starts a sensor on a copy of a ledger: sensor_start LEDGER SINK….
sensor_start() {
  rm -rf "$WORK/state"
  cp -a "$1" "$WORK/state"; shift
  settings "$@" > "$WORK/settings.toml"
  sensor_on
}

# Starts it on what is there.
sensor_on() {
  "$SENSOR" run --listen udp://127.0.0.1:4789 --threads 1 --state "$WORK/state" --config "$WORK/settings.toml" > "$WORK/sensor.log" 2>&1 &
  SENSOR_PID=$!
}

# Stops it; it has to have delivered everything.
sensor_stop() {
  kill -TERM "$SENSOR_PID"
  wait "$SENSOR_PID" || fail "the sensor failed: $(tail -n 2 "$WORK/sensor.log")"
  SENSOR_PID=
}

# Waits until something is so, a minute at most: wait_for WHAT COMMAND….
wait_for() {
  what=$1; shift
  until_then=$(($(date +%s) + 60))
  until "$@"; do
    kill -0 "$SENSOR_PID" 2>/dev/null || fail "the sensor ended: $(tail -n 2 "$WORK/sensor.log")"
    [ "$(date +%s)" -lt "$until_then" ] || fail "$what: it did not come to pass"
    sleep 0.1
  done
}
# Says whether a file has so many lines or more.
has_lines() { [ -e "$1" ] && [ "$(wc -l < "$1")" -ge "$2" ]; }
# Says whether a file holds every alert.
has_all() { python3 "$HERE/receivers.py" all "$1" "$2" 2>/dev/null; }



# --- fields ----------------------------------------------------------------------------------------------------------

STREAMS="rsyslog-tcp rsyslog-tls rsyslog-relp syslog-ng-tcp syslog-ng-tls"
LOCAL="rsyslog-unix syslog-ng-unix"
DATAGRAMS="rsyslog-udp syslog-ng-udp"
case $FORM in
  long) ALERTS=10000 STOPPED="$STREAMS $LOCAL" KILLED=$STREAMS KILLED_AT="0 2500" ;;
  short) ALERTS=2000 STOPPED="rsyslog-tcp syslog-ng-tls rsyslog-unix" KILLED="rsyslog-tls rsyslog-relp syslog-ng-tcp" KILLED_AT=500 ;;
  *) fail "usage: receivers.sh [short]" ;;
esac

rsyslog_start
syslog_ng_start
"$REPLAY" --config "$HERE/../../config/demo.toml" --state "$WORK/day" --alerts "$WORK/day.jsonl" \
  "$HERE/../../captures/day-one.pcap" "$HERE/../../captures/day-two.pcap" 2> "$WORK/replay.log" || fail "replay failed"
"$SENSOR" alerts --json --all --state "$WORK/day" > "$WORK/day.ledger"
lines=$(wc -l < "$WORK/day.jsonl")
# shellcheck disable=SC2086  # lists of words are what is meant
sensor_start "$WORK/day" $STREAMS $LOCAL $DATAGRAMS
for sink in $STREAMS $LOCAL $DATAGRAMS; do
  wait_for "$sink: every line" has_lines "$WORK/$sink.log" "$lines"
done
sensor_stop
for sink in $STREAMS $LOCAL $DATAGRAMS; do
  python3 "$HERE/receivers.py" fields "$WORK/day.jsonl" "$WORK/day.ledger" "$WORK/$sink.log" || fail "$sink: fields differ"
  say "fields: $sink has all $lines lines, every field as the ledger has it"
  : > "$WORK/$sink.log"
done

# --- certificates that are wrong -------------------------------------------------------------------------------------

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=another authority" \
  -keyout "$WORK/other.key" -out "$WORK/other.pem" 2>/dev/null

# Changes the settings of a sink and holds what the sensor says against a pattern: refused SINK SED PATTERN.
refused() {
  rm -rf "$WORK/state"
  cp -a "$WORK/day" "$WORK/state"
  settings "$1" | sed "$2" > "$WORK/settings.toml"
  sensor_on
  # shellcheck disable=SC2317  # wait_for calls it
  says() { grep -Eq "$1" "$WORK/sensor.log"; }
  wait_for "$1: $3" says "$3"
  kill -TERM "$SENSOR_PID"
  if wait "$SENSOR_PID"; then fail "$1: the sensor says that it delivered"; fi
  SENSOR_PID=
  [ ! -s "$WORK/$1.log" ] || fail "$1: something was delivered"
  say "refused: $(grep -Eo "tls://.*; trying again" "$WORK/sensor.log" | head -n 1)"
}
for sink in rsyslog-tls syslog-ng-tls; do
  refused "$sink" 's/^ca = .*/ca = "other.pem"/' "the receiver's certificate is not signed by an authority of .ca.; trying again"
  refused "$sink" 's/^server_name = .*/server_name = "other.example"/' "the receiver's certificate is for collector.example, 127.0.0.1, expected other.example; trying again"
  refused "$sink" '/^certificate/d; /^key/d' "certificate.* of ours.*; trying again"
done

# --- a receiver that is away -----------------------------------------------------------------------------------------

python3 "$HERE/receivers.py" flood "$ALERTS" "$WORK/flood.pcap"
"$REPLAY" --state "$WORK/flood" --alerts "$WORK/flood.jsonl" "$WORK/flood.pcap" 2>> "$WORK/replay.log" || fail "replay failed"
has_lines "$WORK/flood.jsonl" "$ALERTS" || fail "the flood raised $(wc -l < "$WORK/flood.jsonl") alerts, not $ALERTS"

pid_of() { case $1 in rsyslog-*) echo "$RSYSLOG_PID" ;; *) echo "$SYSLOG_NG_PID" ;; esac; }
restart() {
  case $1 in
    rsyslog-*) wait "$RSYSLOG_PID" 2>/dev/null || true; rm -f "$WORK/rsyslog.pid"; rsyslog_start ;;
    *) wait "$SYSLOG_NG_PID" 2>/dev/null || true; rm -f "$WORK/syslog-ng.pid"; syslog_ng_start ;;
  esac
}

for sink in $STOPPED; do
  kill -STOP "$(pid_of "$sink")"
  sensor_start "$WORK/flood" "$sink"
  sleep 3
  kill -CONT "$(pid_of "$sink")"
  wait_for "$sink: every alert" has_all "$WORK/flood.jsonl" "$WORK/$sink.log"
  sensor_stop
  python3 "$HERE/receivers.py" order "$WORK/flood.jsonl" "$WORK/$sink.log" || fail "$sink: not all, or not in order"
  say "stopped: $sink has $(python3 "$HERE/receivers.py" count "$WORK/flood.jsonl" "$WORK/$sink.log")"
  : > "$WORK/$sink.log"
done

for sink in $KILLED; do
  # Before it has read anything, and in the middle of its work.
  for seen in $KILLED_AT; do
    [ "$seen" -gt 0 ] || kill -STOP "$(pid_of "$sink")"
    sensor_start "$WORK/flood" "$sink"
    if [ "$seen" -gt 0 ]; then
      wait_for "$sink: $seen alerts" has_lines "$WORK/$sink.log" "$seen"
      kill -STOP "$(pid_of "$sink")"
    fi
    sleep 2
    kill -KILL "$(pid_of "$sink")"
    restart "$sink"
    wait_for "$sink: every alert" has_all "$WORK/flood.jsonl" "$WORK/$sink.log"
    sensor_stop
    python3 "$HERE/receivers.py" order "$WORK/flood.jsonl" "$WORK/$sink.log" || fail "$sink: not all, or not in order"
    say "killed: $sink has $(python3 "$HERE/receivers.py" count "$WORK/flood.jsonl" "$WORK/$sink.log")"
    : > "$WORK/$sink.log"
  done
done

# --- a receiver that does not read when the sensor is stopped --------------------------------------------------------

if [ "$FORM" = long ]; then
  kill -STOP "$RSYSLOG_PID"
  sensor_start "$WORK/flood" rsyslog-tcp syslog-ng-tcp
  wait_for "syslog-ng-tcp: every alert beside a receiver that is stopped" has_all "$WORK/flood.jsonl" "$WORK/syslog-ng-tcp.log"
  before=$(date +%s)
  kill -TERM "$SENSOR_PID"
  if wait "$SENSOR_PID"; then fail "the sensor says that it delivered what nobody read"; fi
  SENSOR_PID=
  took=$(($(date +%s) - before))
  [ "$took" -le 40 ] || fail "the sensor took $took s to stop"
  grep -q "undelivered lines are kept in the ledger" "$WORK/sensor.log" || fail "nothing says that lines are left: $(tail -n 2 "$WORK/sensor.log")"
  say "stopped for good: syslog-ng-tcp has every alert; the sensor ended in $took s and says that the others are kept"
  kill -CONT "$RSYSLOG_PID"
fi

say "rsyslog and syslog-ng have every alert, in order"
