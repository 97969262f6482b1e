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
# may bits|packets NUMBER: what arrived is that, +-15 %, or all of what was sent where that is less.
may() {
	python3 - "$work/iperf" "$@" <<-'END'
		import json, sys
		end = json.load(open(sys.argv[1]))["end"]
		what, limit = sys.argv[2], float(sys.argv[3])
		if "sum_sent" in end and "lost_packets" not in end.get("sum", {}):
		    took = end["sum_received"]["seconds"]
		    got, offered = end["sum_received"]["bytes"] * 8 / took, 1e12
		else:
		    end = end["sum"]
		    share = 1 - end["lost_packets"] / max(end["packets"], 1)
		    offered = end["bytes"] * 8 if what == "bits" else end["packets"]
		    offered /= end["seconds"]
		    got = offered * share
		print(f"may {limit:.0f} {what}/s, sent {offered:.0f}, arrived {got:.0f}")
		sys.exit(not 0.85 * min(limit, offered) <= got <= 1.15 * limit)
	END
}

holds "the server is reached" until_true 30 pings client 10.0.1.11
udp() {
	sent "$1" -u -t 3 -b "$2" -l "$3" && may "${@:4}"
}
tcp() {
	sent "$1" -t 3 -O 1 && may "${@:2}"
}
holds "what a port sends by UDP is what it may" udp client 60M 1400 bits 20000000
holds "it was counted" [ "$(counted PORT_EGRESS_RATE host1)" -gt 100 ]
holds "on the direct path" [ "$(counted EDGE_DIRECT host1)" -gt 100 ]
holds "another port of the host may more" udp other 60M 1400 bits 60000000
holds "a larger limit" port client "egress_limit: {bits_per_s: 50000000}"
holds "TCP has it" until_true 20 tcp client bits 50000000
holds "a limit of packets, on the other end" port server "ingress_limit: {packets_per_s: 1000}"
holds "is kept there" until_true 20 udp other 4M 150 packets 1000
holds "and counted" [ "$(counted PORT_INGRESS_RATE host2)" -gt 100 ]
holds "no limit at all" port server "ingress_limit: null"
holds "is none" until_true 20 udp other 60M 1400 bits 60000000
verdict "They do."
