#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do connections go on when an endpoint moves to another host, by a security group or without one?
#
#            host1                host2                host3
#   red      red-web .1.10        red-client .1.11     red-extra .1.12
#            red-back .2.11                            red-shop .2.10 (security group "shop")
#   red-shop goes to host1, red-web to host3; 2 forwarders, chains of 3 (lab/demo.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/demo.yaml"
net=/run/zeta/lab/$cloud/net

field() {
	python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# move ENDPOINT ADDRESS HOST: its network goes from one moment to the next, and comes back there.
move() {
	local mac gateway port
	port=$("$zetactl" --lab "$cloud" get port "red/$1" -o json)
	mac=$(field mac <<<"$port")
	gateway=${2%.*}.1
	nsenter --net="$net/$1" ip link delete eth0
	nsenter --net="$net/$1" ip link add eth0 mtu 1450 address "$mac" type veth peer \
		name "$(field interface <<<"$port")" mtu 1450 netns "$net/$3"
	nsenter --net="$net/$1" ip address add "$2/24" dev eth0
	nsenter --net="$net/$1" ip link set eth0 up
	nsenter --net="$net/$3" ip link set "$(field interface <<<"$port")" up
	nsenter --net="$net/$1" ip route add default via "$gateway"
	"$zetactl" --lab "$cloud" apply -f - <<<"{kind: Port, name: $1, vpc: red, host: $3}"
}

# transfers ENDPOINT ADDRESS: 4 connections that last; the rest is told in files of that name.
transfers() {
	on red-client python3 "$lab/trickle.py" "$work/enough" "$2" /large 4 >"$work/$1.transfers" &
	pids+=($!)
}

all_live() {
	[ "$(grep -c live "$work/$1.transfers")" = 4 ] &&
		[ "$(cut -d' ' -f1 "$work/$1.transfers" | sort -u)" = "$sum" ]
}

web red-shop shop
web red-web web
head -c 30000000 /dev/urandom | tee "$work/red-shop/large" >"$work/red-web/large"
sum=$(sha256sum <"$work/red-shop/large" | cut -d' ' -f1)
pids=()
holds "before: by a security group" until_true page red-client http://10.0.2.10/
holds "before: without one" until_true page red-client http://10.0.1.10/
transfers red-shop 10.0.2.10
transfers red-web 10.0.1.10
connected() {
	[ "$(on red-client ss -Htn state established dst "$1" | wc -l)" = 4 ]
}
holds "connections are under way: shop" until_true connected 10.0.2.10
holds "connections are under way: web" until_true connected 10.0.1.10

holds "the shop moves" move red-shop 10.0.2.10 host1
holds "the web moves" move red-web 10.0.1.10 host3
holds "new connections reach the shop" until_true page red-client http://10.0.2.10/
holds "new connections reach the web" until_true page red-client http://10.0.1.10/
holds "and from where it was" until_true page red-extra http://10.0.1.10/
holds "and to where it is" until_true pings red-back 10.0.1.10
touch "$work/enough"
ended() {
	wait "${pids[0]}" && wait "${pids[1]}"
}
holds "the transfers end as they should" ended
holds "4 to the shop were live, byte for byte" all_live red-shop
holds "4 to the web were live, byte for byte" all_live red-web
verdict "They do."
