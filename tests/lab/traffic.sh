# What the workloads of the lab do: sourced after lab.sh by the recordings and by the live test, so that both show the
# same days. Each line is a real client that asks the resolver and then contacts what it was told; the pauses keep
# flows apart for the reader of a capture.

# An HTTP or HTTPS request: get NODE URL [curl option…]. -g because IPv6 addresses stand in brackets.
get() {
  get_node=$1 get_url=$2; shift 2
  at "$get_node" curl -qgsS --noproxy '*' --cacert "$LAB_DIR/cert.pem" --max-time 10 -o "$LAB_DIR/body" "$@" "$get_url" ||
    lab_fail "$get_node: $get_url: no answer"
  sleep 0.2
}

# A request that has to fail, as curl exit status STATUS says (7 refused, 28 no answer in time).
get_fails() {
  fails_status=$1 fails_node=$2 fails_url=$3; shift 3
  fails_got=0
  at "$fails_node" curl -qgs --noproxy '*' -o "$LAB_DIR/body" "$@" "$fails_url" || fails_got=$?
  [ "$fails_got" = "$fails_status" ] || lab_fail "$fails_node: $fails_url: curl status $fails_got, expected $fails_status"
  sleep 0.2
}

# Asks a time server for the time, and leaves the machine's clock alone (-Q).
ask_time() {
  at "$1" chronyd -Q "-$LAB_FAMILY" -u root -t 8 -f /dev/null "pidfile $LAB_DIR/chronyd-$1.pid" 'cmdport 0' 'bindcmdaddress /' \
    "server $2 iburst maxsamples 1" >"$LAB_DIR/time.log" 2>&1 || lab_fail "$1: $2: $(cat "$LAB_DIR/time.log")"
}

ordinary_web() {
  get web http://updates.example.com/packages
  get web https://api.example.org/v1/orders
  get web https://cdn.example.net/app.js          # a CNAME leads to another registrable domain
  get web http://app.corp.example:8080/cart        # internal
}

ordinary_app() {
  get app https://api.example.org/v1/stock
  get app https://login.vendor.example/token
  ask_time app pool.ntp.example.net
  get app http://web.corp.example/health           # internal
}

ordinary_batch() {
  get batch http://updates.example.com/packages
  head -c 12000 /dev/zero | tr '\0' 'b' > "$LAB_DIR/upload"
  get batch https://backup.storage.example/nightly -T "$LAB_DIR/upload"
  ask_time batch pool.ntp.example.net
}

visitor() { get outside http://10.1.0.5/ --interface 198.51.100.200; }   # an inbound contact of the web workload

# Day one: nothing out of the ordinary.
day_one() {
  ordinary_web
  ordinary_app
  visitor
  ordinary_batch
}

# Day two: the same, in another order, and two contacts that day one did not have.
day_two() {
  ordinary_batch
  ordinary_app
  get app https://paste.example.edu/raw/7f3a       # a domain that no workload has contacted
  visitor
  ordinary_web
  get batch http://203.0.113.66:8443/gate          # an address that no DNS answer has given
}

# Such a day over IPv6 alone.
ipv6_day() {
  get web http://updates.example.com/packages
  get web https://cdn.example.net/app.js
  get app https://api.example.org/v1/stock
  ask_time app pool.ntp.example.net
  get app http://web.corp.example/health
  get batch https://backup.storage.example/nightly
  get outside 'http://[fd00:10:1::5]/' --interface 2001:db8:3::200
  get app https://paste.example.edu/raw/7f3a
  get batch 'http://[2001:db8:bad::66]:8443/gate'
}
