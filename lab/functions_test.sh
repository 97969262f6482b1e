#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a service chain count for the traffic of the subnets, and to the addresses, that name it, and for no
# other?
#
#            host1            host2
#   red      a .1.10          b .1.11, c .2.10
#   public   stranger .21                          (198.51.100.0/24)
#   10.0.1.100 is load balanced to c; outside, .30 is b's, ports 8000 and 8001 of .10 lead to c's 80 and 8080
#   (lab/functions.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/functions.yaml"
top=$(cd "$lab/.." && pwd)

prints() {
	{ "${@:2}" 2>&1 || true; } | tee -a "$work/log" | grep -E -- "$1"
}
apply() {
	ctl apply -f - <<<"$1"
}
c=http://10.0.2.10
b=http://10.0.1.11
shop=http://10.0.1.100
floating=http://198.51.100.30
outside=http://198.51.100.10
web b page
web c shop
build() {
	cat >"$work/$1.c" && (cd "$work" && "$zetactl" nf build "$1.c")
}
build gate >>"$work/log" <<-END
	#include <zeta/nf.h>
	ZETA_FUNCTION("GPL", ZETA_MAY_DROP | ZETA_MAY_REMEMBER);
	struct zeta_config { __be16 port; };
	ZETA_FIRST_PACKET(p, config)
	{
		p->remember = 1;
		return p->destination_port == config->port ? ZETA_DROP : ZETA_NEXT;
	}
END
ctl nf push gate 1 "$work/gate.o" >>"$work/log"
holds "a function runs" prints 'runs version 1' ctl nf rollout gate 1

everything() {
	page a $c:8080/ && page a $c/ && page c $b:8080/ && page a $b:8080/ && page a $shop/ &&
		page a $shop:8080/ && page b $shop:8080/ && page stranger $floating:8080/ &&
		page stranger $outside:8000/ && page stranger $outside:8001/
}
holds "without chains everything is open" until_true everything
gate() {
	apply "{kind: ServiceChain, name: gate, vpc: red, functions: [{function: gate, config: {port: $1}}]}"
}
holds "a chain" gate 8080
holds "that nobody names changes nothing" everything
holds "it is listed" prints 'gate +red +gate' ctl get service-chains

# A subnet.
subnet() {
	apply "{kind: Subnet, name: $1, vpc: red, service_chain: $2}"
}
holds "a subnet names it" subnet two gate
holds "what is sent to its endpoints meets it" until_true shut a $c:8080/
holds "what they send, too" shut c $b:8080/
holds "as it was sent and as they get it" shut stranger $outside:8001/
holds "other ports do not matter" page a $c/
holds "nor are they the load balancer's" page a $shop:8080/
holds "nor those outside" page stranger $outside:8000/
holds "the other subnet is open" page a $b:8080/
holds "from outside, too" page stranger $floating:8080/
holds "what is refused has a name" prints 'FUNCTION_DROPPED' fresh_status
holds "a change of the chain" gate 80
holds "reaches the subnet" until_true page a $c:8080/
holds "with what it says now" shut a $c/
holds "of a load balancer's packets, as they arrive" shut a $shop:8080/
holds "it is in use" prints 'is referred to by subnet "two"' ctl delete service-chain gate
fails "and stays" ctl delete service-chain gate
gate 8080 >/dev/null
subnet two null >/dev/null
holds "without it everything is open" until_true everything

# A load balancer's address.
holds "a load balancer names it" apply '{kind: LoadBalancer, name: shop, vpc: red, service_chain: gate}'
holds "what is sent to its address meets it, as it was sent" until_true shut a $shop:8080/
holds "from any subnet" shut b $shop:8080/
holds "its other port is open" page a $shop/
holds "and what is sent to the backend itself" page a $c:8080/
apply '{kind: LoadBalancer, name: shop, vpc: red, service_chain: null}' >/dev/null
holds "without it everything is open again" until_true everything

# Addresses outside.
nat() {
	apply "{kind: Nat, name: out, vpc: red, floating_ips: [{ip: 198.51.100.30, target: b, service_chain: $1}],
		forwards: [{protocol: tcp, ip: 198.51.100.10, port: 8000, target: c, target_port: 80, service_chain: $2},
			{protocol: tcp, ip: 198.51.100.10, port: 8001, target: c, target_port: 8080}]}"
}
holds "a floating IP names it" nat gate null
holds "what is sent to it meets the chain" until_true shut stranger $floating:8080/
holds "but not to its endpoint" page a $b:8080/
holds "nor to another address" page stranger $outside:8001/
gate 8000 >/dev/null
holds "a forward names it" nat null gate
holds "what is sent to it meets the chain, as it was sent" until_true shut stranger $outside:8000/
holds "but not to another port" page stranger $outside:8001/
holds "the floating IP is open" page stranger $floating:8080/
holds "the NAT uses it" prints 'is referred to by nat "out"' ctl delete service-chain gate
nat null null >/dev/null
holds "and not any more" ctl delete service-chain gate
holds "without chains everything is open once more" until_true everything

# Every packet: what arrives in the subnet has the mark.
(cd "$work" && "$zetactl" nf build "$top/examples/mark.c") >>"$work/log"
ctl nf push mark 1 "$work/mark.o" >>"$work/log"
ctl nf rollout mark 1 >>"$work/log"
holds "a chain of who sees every packet" apply \
	'{kind: ServiceChain, name: marked, vpc: red, functions: [{function: mark, config: {port: 4000, dscp: 46}}]}'
subnet two marked >/dev/null
holds "what arrives in the subnet is marked" hears marked c 10.0.2.10 4000
holds "at another port it is not" hears plain c 10.0.2.10 4001
holds "nor in another subnet" hears plain b 10.0.1.11 4000
holds "once in a VPC" prints 'may see every packet, so it is once in a vpc' apply \
	'{kind: ServiceChain, name: again, vpc: red, functions: [{function: mark}]}'

# What makes no sense is refused in words.
holds "nat after divider" prints 'nat cannot run after divider' apply \
	'{kind: ServiceChain, name: late, vpc: red, functions: [{function: nat}]}'
holds "a function that is not there" prints 'there is no function "nobody"' apply \
	'{kind: ServiceChain, name: late, vpc: red, functions: [{function: nobody}]}'

# A daemon that begins anew.
holds "a restart of the flow table node" "$zetactl" lab restart "$cloud" ftn1
holds "and of the forwarder" "$zetactl" lab restart "$cloud" fwd1
holds "changes nothing" until_true hears marked c 10.0.2.10 4000
holds "for others either" everything
verdict "It does."
