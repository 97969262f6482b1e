#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do endpoints of two families speak IPv6 with each other as they do IPv4, and does what fails say so?
#
#            host1             host2             host3
#   one      a .1.10 ::1:a     b .1.11 ::1:b
#   two                                          c .2.10 ::2:c
#   2 forwarders, 3 flow table nodes in a chain of 3 (lab/ipv6.yaml); 2001:db8:1::/64, 2001:db8:2::/64
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/ipv6.yaml"

"$zetactl" --lab "$cloud" apply -f - >>"$work/log" <<-YAML
	{kind: Subnet, name: one6, vpc: red, cidr: "2001:db8:1::/64"}
	---
	{kind: Subnet, name: two6, vpc: red, cidr: "2001:db8:2::/64"}
	---
	{kind: SecurityGroup, name: web6, vpc: red, rules: [
	  {direction: ingress, protocol: tcp, port_min: 80, remote_cidr: "2001:db8::/32"},
	  {direction: ingress, protocol: icmpv6, port_min: 128, remote_cidr: "2001:db8::/32"}]}
	---
	{kind: Port, name: a, vpc: red, ips: [10.0.1.10, "2001:db8:1::a"]}
	---
	{kind: Port, name: b, vpc: red, ips: [10.0.1.11, "2001:db8:1::b"]}
	---
	{kind: Port, name: c, vpc: red, ips: [10.0.2.10, "2001:db8:2::c"],
	  security_groups: [web6]}
YAML

# What a VM's own start does: a link-local address, a router solicited; its address it is told.
six() {
	on "$1" sh -c "sysctl -q -w net.ipv6.conf.eth0.keep_addr_on_down=1 \\
		net.ipv6.conf.eth0.accept_ra=2 net.ipv6.conf.eth0.disable_ipv6=0 &&
		ip -6 addr add $2/64 dev eth0"
}
six a 2001:db8:1::a
six b 2001:db8:1::b
six c 2001:db8:2::c
has_route() {
	on "$1" ip -6 route | grep '^default.* via fe80::'
}
# Three solicitations may be too early for what was just made: then as after a new start.
routed() {
	within 10 has_route "$1" && return
	on "$1" sh -c 'ip link set eth0 down && ip link set eth0 up'
	within 10 has_route "$1"
}
for endpoint in a b c; do
	holds "$endpoint has its default route from a router's advertisement" until_true routed $endpoint
done
holds "which does not end" eval '! on a ip -6 route show default | grep -v "proto ra.*pref" | grep expires'
holds "the advertised MTU is the tenant's" eval 'on a cat /proc/sys/net/ipv6/conf/eth0/mtu | grep -x 1450'
holds "its own address is nobody else's" eval '! on a ip -6 addr show dev eth0 | grep -E "dadfailed|tentative"'
holds "a neighbour is pinged" until_true pings a 2001:db8:1::b
holds "so is the gateway" pings a 2001:db8:1::1
holds "and another subnet" until_true pings a 2001:db8:2::c
holds "IPv4 goes on" pings a 10.0.1.11
on b ip -6 addr add 2001:db8:1::bad/64 dev eth0 nodad
fails "in a name that is not its own nothing is sent" on b ping -q -c 1 -W 1 -I 2001:db8:1::bad 2001:db8:1::a

told() {
	{ on a ping -c 1 -W 20 "${@:2}" || true; } | tee -a "$work/log" | grep -E "$1"
}
holds "a hop limit of 1 ends at the gateway, which says so" \
	told 'From 2001:db8:1::1.*Time exceeded: Hop limit' -t 1 2001:db8:2::c
holds "an address that nobody has: unreachable" \
	told 'From 2001:db8:1::1.*(Address unreachable|Destination unreachable)' 2001:db8:2::99

serve() {
	mkdir -p "$work/$1"
	echo "$1" >"$work/$1/index.html"
	head -c 12000000 /dev/urandom >"$work/$1/file"
	on "$1" python3 -m http.server "$2" --bind :: --directory "$work/$1" >>"$work/log" 2>&1 &
}
serve c 80
serve c 8080
serve b 80
get() {
	[ "$(on "$1" curl -s -f --max-time "${brief:-20}" "http://[$2]:${3:-80}/")" = "$4" ]
}
holds "a page of the same subnet" until_true get a 2001:db8:1::b 80 b
holds "a page of another, by a security group" until_true get a 2001:db8:2::c 80 c
fails "another port it refuses" get a 2001:db8:2::c 8080 c

# The endpoint believes in a larger MTU than the tenant has.
on a ip link set dev eth0 mtu 1500
on host1 ip link set dev a mtu 1500
on a sysctl -q -w net.ipv6.conf.eth0.mtu=1500
holds "too large: packet too big, with the MTU" told 'Packet too big: mtu=1450' -M do -s 1452 2001:db8:2::c
download() {
	[ "$(on a curl -s --max-time $patience "http://[2001:db8:2::c]/file" | sha256sum)" = \
		"$(sha256sum <"$work/c/file")" ]
}
holds "so that tcp finds its way" download

fresh_status >/dev/null
for verdict in GATEWAY_NEIGHBOR ENDPOINT_NEIGHBOR TIME_EXCEEDED UNREACHABLE EDGE_DIRECT; do
	holds "counted: $verdict" [ "$(figure count $verdict packets <"$work/status.json")" -gt 0 ]
done

on a curl -s --max-time $patience --limit-rate 2M "http://[2001:db8:2::c]/file" >"$work/slow" &
slow=$!
holds "a download is under way" until_true [ -s "$work/slow" ]
holds "a flow table node dies" kill -KILL "$(of_process ftn3 pid)"
holds "pages go on" until_true get a 2001:db8:1::b 80 b
holds "the download ends" wait $slow
holds "byte for byte" cmp "$work/slow" "$work/c/file"
verdict "They do."
