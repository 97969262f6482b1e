#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is what a port inside has outside the same towards everybody, where the NAT is to do that, as a STUN
# server sees it, and whoever of the gateway's nodes dies?
#
#            host1              host2              host3
#   red      client .1.10       client2 .1.11                             endpoint-independent
#   blue     blue-client .1.10                                            address and port-dependent
#   public                                         uplink .254 ----- internet 203.0.113.10 and .11
#   2 forwarders, 3 flow table nodes in one chain; red leaves as 198.51.100.10, blue as .11 (lab/mapping.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
command -v turnserver turnutils_natdiscovery >/dev/null || { echo "needs coturn"; exit 77; }
begin "$lab/mapping.yaml"

near=203.0.113.10 far=203.0.113.11
network internet
cable uplink internet up0 203.0.113
there internet ip address add $far/24 dev up0
there internet ip route add default via 203.0.113.1
there internet turnserver -n --stun-only --no-tls --no-dtls --no-cli -L $near -L $far \
	--pidfile "$work/turn.pid" --log-file stdout --simple-log >"$work/turn" 2>&1 &
there internet python3 "$lab/nat.py" serve 7000 >>"$work/log" 2>&1 &
there internet python3 "$lab/nat.py" serve 7001 >>"$work/log" 2>&1 &

# stun ENDPOINT WORDS OPTION: what it is told of its NAT (RFC 5780).
stun() {
	on "$1" turnutils_natdiscovery "$3" $near >"$work/stun" 2>&1
	cat "$work/stun"
	grep -q "$2" "$work/stun"
}
holds "a client is told: endpoint-independent mapping" until_true stun client "Endpoint Independent Mapping" -m
holds "and endpoint-independent filtering" until_true stun client "Endpoint Independent Filtering" -f
holds "of the NAT as it is by default: the mapping depends on address and port" \
	until_true stun blue-client "Address and Port Dependent Mapping" -m
holds "and so does what it lets in" until_true stun blue-client "Address and Port Dependent Filtering" -f

everybody=("$near:7000" "$near:7001")
# asks ENDPOINT: from its port 6000, in the background, into $work/ENDPOINT.seen.
asks() {
	on "$1" python3 "$lab/mapping.py" seen 6000 "$work/enough" "${everybody[@]}" >"$work/$1.seen" 2>>"$work/log" &
	asking[$1]=$!
}
declare -A asking
answers() {
	[ "$(wc -l <"$work/$1.seen")" "$2" "$3" ]
}
outside_of() {
	head -n 1 "$work/$1.seen" | tr ' ' :
}
for name in client client2 blue-client; do
	asks $name
done
holds "the client is answered" until_true answers client -ge 1
holds "another one, too" until_true answers client2 -ge 1
holds "by default a port is another one towards everybody" until_true answers blue-client -eq 2
head_of_chain() {
	status -o json | python3 -c '
import json, sys
print(json.load(sys.stdin)["clusters"][0]["chains"][0]["state"]["live"][0])'
}
first=$(head_of_chain)
holds "the head of the chain, $first, dies" gone "$first"
another_head() {
	second=$(head_of_chain) && [ "$second" != "$first" ]
}
holds "the next one is its head" until_true another_head
holds "and dies, too" gone "$second"
sleep 5
: >"$work/enough"
for name in client client2 blue-client; do
	wait "${asking[$name]}" || true
done
holds "the client's port was the same all the time" answers client -eq 1
holds "and the other one's" answers client2 -eq 1
rm "$work/enough"
asks client
until_true answers client -ge 1
: >"$work/enough"
wait "${asking[client]}" || true
holds "who comes back to it finds it as it was" answers client -eq 1

# Each sends to what the other one is outside, as both have learned it.
punch() {
	on "$1" python3 "$lab/mapping.py" punch 6000 "$2"
}
both() {
	punch client "$(outside_of client2)" &
	local one=$!
	punch client2 "$(outside_of client)" && wait $one
}
holds "two behind one NAT meet, both calling at once" both
from_outside() {
	there internet python3 "$lab/mapping.py" punch 9999 "$(outside_of client)" &
	local one=$!
	punch client "$near:9999" && wait $one
}
holds "and one of them meets somebody outside" from_outside

filters() {
	ctl apply -f - <<-END
		{kind: Nat, name: out, vpc: red, external_vpc: public, addresses: [198.51.100.10], subnets: [front],
		 mapping: endpoint-independent, filtering: address-and-port}
	END
}
holds "the NAT's filtering changes" filters
holds "then it lets in who was asked only" until_true stun client "Address and Port Dependent Filtering" -f
holds "and its mapping is as it was" until_true stun client "Endpoint Independent Mapping" -m
verdict "It is."
