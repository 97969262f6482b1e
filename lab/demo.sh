#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows what a cloud of Zeta does: brings lab/demo.yaml up, runs real traffic through it, prints what it
# saw, takes it down. Exits 0 only if every statement held.
set -euo pipefail
build=${1:-build}
cd "$(dirname "$0")/.."
source lab/cloud.sh

title() {
	printf '\n%s\n' "$1"
}

count() {
	figure count "$@" <"$work/status.json"
}

begin lab/demo.yaml
web red-web "the red web server"
web red-shop "the red shop"
web red-back "red, at the back"
web blue-web "the blue web server"
web blue-shop "the blue shop"
head -c 100000000 /dev/urandom >"$work/red-web/100mb"
head -c 12000000 /dev/urandom >"$work/red-web/12mb"
cp "$work/red-web/12mb" "$work/red-shop/12mb"
cp "$work/red-web/12mb" "$work/blue-web/12mb"
head -c 16384 /dev/zero >"$work/red-shop/slow"

title "1. Endpoints of one VPC reach each other"
holds "in a subnet, between hosts (red-client to red-web)" pings red-client 10.0.1.10
holds "in a subnet, from a third host (red-extra to red-web)" pings red-extra 10.0.1.10
holds "their gateway answers" pings red-client 10.0.1.1
holds "across subnets, on one host (red-web to red-back)" pings red-web 10.0.2.11
holds "across subnets, between hosts (blue-client to blue-shop)" pings blue-client 10.0.2.10
crossed() {
	on blue-client ping -c 1 -W 20 10.0.2.11 | grep 'ttl=63'
}
holds "and a router was crossed: the TTL is one less" crossed

title "2. Tenants with the same addresses do not meet"
holds "red's 10.0.1.10 is red's web server" says red-client http://10.0.1.10/ "the red web server"
holds "blue's 10.0.1.10 is blue's" says blue-client http://10.0.1.10/ "the blue web server"
holds "red's 10.0.2.10 is red's shop" says red-client http://10.0.2.10/ "the red shop"
holds "blue's 10.0.2.10 is blue's" says blue-client http://10.0.2.10/ "the blue shop"
holds "10.0.1.12 is there for red" pings red-client 10.0.1.12
fails "10.0.1.12 is not there for blue" pings blue-client 10.0.1.12
holds "10.0.2.12 is there for blue" pings blue-client 10.0.2.12
fails "10.0.2.12 is not there for red" pings red-client 10.0.2.12

title "3. A security group lets replies back and blocks the rest"
holds "the front subnet may ask the shop: port 80" page red-client http://10.0.2.10/
holds "the front subnet may ping it" pings red-client 10.0.2.10
fails "but not use its port 8080, where a server listens" page red-client http://10.0.2.10:8080/
fails "the shop's own subnet may not ask it" page red-back http://10.0.2.10/
fails "nor ping it" pings red-back 10.0.2.10
holds "what the shop asks for comes back, from the same machine" page red-shop http://10.0.2.11/
holds "where there is no group port 8080 is open" page red-client http://10.0.1.10:8080/

title "4. A download of 100 MB, and which way it took"
fresh_status >/dev/null
direct=$(count EDGE_DIRECT bytes) entrance=$(count EDGE_TO_ENTRANCE bytes)
began=$(date +%s%N)
on red-client curl -s -f --max-time $patience -o "$work/got" http://10.0.1.10/100mb || true
took=$((($(date +%s%N) - began) / 1000000))
fresh_status >/dev/null
direct=$(($(count EDGE_DIRECT bytes) - direct))
entrance=$(($(count EDGE_TO_ENTRANCE bytes) - entrance))
holds "what came is byte for byte what was sent (sha256)" \
	[ "$(sha256sum <"$work/got")" = "$(sha256sum <"$work/red-web/100mb")" ]
share=$((direct * 10000 / (direct + entrance + 1)))
holds "at least 99 % of the bytes went directly from host to host" [ "$share" -ge 9900 ]
printf '          %d.%02d %% direct: %d bytes, and %d by an entrance; %d ms\n' \
	$((share / 100)) $((share % 100)) "$direct" "$entrance" "$took"
on red-web iperf3 -s -D -p 5001 -I "$work/iperf3.pid" >/dev/null
until_true test -s "$work/iperf3.pid"
rate=$(on red-client iperf3 -c 10.0.1.10 -p 5001 -t 2 -J 2>>"$work/log" | python3 -c '
import json, sys
print("%.1f" % (json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9))' || true)
holds "iperf3 runs" [ -n "$rate" ]
echo "          iperf3, one TCP stream: ${rate:-no} Gb/s"

title "5. 200 connections at once, through the security group"
on red-client curl -s --parallel --parallel-immediate --parallel-max 200 --max-time $patience \
	-o /dev/null -w '%{http_code} %{size_download}\n' "http://10.0.2.10/slow?[1-200]" \
	>"$work/parallel" 2>>"$work/log" &
asking=$!
open_connections() {
	on red-shop ss -H -n -t state established '( sport = :80 )' | wc -l
}
most=0
while kill -0 $asking 2>/dev/null; do
	now=$(open_connections)
	[ "$now" -le "$most" ] || most=$now
	sleep 0.1
done
wait $asking || true
holds "all 200 got their whole answer" [ "$(grep -c '^200 16384$' "$work/parallel")" = 200 ]
holds "all 200 were open at the same time" [ "$most" -ge 200 ]

title "6. The flow table: each session is on every node of its chain"
agree() {
	fresh_status >/dev/null && figure replicas <"$work/status.json" >"$work/replicas" &&
		! grep -q different "$work/replicas" && grep -q same "$work/replicas"
}
holds "replicas of each chain hold the same sessions (count and digest)" until_true agree
sed 's/^/          /' "$work/replicas" 2>/dev/null
holds "they are there: each of the 200 connections needed one" \
	[ "$(figure sessions <"$work/status.json" | sed 's/.*=//')" -ge 200 ]

title "7. What the first packet of a flow costs"
(on red-web python3 "$lab/probe.py" serve 7 >/dev/null 2>&1 || true) &
until_true eval 'on red-web ss -H -u -l -n | grep ":7 " >/dev/null'
(on red-back python3 "$lab/probe.py" serve 7 >/dev/null 2>&1 || true) &
until_true eval 'on red-back ss -H -u -l -n | grep ":7 " >/dev/null'
probe() {
	local first=0 later=0 answered=0
	read -r first later answered < <(on "$2" python3 "$lab/probe.py" ask "$3" 7 200) || true
	holds "200 new flows $1: all were answered" [ "$answered" = 200 ]
	echo "          round trip, median: $first us the first packet, $later us on the direct path:" \
		"$((first - later)) us more"
}
probe "without state (red-client to red-web)" red-client 10.0.1.10
probe "written to a chain of 3 (red-shop to red-back)" red-shop 10.0.2.11

title "8. Every daemon is restarted during transfers"
transfers=()
: >"$work/sums"
rm -f "$work/enough"
transfer() {
	on "$1" python3 "$lab/trickle.py" "$work/enough" "$2" /12mb 8 >>"$work/sums" 2>>"$work/log"
}
connected() {
	[ "$(on red-client ss -H -n -t state established | wc -l)" = 16 ] &&
		[ "$(on blue-client ss -H -n -t state established | wc -l)" = 8 ]
}
transfer red-client 10.0.1.10 & transfers+=($!)
transfer red-client 10.0.2.10 & transfers+=($!)
transfer blue-client 10.0.1.10 & transfers+=($!)
holds "24 transfers are under way" until_true connected
holds "all zetads and the controller stopped, started, and connected again" \
	"$zetactl" lab restart "$cloud"
holds "a new connection works right away" page red-client http://10.0.2.10/
: >"$work/enough"
lost=0
for transfer in "${transfers[@]}"; do
	wait "$transfer" || lost=$((lost + 1))
done
holds "none was lost" [ "$lost" = 0 ]
sum=$(sha256sum <"$work/red-web/12mb" | cut -d' ' -f1)
whole=$(grep -c "^$sum live$" "$work/sums" || true)
holds "all 24 were under way the whole time, and are byte for byte right" [ "$whole" = 24 ]

title "9. Why each packet left as it did"
fresh_status >/dev/null
status | sed -n '/VERDICT/,$p'
echo
never=$(figure seen BUG STAMP_CONFLICT TABLE_FULL NO_ROOM NO_VIEW TRUNCATED UNDERLAY_MALFORMED \
	TUNNEL_MALFORMED INNER_MALFORMED OAM_MALFORMED OAM_FOREIGN DFT_MALFORMED DFT_FOREIGN \
	HOPS_EXCEEDED SPOOFED <"$work/status.json")
holds "none for what must not be: ${never:-no bug, nothing malformed, nothing forged}" [ -z "$never" ]
holds "and the security group's word stands there" \
	[ $(($(count SECURITY_GROUP packets) + $(count UNREACHABLE packets))) -gt 0 ]

figure balance <"$work/status.json" >"$work/balance" && balanced=0 || balanced=1
sed 's/^/          /' "$work/balance"
holds "what came in went out, at every stage (but for 1 in 200: large ones are counted by estimate)" [ $balanced = 0 ]

echo
verdict "Every statement held. $SECONDS seconds."
