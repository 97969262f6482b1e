#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a load balancer serve IPv6 as it does IPv4: by its backends wherever they are, by those that are
# well, and with connections that stay where they are?
#
#            host1              host2              host3
#   front    client ::1:10      web2 ::1:12
#            web1 ::1:11
#   back                                           web3 ::2:11 (security group "web")
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/loadbalancer.yaml); 2001:db8:1::/64, 2001:db8:2::/64;
#   load balancers 2001:db8:1::100 and, whose backends answer themselves, 2001:db8:1::101
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/loadbalancer.yaml"

shop=2001:db8:1::100 straight=2001:db8:1::101
"$zetactl" --lab "$cloud" apply -f - >>"$work/log" <<-YAML
	{kind: Subnet, name: front6, vpc: red, cidr: "2001:db8:1::/64"}
	---
	{kind: Subnet, name: back6, vpc: red, cidr: "2001:db8:2::/64"}
	---
	{kind: SecurityGroup, name: web, vpc: red, rules: [
	  {direction: ingress, protocol: tcp, port_min: 8080, remote_cidr: "2001:db8:1::/64"}]}
	---
	{kind: Port, name: client, vpc: red, ips: [10.0.1.10, "2001:db8:1::10"]}
	---
	{kind: Port, name: web1, vpc: red, ips: [10.0.1.11, "2001:db8:1::11"]}
	---
	{kind: Port, name: web2, vpc: red, ips: [10.0.1.12, "2001:db8:1::12"]}
YAML
# six ENDPOINT SUBNET HOST
six() {
	on "$1" sh -c "sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0 &&
		ip -6 addr add 2001:db8:$2::$3/64 dev eth0 nodad && ip -6 route add default via 2001:db8:$2::1"
}
six client 1 10
six web1 1 11
six web2 1 12
six web3 2 11
head -c 12000000 /dev/urandom >"$work/file"
sum=$(sha256sum <"$work/file" | cut -d' ' -f1)
for name in web1 web2 web3; do
	web "$name" "$name" 'listen [::]:80; listen [::]:8080;'
	on "$name" ip -6 addr add $straight/128 dev lo nodad
	ln "$work/file" "$work/$name/file"
done

apply() {
	"$zetactl" --lab "$cloud" apply -f - <<<"$1"
}
refused() {
	! apply "$1" >"$work/refused" 2>&1 && grep -q "$2" "$work/refused"
}
# balance BACKENDS [CHECK]
balance() {
	apply "{kind: LoadBalancer, name: shop6, vpc: red, ip: \"$shop\", listeners: [
		{protocol: tcp, port: 80, backend_port: 8080, check: ${2-null}, backends: [$1]}]}"
}
all='{port: web1}, {port: web2}, {port: web3}'
http='{type: http, path: /health, interval_ms: 3000, timeout_ms: 1000}'
# who ENDPOINT URL: who answers it 30 connections, one after the other: each once, sorted.
who() {
	on "$1" bash -c 'for ((i = 0; i < 30; i++)); do
		curl -s -f --max-time 10 "$1" || echo none; done' who "$2" | sort -u | xargs
}
served_by() {
	[ "$(who client "http://[$shop]/")" = "$1" ]
}
# seen BACKEND STATE: all flow table nodes say so.
seen() {
	"$zetactl" --lab "$cloud" get load-balancers shop6 -o json | python3 -c '
import json, sys
told = json.load(sys.stdin)
shop = told["items"][0] if "items" in told else told
backend = next(b for b in shop["status"]["backends"] if b["name"] == sys.argv[1])
sys.exit(backend["state"] != sys.argv[2] or len(backend["up"] + backend["down"]) < int(sys.argv[3]))' "$@"
}
all_up() {
	seen web1 up 3 && seen web2 up 3 && seen web3 up 3
}
nginx_is() {
	local main
	main=$(cat "$work/$2.pid")
	kill "-$1" $(pgrep -P "$main") "$main"
}

holds "a backend without an IPv6 address is refused" refused \
	"{kind: LoadBalancer, name: shop6, vpc: red, ip: \"$shop\", listeners: [
	{protocol: tcp, port: 80, backend_port: 8080, backends: [{port: web3}]}]}" \
	'port "web3" has no IPv6 address'
apply '{kind: Port, name: web3, vpc: red, ips: [10.0.2.11, "2001:db8:2::11"]}' >>"$work/log"
holds "with one it is taken" balance "$all"
holds "a client gets a page from the address that nobody has" until_true page client "http://[$shop]/"
mac_of() {
	on client ip -6 neigh show "$1" | grep -o 'lladdr [0-9a-f:]*'
}
pings client 2001:db8:1::1 >>"$work/log"
holds "its gateway's MAC answers for it" [ "$(mac_of $shop)" = "$(mac_of 2001:db8:1::1)" ]
holds "all three serve: on the client's host, on another, and in another subnet, past a security group" \
	until_true served_by "web1 web2 web3"
fails "the group lets nothing else in" page client "http://[2001:db8:2::11]:80/"
holds "a backend that asks gets the others" [ "$(who web1 "http://[$shop]/")" = "web2 web3" ]
at_once() {
	local code=0
	on client curl -s --max-time 30 "http://[$shop]:81/" || code=$?
	[ $code = 7 ]
}
holds "a port without a listener is refused at once" at_once
holds "IPv4 goes on beside it" until_true page client http://10.0.1.100/

direct() {
	fresh_status >/dev/null && figure count EDGE_DIRECT bytes host2 <"$work/status.json"
}
holds "backends that answer themselves" apply "{kind: LoadBalancer, name: straight6, vpc: red, ip: \"$straight\",
	direct_return: true, listeners: [{protocol: tcp, port: 8080, backends: [{port: web2}]}]}"
sent=$(direct)
download() {
	[ "$(on client curl -s -f --max-time $patience "http://[$straight]:8080/file" | sha256sum | cut -d' ' -f1)" = "$sum" ]
}
holds "a download is right byte for byte" until_true download
holds "and goes straight from host to host" [ $(($(direct) - sent)) -gt 9000000 ]

holds "HTTP is checked" balance "$all" "$http"
holds "every flow table node finds all backends up" until_true all_up
transfers=9
on client python3 "$lab/trickle.py" "$work/enough" "[$shop]" /file $transfers >"$work/transfers" 2>&1 &
trickling=$!
connected() {
	on "$1" ss -H -n -t state established sport = :8080 | grep -c '\[2001:db8:1::10\]' || true
}
where() {
	echo "$(connected web1) $(connected web2) $(connected web3)"
}
under_way() {
	[ $(($(connected web1) + $(connected web2) + $(connected web3))) = $transfers ]
}
holds "$transfers transfers are under way" until_true under_way
before=$(where)
nginx_is STOP web2
holds "web2 accepts, and answers nothing: all nodes say that it is down" until_true seen web2 down 3
holds "others serve" until_true served_by "web1 web3"
nginx_is CONT web2
holds "it is back" until_true seen web2 up 3
touch "$work/web3/sick"
holds "web3 answers 500: it is down" until_true seen web3 down 3
holds "others serve" until_true served_by "web1 web2"
rm "$work/web3/sick"
holds "all are up" until_true all_up
balance '{port: web1}, {port: web2}, {port: web3, weight: 0}' "$http" >>"$work/log"
holds "web3 drains: new connections go elsewhere" until_true served_by "web1 web2"
holds "a forwarder dies" gone fwd1
holds "a flow table node dies" gone ftn3
holds "new connections are served" until_true served_by "web1 web2"
holds "what was under way goes on where it is ($before)" [ "$(where)" = "$before" ]
: >"$work/enough"
holds "and ends well" wait $trickling
holds "byte for byte, all of it" [ "$(grep -c "^$sum live" "$work/transfers")" = $transfers ]

verdict "It does."
