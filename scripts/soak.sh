#!/bin/sh
# Replays captures again and again onto one ledger, a day further on each time:  soak.sh REPLAY ROUNDS PCAP…
#
# The first round raises what is new in them. Every later round has to raise nothing, use no more memory than the
# first ones did (by a quarter), and account for every frame; the ledger has to stay within twice its size after ten.
set -eu
replay=$1 rounds=$2; shift 2
[ "$rounds" -ge 3 ] || { echo "soak: at least 3 rounds" >&2; exit 2; }

work=$(mktemp -d "${TMPDIR:-/tmp}/fc-soak.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT; trap 'exit 143' TERM HUP
wrong() { echo "soak: WRONG: $*" >&2; exit 1; }
counter() { tr ',{}' '\n\n\n' < "$work/stats.json" | sed -n "s/^ *\"$1\": *\([0-9]*\)$/\1/p"; }

round=0 allowed= size_allowed=
while [ "$round" -lt "$rounds" ]; do
  : > "$work/memory"
  "$replay" --config config/demo.toml --state "$work/ledger" --shift "+${round}d" --alerts "$work/alerts" --stats "$work/stats.json" "$@" 2> "$work/said" &
  pid=$!
  # The kernel keeps the peak itself; the last reading before the end is the one that counts.
  while kill -0 "$pid" 2>/dev/null; do
    sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" >> "$work/memory" 2>/dev/null || true
    sleep 0.02
  done
  wait "$pid" || wrong "round $round: $(cat "$work/said")"
  raised=$(grep -c '"event":"raised"' "$work/alerts" || true)
  peak=$(sort -n "$work/memory" | tail -n 1)
  size=$(du -sk "$work/ledger" | cut -f1)
  [ "$round" -gt 0 ] || { [ "$raised" -gt 0 ] || wrong "the first round raises nothing"; echo "round 0: $raised alerts, peak ${peak:-?} KiB"; }
  [ "$round" -eq 0 ] || [ "$raised" -eq 0 ] || wrong "round $round raises $raised: $(head -n 1 "$work/alerts")"
  [ "$round" -ne 2 ] || allowed=$((${peak:-0} * 5 / 4))
  [ -z "$allowed" ] || [ "${peak:-0}" -le "$allowed" ] || wrong "round $round: peak memory $peak KiB, allowed $allowed"
  [ "$round" -ne 10 ] || size_allowed=$((size * 2 + 1024))
  [ -z "$size_allowed" ] || [ "$size" -le "$size_allowed" ] || wrong "round $round: the ledger takes $size KiB, allowed $size_allowed"
  round=$((round + 1))
done
echo "soak: $rounds rounds agree; peak of the last ${peak:-?} KiB, ledger $size KiB"
