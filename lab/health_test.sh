#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a load balancer find out which of its backends are there, with nobody's help, and move only
# new connections?
#
#            host1              host2              host3
#   front    client .1.10       web2 .1.12
#            web1 .1.11
#   back                                           web3 .2.11 (security group "web")
#   2 forwarders, 3 flow table nodes in chains of 3; load balancer 10.0.1.100 (lab/loadbalancer.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/loadbalancer.yaml"

shop=10.0.1.100
interval=4000 timeout=1500 # ms: two checks in a row must fail
head -c 12000000 /dev/urandom >"$work/file"
sum=$(sha256sum <"$work/file" | cut -d' ' -f1)
for name in web1 web2 web3; do
	web "$name" "$name"
	ln "$work/file" "$work/$name/file"
done

# balance CHECK BACKENDS
balance() {
	"$zetactl" --lab "$cloud" apply -f - <<-YAML
		{kind: LoadBalancer, name: shop, vpc: red, listeners: [
			{protocol: tcp, port: 80, backend_port: 8080, check: $1, backends: [$2]}]}
	YAML
}
all='{port: web1}, {port: web2}, {port: web3}'
tcp="{type: tcp, interval_ms: $interval, timeout_ms: $timeout}"
http="{type: http, path: /health, interval_ms: $interval, timeout_ms: $timeout}"

# seen BACKEND STATE: all flow table nodes that live say so.
seen() {
	"$zetactl" --lab "$cloud" get load-balancers shop -o json | python3 -c '
import json, sys
told = json.load(sys.stdin)
shop = told["items"][0] if "items" in told else told
states = [b["state"] for b in shop["status"]["backends"] if b["name"] == sys.argv[1]]
ends = [len(b["up"]) + len(b["down"]) for b in shop["status"]["backends"] if b["name"] == sys.argv[1]]
sys.exit(states != [sys.argv[2]] or ends[0] < int(sys.argv[3]))' "$1" "$2" "${3:-3}"
}
all_up() {
	seen web1 up && seen web2 up && seen web3 up
}
# Who answers 20 connections, one after the other: each once, sorted.
who() {
	on client bash -c 'for ((i = 0; i < 20; i++)); do
		curl -s -f --max-time 10 "http://$1/" || echo none; done' who $shop | sort -u | xargs
}
served_by() {
	[ "$(who)" = "$1" ]
}
alarmed() {
	status | grep no-healthy-backend
}
quiet() {
	! alarmed
}
line() {
	"$zetactl" --lab "$cloud" get load-balancers | awk '$1 == "shop" { print $5, $6 }'
}
now_ms() {
	python3 -c 'import time; print(int(time.monotonic() * 1000))'
}
# begin_dialling: connections all the time, from now on.
begin_dialling() {
	rm -f "$work/enough.dial"
	on client python3 "$lab/dial.py" "$work/enough.dial" $shop 80 >"$work/dialled" 2>>"$work/log" &
	dialling=$!
}
# served DEAD SINCE COUNT: of those that began after SINCE the last COUNT were neither DEAD's nor nobody's.
served() {
	sort -n "$work/dialled" | awk -v dead="$1" -v since="$2" -v wanted="$3" '
		$1 < since { next }
		$2 == dead || $2 == "none" { last = $1 - since; count = -1 }
		{ count++ }
		END { print "the last that was not served began after", last + 0, "ms;", count + 0, "later ones were"
		      exit count < wanted }' | tee "$work/figure" >>"$work/log"
	[ "${PIPESTATUS[1]}" = 0 ]
}
# others_serve DEAD SINCE: at some time after SINCE there are no more of DEAD's, and nobody's, not among those
# that are waiting for an answer then either.
others_serve() {
	local done=0
	until_true served "$1" "$2" 120 || done=1
	: >"$work/enough.dial"
	wait $dialling
	[ "$done" = 0 ] && served "$1" "$2" 60
}
others_serve_for() {
	holds "$1" others_serve "$2" "$3"
	echo "          $(cat "$work/figure")"
}
nginx_is() {
	local main
	main=$(cat "$work/$2.pid")
	kill "-$1" $(pgrep -P "$main") "$main"
}

holds "without checks nothing is said of backends" [ "$(line)" = "- -" ]
holds "TCP is checked" balance "$tcp" "$all"
holds "every flow table node finds all backends up" until_true all_up
holds "and says so in a line" [ "$(line)" = "3 -" ]
unchanged() {
	"$zetactl" --lab "$cloud" get load-balancers shop -o yaml >"$work/shop.yaml" &&
		"$zetactl" --lab "$cloud" apply -f "$work/shop.yaml" | grep unchanged
}
holds "what the API has of it can be applied" unchanged
holds "all three serve" until_true served_by "web1 web2 web3"

transfers=9
on client python3 "$lab/trickle.py" "$work/enough" $shop /file $transfers >"$work/transfers" 2>&1 &
trickling=$!
connected() {
	on "$1" ss -H -n -t state established sport = :8080 | grep -c 10.0.1.10: || true
}
# where: on which backends the transfers are.
where() {
	echo "$(connected web1) $(connected web2) $(connected web3)"
}
under_way() {
	[ $(($(connected web1) + $(connected web2) + $(connected web3))) = $transfers ]
}
holds "$transfers transfers are under way" until_true under_way
before=$(where)

begin_dialling
kill -STOP "$(of_process controller pid)"
since=$(now_ms)
on web1 nginx -c "$work/web1.conf" -e "$work/web1.log" -s quit
others_serve_for "the controller stopped, web1 takes no more connections: others do" web1 "$since"
kill -CONT "$(of_process controller pid)"
holds "all nodes say that it is down" until_true seen web1 down
holds "in a line, too" [ "$(line)" = "2 web1" ]
holds "and how it fails" grep -q refused <("$zetactl" --lab "$cloud" get load-balancers shop -o json)
rm -f "$work/web1.pid"
web web1 web1
holds "it is back" until_true seen web1 up
holds "and serves" until_true served_by "web1 web2 web3"

holds "HTTP is checked" balance "$http" "$all"
holds "all are up" until_true all_up
begin_dialling
since=$(now_ms)
nginx_is STOP web2
others_serve_for "web2 accepts, and answers nothing: others serve" web2 "$since"
holds "all nodes say that it is down" until_true seen web2 down
nginx_is CONT web2
holds "it is back" until_true seen web2 up

touch "$work/web1/sick"
holds "web1 answers 500: it is down" until_true seen web1 down
holds "it is told why" grep -q 'HTTP 500' <("$zetactl" --lab "$cloud" get load-balancers shop -o json)
holds "others serve" until_true served_by "web2 web3"
inside fabric ip link set host3.t down
holds "web3's host is cut off: it is down" until_true seen web3 down
holds "one is left" until_true served_by web2
inside fabric ip link set host3.t up
holds "it is back" until_true seen web3 up
rm "$work/web1/sick"
holds "all are" until_true all_up
holds "and serve" until_true served_by "web1 web2 web3"
holds "what was under way is where it was ($before)" [ "$(where)" = "$before" ]

holds "no alarm" quiet
touch "$work/web1/sick" "$work/web2/sick" "$work/web3/sick"
holds "where no backend is healthy there is an alarm" until_true alarmed
holds "and all get connections: they may serve yet" until_true served_by "web1 web2 web3"
rm "$work/web1/sick" "$work/web2/sick" "$work/web3/sick"
holds "it ends with that" until_true quiet

begin_dialling
since=$(now_ms)
nginx_is STOP web2
power_off fwd1 ftn3
others_serve_for "web2 stops, as a forwarder and a node that checks it lose power: others serve" web2 "$since"
holds "those that live say that it is down" until_true seen web2 down 2
nginx_is CONT web2
holds "it is back" until_true seen web2 up 2
power_on fwd1 ftn3
holds "who is on again finds them, too" until_true all_up
holds "what was under way is where it was" [ "$(where)" = "$before" ]
: >"$work/enough"
holds "and ends well" wait $trickling
holds "byte for byte, all of it" [ "$(grep -c "^$sum live" "$work/transfers")" = $transfers ]
holds "without checks" balance null "$all"
unchecked() {
	[ "$(line)" = "- -" ]
}
holds "nothing is said" until_true unchecked
verdict "It does."
