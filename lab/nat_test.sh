#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do a VPC's endpoints reach what is outside by addresses that they share, thousands of connections at
# once, whatever becomes of the gateway's nodes?
#
#            host1              host2              host3
#   red      client .1.10       client2 .1.11
#   blue     blue-client .1.10
#   public                                         server 198.51.100.20
#                                                  stranger 198.51.100.21
#                                 uplink .254 ----- internet 203.0.113.10
#   2 forwarders, 3 flow table nodes in chains of 3; red leaves as 198.51.100.10, blue as .11; client2 has
#   floating IP 198.51.100.30; port 8000 of .10 leads to client's 80 (lab/nat.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/nat.yaml"

server=198.51.100.20
web server outside
web client inside
web client2 floating
on server python3 "$lab/nat.py" serve 7000 >>"$work/log" 2>&1 &

# seen_as ENDPOINT ADDRESS SERVER [udp]: what the server sees.
seen_as() {
	[ "$(on "$1" python3 "$lab/nat.py" who "$3" 7000 "${@:4}" | cut -d' ' -f1)" = "$2" ]
}

holds "a client inside gets a page from outside" until_true page client http://$server/
holds "the server sees the NAT's address" until_true seen_as client 198.51.100.10 $server
holds "of an endpoint with a floating IP that one" seen_as client2 198.51.100.30 $server
holds "of another tenant with that address another one" seen_as blue-client 198.51.100.11 $server
holds "UDP is translated" seen_as client 198.51.100.10 $server udp
holds "a ping is answered" pings client $server
holds "one of another tenant's, too" pings blue-client $server
# From where nothing listens the client is told by ICMP.
told() {
	on client python3 -c '
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect((sys.argv[1], 9))
s.send(b"x")
try:
    s.recv(1)
except OSError as e:
    sys.exit(e.errno != errno.ECONNREFUSED)' $server
}
holds "an ICMP error from outside reaches who is meant" told
refused() {
	local code=0
	on client curl -s --max-time 30 http://$server:81/ || code=$?
	[ $code = 7 ]
}
holds "a refusal from outside arrives at once" refused
fails "nobody outside begins a connection to the NAT's address" page stranger http://198.51.100.10/
fails "nor to an address inside" page stranger http://10.0.1.10/
holds "the NAT's address has the MAC of its subnet's gateway" \
	[ "$(pings stranger 198.51.100.1 >/dev/null 2>&1; on stranger ip neigh show 198.51.100.10 | grep -o 'lladdr [0-9a-f:]*')" = \
	"$(on stranger ip neigh show 198.51.100.1 | grep -o 'lladdr [0-9a-f:]*')" ]
holds "a floating IP is reached from outside" until_true says stranger http://198.51.100.30/ floating
holds "and pinged" pings stranger 198.51.100.30
holds "a forward leads inside" says stranger http://198.51.100.10:8000/ inside
holds "from inside a forward leads to whom it stands for" says client2 http://198.51.100.10:8000/ inside
holds "also from who it stands for" says client http://198.51.100.10:8000/ inside
holds "and a floating IP" says client http://198.51.100.30/ floating
holds "from another tenant, too" says blue-client http://198.51.100.30/ floating

# Beyond the external VPC, behind a router that forwards plain packets.
network internet
cable uplink internet up0 203.0.113
there internet ip route add default via 203.0.113.1
there internet python3 "$lab/nat.py" serve 7000 >>"$work/log" 2>&1 &
far=203.0.113.10
far_gets() {
	[ "$(there internet curl -s -f --max-time "${brief:-10}" "$1")" = "$2" ]
}
holds "behind a router outside the NAT's address is seen" until_true seen_as client 198.51.100.10 $far
holds "and another tenant's" seen_as blue-client 198.51.100.11 $far
holds "and a floating IP" seen_as client2 198.51.100.30 $far
holds "from there a floating IP is reached" until_true far_gets http://198.51.100.30/ floating
holds "and a forward" far_gets http://198.51.100.10:8000/ inside
holds "and pinged" there internet ping -q -c 1 -W 20 198.51.100.30
fails "but nothing inside" far_gets http://10.0.1.10/ inside
fails "nor what is nobody's" far_gets http://198.51.100.11/ inside
bulk() {
	on server iperf3 -s -1 -p 5201 >>"$work/log" 2>&1 &
	until_true eval 'on server ss -H -n -l -t sport = :5201 | grep -q .'
	on client iperf3 -c $server -p 5201 -t 2 "$@" | tail -n 4
}
if command -v iperf3 >/dev/null; then
	holds "bulk TCP out" bulk
	holds "and in" bulk -R
fi

many=2000
declare -A holding
for name in client blue-client; do
	on "$name" python3 "$lab/nat.py" hold $server 7000 $many "$work/enough" >"$work/$name.held" 2>&1 &
	holding[$name]=$!
done
under_way() {
	grep -q '^open' "$work/client.held" && grep -q '^open' "$work/blue-client.held"
}
holds "$((2 * many)) connections at once, $many through each address" until_true under_way
apart() {
	[ "$(cat "$work"/*.held | awk '/^open/ { if ($3 != n || $4 != 1) bad = 1 } END { print bad + 0 }' n=$many)" = 0 ]
}
holds "each with a port of its own" apart

holds "a forwarder dies" gone fwd1
holds "new connections come through" until_true page client http://$server/
holds "a flow table node dies" gone ftn3
holds "new connections come through" until_true page client http://$server/
: >"$work/enough"
for name in client blue-client; do
	holds "of $name's connections none broke" wait "${holding[$name]}"
	holds "all $many answered to the last" grep -q "^whole $many$" "$work/$name.held"
done
# One endpoint has more ports of its own than an address may have towards one destination.
alarmed() {
	status | grep 'nat-exhausted.*nat out of vpc red.*198\.51\.100\.10 ' >/dev/null
}
quiet() {
	! alarmed
}
exhausted() {
	on client python3 "$lab/nat.py" fill $server 7000 8000 && within 8 alarmed
}
fails "no address is exhausted" alarmed
holds "where no port is left towards a destination there is an alarm" until_true exhausted
holds "another tenant's connections go there" seen_as blue-client 198.51.100.11 $server udp
holds "and this one's elsewhere" seen_as client 198.51.100.10 $far udp
holds "the alarm ends by itself" until_true quiet

holds "the NAT is removed" "$zetactl" --lab "$cloud" delete nat red/out
holds "nobody gets out any more" until_true shut client http://$server/
holds "but by the other tenant's" page blue-client http://$server/
verdict "They do."
