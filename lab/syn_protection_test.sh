#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Are a protected load balancer's clients served under a flood of forged SYNs, and does nobody remember any of
# these?
#
#            host1              host2              host3
#   front    client .1.10       web2 .1.12         router .1.254 --- 172.20.1.1 ----- far 172.20.1.10
#            web1 .1.11                               forged: 172.21.0.0/16
#   2 forwarders, 2 flow table nodes in chains of 2; load balancer 10.0.1.100 (lab/syn_protection.yaml)
#
# The router is a firewall, too, which lets nothing pass that is not of a connection as its kernel understands
# it, and which gives what is behind it its own address.
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/syn_protection.yaml"

shop=10.0.1.100
head -c 12000000 /dev/urandom >"$work/file"
sum=$(sha256sum <"$work/file" | cut -d' ' -f1)
for name in web1 web2; do
	web "$name" "$name" 'listen [::]:8080;'
	ln "$work/file" "$work/$name/file"
done
network far
cable router far out1 172.20.1
there far ip route add default via 172.20.1.1
on router ip route add blackhole 172.21.0.0/16 # what answers the forged ones
on router nft -f - <<-END
	table ip wall {
		chain pass {
			type filter hook forward priority 0; policy drop;
			ct state invalid counter drop
			ct state established accept
			iifname "out1" ct state new accept
		}
		chain hide {
			type nat hook postrouting priority 100;
			oifname "eth0" masquerade
		}
	}
END

# six ENDPOINT NUMBER
six() {
	on "$1" sh -c "sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=0 &&
		ip -6 address add 2001:db8:1::$2/64 dev eth0 nodad && ip -6 route add default via 2001:db8:1::1"
}
protect() {
	ctl apply -f - <<<"{kind: LoadBalancer, name: shop, vpc: red, $1}"
}
counted() {
	fresh_status >/dev/null && figure count "$1" packets <"$work/status.json"
}
# grows VERDICT COMMAND..: more are counted after it.
grows() {
	local before
	before=$(counted "$1") && "${@:2}" && [ "$(counted "$1")" -gt "$before" ]
}
stays() {
	local before
	before=$(counted "$1") && "${@:2}" && [ "$(counted "$1")" = "$before" ]
}
# served COMMAND..: so many pages, one after the other, to who runs it; all are.
served() {
	local answers
	answers=$("$@" bash -c 'for ((i = 0; i < 30; i++)); do
		curl -s -f --max-time 20 -w "%{time_connect} " "http://$0/" || echo none; done' $shop)
	echo "$answers" >>"$work/log"
	! grep none <<<"$answers" && [ "$(grep -c web <<<"$answers")" = 30 ]
}
# forged: how many sessions of theirs there are, at all flow table nodes.
forged() {
	local node
	for node in ftn1 ftn2; do
		"$zetactl" sessions --bpf "$run/bpf/$node" -o json
	done | grep -c '172\.21\.' || true
}
has_forged() {
	[ "$(forged)" -gt "$1" ]
}
# flood NAME: until the file $work/NAME is there.
flood() {
	on router python3 "$lab/forge.py" eth0 "$mac" $shop 80 172.21 2000 "$work/$1" >"$work/$1.sent" 2>&1 &
	flooding=$!
}

holds "a client gets a page" until_true page client http://$shop/
holds "and who is behind the firewall" until_true served there far
mac=$(on client ip neigh show $shop | grep -o '[0-9a-f:]\{17\}')
holds "nobody had to prove anything" [ "$(counted COOKIE_SENT)" = 0 ]

secret() {
	bpftool map dump pinned "$run/bpf/$1/shield_secret"
}
holds "each forwarder has a secret of its own" [ "$(secret fwd1)" != "$(secret fwd2)" ]
holds "protected" protect 'syn_protection: always'
holds "clients prove themselves" until_true grows COOKIE_PROVEN page client http://$shop/
holds "and are served" served on client
holds "those behind the firewall, too" served there far
transfers=4
on client python3 "$lab/trickle.py" "$work/enough" $shop /file $transfers >"$work/transfers" 2>&1 &
trickling=$!
there far python3 "$lab/trickle.py" "$work/enough" $shop /file $transfers >"$work/far-transfers" 2>&1 &
far_trickling=$!
connected() {
	on "$1" ss -H -n -t state established sport = :8080 | wc -l
}
under_way() {
	[ $(($(connected web1) + $(connected web2))) = $((2 * transfers)) ]
}
holds "$transfers transfers of each are under way" until_true under_way

flood over
holds "a flood: its SYNs are answered" until_true eval '[ "$(counted COOKIE_SENT)" -gt 5000 ]'
holds "clients are served" served on client
holds "those behind the firewall, too" served there far
holds "no session is the flood's" [ "$(forged)" = 0 ]
syn_received() {
	[ "$(on web1 ss -H -n -t state syn-recv | wc -l)" = 0 ] && [ "$(on web2 ss -H -n -t state syn-recv | wc -l)" = 0 ]
}
holds "and no backend waits for it" syn_received
: >"$work/over"
holds "the flood ends" wait $flooding

ctl apply -f - >>"$work/log" <<-YAML
	{kind: Subnet, name: front6, vpc: red, cidr: "2001:db8:1::/64"}
	---
	{kind: Port, name: client, vpc: red, ips: [10.0.1.10, "2001:db8:1::10"]}
	---
	{kind: Port, name: web1, vpc: red, ips: [10.0.1.11, "2001:db8:1::11"]}
	---
	{kind: LoadBalancer, name: shop6, vpc: red, ip: "2001:db8:1::100", syn_protection: always, listeners: [
	  {protocol: tcp, port: 80, backend_port: 8080, backends: [{port: web1}]}]}
YAML
six client 10
six web1 11
holds "by IPv6 they prove themselves, too" until_true grows COOKIE_PROVEN page client 'http://[2001:db8:1::100]/'

holds "protected where there are many" protect 'syn_protection: under-attack, syn_rate: 100'
holds "who is alone proves nothing" until_true stays COOKIE_SENT page client http://$shop/
flood many
holds "a flood: it is asked" until_true grows COOKIE_SENT sleep 1
holds "clients are served" served on client
: >"$work/many"
wait $flooding
holds "protected again" protect 'syn_protection: always'
flood again
holds "a flood, and a forwarder dies" gone fwd1
holds "clients are served" until_true served on client
holds "those behind the firewall, too" until_true served there far
: >"$work/again"
wait $flooding
holds "what was under way is there still" under_way
: >"$work/enough"
holds "and ends well" wait $trickling
holds "also behind the firewall" wait $far_trickling
holds "byte for byte, all of it" \
	[ "$(cat "$work/transfers" "$work/far-transfers" | grep -c "^$sum live")" = $((2 * transfers)) ]

# To see that there is something to see.
before=$(forged)
holds "unprotected" protect 'syn_protection: never'
flood last
holds "forged SYNs have sessions" until_true has_forged $((before + 1000))
: >"$work/last"
wait $flooding
verdict "They are, and nobody does."
