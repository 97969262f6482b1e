#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a chain begin anew when most of its voters, or all that had its sessions, lose power at once? And
# does what anybody still has live on?
#
#            host1              host2
#   red      client .1.10       shop .1.11 (security group "shop": stateful)
#   fwd1, ftn1 .. ftn6: one chain of 3, five voters (lab/force.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/force.yaml"

# chain EXPRESSION: of what the controller says of the chain, c, and of alarms, a list of their kinds.
chain() {
	status -o json 2>/dev/null | python3 -c '
import json, sys
cluster = json.load(sys.stdin)["clusters"][0]
c, alarms = cluster["chains"][0], [alarm["what"] for alarm in cluster["alarms"]]
print(eval(f"({sys.argv[1]})"))' "$1"
}
is_so() {
	[ "$(chain "$1")" = True ]
}
is_whole() {
	is_so '(s := c["state"]) and len(s["live"]) == 3 == len(s["leased"]) and not s["learner"] and
		sorted(s["live"]) == sorted(c["replicas"]) and len(c["witnesses"]) == 2 and not alarms'
}
same_everywhere() {
	fresh_status >/dev/null && figure replicas <"$work/status.json" | grep same
}

has_file shop shop
shop() {
	page client http://10.0.1.11/
}

holds "the chain is whole" until_true is_whole
holds "the shop is open" shop
transfer client 10.0.1.11 &
under_way=$!
holds "a transfer is under way" until_true is_connected client
holds "the replicas agree on it" until_true same_everywhere
# From here on it goes on only by what the flow table remembers: packets in the middle begin nothing.

# Two of three replicas, one of two witnesses, and the forwarder with all that it has cached.
mapfile -t dead < <(chain '"\n".join([*c["state"]["live"][:2], c["witnesses"][0]])')
left=$(chain 'c["state"]["live"][2]')
power_off "${dead[@]}" fwd1
holds "without a majority there is an alarm" until_true is_so '"chain-without-majority" in alarms'
power_on "${dead[@]}" fwd1
is_forced() {
	is_so "c['forced'] and c['forced'] > c['founded'] and '$left' in c['state']['live']"
}
holds "who is left begins anew by force" until_true is_forced
holds "and that is told" eval 'status | grep "by force"'
holds "the transfer is still there" is_connected client
: >"$work/enough"
holds "  and ends well: its session was kept" wait $under_way
holds "the chain becomes whole again" until_true is_whole
holds "  with replicas that agree" until_true same_everywhere
holds "and the shop can be entered" until_true shop

# All that have its sessions.
mapfile -t dead < <(chain '"\n".join(c["state"]["live"])')
power_off "${dead[@]}"
power_on "${dead[@]}"
holds "where nobody is left, it begins with nothing" until_true is_so 'c["forced"] == c["founded"] > 1'
holds "  and that is told" eval 'status | grep "nobody had its sessions"'
holds "the shop can be entered" until_true shop
holds "the chain becomes whole again" until_true is_whole
holds "  with replicas that agree" until_true same_everywhere
verdict "It does."
