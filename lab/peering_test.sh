#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do the endpoints of two VPCs reach each other once both want it, by the rules of both and whatever becomes of the
# gateway's nodes, and no longer than both want it?
#
#            host1              host2                                  host3
#   red      client .1.10       own .1.11
#   blue                        web .2.12, load balancer .2.100        guarded .2.13, locked .4.14
#   green    far .3.10
#   2 forwarders, 3 flow table nodes in chains of 3; blue is peered with green (lab/peering.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/peering.yaml"

has_file web web
web guarded guarded
web locked locked
web own own
on web python3 "$lab/nat.py" serve 7000 >>"$work/log" 2>&1 &

# answer ENDPOINT ADDRESS TEXT [OPTIONS]: what a ping is told.
answer() {
	{ on "$1" ping -c 1 -W 20 "${@:4}" "$2" || true; } | grep "$3"
}
other_half() {
	ctl apply -f - <<<'{kind: Peering, name: to-red, vpc: blue, peer: red}'
}
state_is() {
	[ "$(ctl get peering red/to-blue -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])')" = "$1" ]
}
holds "of who is peered both reach each other" until_true pings far 10.0.2.12
holds "where only one wants to be, it waits" state_is waiting
holds "and nobody is reached" answer client 10.0.2.12 'From 10.0.1.1 .*Destination Net Unreachable'
holds "the other wants it too" other_half
holds "it is active" state_is active
holds "a page" until_true says client http://10.0.2.12/ web
holds "and a ping" pings client 10.0.2.12
holds "as many pings to the other side" pings web 10.0.1.11
holds "and a page there" says web http://10.0.1.11/ own
seen() {
	[ "$(on client python3 "$lab/nat.py" who 10.0.2.12 7000 "$@" | cut -d' ' -f1)" = 10.0.1.10 ]
}
holds "everybody has his own address" seen
holds "by UDP too" seen udp
holds "the way goes by the sender's gateway" answer client 10.0.2.12 'From 10.0.1.1 .*Time to live exceeded' -t 1
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
    sys.exit(e.errno != errno.ECONNREFUSED)' 10.0.2.12
}
holds "an ICMP error comes back" told
holds "a peer's load balancer is reached" says client http://10.0.2.100/ web
holds "a security group lets a peer's subnet in" says client http://10.0.2.13/ guarded
fails "and nothing else" page client http://10.0.2.13:8080/
holds "so does a network ACL" says client http://10.0.4.14:8080/ locked
fails "and nothing else" page client http://10.0.4.14/
holds "a peer's peer is nobody" answer client 10.0.3.10 'From 10.0.1.1 .*Destination Net Unreachable'
overlaps() {
	! ctl apply -f - 2>"$work/refused" <<<'{kind: Subnet, name: more, vpc: blue, cidr: 10.0.1.128/25}'
	grep 'subnet "more" (10.0.1.128/25) of vpc "blue" overlaps subnet "front" (10.0.1.0/24) of vpc "red"' "$work/refused"
}
holds "a subnet that overlaps is refused, by name" overlaps
bulk() {
	on web iperf3 -s -1 -p 5201 >>"$work/log" 2>&1 &
	until_true eval 'on web ss -H -n -l -t sport = :5201 | grep -q .'
	on client iperf3 -c 10.0.2.12 -p 5201 -t 1 "$@" | tail -n 4
}
if command -v iperf3 >/dev/null; then
	holds "bulk TCP there" bulk
	holds "and back" bulk -R
fi

transfers=4
on client python3 "$lab/trickle.py" "$work/enough" 10.0.2.12 /file $transfers >"$work/transfers" 2>&1 &
trickling=$!
on far python3 "$lab/nat.py" hold 10.0.2.12 7000 20 "$work/enough" >"$work/held" 2>&1 &
holding=$!
under_way() {
	[ "$(on client ss -H -n -t state established dport = :80 | wc -l)" = $transfers ] && grep -q '^open 20' "$work/held"
}
holds "$transfers transfers are under way" until_true under_way
# Power is gone, and so is the network.
gone() {
	cables "$1" down
	kill -KILL "$(of_process "$1" pid)"
}
holds "a forwarder dies" gone fwd1
holds "connections begin" until_true page client http://10.0.2.12/
holds "a flow table node dies" gone ftn3
holds "connections begin" until_true page client http://10.0.2.12/
holds "and from the other side" until_true page web http://10.0.1.11/
: >"$work/enough"
holds "what was under way ends well" wait $trickling
holds "byte for byte, all of it" [ "$(grep -c "^$sum live" "$work/transfers")" = $transfers ]

wait $holding || true # it has to see that it is enough
rm "$work/enough"
on far python3 "$lab/nat.py" hold 10.0.2.12 7000 20 "$work/enough" >"$work/held" 2>&1 &
holding=$!
# Is answered on one connection until it is not any more.
on client python3 -c '
import socket, sys, time
s = socket.create_connection((sys.argv[1], 7000), 60)
s.settimeout(15)
s.recv(64)
print("open", flush=True)
try:
    while True:
        s.sendall(b"x\n")
        if not s.recv(64):
            break
        time.sleep(0.2)
except OSError:
    pass
print("over", flush=True)' 10.0.2.12 >"$work/one" 2>&1 &
one=$!
both_open() {
	grep -q '^open' "$work/one" && grep -q '^open 20' "$work/held"
}
holds "a connection of red's, and some of green's" until_true both_open
fails "nothing ends it" grep over "$work/one"
holds "blue does not want it any more" ctl delete peering blue/to-red
holds "so it waits" state_is waiting
holds "nobody is reached" until_true answer client 10.0.2.12 'From 10.0.1.1 .*Destination Net Unreachable'
holds "nor from the other side" answer web 10.0.1.11 'Destination Net Unreachable'
holds "and the connection ends" until_true grep over "$work/one"
wait $one
: >"$work/enough"
holds "but none of green's" wait $holding
holds "all 20 answered to the last" grep -q '^whole 20' "$work/held"
verdict "They do."
