#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do established connections end when the rule that allowed them goes, or a network ACL denies them, and only they?
#
#            host1                host2                host3
#   red      red-web .1.10        red-client .1.11     red-extra .1.12
#            red-back .2.11                            red-shop .2.10 (security group "shop")
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/demo.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/demo.yaml"

tcp() {
	echo "{direction: ingress, protocol: tcp, port_min: $1, port_max: $1}"
}
apply() {
	"$zetactl" --lab "$cloud" apply -f - <<<"$1"
}
rules() {
	apply "{kind: SecurityGroup, name: shop, vpc: red, rules: [$1]}"
}
# stream NAME ENDPOINT PORT: an endless page from the shop.
stream() {
	on "$2" curl -s -N -o "$work/$1" "http://10.0.2.10:$3/slow" &
	holds "$1 begins" until_true has "$1" 1
}
size() {
	stat -c %s "$work/$1" 2>/dev/null || echo 0
}
has() {
	[ "$(size "$1")" -ge "$2" ]
}
# NAME..: what comes in more than R = 10 s: nothing cached lives so long.
go_on() {
	local name enough=()
	for name in "$@"; do enough+=($(($(size "$name") + 120000))); done
	for name in "$@"; do
		until_true has "$name" "${enough[0]}" || return 1
		enough=("${enough[@]:1}")
	done
}
stalls() {
	local before
	before=$(size "$1")
	sleep 3
	[ "$(size "$1")" = "$before" ]
}

web red-shop shop
head -c 100M /dev/zero >"$work/red-shop/slow"
rules "$(tcp 80), $(tcp 8080)"
holds "both ports are open" until_true page red-client http://10.0.2.10:8080/
stream kept red-client 80
stream ended red-client 8080
stream other red-web 8080

rules "$(tcp 80), $(tcp 8080), $(tcp 443)"
holds "another rule more: both connections go on" go_on kept ended

rules "$(tcp 80), $(tcp 443), {direction: ingress, protocol: tcp, port_min: 8080, port_max: 8080, remote_cidr: 10.0.1.10/32}"
SECONDS=0
holds "its rule is gone: a connection ends" until_true stalls ended
echo "        after $SECONDS seconds, three of them to see it"
holds "one by another rule goes on, and one that a narrower rule still allows" go_on kept other
holds "and the ended one stays so" stalls ended
fails "a new one is refused" page red-client http://10.0.2.10:8080/

rules "$(tcp 80), $(tcp 8080)"
holds "the rule again: a new one begins" until_true page red-client http://10.0.2.10:8080/

apply '{kind: NetworkAcl, name: fence, vpc: red, rules: [
	{priority: 10, action: deny, direction: ingress, remote_cidr: 10.0.1.11/32},
	{priority: 20, action: allow, direction: ingress},
	{priority: 20, action: allow, direction: egress}]}'
apply '{kind: Subnet, name: back, vpc: red, network_acl: fence}'
holds "a network ACL for the subnet: what it denies ends" until_true stalls kept
holds "what it allows goes on" go_on other
fails "and a new one that it denies is refused" page red-client http://10.0.2.10/
holds "one that it allows is not" page red-web http://10.0.2.10/
verdict "They do."
