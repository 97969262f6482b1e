#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do two tenants with the same addresses, on the same hosts, ever meet?
#
#            host1                host2                host3
#   red      red-web .1.10        red-client .1.11     red-extra .1.12
#   blue     blue-back .2.11      blue-web .1.10       blue-client .1.11
#            blue-extra .2.12
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/demo.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/demo.yaml"

web red-web red
web blue-web blue
holds "10.0.1.10 is red's for red" says red-client http://10.0.1.10/ red
holds "10.0.1.10 is blue's for blue" says blue-client http://10.0.1.10/ blue

# The same five-tuple at the same time: only the VNI tells the sessions apart.
both() {
	local said
	said=$(on red-client curl -s --max-time 20 --local-port 40000 http://10.0.1.10/ &
		on blue-client curl -s --max-time 20 --local-port 40000 http://10.0.1.10/; wait)
	[ "$(sort <<<"$said" | xargs)" = "blue red" ]
}
holds "one five-tuple, two sessions" both
holds "10.0.1.12 exists for red" pings red-client 10.0.1.12
fails "and not for blue" pings blue-client 10.0.1.12
holds "10.0.2.12 exists for blue" pings blue-client 10.0.2.12
fails "and not for red" pings red-client 10.0.2.12

# Blue's address, but red's network: whoever lies about where he is gets nowhere.
lies() {
	on red-extra ip address add 10.0.1.77/24 dev eth0
	on red-extra ping -q -c 1 -W 1 -I 10.0.1.77 10.0.1.10
}
fails "an address that the VPC does not know gets no answer" lies
mac_lies() {
	on red-extra ip link set eth0 address 02:5a:10:00:00:99
	on red-extra ping -q -c 1 -W 1 10.0.1.10
}
fails "nor does a MAC that is not the endpoint's" mac_lies

# What red sends never arrives at blue, whether or not it is answered.
"$zetactl" lab exec "$cloud" blue-web tcpdump -n -i eth0 'udp port 5555' >"$work/seen" 2>&1 &
listening=$!
until_true grep -q listening "$work/seen"
for _ in 1 2 3 4 5; do
	on red-client bash -c 'echo red > /dev/udp/10.0.1.10/5555' 2>>"$work/log" || true
done
kill -INT $listening
wait $listening || true
holds "nothing of red's arrives at blue's 10.0.1.10" grep -q '^0 packets captured' "$work/seen"
verdict "They do not."
