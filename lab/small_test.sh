#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Can one gateway node be a whole cluster, forwarder and flow table node at once?
#
#            host1             host2
#   red      a .1.10           b .1.11
#                              c .2.10
#   gw1: forwarder and flow table node, chain of 1 (lab/small.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/small.yaml"

holds "in the subnet" pings a 10.0.1.11
# Of the cluster's network alone; with the kernel's clock ticks.
asked_soon() {
	local times
	times=$(nsenter --net="$run/net/gw1" ip ntable show dev "$1")
	grep -Eq 'retrans [0-9]{2} ' <<<"$times"
}
holds "addresses of nodes are asked for soon" asked_soon zgc0
fails "and no others" asked_soon tenant0
holds "across subnets" pings a 10.0.2.10
holds "back" pings c 10.0.1.10
holds "the gateway" pings a 10.0.1.1
web b "page of b"
head -c 20000000 /dev/urandom >"$work/b/file"
download() {
	[ "$(on "$1" curl -s --max-time $patience http://10.0.1.11/file | sha256sum)" = \
		"$(sha256sum <"$work/b/file")" ]
}
holds "a download between hosts" download a
holds "a download across subnets on one host" download c
"$zetactl" --lab "$cloud" apply -f - >/dev/null <<-END
	kind: SecurityGroup
	name: web
	vpc: red
	rules: [{direction: ingress, protocol: tcp, port_min: 80, port_max: 80}]
	---
	{kind: Port, name: b, vpc: red, security_groups: [web]}
END
holds "a security group blocks" until_true shut a http://10.0.1.11:8080/
holds "what it allows goes on" page a http://10.0.1.11/
holds_sessions() {
	fresh_status >/dev/null && [ "$(figure sessions <"$work/status.json" | sed 's/.*=//')" -ge 1 ]
}
holds "its sessions are in the flow table" until_true holds_sessions
verdict "It can."
