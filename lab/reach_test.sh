#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does every endpoint of a VPC reach every other, wherever they live, by every protocol?
#
#            host1                host2                host3
#   red      red-web .1.10        red-client .1.11     red-extra .1.12
#            red-back .2.11
#   blue     blue-back .2.11      blue-web .1.10       blue-client .1.11
#            blue-extra .2.12     blue-shop .2.10
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/demo.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/demo.yaml"

reach_all() {
	local from to
	for from in "$@"; do
		for to in "$@"; do
			[ "$from" = "$to" ] || holds "${from%=*} to ${to%=*}" \
				pings "${from%=*}" "${to#*=}"
		done
	done
}
reach_all red-web=10.0.1.10 red-client=10.0.1.11 red-extra=10.0.1.12 red-back=10.0.2.11
reach_all blue-web=10.0.1.10 blue-client=10.0.1.11 blue-shop=10.0.2.10 blue-back=10.0.2.11 \
	blue-extra=10.0.2.12
for endpoint in red-web red-back blue-shop; do
	gateway=10.0.1.1
	[ $endpoint = red-web ] || gateway=10.0.2.1
	holds "$endpoint to its gateway" pings $endpoint $gateway
done
largest() {
	on red-client ping -q -c 2 -W 20 -M do -s 1422 "$1"
}
holds "the largest packet, in the subnet" largest 10.0.1.10
holds "the largest packet, across subnets" largest 10.0.2.11
fragments() {
	on red-client ping -q -c 2 -W 20 -M dont -s 4000 "$1"
}
holds "a packet in fragments, in the subnet" fragments 10.0.1.10
holds "a packet in fragments, across subnets" fragments 10.0.2.11

web red-back "at the back"
web blue-web "blue"
holds "tcp across subnets" page red-client http://10.0.2.11/
holds "tcp from the server's host" page red-web http://10.0.2.11/
holds "tcp in the subnet" page blue-client http://10.0.1.10/
echoes() {
	on "$1" python3 "$lab/probe.py" ask "$2" 7 5
}
(on red-back python3 "$lab/probe.py" serve 7 || true) &
until_true eval 'on red-back ss -H -u -l -n | grep ":7 " >/dev/null'
holds "udp across subnets" echoes red-extra 10.0.2.11
holds "udp on one host" echoes red-web 10.0.2.11
verdict "All reach all."
