#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a VPC send and get as much as it may, and no more, by whichever forwarders, and whatever becomes of them?
#
#            host1              host2              host3
#   red      client .1.10       client2 .1.11
#   blue     blue-client .1.10
#   public                                         server 198.51.100.20
#   2 forwarders, 3 flow table nodes in chains of 3; red and blue reach public by NAT (lab/nat.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
source "$(dirname "$0")/rates.sh"
command -v iperf3 >/dev/null || { echo "needs iperf3"; exit 77; }
begin "$lab/nat.yaml"

server=198.51.100.20
limit=8000000
# What nodes and hosts counted, of all of them.
counted() { # VERDICT NAME..
	fresh_status >/dev/null
	for name in "${@:2}"; do
		figure count "$1" packets "$name" <"$work/status.json"
	done | awk '{ sum += $1 } END { print sum + 0 }'
}
of_red() { # LIMIT
	ctl apply -f - <<<"{kind: Vpc, name: red, limit: $1}"
}
# many FROM TO ADDRESS BITS OPTIONS..: flows that together send three times red's limit; BITS arrive.
many() {
	sent "$1" "$2" "$3" -u -O 1 -t 4 -P 32 -b 750k -l 1400 "${@:5}" && may bits "$4" 1400
}
direct() {
	counted EDGE_DIRECT host1 host2
}

holds "the other host is reached" until_true pings client 10.0.1.11
holds "and the server outside" until_true pings client $server
holds "without a limit all of it arrives" until_true many client client2 10.0.1.11 24000000
holds "by the direct path" [ "$(direct)" -gt 1000 ]
holds "a limit of the VPC" of_red "{bits_per_s: $limit, burst_ms: 300}"
holds "is what many flows get together" until_true many client client2 10.0.1.11 $limit
before=$(direct)
holds "and again" until_true many client client2 10.0.1.11 $limit
holds "none of them by the direct path" [ "$(direct)" = "$before" ]
holds "both forwarders counted what was more" \
	eval '[ "$(counted VPC_RATE fwd1)" -gt 500 ] && [ "$(counted VPC_RATE fwd2)" -gt 500 ]'
blamed() {
	status | awk '$1 == "VPC" { seen = 1 } seen && $1 == "red" { red = $NF } seen && $1 == "blue" { blue = $NF }
		END { exit !(red > 1000 && !blue) }'
}
holds "the status says whose it was" until_true blamed
holds "what it gets from outside counts, too" until_true many client server $server $limit -R
holds "another VPC has no limit" until_true many blue-client server $server 24000000
holds "a forwarder dies" gone fwd1
holds "red gets no less, and no more" until_true many client client2 10.0.1.11 $limit
holds "no limit any more" of_red null
holds "is none" until_true many client client2 10.0.1.11 24000000
verdict "It does."
