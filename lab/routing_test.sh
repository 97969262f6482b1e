#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do packets find networks behind routers of a VPC, and back, and do connections follow the routes, whatever
# becomes of the gateway's nodes?
#
#            host1              host2              host3
#   front    client .1.10       web .1.12          router .1.254 --- 172.20.1.1 --+
#   back     guarded .2.11                         other .2.254 ---- 172.20.2.1 --+-- far 172.20.1.10, .2.10
#                                                        +---------- 172.20.8.1 ----- near 172.20.8.10
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/routing.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"

begin "$lab/routing.yaml"

serve() {
	mkdir -p "$work/$1"
	echo "$1" >"$work/$1/index.html"
	head -c 12000000 /dev/urandom >"$work/$1/file"
	there "$1" python3 -m http.server 80 --directory "$work/$1" >>"$work/log" 2>&1 &
}
network far
network near
cable router far out1 172.20.1
cable other far out2 172.20.2
cable other near out8 172.20.8
on other ip route add 172.20.1.0/24 via 172.20.2.10
there far ip route add default via 172.20.1.1
there near ip route add default via 172.20.8.1
serve far
serve near
web web web
web guarded guarded

from() {
	there "$1" curl -s -f --max-time "${brief:-10}" "$2"
}
holds "a network behind a router is reached" until_true pings client 172.20.1.10
holds "and its pages" until_true says client http://172.20.1.10/ far
holds "from there the VPC's endpoints are" [ "$(from far http://10.0.1.12/)" = web ]
holds "the longest prefix counts: another router" until_true says client http://172.20.8.10/ near
holds "from another subnet too" until_true says web http://172.20.8.10/ near
holds "a security group knows who comes through a router" [ "$(from far http://10.0.2.11/)" = guarded ]
fails "and lets nothing else in" from far http://10.0.2.11:8080/
fails "nor others" page client http://10.0.2.11/
unreachable() {
	{ on client ping -c 1 -W 20 "$1" || true; } | grep 'From 10.0.1.1 .*Destination Net Unreachable'
}
holds "a blackhole says so at once" unreachable 172.20.9.1

edge_direct() {
	fresh_status >/dev/null && figure count EDGE_DIRECT packets host1 <"$work/status.json"
}
before=$(edge_direct)
goes_direct() {
	on client ping -q -c 20 -i 0.05 -W 20 172.20.1.10 && [ "$(edge_direct)" -gt "$before" ]
}
holds "from host to host, past the gateway" until_true goes_direct

sum=$(sha256sum <"$work/far/file" | cut -d' ' -f1)
transfers=6
on client python3 "$lab/trickle.py" "$work/enough" 172.20.1.10 /file $transfers >"$work/transfers" 2>&1 &
trickling=$!
under_way() {
	[ "$(on client ss -H -n -t state established dport = :80 | wc -l)" = $transfers ]
}
holds "$transfers transfers are under way" until_true under_way
routes() {
	"$zetactl" --lab "$cloud" apply -f - <<<"{kind: RouteTable, name: outside, vpc: red, routes: [$1]}"
}
to_other='{prefix: 172.20.0.0/16, next_hop: 10.0.2.254}'
through_other() {
	on other ip -s -j link show out2 |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["stats64"]["tx"]["packets"])'
}
passes_other() {
	local before
	before=$(through_other)
	page client http://172.20.1.10/ && [ "$(through_other)" -gt "$before" ]
}
there far ip route replace default via 172.20.2.1
holds "another route" routes "$to_other"
holds "new connections take it" until_true passes_other
on router ip link set out1 down
holds "a forwarder dies" gone fwd1
holds "connections begin, past the dead router" until_true says client http://172.20.1.10/ far
holds "a flow table node dies" gone ftn3
holds "connections begin" until_true says client http://172.20.1.10/ far
holds "and from there" until_true from far http://10.0.1.12/
holds "what was under way is there still" under_way
: >"$work/enough"
holds "and ends well" wait $trickling
holds "byte for byte, all of it" [ "$(grep -c "^$sum live" "$work/transfers")" = $transfers ]

fails "the next hop's port stays" "$zetactl" --lab "$cloud" delete port other
holds "its routes go" "$zetactl" --lab "$cloud" delete route-table outside
holds "nothing leads there any more" until_true unreachable 172.20.8.10
verdict "They do."
