#!/bin/sh
# Installs what the build needs and this machine lacks, and says what. It may be run again at any time.
#
#     scripts/setup.sh           what the build needs
#     scripts/setup.sh --tests   also what the lab and the tests use (tests/lab/install.sh)
#
# It knows Debian and its kin. Elsewhere it names what is missing and leaves installing it to you.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

[ $# -eq 0 ] || [ "$*" = --tests ] || fail "usage: setup.sh [--tests]"

# A package is only asked for where the thing itself is absent: a compiler or a library may be there under another name.
has_libclang() {
  for library in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/local/lib/libclang*.so*; do
    [ ! -e "$library" ] || return 0
  done
  return 1
}
missing=
command -v g++ >/dev/null || missing="$missing g++"                                   # RocksDB is C++
has_libclang || [ -n "${LIBCLANG_PATH:-}" ] || missing="$missing libclang-dev"        # bindgen reads its header
[ -e /usr/include/pcap.h ] || [ -n "${LIBPCAP_LIBDIR:-}" ] || missing="$missing libpcap-dev"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "root is needed to install packages, and there is no sudo; as root: $*"
  fi
}

updated=
refresh() {
  [ -z "$updated" ] || return 0
  as_root apt-get -qq update >/dev/null || say "apt-get update failed; trying with the package lists that are there"
  updated=yes
}

if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || fail "missing (by their Debian names):$missing; install them and try again"
  say "installing$missing"
  refresh
  # shellcheck disable=SC2086  # a list of words is what is meant
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >/dev/null ||
    fail "apt-get could not install$missing"
fi

command -v cargo >/dev/null || fail "there is no cargo; install a Rust toolchain (https://rustup.rs) of 1.95 or newer"

[ "${1:-}" = --tests ] || exit 0

for part in fmt clippy; do
  cargo "$part" --version >/dev/null 2>&1 && continue
  component=$part; [ $part = clippy ] || component=rustfmt
  command -v rustup >/dev/null || fail "cargo $part is missing; install $component with your Rust toolchain"
  say "installing $component"
  rustup -q component add $component >/dev/null 2>&1 || fail "rustup could not add $component"
done

# The list of packages is install.sh's own: it ends in silence when there is nothing to do.
if ! "$HERE/../tests/lab/install.sh" >/dev/null 2>&1; then
  command -v apt-get >/dev/null || fail "the lab knows Debian only; see tests/lab/install.sh for what it uses"
  say "installing what the lab uses"
  refresh
  as_root "$HERE/../tests/lab/install.sh" || fail "tests/lab/install.sh failed"
fi
