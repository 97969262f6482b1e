#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a VPC that goes to another cluster live on when a node there loses power on the way? And when
# it comes back, and one of the cluster that it comes to does?
#
#            host1        host2
#   red      red-a .10    red-b .11 (security group)      from east: e1 e2 e3, to west: w1 w2 w3,
#                                                         and back (lab/clusters.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/clusters.yaml"

has_file red-b red
# Of the cluster: who answers for its first chain.
tail_of() {
	status -o json | python3 -c '
import json, sys
cluster = next(c for c in json.load(sys.stdin)["clusters"] if c["name"] == sys.argv[1])
print(cluster["chains"][0]["state"]["live"][-1])' "$1"
}
alarmed() {
	status -o json | python3 -c '
import json, sys
alarms = [a for c in json.load(sys.stdin)["clusters"] for a in c["alarms"]]
sys.exit(not any(a["what"] == "vpc-move-stuck" and sys.argv[1] in a["message"] for a in alarms))' "$1"
}
# New connections, which are of all chains: each gets through, if not with its first packet.
can_enter() {
	local i
	for ((i = 0; i < 40; i++)); do
		on red-a curl -s -f --max-time 60 -o /dev/null http://10.0.1.11/ || return 1
	done
}

transfer red-a 10.0.1.11 &
under_way=$!
holds "a transfer is under way" until_true is_connected red-a
for cluster in west east; do
	dead=$(tail_of "$cluster")
	holds "red goes to $cluster" goes_to "$cluster"
	holds "  whose chains take over" until_true red_is 'move and move["phase"] != "prepare"'
	power_off "$dead"
	holds "$dead loses power: new connections begin" can_enter
	holds "  what is under way lives" is_connected red-a
	holds "  the move waits for it" until_true red_is "any(w.startswith('$dead') for w in move['waiting'])"
	holds "  and that is an alarm" until_true alarmed "$dead"
	holds "  new connections begin still" can_enter
	power_on "$dead"
	holds "with it, red arrives" until_true red_is 'move is None'
	holds "  and can be entered" can_enter
done
: >"$work/enough"
holds "what was under way ends well" wait $under_way
holds "replicas have the same" until_true replicas_agree
verdict "It does."
