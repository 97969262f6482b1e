#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does `zetactl node drain` end only when every node knows? Whoever stops the drained node then
# loses packets otherwise: its entrances' new owner has not heard that they are its own.
#
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/demo.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/demo.yaml"

told() {
	grep -q "$1" "$work/drain"
}
ended() {
	! kill -0 "$drain" 2>/dev/null
}
# Whether entrances are fwd1's: yes or no.
fwd1_owns() {
	local owners
	owners=$(status -o json | python3 -c '
import json, sys
print(*(entrance["owner"] for cluster in json.load(sys.stdin)["clusters"]
        for entrance in cluster["entrances"]))') && [ -n "$owners" ] || return 1
	case " $owners " in
	*" fwd1 "*) [ "$1" = yes ] ;;
	*) [ "$1" = no ] ;;
	esac
}

deaf=$(pid_of fwd2)
kill -STOP "$deaf"
"$zetactl" --lab "$cloud" node drain fwd1 >"$work/drain" 2>&1 &
drain=$!
holds "a drain names who has not heard of it yet" until_true told "not told yet: fwd2"
fails "and waits for it" within 3 ended
kill -CONT "$deaf"
holds "when it hears, the drain ends" until_true ended
holds "well" wait "$drain"
holds "and says so" told "node/fwd1 drained"
holds "the node owns no entrance" fwd1_owns no
holds "what is behind it goes on" pings red-client 10.0.1.10
holds "taken back, it is in use" "$zetactl" --lab "$cloud" node undrain fwd1
holds "and owns entrances again" until_true fwd1_owns yes
verdict "It waits."
