#!/bin/sh
# Disks that are full, can only be read, or belong to somebody else: one clear line, exit 1, and nothing recorded is lost.
#
#     SENSOR=target/release/sensor REPLAY=target/release/replay tests/lab/disk.sh
#
#   full       a replay onto a small ext4 file system on a loop device (a tmpfs where there is none) ends with 1; after room is
#              made the same command ends as an undisturbed run
#   full, live a sensor ends with 1, also each time it is started again, until there is room; no alert is lost or doubled
#   sink       a file:// sink on a full disk is tried again until there is room
#   refused    a state folder that can only be read, or that belongs to somebody else
#
# Mounts are made in namespaces of its own. It exits 0 only if all of it was right.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
: "${SENSOR:?names the sensor program}" "${REPLAY:?names the replay program}"
say() { echo "disk: $*"; }
fail() { echo "disk: $*; see $WORK" >&2; KEEP=yes; exit 1; }

if [ -z "${DISK_INSIDE:-}" ]; then
  DISK_INSIDE=yes exec unshare --net --mount "$0" "$@"
fi
ip link set lo up

WORK=$(mktemp -d "${TMPDIR:-/tmp}/fc-disk.XXXXXX")
chmod 755 "$WORK"
# Somebody else runs them too, who may not look into the folder that they were built in.
mkdir "$WORK/programs"
cp "$SENSOR" "$WORK/programs/sensor"
cp "$REPLAY" "$WORK/programs/replay"
chmod 755 "$WORK/programs" "$WORK/programs/sensor" "$WORK/programs/replay"
SENSOR=$WORK/programs/sensor REPLAY=$WORK/programs/replay
KEEP='' SENSOR_PID=''
at_end() {
  [ -z "$SENSOR_PID" ] || kill -KILL "$SENSOR_PID" 2>/dev/null || true
  for place in disk sink read-only; do umount "$WORK/$place" 2>/dev/null || true; done
  [ -n "$KEEP" ] || rm -rf "$WORK"
}
trap at_end EXIT
trap 'exit 130' INT TERM

MIB=1048576
# Mounts a disk of 64 MiB with so many MiB of room: disk ROOM.
disk() {
  umount "$WORK/disk" 2>/dev/null || true
  mkdir -p "$WORK/disk"
  truncate -s 0 "$WORK/image"
  truncate -s $((64 * MIB)) "$WORK/image"
  mkfs.ext4 -q -F -m 0 "$WORK/image"
  KIND="ext4 on a loop device"
  mount -o loop "$WORK/image" "$WORK/disk" 2>/dev/null || {
    KIND="a tmpfs, as there is no loop device"
    mount -t tmpfs -o size=64m none "$WORK/disk"
  }
  free=$(df --output=avail -B 1 "$WORK/disk" | tail -n 1)
  fallocate -l $((free - $1 * MIB)) "$WORK/disk/filler"
}

# What a run leaves in its state folder: left FOLDER.
left() {
  "$SENSOR" alerts --json --all --state "$1"
  "$SENSOR" baseline export --state "$1"
}

# Runs a command that has to fail with one line, which begins with the folder and has these words: fails FOLDER WORDS COMMAND….
fails() {
  folder=$1 words=$2; shift 2
  status=0
  "$@" > /dev/null 2> "$WORK/said" || status=$?
  [ "$status" = 1 ] || fail "$*: it ended with $status: $(cat "$WORK/said")"
  [ "$(grep -c '^error: ' "$WORK/said")" = 1 ] || fail "$*: it says: $(cat "$WORK/said")"
  grep -q "^error: $folder[:/].*$words" "$WORK/said" || fail "$*: it says: $(cat "$WORK/said")"
}

# --- a replay whose disk fills up ------------------------------------------------------------------------------------

python3 "$HERE/receivers.py" flood 3000 "$WORK/flood.pcap"
"$REPLAY" --state "$WORK/undisturbed" --alerts "$WORK/undisturbed.jsonl" "$WORK/flood.pcap" 2> /dev/null
left "$WORK/undisturbed" > "$WORK/undisturbed.left"
for room in 2 6 8 10; do
  disk $room
  rm -f "$WORK/alerts.jsonl"
  state=$WORK/disk/state
  again() { "$REPLAY" --state "$state" --alerts "$WORK/alerts.jsonl" "$WORK/flood.pcap"; }
  fails "$state" "No space left on device" again
  cp "$WORK/said" "$WORK/first"
  whole=0
  [ ! -e "$WORK/alerts.jsonl" ] || whole=$(grep -c '}$' "$WORK/alerts.jsonl" || true)
  fails "$state" "No space left on device" again
  # With no room for the tables themselves there is nothing to be read.
  kept=$("$SENSOR" alerts --json --all --state "$state" 2> "$WORK/said" | wc -l)
  [ "$kept" -ge "$whole" ] || fail "$room MiB: $whole alerts were delivered, and $kept are in the ledger"
  rm "$WORK/disk/filler"
  again 2> "$WORK/said" || fail "$room MiB: it failed after room was made: $(cat "$WORK/said")"
  cmp -s "$WORK/alerts.jsonl" "$WORK/undisturbed.jsonl" || fail "$room MiB: other alerts than those of an undisturbed run"
  left "$state" > "$WORK/left"
  cmp -s "$WORK/left" "$WORK/undisturbed.left" || fail "$room MiB: another ledger than that of an undisturbed run"
  say "full: $room MiB ($KIND): $(sed "s|$WORK/||g" "$WORK/first")"
  say "full: $room MiB: it kept $kept of 3000 alerts, and ended as an undisturbed run once there was room"
done

# --- a live sensor whose disk fills up -------------------------------------------------------------------------------

disk 7
cat > "$WORK/settings.toml" <<CONF
[names]
settle = "400ms"
[baseline]
learning = "0s"
learning_new = "0s"
[[sink]]
url = "file://$WORK/alerts.jsonl"
CONF
rm -f "$WORK/alerts.jsonl"
python3 "$HERE/crash.py" "$SENSOR" "$WORK" full "$WORK/disk/filler" > "$WORK/live" || fail "live: not all was right: $(cat "$WORK/live")"
say "$(sed "s|$WORK/||g" "$WORK/live")"

# --- a sink whose disk is full ---------------------------------------------------------------------------------------

mkdir "$WORK/sink"
mount -t tmpfs -o size=4m none "$WORK/sink"
fallocate -l $((4 * MIB - 300000)) "$WORK/sink/filler"
printf '[[sink]]\nurl = "file://%s"\nfrom = "1970-01-01T00:00:00Z"\n' "$WORK/sink/alerts.jsonl" > "$WORK/sink.toml"
"$SENSOR" run --listen udp://127.0.0.1:4789 --state "$WORK/undisturbed" --config "$WORK/sink.toml" > "$WORK/sensor.log" 2>&1 &
SENSOR_PID=$!
# Waits until something is so, a minute at most: wait_for COMMAND….
wait_for() {
  until_then=$(($(date +%s) + 60))
  until "$@"; do
    kill -0 "$SENSOR_PID" 2>/dev/null || fail "the sensor ended: $(tail -n 2 "$WORK/sensor.log")"
    [ "$(date +%s)" -lt "$until_then" ] || fail "$*: it did not come to pass: $(cat "$WORK/sensor.log")"
    sleep 0.1
  done
}
wait_for grep -q "alerts.jsonl.*No space left on device.*; trying again" "$WORK/sensor.log"
rm "$WORK/sink/filler"
# shellcheck disable=SC2317  # wait_for calls it
has_all() { cmp -s "$WORK/sink/alerts.jsonl" "$WORK/undisturbed.jsonl"; }
mount -o remount,size=16m "$WORK/sink"
wait_for has_all
kill -TERM "$SENSOR_PID"
wait "$SENSOR_PID" || fail "the sensor failed: $(tail -n 2 "$WORK/sensor.log")"
SENSOR_PID=
say "sink: $(grep -o "file://.*" "$WORK/sensor.log" | sed "s|$WORK/||g" | head -n 1)"
say "sink: the file has all 3000 lines once there was room"

# --- folders that cannot be written ----------------------------------------------------------------------------------

mkdir "$WORK/read-only"
mount -t tmpfs -o mode=755,size=64m none "$WORK/read-only"
cp -a "$WORK/undisturbed" "$WORK/read-only/state"
state=$WORK/read-only/state
contents() { (cd "$state" && find . -type f | sort | xargs sha256sum); }
contents > "$WORK/before"

# Gives every command that writes, as root or as somebody: refused WORDS [COMMAND…].
refused() {
  words=$1; shift
  fails "$state" "$words" "$@" "$REPLAY" --state "$state" --alerts /dev/null "$WORK/flood.pcap"
  fails "$WORK/read-only/new" "$words" "$@" "$REPLAY" --state "$WORK/read-only/new" --alerts /dev/null "$WORK/flood.pcap"
  fails "$state" "$words" "$@" "$SENSOR" run --listen udp://127.0.0.1:4789 --state "$state"
  fails "$state" "$words" "$@" "$SENSOR" baseline forget --workload 10.1.1.0 --state "$state"
  say "refused: $(sed "s|$WORK/||g" "$WORK/said")"
  contents > "$WORK/after"
  cmp -s "$WORK/before" "$WORK/after" || fail "$words: something was written"
}
NOBODY="setpriv --reuid 65534 --regid 65534 --clear-groups"
# shellcheck disable=SC2086  # a command and its arguments
refused "Permission denied" $NOBODY
mount -o remount,ro "$WORK/read-only"
refused "Read-only file system"
# Who may read can look, though.
# shellcheck disable=SC2086
$NOBODY env TMPDIR=/tmp "$SENSOR" alerts --json --all --state "$state" > "$WORK/seen" 2> "$WORK/said" || fail "it cannot be looked at: $(cat "$WORK/said")"
[ "$(wc -l < "$WORK/seen")" = 3000 ] || fail "somebody who may read sees $(wc -l < "$WORK/seen") of 3000 alerts"
say "refused: nothing was written, and who may read sees all 3000 alerts"
