#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a SYN flood of one tenant slow another?
#
#   lab/flood.yaml: red-vm sends 20,000 SYNs per second, blue-client connects to blue-web, both behind
#   one forwarder. Red may have 1,000 first packets per second.
#
# All of it runs on this machine, so that any flood costs blue something: whoever makes the packets
# and carries them takes time from the same processors. That is not the question. So it is compared
# with a control that costs the machine the same up to the forwarder's decision: as many SYNs, as
# random, from the same place, to red's gateway, which drops them for what they are after reading
# them and looking them up in its cache, as it does with a flood. Both take turns of some ten
# milliseconds, and the median of the turns' ratios counts, so that what others do on this machine
# is in both. Blue's rate must be the same but for 10 %.
# At last the same without a limit, to see that there is something to see: 0.8 to 0.9 on two CPUs.
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/flood.yaml"

net=/run/zeta/lab/$cloud/net
flood() {
	"$build/lab/flood" -n 60 -c 100 "$net/red-vm" "$net/blue-client" "$net/blue-web" >"$work/flood" || return
	cat "$work/flood" >>"$work/log"
	read -r _ rate _ time _ failed _ sent < <(tail -n 1 "$work/flood")
	echo "  $1: blue's connections per second are $rate of what they are without it, the time of one $time"
}
counted() {
	fresh_status >/dev/null && figure count "$1" packets "${2:-fwd}" <"$work/status.json"
}
at_least() {
	[ "$(python3 -c "print(int($1 >= $2))")" = 1 ]
}

flood "with red's limit"
limited=$rate
holds "blue goes on as fast as if red's packets were dropped for anything else" at_least "$limited" 0.9
holds "none of blue's connections fails" test "$failed" = 0
# Half of what was sent was control, and red may have some.
refused=$(counted MISS_RATE)
holds "red's are refused where they come in" at_least "$refused" "$sent / 4"
blamed() {
	status | awk '$1 == "VPC" { seen = 1 } seen && $1 == "red" { red = $5 } seen && $1 == "blue" { blue = $5 }
		END { exit !(red >= '"$refused"' && !blue) }'
}
holds "the status says whose they were" until_true blamed

"$zetactl" --lab "$cloud" apply -f - >/dev/null <<<'{kind: Vpc, name: red, first_packets_per_s: 100000000}'
unrefused() {
	local before
	before=$(counted MISS_RATE) && flood "without a limit" >&3 && [ "$(counted MISS_RATE)" = "$before" ]
}
exec 3>&1
holds "without a limit all of it reaches the flow table" until_true unrefused
verdict "It does not."
