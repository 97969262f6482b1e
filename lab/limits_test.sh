#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do ports send and get as much as they may, and no more, direct path or not? Are they marked and mirrored?
#
#            host1                        host2           host3
#   red      client .1.10, other .1.12    server .1.11    (a collector)
#   1 node that is everything (lab/limits.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
source "$(dirname "$0")/rates.sh"
for tool in iperf3 tcpdump; do
	command -v $tool >/dev/null || { echo "needs $tool"; exit 77; }
done
begin "$lab/limits.yaml"

# What the edges counted.
counted() { # VERDICT HOST
	fresh_status >/dev/null && figure count "$1" packets "$2" <"$work/status.json"
}
port() { # NAME FIELDS
	ctl apply -f - <<<"{kind: Port, name: $1, vpc: red, $2}"
}
# The first second is for what was saved up: the burst.
udp() { # FROM RATE SIZE bits|packets NUMBER
	sent "$1" server 10.0.1.11 -u -O 1 -t 3 -b "$2" -l "$3" && may "$4" "$5" "$3"
}
tcp() { # FROM NUMBER
	sent "$1" server 10.0.1.11 -O 2 -t 4 && may bits "$2" 0
}

holds "the server is reached" until_true pings client 10.0.1.11
holds "what a port sends by UDP is what it may" until_true udp client 15M 1400 bits 5000000
holds "it was counted" [ "$(counted PORT_EGRESS_RATE host1)" -gt 100 ]
holds "on the direct path" [ "$(counted EDGE_DIRECT host1)" -gt 100 ]
holds "another port of the host may more" until_true udp other 15M 1400 bits 15000000
holds "a larger limit" port client "egress_limit: {bits_per_s: 20000000, burst_ms: 500}"
holds "TCP has it" until_true tcp client 20000000
holds "a limit of packets, on the other end" port server "ingress_limit: {packets_per_s: 500, burst_ms: 500}"
holds "is kept there" until_true udp other 2M 150 packets 500
holds "and counted" [ "$(counted PORT_INGRESS_RATE host2)" -gt 100 ]
holds "no limit at all" port server "ingress_limit: null"
holds "is none" until_true udp other 15M 1400 bits 15000000
of_host() { # NAME FIELD
	ctl get host "$1" -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}
# watched NAME HOST: what its interface to the other hosts gets, in $work/NAME.
watched() {
	local interface
	interface=$(of_host "$2" interface)
	(exec nsenter --net="$run/net/$2" timeout 3000 tcpdump -l -n -vvv -Q in -i "$interface" udp port 4789 \
		>"$work/$1" 2>"$work/$1.err") &
	watcher=$!
	until_true grep -q 'listening on' "$work/$1.err"
}
# shows NAME PATTERN COMMAND..: which is done until it is seen there.
shows() {
	"${@:3}" >/dev/null || true
	grep -E -A 2 'VXLAN' "$work/$1" | grep -E "$2" >/dev/null
}
echo_once() {
	on client ping -q -c 1 -W 1 -s "${1:-56}" 10.0.1.11
}
holds "a port without limits, with a class" port client "egress_limit: null, dscp: 46"
watched marks host2
holds "its packets have it" until_true shows marks 'IP \(tos 0xb8' echo_once
marked_tunnel() { # straight to the other host: what the gateway sends on has its mark inside alone
	on client ping -q -c 10 -i 0.1 -W 5 10.0.1.11
	grep -E '^[0-9:.]+ IP \(tos 0xb8' "$work/marks"
}
holds "its tunnel has it" until_true marked_tunnel
kill $watcher 2>/dev/null || true
holds "no class" port client "dscp: null"

collector=$(of_host host3 ip)
holds "a mirror" port client "mirror: {collector: $collector, vni: 4711, bytes: 80}"
watched copies host3
holds "the collector sees what is sent" until_true shows copies '10.0.1.10 > 10.0.1.11: ICMP echo request' echo_once
holds "and what is answered" until_true shows copies '10.0.1.11 > 10.0.1.10: ICMP echo reply' echo_once
holds "by its number" grep -q 'vni 4711' "$work/copies"
holds "cut, where it is larger" until_true eval "echo_once 1000 && grep -q 'proto UDP (17), length 116' '$work/copies'"
holds "copies were counted" [ "$(counted MIRRORED host1)" -gt 2 ]
holds "a mirror that may little" port client "mirror: {collector: $collector, bits_per_s: 1000}"
held_up() {
	on client ping -q -c 20 -i 0.01 -W 20 10.0.1.11 | grep ' 0% packet loss'
}
holds "holds up no packet" until_true held_up
holds "and the rest was counted" [ "$(counted MIRROR_RATE host1)" -gt 10 ]
kill $watcher 2>/dev/null || true

web server "red"
holds "a limit of connections" port client "mirror: null, connections_per_s: 5"
begins() {
	on client python3 - <<-'END'
		import socket, sys, time
		begun, sockets = time.monotonic(), []
		for _ in range(60):
		    s = socket.socket()
		    s.setblocking(False)
		    s.connect_ex(("10.0.1.11", 80))
		    sockets.append(s)
		time.sleep(0.5)
		count = 0
		for s in sockets:
		    try:
		        s.getpeername()
		        count += 1
		    except OSError:
		        pass
		took = time.monotonic() - begun
		print(f"{count} connections in {took:.1f} s")
		sys.exit(not 16 <= count <= 18 + 5 * took)
	END
}
holds "is kept" until_true begins
holds "and counted" [ "$(counted PORT_CONNECTION_RATE host1)" -gt 10 ]
verdict "They do."
