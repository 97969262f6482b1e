#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do ports send and get as much as they may, and no more, direct path or not?
#
#            host1                        host2
#   red      client .1.10, other .1.12    server .1.11
#   1 node that is everything (lab/limits.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
command -v iperf3 >/dev/null || { echo "needs iperf3"; exit 77; }
begin "$lab/limits.yaml"

# What the edges counted.
counted() { # VERDICT HOST
	fresh_status >/dev/null && figure count "$1" packets "$2" <"$work/status.json"
}
port() { # NAME FIELDS
	ctl apply -f - <<<"{kind: Port, name: $1, vpc: red, $2}"
}
listens() {
	on server ss -H -n -l -t | grep ":$1 " >/dev/null
}
# sent FROM OPTIONS..: iperf3 to the server, what it says in $work/iperf.
sent() {
	on server iperf3 -s -1 -p 5201 >>"$work/log" 2>&1 &
	local server=$!
	until_true 10 listens 5201
	on "$1" timeout 30 iperf3 -c 10.0.1.11 -p 5201 -J "${@:2}" >"$work/iperf"
	wait $server
}
# may bits|packets NUMBER SIZE: so much arrived, +-15 %, or all of what was sent where that is less; in
# datagrams of SIZE bytes, or 0: of TCP, which sends what it can.
may() {
	python3 - "$work/iperf" "$@" <<-'END'
		import json, sys
		what, limit, size = sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
		end = json.load(open(sys.argv[1]))["end"]
		unit = size if what == "packets" else 1 / 8
		got = end["sum_received"]["bytes"] / end["sum_received"]["seconds"] / unit
		sent = end["sum_sent"]["bytes"] / end["sum_sent"]["seconds"] / unit if size else limit
		print(f"may {limit:.0f} {what}/s, sent {sent:.0f}, arrived {got:.0f}")
		sys.exit(not 0.85 * min(limit, sent) <= got <= 1.15 * limit)
	END
}
# The first second is for what was saved up: the burst.
udp() { # FROM RATE SIZE bits|packets NUMBER
	sent "$1" -u -O 1 -t 3 -b "$2" -l "$3" && may "$4" "$5" "$3"
}
tcp() { # FROM NUMBER
	sent "$1" -O 2 -t 4 && may bits "$2" 0
}

holds "the server is reached" until_true 30 pings client 10.0.1.11
holds "what a port sends by UDP is what it may" until_true 60 udp client 15M 1400 bits 5000000
holds "it was counted" [ "$(counted PORT_EGRESS_RATE host1)" -gt 100 ]
holds "on the direct path" [ "$(counted EDGE_DIRECT host1)" -gt 100 ]
holds "another port of the host may more" until_true 60 udp other 15M 1400 bits 15000000
holds "a larger limit" port client "egress_limit: {bits_per_s: 20000000, burst_ms: 500}"
holds "TCP has it" until_true 60 tcp client 20000000
holds "a limit of packets, on the other end" port server "ingress_limit: {packets_per_s: 500, burst_ms: 500}"
holds "is kept there" until_true 60 udp other 2M 150 packets 500
holds "and counted" [ "$(counted PORT_INGRESS_RATE host2)" -gt 100 ]
holds "no limit at all" port server "ingress_limit: null"
holds "is none" until_true 60 udp other 15M 1400 bits 15000000
verdict "They do."
