#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do backends that answer clients themselves serve a load balancer's address, from host to host, and
# keep their connections while they drain, move out and the gateway's nodes die?
#
#            host1              host2              host3
#   front    client .1.10       web2 .1.12
#            web1 .1.11
#   back                                           web3 .2.11 (security group "web")
#   2 forwarders, 3 flow table nodes in chains of 3; load balancer 10.0.1.101 (lab/loadbalancer.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/loadbalancer.yaml"

vip=10.0.1.101
head -c 8000000 /dev/urandom >"$work/file"
sum=$(sha256sum <"$work/file" | cut -d' ' -f1)
for name in web1 web2 web3; do
	web "$name" "$name"
	ln "$work/file" "$work/$name/file"
	on "$name" ip address add $vip/32 dev lo
done

# balance BACKENDS
balance() {
	"$zetactl" --lab "$cloud" apply -f - <<<"{kind: LoadBalancer, name: straight, vpc: red, ip: $vip,
		direct_return: true, listeners: [{protocol: tcp, port: 8080, backends: [$1]}]}"
}
refused() {
	! "$zetactl" --lab "$cloud" apply -f - <<<"$1" >"$work/refused" 2>&1 && grep -q "$2" "$work/refused"
}
# answers COUNT: who served so many connections: $web1 $web2 $web3 $none.
answers() {
	local said
	said=$(on client bash -c 'for ((i = 0; i < $2; i++)); do
		curl -s -f --max-time 20 "http://$1:8080/" || echo none; done' ask $vip "$1")
	for name in web1 web2 web3 none; do
		declare -g "$name=$(grep -c "^$name\$" <<<"$said")" || true
	done
	echo "web1 $web1, web2 $web2, web3 $web3, none $none" >>"$work/log"
}
never() {
	answers 20 && [ "${!1}" = 0 ] && [ "$none" = 0 ]
}
direct() {
	fresh_status >/dev/null && figure count EDGE_DIRECT bytes host2 <"$work/status.json"
}

holds "another port at the backend is refused" refused \
	"{kind: LoadBalancer, name: x, vpc: red, ip: 10.0.1.99, direct_return: true,
	listeners: [{protocol: tcp, port: 80, backend_port: 81, backends: [{port: web1}]}]}" \
	'listeners\[0\].backend_port: with direct_return it is the port, 80'
holds "three backends get its packets as they are" balance '{port: web1}, {port: web2}, {port: web3}'
holds "a client gets a page" until_true page client http://$vip:8080/
answers 90
holds "every connection is served, by all of them ($web1, $web2, $web3 of 90)" \
	[ "$none" = 0 -a "$web1" -ge 10 -a "$web2" -ge 10 -a "$web3" -ge 10 ]
holds "what the API has of it can be applied" eval \
	'"$zetactl" --lab "$cloud" get load-balancers straight -o yaml |
		"$zetactl" --lab "$cloud" apply -f - | grep unchanged'
holds "nothing begins from the address" eval '! on web2 curl -s --max-time 3 --interface $vip http://10.0.1.10:9/ &&
	fresh_status >/dev/null && [ "$(figure count NO_SOURCE packets <"$work/status.json")" -gt 0 ]'

before=$(direct)
balance '{port: web2}' >/dev/null
holds "with one backend on another host" until_true eval 'answers 10 && [ $web2 = 10 ]'
download() {
	[ "$(on client curl -s -f --max-time $patience http://$vip:8080/file | sha256sum | cut -d' ' -f1)" = "$sum" ]
}
holds "a download is right byte for byte" download
holds "and goes straight from host to host" [ $(($(direct) - before)) -gt 6000000 ]

balance '{port: web1}, {port: web2}, {port: web3}' >/dev/null
transfers=9
on client python3 "$lab/trickle.py" "$work/enough" $vip:8080 /file $transfers >"$work/transfers" 2>&1 &
trickling=$!
connected() {
	on "$1" ss -H -n -t state established sport = :8080 | wc -l
}
under_way() {
	[ $(($(connected web1) + $(connected web2) + $(connected web3))) = $transfers ]
}
holds "$transfers transfers are under way" until_true under_way
spread="$(connected web1) $(connected web2) $(connected web3)"
balance '{port: web1}, {port: web2, weight: 0}, {port: web3}' >/dev/null
holds "one drains: new connections go elsewhere" until_true never web2
holds "a forwarder dies" gone fwd1
holds "a flow table node dies" gone ftn3
holds "new connections are served" until_true never web2
holds "what was under way goes on where it is ($spread)" \
	[ "$(connected web1) $(connected web2) $(connected web3)" = "$spread" ]
: >"$work/enough"
holds "and ends well" wait $trickling
holds "byte for byte, all of it" [ "$(grep -c "^$sum live" "$work/transfers")" = $transfers ]
verdict "They do."
