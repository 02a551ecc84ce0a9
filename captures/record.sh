#!/bin/sh
# Records the captures of this folder in the lab of tests/lab:  record.sh [NAME…]   (all of them without a name)
#
# Each one is recorded in a lab of its own, so that the resolver's cache is empty and no flow of another capture is cut.
# A recording is not the same octet for octet each time (ports, ids, times); what README.md says of it holds each time.
set -eu

CAPTURES=$(cd "$(dirname "$0")" && pwd)
. "$CAPTURES/../tests/lab/lab.sh"
. "$CAPTURES/../tests/lab/traffic.sh"
lab_require editcap capinfos python3 taskset

# All of the lab on one processor: frames then have one order, and both mirrors record the same one.
taskset -cp "$(awk '/^Cpus_allowed_list/ { split($2, list, /[-,]/); print list[1] }' /proc/self/status)" $$ >/dev/null

trap 'lab_down' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP

# Records what a function's traffic shows on the SPAN port: record FILE FUNCTION [4|6].
record() {
  lab_up "${3:-4}"
  [ "$LAB_FAMILY" = 4 ] || sleep 4              # hosts announce their IPv6 groups for some seconds: not our subject
  recorder_start span "$LAB_DIR/out.pcap"
  "$2"
  recorder_stop "$RECORDER" span
  cp "$LAB_DIR/out.pcap" "$CAPTURES/$1.pcap"
  lab_down
}

# The day before. Both days are recorded on the same day; only the times are moved, by exactly 24 h, so that replaying
# day one and then day two needs no `--shift`.
day_one_pcap() {
  record day-one day_one
  editcap -F nsecpcap -t -86400 "$CAPTURES/day-one.pcap" "$CAPTURES/day-one.pcap.moved"
  mv "$CAPTURES/day-one.pcap.moved" "$CAPTURES/day-one.pcap"
}

# The second day, from both mirrors at once: the VXLAN recording holds the same inner frames.
day_two_pcap() {
  lab_up
  recorder_start span "$LAB_DIR/span.pcap"; span=$RECORDER
  recorder_start vxlan "$LAB_DIR/vxlan.pcap" 'udp port 4789'
  day_two
  recorder_stop "$span" span
  recorder_stop "$RECORDER" vxlan
  cp "$LAB_DIR/span.pcap" "$CAPTURES/day-two.pcap"
  cp "$LAB_DIR/vxlan.pcap" "$CAPTURES/day-two-vxlan.pcap"
  lab_down
}

cname_chain_traffic() {
  get web https://www.example.com/                # two links, and both lead through registrable domains of others
  get web https://shop.example.org/
  get app https://assets.example.net/logo         # ends at the address of the line before, asked under another name
  get batch http://docs.old.example.com/          # a DNAME, and the CNAME that the resolver makes of it
}

bucket_traffic() {
  get web https://ours.s3.eu-west-1.amazonaws.com/logo
  sleep 6                                         # the answers live for 5 s, so each fetch asks anew
  get web https://strangers-bucket.s3.eu-west-1.amazonaws.com/upload
  sleep 6
  get web https://ours.s3.eu-west-1.amazonaws.com/logo
}

# Clients that know addresses from HTTPS records only: dig asks, and curl is told what was answered instead of asking.
https_hints_traffic() {
  at web dig svc.example.org HTTPS > "$LAB_DIR/dig.log"
  grep -q 'ipv4hint=198.51.100.30' "$LAB_DIR/dig.log" || lab_fail "svc.example.org: no hint: $(cat "$LAB_DIR/dig.log")"
  sleep 0.2
  get web https://svc.example.org/ --resolve svc.example.org:443:198.51.100.30
  at app dig dual.example.com TYPE65 > "$LAB_DIR/dig.log"
  sleep 0.2
  get app https://dual.example.com:8443/ --resolve dual.example.com:8443:198.51.100.32
}

# Answers that do not fit into a datagram: the client's library is told so and asks again over TCP. dig asks over TCP at
# once, twice over one connection.
dns_over_tcp_traffic() {
  get web https://wide.example.org/
  at app dig +tcp +keepopen api.example.org A login.vendor.example A > "$LAB_DIR/dig.log"
  grep -q 203.0.113.30 "$LAB_DIR/dig.log" || lab_fail "no answer over TCP: $(cat "$LAB_DIR/dig.log")"
  sleep 0.2
  get app https://api.example.org/v1/stock --resolve api.example.org:443:203.0.113.20
  get app https://login.vendor.example/token --resolve login.vendor.example:443:203.0.113.30
}

refused_traffic() {
  get_fails 7 web http://updates.example.com:81/                          # a name, a closed port: reset
  get_fails 7 web http://203.0.113.67:2222/                               # an address, a closed port: reset
  get_fails 28 app https://203.0.113.99/ --max-time 4                     # nothing answers; the SYN is repeated
  at app bash -c 'echo hello > /dev/udp/203.0.113.67/9999'                # ICMP says "port unreachable"
  sleep 0.2
  get_fails 7 batch http://203.0.113.69:9000/                             # refused, and through at another port at once
  get batch http://203.0.113.69:8443/
  get_fails 7 batch http://203.0.113.68:9000/                             # refused, and through after the 5 s of settle
  sleep 7
  get batch http://203.0.113.68:8443/
}

# Connections that were there before the recorder. A FIFO each holds the clients open until we have something to say;
# what is started meanwhile must not inherit our ends, or no client would ever see the end of its input.
midstream_pcap() {
  lab_up
  mkfifo "$LAB_DIR/to_api" "$LAB_DIR/to_bare" "$LAB_DIR/to_web"
  at app openssl s_client -quiet -connect api.example.org:443 < "$LAB_DIR/to_api" > "$LAB_DIR/api.log" 2>&1 & api=$!
  at batch curl -qsS --noproxy '*' --max-time 20 telnet://203.0.113.66:8443 < "$LAB_DIR/to_bare" > "$LAB_DIR/bare.log" 2>&1 & bare=$!
  at outside curl -qsS --noproxy '*' --max-time 20 --interface 198.51.100.200 telnet://10.1.0.5:80 < "$LAB_DIR/to_web" > "$LAB_DIR/web.log" 2>&1 & web=$!
  exec 3> "$LAB_DIR/to_api" 4> "$LAB_DIR/to_bare" 5> "$LAB_DIR/to_web"
  sleep 1
  recorder_start span "$LAB_DIR/out.pcap" 3>&- 4>&- 5>&-
  for end in keep-alive close; do
    printf 'GET /%s HTTP/1.1\r\nHost: api.example.org\r\nConnection: %s\r\n\r\n' $end $end >&3; sleep 0.3
    printf 'GET /%s HTTP/1.1\r\nHost: 203.0.113.66\r\nConnection: %s\r\n\r\n' $end $end >&4; sleep 0.3
    printf 'GET /%s HTTP/1.1\r\nHost: 10.1.0.5\r\nConnection: %s\r\n\r\n' $end $end >&5; sleep 0.3
  done
  exec 3>&- 4>&- 5>&-
  wait $api $bare $web || true
  recorder_stop "$RECORDER" span
  for log in api bare web; do
    [ "$(grep -c '^hello from' "$LAB_DIR/$log.log")" = 2 ] || lab_fail "midstream: $log: $(cat "$LAB_DIR/$log.log")"
  done
  cp "$LAB_DIR/out.pcap" "$CAPTURES/midstream.pcap"
  lab_down
}

[ $# -gt 0 ] || set -- day-one day-two ipv6 cname-chain strangers-bucket https-hints refused midstream dns-over-tcp qinq
for name in "$@"; do
  echo "recording $name" >&2
  case $name in
    day-one) day_one_pcap ;;
    day-two | day-two-vxlan) day_two_pcap ;;
    ipv6) record ipv6 ipv6_day 6 ;;
    cname-chain) record cname-chain cname_chain_traffic ;;
    strangers-bucket) record strangers-bucket bucket_traffic ;;
    dns-over-tcp) record dns-over-tcp dns_over_tcp_traffic ;;
    https-hints) record https-hints https_hints_traffic ;;
    refused) record refused refused_traffic ;;
    midstream) midstream_pcap ;;
    qinq) python3 "$CAPTURES/tools/add_tags.py" "$CAPTURES/day-two.pcap" "$CAPTURES/qinq.pcap" ;;
    *) echo "record.sh: there is no capture $name" >&2; exit 2 ;;
  esac
done
capinfos -T -m -Q -c -s "$CAPTURES"/*.pcap 2>/dev/null | sed "s|$CAPTURES/||" >&2
