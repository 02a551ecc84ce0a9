#!/bin/sh
# Installs the Debian packages that the lab, the recordings and the live test use. It may be run again at any time:
# what is there already is left alone. Missing ones need root and package lists that are up to date (apt-get update).
set -eu

PACKAGES="iproute2 ethtool nginx-light unbound nsd chrony curl bind9-dnsutils openssl
  tcpdump tshark wireshark-common tcpreplay rsyslog rsyslog-gnutls rsyslog-relp jq python3-minimal util-linux"
# syslog-ng and rsyslog cannot both be installed: it is unpacked beside, and these are what it needs.
PACKAGES="$PACKAGES libglib2.0-0 libivykis0 libjson-c5 libnet1 libpcre3 libwrap0"
SYSLOG_NG=/opt/firstcontact-lab/syslog-ng

missing=
for package in $PACKAGES; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -x "$SYSLOG_NG/usr/sbin/syslog-ng" ] || missing="$missing syslog-ng-core"
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || { echo "install.sh: missing:$missing; run this as root" >&2; exit 1; }

case $missing in *syslog-ng-core*)
  missing=${missing% syslog-ng-core}
  folder=$(mktemp -d)
  (cd "$folder" && apt-get -qq download syslog-ng-core >/dev/null 2>&1) || { echo "install.sh: cannot download syslog-ng-core" >&2; exit 1; }
  mkdir -p "$SYSLOG_NG"
  dpkg -x "$folder"/syslog-ng-core*.deb "$SYSLOG_NG"
  rm -r "$folder"
  [ -n "$missing" ] || exit 0
esac

# The lab runs its servers itself, inside its own namespaces. Debian would start each of them on the machine as well;
# policy-rc.d is its way to say no. One that is there already is the machine's own: it is asked, and never replaced.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
elif "$policy" nginx start >/dev/null 2>&1; then
  echo "install.sh: $policy lets new services start; install these yourself:$missing" >&2
  exit 1
fi

# shellcheck disable=SC2086  # a list of words is what is meant
DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >/dev/null
