#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do security groups let in what they allow, let replies back, and block the rest; also when they change?
#
#            host1                host2                host3
#   red      red-web .1.10        red-client .1.11     red-extra .1.12
#            red-back .2.11                            red-shop .2.10 (security group "shop")
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/demo.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/demo.yaml"

web red-shop shop
web red-back back
apply() {
	"$zetactl" --lab "$cloud" apply -f - <<<"$1"
}
rules() {
	apply "{kind: SecurityGroup, name: shop, vpc: red, rules: [$1]}"
}
groups() {
	apply "{kind: Port, name: $1, vpc: red, security_groups: [$2]}"
}
becomes_open() {
	until_true page "$@"
}
becomes_blocked() {
	until_true shut "$@"
}
shop=http://10.0.2.10

holds "allowed: tcp 80 from the front" page red-client $shop/
holds "allowed: icmp from the front" pings red-client 10.0.2.10
fails "blocked: tcp 8080" page red-client $shop:8080/
fails "blocked: tcp 80 from the back" page red-back $shop/
fails "blocked: icmp from the back" pings red-back 10.0.2.10
holds "its own connections get their replies" page red-shop http://10.0.2.11/
holds "its own pings, too" pings red-shop 10.0.2.11

rules '{direction: ingress, protocol: tcp, port_min: 80, port_max: 80, remote_cidr: 10.0.2.0/24}'
holds "changed rules: now the back may" becomes_open red-back $shop/
holds "and the front may not" becomes_blocked red-client $shop/

apply '{kind: SecurityGroup, name: friends, vpc: red, rules: []}'
groups red-client friends
rules '{direction: ingress, protocol: tcp, port_min: 80, port_max: 80, remote_group: friends}'
holds "who is in a group may" becomes_open red-client $shop/
holds "who is not may not" becomes_blocked red-back $shop/
fails "not even from the same subnet as a member" page red-extra $shop/
fails "and a group without rules lets nobody in" pings red-extra 10.0.1.11

rules '{direction: egress, protocol: tcp, port_min: 80, port_max: 80, remote_cidr: 10.0.0.0/8}'
holds "egress rules: what they name goes" becomes_open red-shop http://10.0.2.11/
fails "and nothing else" page red-shop http://10.0.2.11:8080/

groups red-shop ''
holds "without a group everybody may" becomes_open red-back $shop/
holds "on any port" becomes_open red-extra $shop:8080/
verdict "They do."
