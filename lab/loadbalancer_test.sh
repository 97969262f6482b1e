#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do connections to a load balancer spread over its backends, and stay where they are, whatever becomes of
# the backends and the gateway's nodes?
#
#            host1              host2              host3
#   front    client .1.10       web2 .1.12
#            web1 .1.11
#   back                                           web3 .2.11 (security group "web")
#   2 forwarders, 3 flow table nodes in chains of 3; load balancer 10.0.1.100 (lab/loadbalancer.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/loadbalancer.yaml"

shop=10.0.1.100
head -c 12000000 /dev/urandom >"$work/file"
sum=$(sha256sum <"$work/file" | cut -d' ' -f1)
for name in web1 web2 web3; do
	web "$name" "$name"
	ln "$work/file" "$work/$name/file"
	on "$name" python3 "$lab/probe.py" serve 5353 >>"$work/log" 2>&1 &
done

apply() {
	"$zetactl" --lab "$cloud" apply -f - <<<"$1"
}
# balance AFFINITY BACKENDS
balance() {
	apply "{kind: LoadBalancer, name: shop, vpc: red, affinity: $1, listeners: [
		{protocol: tcp, port: 80, backend_port: 8080, backends: [$2]},
		{protocol: udp, port: 53, backend_port: 5353, backends: [$2]}]}"
}
# ask ENDPOINT COUNT: so many connections, one after the other; counts who answered: $web1 $web2 $web3 $none.
ask() {
	local answers
	answers=$(on "$1" bash -c 'for ((i = 0; i < $2; i++)); do
		curl -s -f --max-time 20 "http://$1/" || echo none; done' ask $shop "$2")
	for name in web1 web2 web3 none; do
		declare -g "$name=$(grep -c "^$name\$" <<<"$answers")" || true
	done
	echo "$1: web1 $web1, web2 $web2, web3 $web3, none $none" >>"$work/log"
}
never() {
	ask client 30 && [ "${!1}" = 0 ] && [ "$none" = 0 ]
}
gateway_mac() {
	on client ip neigh show 10.0.1.1 | grep -o 'lladdr [0-9a-f:]*'
}

holds "a client gets a page from the address that nobody has" until_true page client http://$shop/
pings client 10.0.1.1 >>"$work/log"
holds "its gateway's MAC answers for it" \
	[ "$(on client ip neigh show $shop | grep -o 'lladdr [0-9a-f:]*')" = "$(gateway_mac)" ]
ask client 240
holds "every connection is served" [ "$none" = 0 ]
holds "by all three: web1 on the client's host ($web1 of 240, for a weight of 2 of 4)" \
	[ "$web1" -ge 85 -a "$web1" -le 155 ]
holds "web2 on another ($web2, for 1)" [ "$web2" -ge 33 -a "$web2" -le 90 ]
holds "web3 in another subnet, past its security group ($web3, for 1)" \
	[ "$web3" -ge 33 -a "$web3" -le 90 ]
fails "the group lets nothing else in" page client http://10.0.2.11/
ask web1 40
holds "a backend that asks gets the others" [ "$web1$none" = 00 -a "$web2" -gt 0 -a "$web3" -gt 0 ]
# refused PORT: at once, not after a while.
refused() {
	local code=0
	on client curl -s --max-time 30 http://$shop:$1/ || code=$?
	[ $code = 7 ]
}
holds "a port without a listener is refused at once" refused 81
fails "another tenant has no such address" page blue-client http://$shop/

unchanged() {
	"$zetactl" --lab "$cloud" get load-balancers shop -o yaml >"$work/shop.yaml" &&
		grep -q 'port: web1' "$work/shop.yaml" &&
		"$zetactl" --lab "$cloud" apply -f "$work/shop.yaml" | grep unchanged
}
holds "what the API has of it can be applied, with names" unchanged

holds "with affinity to the source" balance source '{port: web1}, {port: web2}, {port: web3}'
sticks() {
	ask client 20 && [ "$web1$web2$web3$none" = 20000 -o "$web1$web2$web3$none" = 02000 -o \
		"$web1$web2$web3$none" = 00200 ]
}
holds "all of a client's connections have one backend" until_true sticks

balance none '{port: web1}, {port: web2}, {port: web3}' >/dev/null
holds "without it all again" until_true eval 'ask client 30 && [ $web1 -gt 0 -a $web2 -gt 0 -a $web3 -gt 0 ]'
# Flows whose packets all come back, from whom they were sent to.
echoed() {
	[ "$(on client timeout $patience python3 "$lab/probe.py" ask $shop 53 20 | awk '{ print $3 }')" = 20 ]
}
balance none '{port: web1}, {port: web2}' >/dev/null
holds "UDP is answered from the address that was asked" until_true echoed
balance none '{port: web1, weight: 0}' >/dev/null
holds "where all drain a connection is refused at once" until_true refused 80
balance none '{port: web1}, {port: web2}, {port: web3}' >/dev/null
holds "and served when they do not" until_true page client http://$shop/
transfers=12
on client python3 "$lab/trickle.py" "$work/enough" $shop /file $transfers >"$work/transfers" 2>&1 &
trickling=$!
# connected BACKEND: to how many of the transfers it is the other end.
connected() {
	on "$1" ss -H -n -t state established sport = :8080 | wc -l
}
under_way() {
	[ $(($(connected web1) + $(connected web2) + $(connected web3))) = $transfers ]
}
holds "$transfers transfers are under way" until_true under_way
before="$(connected web1) $(connected web2) $(connected web3)"
balance none '{port: web1}, {port: web2, weight: 0}, {port: web3}' >/dev/null
holds "web2 drains: new connections go elsewhere" until_true never web2
balance none '{port: web1}, {port: web2}' >/dev/null
holds "web3 is removed: new connections go elsewhere" until_true never web3
holds "what was under way goes on where it is ($before)" \
	[ "$(connected web1) $(connected web2) $(connected web3)" = "$before" ]

served() {
	ask client 20 && [ "$none" = 0 ]
}
holds "a forwarder dies" gone fwd1
holds "new connections are served" until_true served
holds "a flow table node dies" gone ftn3
holds "new connections are served" until_true served
holds "what was under way goes on where it is" \
	[ "$(connected web1) $(connected web2) $(connected web3)" = "$before" ]
: >"$work/enough"
holds "and ends well" wait $trickling
holds "byte for byte, all of it" [ "$(grep -c "^$sum live" "$work/transfers")" = $transfers ]
holds "removed" "$zetactl" --lab "$cloud" delete load-balancer shop
holds "nobody has its address any more" until_true shut client http://$shop/
verdict "They do."
