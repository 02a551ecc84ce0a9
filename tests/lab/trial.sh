# What the scripts that try the programs in the lab have in common: sourced after lab.sh and traffic.sh.
#
#     trial_begin NAME; lab_up; …; sensor_start one "$SENSOR" run …; day_one; day_two; settle; sensor_stop one; …; trial_end

# What a trial begins with. SENSOR and REPLAY have to name the programs and become absolute. WORK is a folder that goes with
# a script that succeeds; whatever ends it takes the lab down. `wrong` says what is not as it has to be, and FAILED that
# something was.
trial_begin() {
  TRIAL=$1
  for variable in SENSOR REPLAY; do
    eval "path=\${$variable:-}"
    [ -n "$path" ] || lab_fail "set $variable to the program's path"
    [ -x "$path" ] || lab_fail "$variable: $path cannot be run"
    eval "$variable=\$(realpath \"\$path\")"
  done
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/fc-$TRIAL.XXXXXX")
  FAILED=
  trap trial_over EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP
}

trial_over() {
  status=$?
  trap - EXIT
  cp "$LAB_DIR"/*.log "$WORK/" 2>/dev/null || true
  lab_down
  if [ $status -eq 0 ]; then rm -rf "$WORK"; else echo "$TRIAL: failed; see $WORK" >&2; fi
  exit $status
}

wrong() { FAILED=yes; echo "$TRIAL: WRONG: $*" >&2; }

# The end of a trial where nothing was wrong: trial_end WORDS.
trial_end() {
  [ -z "$FAILED" ] || exit 1
  echo "$TRIAL: $*"
}

# The demo's settings, but for learning: live, a sensor learns for 14 days; here it has to speak at once.
trial_settings() { cat "$HERE/../../config/demo.toml"; printf '\n[baseline]\nlearning = "0s"\nlearning_new = "0s"\n'; }

# The rule `settle` is 5 s: a contact is judged by then, and what is judged is stored and delivered soon after.
settle() { sleep 8; }

# --- sensors ---------------------------------------------------------------------------------------------------------

# Starts a sensor in its namespace, and waits until it says that it watches: sensor_start NAME COMMAND…
sensor_start() {
  name=$1; shift
  lab_start sensor "sensor-$name" "$@"
  echo "$LAB_PID" > "$WORK/$name.pid"
  tries=0
  until grep -qs watching "$LAB_DIR/sensor-$name.log"; do
    lab_runs "$LAB_PID" || lab_fail "$name: the sensor ended at its start: $(cat "$LAB_DIR/sensor-$name.log")"
    tries=$((tries + 1)); [ "$tries" -lt 300 ] || lab_fail "$name: the sensor does not start within 30 s: $(cat "$LAB_DIR/sensor-$name.log")"
    sleep 0.1
  done
}

# Stops a sensor: sensor_stop NAME. Its counters are the last thing it says.
sensor_stop() {
  pid=$(cat "$WORK/$1.pid")
  lab_runs "$pid" || wrong "$1: the sensor ended by itself: $(tail -n 5 "$LAB_DIR/sensor-$1.log")"
  status=0; lab_stop "$pid" || status=$?                       # SIGTERM
  [ "$status" = 0 ] || wrong "$1: the sensor ended with status $status on SIGTERM: $(tail -n 5 "$LAB_DIR/sensor-$1.log")"
  sed -n 's/.*counters: //p' "$LAB_DIR/sensor-$1.log" > "$WORK/$1.counters"
  jq -e '.loss.kernel == 0 and .loss.queue == 0 and .packets > 0' "$WORK/$1.counters" > /dev/null || wrong "$1: lost frames: $(cat "$WORK/$1.counters")"
}

# --- alerts ----------------------------------------------------------------------------------------------------------

# What two runs have to agree on that were given the same frames with other stamps. Ids and times hold the contact's time:
# they are printed, not judged. The kernel stamps a frame once for all its readers, so they are the same for UDP. A TCP
# frame that was sent on this very machine still carries its sender's pacing time where the stamp would be, and then each
# reader is given its own, a microsecond apart: here, and not behind a real mirror.
#
# Until its flow ends, an alert says what had come at the end of an epoch, and what falls into it is a matter of microseconds.
# A flow that was silent for a minute is as good as open: replay ends with the recording, but a live sensor may have waited.
FACTS='[.kind, .severity, .confidence, .workload.name, .workload.address, .workload.segment, .destination.domain, .destination.tenant, .destination.ip,
    .destination.port, .evidence.scope, .evidence.name, .evidence.client, .evidence.server, .unexplained,
    if .flow.end == null or .flow.end == "idle" then "open" else (.flow | .outcome, .octets_out, .octets_in) end, (.observation | del(.watched) | tojson)]
  | map(. // "-" | tostring) | join(" ")'

# Takes what stands raised out of a ledger: raised NAME. It gives NAME.raised, and of that NAME.facts, NAME.ids and
# NAME.short; the latter has to be what standard input says, lines of kind, workload, and domain or address.
raised() {
  sort > "$WORK/$1.expected"
  "$SENSOR" alerts --state "$WORK/$1.state" --json --all > "$WORK/$1.jsonl" || wrong "$1: sensor alerts failed"
  jq -c 'select(.state == "raised")' "$WORK/$1.jsonl" > "$WORK/$1.raised" || wrong "$1: sensor alerts: not JSON Lines"
  jq -r "$FACTS" "$WORK/$1.raised" | sort > "$WORK/$1.facts"
  jq -r .id "$WORK/$1.raised" | sort > "$WORK/$1.ids"
  jq -r '"\(.kind) \(.workload.name) \(if .kind == "new_external_ip" then .destination.ip else .destination.domain end)"' "$WORK/$1.raised" | sort > "$WORK/$1.short"
  diff -u "$WORK/$1.expected" "$WORK/$1.short" >&2 || wrong "$1 differs from what has to come out"
}

# Compares what two runs raised: same_alerts NAME NAME.
same_alerts() { diff -u "$WORK/$1.facts" "$WORK/$2.facts" >&2 || wrong "$1 and $2 differ"; }

# Prints how many ids two runs have in common: same_ids NAME NAME.
same_ids() { comm -12 "$WORK/$1.ids" "$WORK/$2.ids" | wc -l; }

# What both days raise over an empty baseline, as `raised` takes it.
both_days_raise() {
  cat <<'ALERTS'
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
}

ipv6_day_raises() {
  cat <<'ALERTS'
new_external_domain app example.edu
new_external_domain app example.net
new_external_domain app example.org
new_external_domain batch storage.example
new_external_domain web example.com
new_external_domain web example.net
new_external_ip batch 2001:db8:bad::66
ALERTS
}
