#!/bin/sh
# Learns one day from a recording, replays the next, and shows what was new on it:  demo.sh FOLDER-OF-THE-PROGRAMS
set -eu
cd "$(dirname "$0")/.."
bin=$1 state=.demo

rm -rf "$state"
mkdir "$state"
show() { echo "\$ $*"; }

echo
show "replay --config config/demo.toml --state $state/ledger --learn captures/day-one.pcap"
"$bin/replay" --config config/demo.toml --state "$state/ledger" --learn captures/day-one.pcap
echo
show "replay --config config/demo.toml --state $state/ledger --alerts $state/alerts.jsonl captures/day-two.pcap"
"$bin/replay" --config config/demo.toml --state "$state/ledger" --alerts "$state/alerts.jsonl" captures/day-two.pcap
echo
show "sensor alerts --state $state/ledger"
"$bin/sensor" alerts --state "$state/ledger"

raised=$(grep -c '"event":"raised"' "$state/alerts.jsonl" || true)
[ "$raised" = 2 ] || { echo "demo: 2 alerts were expected and $raised raised" >&2; exit 1; }
echo
echo "You saw one recorded day learnt and the next one judged by it: of everything that three workloads said to the outside on the" \
  "second day, only the domain and the bare address that day one did not have were raised. They are in $state/alerts.jsonl as a SIEM gets them."
