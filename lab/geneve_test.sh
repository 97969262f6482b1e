#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a cluster whose hosts speak Geneve do all that one with VXLAN does?
#
#            host1             host2
#   red      a .1.10           b .1.11
#                              c .2.10
#                              d .2.11 (security group "ping")
#   1 forwarder, 2 flow table nodes in chains of 2 (lab/geneve.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/geneve.yaml"

"$zetactl" lab exec "$cloud" fabric tcpdump -n -i host1.t -c 10000 -w "$work/wire" \
	'udp port 4789 or udp port 6081' 2>"$work/tcpdump" &
capturing=$!
until_true grep -q listening "$work/tcpdump"
holds "in the subnet" pings a 10.0.1.11
holds "across subnets" pings a 10.0.2.10
holds "on one host" pings b 10.0.2.10
holds "the gateway" pings a 10.0.1.1
web b "page of b"
head -c 20000000 /dev/urandom >"$work/b/file"
download() {
	[ "$(on a curl -s --max-time $patience http://10.0.1.11/file | sha256sum)" = \
		"$(sha256sum <"$work/b/file")" ]
}
holds "a download" download
holds "a security group lets in what it allows" pings a 10.0.2.11
web d "page of d"
fails "and nothing else" page a http://10.0.2.11/
kill $capturing 2>/dev/null || true
wait $capturing 2>/dev/null || true
spoken() {
	[ "$(tcpdump -n -r "$work/wire" "$1" 2>/dev/null | wc -l)" -gt 0 ]
}
holds "the wire carries Geneve" spoken 'udp port 6081'
fails "and no VXLAN" spoken 'udp port 4789'
fresh_status >/dev/null
holds "hosts learned direct paths" \
	[ "$(figure count EDGE_DIRECT packets <"$work/status.json")" -gt 0 ]
verdict "It does."
