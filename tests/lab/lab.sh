#!/bin/sh
# A small data centre in network namespaces: workloads, their resolver, a gateway, an outside with real servers, and a
# sensor that gets a mirror of the segment twice, as a plain SPAN port and as the VXLAN of a cloud mirror.
#
#     web 10.1.0.5 ───┐                                       outside: nginx, nsd, chrony at
#     app 10.1.0.6 ───┤ switch ─── gateway 10.1.0.1 ───────── 203.0.113.0/24, 198.51.100.0/24, 2001:db8::/32
#     batch 10.1.0.7 ─┤   │
#     dns 10.1.0.2 ───┘   └─ sensor: `span` (copies as they are), `vxlan` (VNI 42, UDP 4789, from 10.250.0.9)
#
# Every namespace is named fc-<pid>-<node> and every file lies in one temporary folder, so labs can run side by side
# and nothing else on the machine is touched.
#
#     lab.sh up [4|6]            makes a lab and prints its folder
#     lab.sh at DIR NODE CMD…    runs a command on a node
#     lab.sh down DIR            removes the lab
# or, from another script:  . lab.sh; lab_up; at web curl …; lab_down

LAB_NODES="web app batch dns switch gateway outside sensor"

lab_fail() { echo "lab: $*" >&2; exit 1; }

# Asks for every tool before anything is made, so that a missing one is named instead of ending in a puzzle.
lab_require() {
  [ "$(id -u)" = 0 ] || lab_fail "namespaces need root"
  for tool in ip tc ethtool nginx unbound nsd chronyd curl dig openssl tcpdump "$@"; do
    command -v "$tool" >/dev/null || lab_fail "$tool is missing; tests/lab/install.sh installs it"
  done
}

# Runs a command on a node. The resolver's address is bound over /etc/resolv.conf in the private mount namespace that
# `ip netns exec` makes: /etc/netns, its other way, would be a change to the machine.
at() {
  at_node=$1; shift
  ip netns exec "$LAB_PREFIX-$at_node" sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$LAB_DIR/resolv.conf" "$@"
}

# Starts a program that stays, and notes its pid: what is not in the list is never killed.
lab_start() {
  start_node=$1 start_log=$2; shift 2
  ip netns exec "$LAB_PREFIX-$start_node" "$@" >"$LAB_DIR/$start_log.log" 2>&1 &
  LAB_PID=$!
  echo "$LAB_PID" >> "$LAB_DIR/pids"
}

# Tells whether a program still runs; one that has ended and only waits to be asked for its status does not.
lab_runs() { kill -0 "$1" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null)" != Z ]; }

# Ends one started program, waits until it is gone, and returns its exit status. KILL comes only after 10 s of patience.
# The pid leaves the list, since the kernel may give it to somebody else's program later.
lab_stop() {
  sed -i "/^$1\$/d" "$LAB_DIR/pids"
  kill "$1" 2>/dev/null || true
  stop_tries=0
  while lab_runs "$1"; do
    stop_tries=$((stop_tries + 1))
    [ "$stop_tries" -lt 100 ] || { kill -KILL "$1" 2>/dev/null || true; break; }
    sleep 0.1
  done
  wait "$1" 2>/dev/null
}

lab_set() { ip netns exec "$LAB_PREFIX-$1" sh -c 'echo "$1" > "/proc/sys/net/$0"' "$2" "$3"; }

# Makes a link between two nodes: NODE IFACE MAC NODE IFACE MAC. Offloads are off, so that frames are cut and summed as
# on a wire: a mirror of 60 kB "frames" without checksums would be a recording of this kernel, not of a network.
lab_link() {
  ip link add "$2" netns "$LAB_PREFIX-$1" address "$3" type veth peer name "$5" netns "$LAB_PREFIX-$4" address "$6"
  for end in "$1 $2" "$4 $5"; do
    # shellcheck disable=SC2086
    set -- $end
    ip netns exec "$LAB_PREFIX-$1" ethtool -K "$2" tx off rx off sg off tso off gso off gro off >/dev/null 2>&1 || lab_fail "$2: offloads stay on"
    ip -n "$LAB_PREFIX-$1" link set "$2" up
  done
}

# Makes the lab with IPv4 (the default) or with IPv6 alone: each recording then shows one of them, and no noise of the other.
lab_up() {
  LAB_FAMILY=${1:-4}
  LAB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/fc-lab.XXXXXX")
  LAB_PREFIX=fc-$$
  chmod 755 "$LAB_DIR"                                          # servers that give up root still read their settings
  echo "$LAB_PREFIX" > "$LAB_DIR/prefix"
  : > "$LAB_DIR/pids"
  for node in $LAB_NODES; do
    ip netns add "$LAB_PREFIX-$node"
    off=1; [ "$LAB_FAMILY" = 4 ] || case $node in switch | sensor) ;; *) off=0 ;; esac
    lab_set "$node" ipv6/conf/all/disable_ipv6 $off
    lab_set "$node" ipv6/conf/default/disable_ipv6 $off
    # No probing for duplicates and no asking for routers: addresses are given below, and at once.
    lab_set "$node" ipv6/conf/default/accept_dad 0
    lab_set "$node" ipv6/conf/default/accept_ra 0
    lab_set "$node" ipv6/conf/default/router_solicitations 0
    ip -n "$LAB_PREFIX-$node" link set lo up
  done
  lab_wire
  lab_mirror
  lab_serve
}

lab_wire() {
  ip -n "$LAB_PREFIX-switch" link add br0 type bridge mcast_snooping 0
  ip -n "$LAB_PREFIX-switch" link set br0 up
  for x in web:5 app:6 batch:7 dns:2 gateway:1; do
    node=${x%:*} last=${x#*:}
    lab_link "$node" eth0 "02:00:0a:01:00:0$last" switch "$node" "02:00:0a:01:01:0$last"
    ip -n "$LAB_PREFIX-switch" link set "$node" master br0
    if [ "$LAB_FAMILY" = 4 ]; then
      ip -n "$LAB_PREFIX-$node" addr add "10.1.0.$last/24" dev eth0
      [ "$node" = gateway ] || ip -n "$LAB_PREFIX-$node" route add default via 10.1.0.1
    else
      ip -n "$LAB_PREFIX-$node" addr add "fd00:10:1::$last/64" dev eth0
      [ "$node" = gateway ] || ip -n "$LAB_PREFIX-$node" route add default via fd00:10:1::1
    fi
  done
  lab_link gateway eth1 02:00:c0:00:02:01 outside eth0 02:00:c0:00:02:02
  if [ "$LAB_FAMILY" = 4 ]; then
    echo "nameserver 10.1.0.2" > "$LAB_DIR/resolv.conf"
    ip -n "$LAB_PREFIX-gateway" addr add 192.0.2.1/30 dev eth1
    ip -n "$LAB_PREFIX-outside" addr add 192.0.2.2/30 dev eth0
    lab_set gateway ipv4/ip_forward 1
    ip -n "$LAB_PREFIX-gateway" route add default via 192.0.2.2
    ip -n "$LAB_PREFIX-gateway" route add blackhole 203.0.113.99/32   # this one answers nothing, not even a reset
    ip -n "$LAB_PREFIX-outside" route add 10.1.0.0/24 via 192.0.2.1
    # On `lo` a whole prefix is local: each of its addresses answers, with a reset where nothing listens.
    ip -n "$LAB_PREFIX-outside" addr add 203.0.113.0/24 dev lo
    ip -n "$LAB_PREFIX-outside" addr add 198.51.100.0/24 dev lo
  else
    echo "nameserver fd00:10:1::2" > "$LAB_DIR/resolv.conf"
    ip -n "$LAB_PREFIX-gateway" addr add 2001:db8:ffff::1/64 dev eth1
    ip -n "$LAB_PREFIX-outside" addr add 2001:db8:ffff::2/64 dev eth0
    lab_set gateway ipv6/conf/all/forwarding 1
    ip -n "$LAB_PREFIX-gateway" route add default via 2001:db8:ffff::2
    ip -n "$LAB_PREFIX-outside" route add fd00:10:1::/64 via 2001:db8:ffff::1
    for address in $(lab_addresses); do
      ip -n "$LAB_PREFIX-outside" addr add "$address/128" dev lo
    done
  fi
}

# The mirror takes what comes *into* every port of the switch. Each frame enters the switch once, so each is mirrored
# exactly once, also those between two workloads and between a workload and the resolver. (Both directions of every port
# would give the latter twice.) The one action list feeds both mirrors: their inner frames are the same.
lab_mirror() {
  lab_link switch span0 02:00:0a:fa:01:09 sensor span 02:00:0a:fa:01:01
  lab_link switch under0 02:00:0a:fa:00:09 sensor vxlan 02:00:0a:fa:00:01
  # The underlay is wide enough for 1,500 octets and the envelope, as in a cloud; else outer packets would be fragments.
  ip -n "$LAB_PREFIX-switch" link set under0 mtu 9000
  ip -n "$LAB_PREFIX-sensor" link set vxlan mtu 9000
  # The sensor's end has no address (and the neighbour is written down): a sensor answers nothing, no ARP and no ICMP either.
  ip -n "$LAB_PREFIX-switch" addr add 10.250.0.9/24 dev under0
  ip -n "$LAB_PREFIX-switch" neigh add 10.250.0.1 lladdr 02:00:0a:fa:00:01 dev under0 nud permanent
  ip -n "$LAB_PREFIX-switch" link add vx0 type vxlan id 42 local 10.250.0.9 remote 10.250.0.1 dstport 4789 dev under0 ttl 64 nolearning
  ip -n "$LAB_PREFIX-switch" link set vx0 mtu 8900 up
  for port in web app batch dns gateway; do
    lab_tap switch $port ingress action mirred egress mirror dev span0 pipe action mirred egress mirror dev vx0
  done
}

# What passes a hook of an interface also takes these actions: lab_tap NODE IFACE ingress|egress ACTION…
lab_tap() {
  tap_node=$LAB_PREFIX-$1 tap_iface=$2 tap_way=$3; shift 3
  ip netns exec "$tap_node" tc qdisc show dev "$tap_iface" clsact | grep -q . || ip netns exec "$tap_node" tc qdisc add dev "$tap_iface" clsact
  # Not every kernel has the matchall classifier; this one-line BPF program says the same.
  ip netns exec "$tap_node" tc filter add dev "$tap_iface" "$tap_way" bpf bytecode '1,6 0 0 4294967295,' "$@"
}

# The names of the outside world: one zone, the root, in one file. Names are reserved ones (RFC 2606) or, for the S3
# recording, Amazon's own names in our own zone; addresses are from the documentation prefixes. Nothing leaves the machine.
lab_zone() {
  cat <<'ZONE'
$ORIGIN .
$TTL 300
@                           SOA    ns1.lab.example. hostmaster.lab.example. 1 3600 900 604800 300
@                           NS     ns1.lab.example.
ns1.lab.example.            A      203.0.113.53
ns1.lab.example.            AAAA   2001:db8:53::53
updates.example.com.        A      203.0.113.10
updates.example.com.        AAAA   2001:db8:1::10
api.example.org.            A      203.0.113.20
api.example.org.            AAAA   2001:db8:1::20
login.vendor.example.       A      203.0.113.30
backup.storage.example.     A      198.51.100.80
backup.storage.example.     AAAA   2001:db8:2::80
pool.ntp.example.net.       A      198.51.100.123
pool.ntp.example.net.       AAAA   2001:db8:2::123
paste.example.edu.          A      203.0.113.40
paste.example.edu.          AAAA   2001:db8:1::40
; a content network: the name asked is in one registrable domain, the address in another
cdn.example.net.            CNAME  edge-7.fastedge.example.
edge-7.fastedge.example.    A      198.51.100.71
edge-7.fastedge.example.    A      198.51.100.72
edge-7.fastedge.example.    AAAA   2001:db8:2::71
; chains
www.example.com.            CNAME  www.example.com.g.cdn-one.example.
www.example.com.g.cdn-one.example.  CNAME  e42.a.cdn-two.example.
e42.a.cdn-two.example. 20   A      198.51.100.142
shop.example.org.           CNAME  shop.eu.hosting.example.
shop.eu.hosting.example.    CNAME  lb-3.hosting.example.
lb-3.hosting.example.       A      198.51.100.150
assets.example.net.         CNAME  lb-3.hosting.example.
old.example.com.            DNAME  new.example.edu.
docs.new.example.edu.       A      198.51.100.160
; addresses given only as hints
svc.example.org.            HTTPS  1 . alpn=h2,http/1.1 ipv4hint=198.51.100.30,198.51.100.31
dual.example.com.           HTTPS  1 . alpn=h2 port=8443 ipv4hint=198.51.100.32 ipv6hint=2001:db8:2::32
; buckets: all answered by the same addresses for a short time, as S3 does
ours.s3.eu-west-1.amazonaws.com. 5              CNAME  s3-r-w.eu-west-1.amazonaws.com.
strangers-bucket.s3.eu-west-1.amazonaws.com. 5  CNAME  s3-r-w.eu-west-1.amazonaws.com.
s3-r-w.eu-west-1.amazonaws.com. 5               A      198.51.100.90
s3-r-w.eu-west-1.amazonaws.com. 5               A      198.51.100.91
; more addresses than a datagram of 512 octets holds
ZONE
  for last in $LAB_WIDE; do printf 'wide.example.org. A 198.51.100.%s\n' "$last"; done
}

# The last octets of the addresses of wide.example.org.
LAB_WIDE=$(seq 170 209)

# The outside's IPv6 addresses: those of the zone, two that no name has, and a visitor's.
lab_addresses() { { lab_zone | awk '$(NF-1) == "AAAA" { print $NF }'; echo 2001:db8:bad::66; echo 2001:db8:bad::68; echo 2001:db8:3::200; } | sort -u; }

lab_serve() {
  mkdir "$LAB_DIR/zones"
  lab_zone > "$LAB_DIR/zones/root"
  if [ "$LAB_FAMILY" = 4 ]; then
    authority=203.0.113.53 resolver=10.1.0.2 time=198.51.100.123 ip4=yes ip6=no type=A
    web="10.1.0.5:80 10.1.0.5:443ssl" app=10.1.0.6:8080 local="A 10.1.0.5" outside="
      203.0.113.10:80 203.0.113.20:443ssl 203.0.113.30:443ssl 203.0.113.40:443ssl 203.0.113.66:8443 203.0.113.68:8443
      203.0.113.69:8443 198.51.100.30:443ssl 198.51.100.32:8443ssl 198.51.100.71:443ssl 198.51.100.72:443ssl
      198.51.100.80:443ssl 198.51.100.90:443ssl 198.51.100.91:443ssl 198.51.100.142:443ssl 198.51.100.150:443ssl 198.51.100.160:80"
    for last in $LAB_WIDE; do outside="$outside 198.51.100.$last:443ssl"; done
  else
    authority=2001:db8:53::53 resolver=fd00:10:1::2 time=2001:db8:2::123 ip4=no ip6=yes type=AAAA
    web="[fd00:10:1::5]:80 [fd00:10:1::5]:443ssl" app="[fd00:10:1::6]:8080" local="AAAA fd00:10:1::5" outside="
      [2001:db8:1::10]:80 [2001:db8:1::20]:443ssl [2001:db8:1::40]:443ssl [2001:db8:2::71]:443ssl
      [2001:db8:2::80]:443ssl [2001:db8:bad::66]:8443"
  fi

  # Outside: the authority for the names, from which the resolver learns them as it would from the real root.
  cat > "$LAB_DIR/nsd.conf" <<CONF
server:
  ip-address: $authority
  username: ""
  chroot: ""
  database: ""
  pidfile: "$LAB_DIR/nsd.pid"
  zonelistfile: "$LAB_DIR/nsd.zones"
  xfrdfile: "$LAB_DIR/nsd.xfrd"
  xfrdir: "$LAB_DIR"
  zonesdir: "$LAB_DIR/zones"
  server-count: 1
  refuse-any: no
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: "root"
CONF
  lab_start outside nsd nsd -d -c "$LAB_DIR/nsd.conf"

  # Inside: the resolver. It recurses as usual; names of our own hosts it answers itself.
  printf '.\tNS\tns1.lab.example.\nns1.lab.example.\t%s\t%s\n' "$type" "$authority" > "$LAB_DIR/hints"
  cat > "$LAB_DIR/unbound.conf" <<CONF
server:
  interface: $resolver
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  do-ip4: $ip4
  do-ip6: $ip6
  username: ""
  chroot: ""
  directory: "$LAB_DIR"
  pidfile: "$LAB_DIR/unbound.pid"
  use-syslog: no
  root-hints: "$LAB_DIR/hints"
  module-config: "iterator"
  qname-minimisation: no
  local-zone: "corp.example." static
  local-data: "web.corp.example. 300 IN $local"
  local-data: "app.corp.example. 300 IN ${local%5}6"
remote-control:
  control-enable: no
CONF
  lab_start dns unbound unbound -d -c "$LAB_DIR/unbound.conf"

  # Outside: time. `-x` keeps its hands off the machine's clock; it serves that clock as it is.
  printf '%s\n' "local stratum 2" "allow all" "bindaddress $time" "cmdport 0" "bindcmdaddress /" \
    "pidfile $LAB_DIR/chronyd.pid" "user root" > "$LAB_DIR/chrony.conf"
  lab_start outside chronyd chronyd -d -x -f "$LAB_DIR/chrony.conf"

  # Web servers: outside, and two inside. One certificate speaks for every name; elliptic keys keep recordings small.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=lab.example \
    -keyout "$LAB_DIR/key.pem" -out "$LAB_DIR/cert.pem" -addext "subjectAltName=$(lab_zone | awk '$1 ~ /\.$/ { sub(/\.$/, "", $1); if (!seen[$1]++) printf "%sDNS:%s", n++ ? "," : "", $1 }')" 2>/dev/null
  for node in outside web app; do
    eval "listen=\$$node"
    lab_nginx "$node" "$listen" > "$LAB_DIR/nginx-$node.conf"
    lab_start "$node" "nginx-$node" nginx -p "$LAB_DIR" -c "$LAB_DIR/nginx-$node.conf" -e stderr
  done
  lab_ready
}

lab_nginx() {
  cat <<CONF
daemon off;
worker_processes 1;
pid $LAB_DIR/nginx-$1.pid;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path $LAB_DIR/nginx-$1.body;
  proxy_temp_path $LAB_DIR/nginx-$1.proxy;
  fastcgi_temp_path $LAB_DIR/nginx-$1.fastcgi;
  uwsgi_temp_path $LAB_DIR/nginx-$1.uwsgi;
  scgi_temp_path $LAB_DIR/nginx-$1.scgi;
  default_type text/plain;
  server {
$(for x in $2; do case $x in *ssl) echo "    listen ${x%ssl} ssl http2;" ;; *) echo "    listen $x;" ;; esac; done)
    ssl_certificate $LAB_DIR/cert.pem;
    ssl_certificate_key $LAB_DIR/key.pem;
    location / { return 200 "hello from \$server_addr, this is \$request_uri\\n"; }
  }
}
CONF
}

# Waits until the servers answer, by asking each of them on its own node, where the mirror does not see it.
lab_ready() {
  tries=0
  until ip netns exec "$LAB_PREFIX-outside" dig +tries=1 +time=1 "@$authority" . SOA 2>/dev/null | grep -q ns1.lab.example &&
        ip netns exec "$LAB_PREFIX-dns" dig +tries=1 +time=1 "@$resolver" web.corp.example "$type" 2>/dev/null | grep -q 'status: NOERROR' &&
        for node in outside web app; do
          eval "listen=\$$node"
          for x in $listen; do ip netns exec "$LAB_PREFIX-$node" curl -qsk --noproxy '*' -o /dev/null --max-time 2 "$(case $x in *ssl) echo "https://${x%ssl}/" ;; *) echo "http://$x/" ;; esac)" || break 2; done
        done
  do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || { tail -n 5 "$LAB_DIR"/*.log >&2; lab_fail "the servers do not answer"; }
    sleep 0.2
  done
}

# Removes everything that lab_up made; safe to call twice and on half a lab.
lab_down() {
  [ -n "${LAB_DIR:-}" ] && [ -f "$LAB_DIR/prefix" ] || return 0
  for pid in $(cat "$LAB_DIR/pids"); do lab_stop "$pid" || true; done
  for node in $LAB_NODES; do
    [ -e "/run/netns/$LAB_PREFIX-$node" ] || continue
    # Whatever still runs in a namespace of ours was started by us (a server's child, a client that hangs).
    for pid in $(ip netns pids "$LAB_PREFIX-$node"); do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns del "$LAB_PREFIX-$node"
  done
  rm -rf "$LAB_DIR"
  LAB_DIR=
}

# Records an interface of the sensor in nanoseconds: recorder_start IFACE FILE [FILTER]; its pid is in RECORDER.
recorder_start() {
  # An earlier recorder's log on this interface must not be taken for this one's.
  rm -f "$LAB_DIR/tcpdump-$1.log"
  # -U and --immediate-mode: what was seen is in the file when we stop. -Z root: tcpdump may not write our folder as its own
  # user. -B in KiB: in that mode each frame takes as much room as the longest, and a busy machine lets a recorder wait; this
  # is more than a lab sends in all.
  lab_start sensor "tcpdump-$1" tcpdump -i "$1" -n -U --immediate-mode -B 32768 -Z root --time-stamp-precision nano -w "$2" ${3:+"$3"}
  RECORDER=$LAB_PID
  tries=0
  until grep -qs 'listening on' "$LAB_DIR/tcpdump-$1.log"; do
    tries=$((tries + 1)); [ "$tries" -lt 50 ] || lab_fail "tcpdump does not start: $(cat "$LAB_DIR/tcpdump-$1.log")"
    sleep 0.1
  done
}

# Stops a recorder and fails if the kernel dropped a frame: recorder_stop PID IFACE.
recorder_stop() {
  sleep 0.5
  lab_stop "$1" || true
  grep -q '^0 packets dropped by kernel' "$LAB_DIR/tcpdump-$2.log" || lab_fail "tcpdump on $2: $(cat "$LAB_DIR/tcpdump-$2.log")"
}

case "${0##*/}" in lab.sh)
  set -eu
  case "${1:-}" in
    up)
      lab_require
      trap 'lab_down' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP
      lab_up "${2:-4}"
      trap - EXIT
      echo "$LAB_DIR"
      ;;
    at) LAB_DIR=$2 LAB_PREFIX=$(cat "$2/prefix"); shift 2; at "$@" ;;
    down) LAB_DIR=$2 LAB_PREFIX=$(cat "$2/prefix"); lab_down ;;
    *) echo "usage: lab.sh up [4|6] | at DIR NODE COMMAND… | down DIR" >&2; exit 2 ;;
  esac ;;
esac
