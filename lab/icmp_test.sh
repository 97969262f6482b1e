#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is a sender told why its packet could not go: TTL, no such endpoint, too large?
#
#            host1             host2
#   red      a .1.10           b .1.11
#                              c .2.10
#   gw1: forwarder and flow table node, chain of 1 (lab/small.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/small.yaml"

# told WORDS ARGUMENTS..: ping says them.
told() {
	{ on a ping -c 1 -W 20 "${@:2}" || true; } | tee -a "$work/log" | grep -E "$1"
}
holds "a TTL of 1 ends at the gateway, which says so" \
	told 'From 10.0.1.1 .*Time to live exceeded' -t 1 10.0.2.10
holds "a TTL of 2 arrives" pings a 10.0.2.10
holds "also when the flow is known and goes directly" \
	told 'From 10.0.1.1 .*Time to live exceeded' -t 1 10.0.2.10
holds "no such endpoint in another subnet: host unreachable" \
	told 'Destination Host Unreachable' 10.0.2.99
fails "no such subnet: no answer but a counted drop, or unreachable" \
	pings a 10.9.9.9
# The endpoint believes in a larger MTU than the tenant has.
on a ip link set dev eth0 mtu 1500
on b ip link set dev eth0 mtu 1500
on host1 ip link set dev a mtu 1500
on host2 ip link set dev b mtu 1500
holds "too large: fragmentation needed, with the MTU" told '[Ff]rag.* needed|mtu ?= ?1450' \
	-M do -s 1452 10.0.1.11
learned() {
	on a ip route get 10.0.1.11 | grep 'mtu 1450'
}
holds "the sender has learned it" until_true learned
web b "page of b"
head -c 3000000 /dev/urandom >"$work/b/file"
download() {
	[ "$(on a curl -s --max-time $patience http://10.0.1.11/file | sha256sum)" = \
		"$(sha256sum <"$work/b/file")" ]
}
holds "so that tcp finds its way, too" download
fresh_status >/dev/null
for verdict in TIME_EXCEEDED UNREACHABLE FRAGMENTATION_NEEDED; do
	holds "counted: $verdict" [ "$(figure count $verdict packets <"$work/status.json")" -gt 0 ]
done
verdict "It is told."
