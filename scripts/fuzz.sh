#!/bin/sh
# Fuzzes each target of fuzz/targets.rs under coverage, from the kept corpus, and says what that was worth.
#
#     scripts/fuzz.sh [SECONDS [TARGET…]]     for so long a target (60), all targets or these
#
# FUZZ_FOLDER is where it builds and works (target/fuzz): the program, the corpus as it grows, and inputs that broke something.
# FUZZ_KEEP=yes makes the corpus smallest and packs it into fuzz/corpus again, for a commit.
# It ends with 1 where an input was found that panics, hangs, or takes too much memory; fuzz/README.md says what to do then.
set -eu

HERE=$(cd "$(dirname "$0")/.." && pwd)
SECONDS_EACH=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- decode dns streams settings readers domain etherparse
FOLDER=${FUZZ_FOLDER:-$HERE/target/fuzz}
# What a target's corpus may take in the repository, in octets.
LIMIT=140000
say() { echo "fuzz: $*" >&2; }

PATH=$FOLDER/tools/bin:$PATH
if ! command -v cargo-bolero >/dev/null; then
  say "installing cargo-bolero"
  cargo install cargo-bolero --version 0.13.5 --locked --root "$FOLDER/tools" --target-dir "$FOLDER/tools/build" >&2
fi

# No sanitizer: there is no unsafe code of ours to watch, and they want a nightly compiler; counting edges does not.
bolero() { # verb, target, further arguments
  verb=$1 target=$2; shift 2
  cargo bolero "$verb" --manifest-path "$HERE/fuzz/Cargo.toml" --target-dir "$FOLDER/build" --profile fuzz --sanitizer NONE \
    --corpus-dir "$FOLDER/corpus/$target" "$@" "$target" </dev/null
}

bad=
printf '%-10s %12s %10s %8s %9s %7s\n' target executions each_s edges features inputs
for target; do
  mkdir -p "$FOLDER/corpus/$target" "$FOLDER/crashes/$target" "$FOLDER/logs"
  [ ! -e "$HERE/fuzz/corpus/$target" ] || "$HERE/fuzz/corpus.py" unpack "$HERE/fuzz/corpus/$target" "$FOLDER/corpus/$target"
  log=$FOLDER/logs/$target
  if ! bolero test "$target" --crashes-dir "$FOLDER/crashes/$target" -T "${SECONDS_EACH}s" --max-input-length 4096 \
    -E=-timeout=10 -E=-rss_limit_mb=1024 -E=-print_final_stats=1 >"$log" 2>&1; then
    bad="$bad $target"
    say "$target broke; the end of $log:"
    tail -n 40 "$log" >&2
  fi
  line=$(grep -a ' cov: ' "$log" | tail -n 1)
  value() { echo "$line" | sed -n "s/.* $1: \([0-9]*\).*/\1/p"; }
  total=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  each=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -n 1)
  printf '%-10s %12s %10s %8s %9s %7s\n' "$target" "${total:--}" "${each:--}" "$(value cov)" "$(value ft)" "$(ls "$FOLDER/corpus/$target" | wc -l)"
  if [ "${FUZZ_KEEP:-}" = yes ] && [ -z "$bad" ]; then
    bolero reduce "$target" >"$log.reduce" 2>&1 || { say "the corpus of $target could not be reduced; see $log.reduce"; exit 1; }
    mkdir -p "$HERE/fuzz/corpus"
    "$HERE/fuzz/corpus.py" pack "$FOLDER/corpus/$target" "$HERE/fuzz/corpus/$target" "$LIMIT"
  fi
done
[ -z "$bad" ] || { say "inputs that break$bad are in $FOLDER/crashes"; exit 1; }
