#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Can two clouds with the same names and addresses run side by side?
#
#   cloud one:   a .1.10 - host1 - gw1 - host2 - b .1.11      (lab/small.yaml)
#   cloud two:   a .1.10 - host1 - gw1 - host2 - b .1.11      (the same)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
other=$cloud-two
begin "$lab/small.yaml"
trap '"$zetactl" lab down "$other" >/dev/null 2>&1 || true; end' EXIT
"$zetactl" lab down "$other" >/dev/null 2>&1 || true
holds "a second one comes up beside the first" \
	"$zetactl" lab up "$lab/small.yaml" --name "$other"
listed() {
	"$zetactl" lab list -o json | python3 -c '
import json, sys
clouds = {c["name"]: c for c in json.load(sys.stdin)}
assert all(clouds[name]["state"] == "up" and clouds[name]["running"] == 4 for name in sys.argv[1:])
' "$@"
}
holds "both are listed" listed "$cloud" "$other"
fails "a third of the same name is refused" "$zetactl" lab up "$lab/small.yaml" --name "$other"
web b one
one=$cloud
cloud=$other
web b two
# Each has its own server now, at one address. (Files of the second replace those of the first.)
holds "a of the second reaches b" pings a 10.0.1.11
mkdir -p "$work/b"
echo two >"$work/b/index.html"
cloud=$one
holds "a of the first reaches b" pings a 10.0.1.11
unreached() {
	local brief=1
	! pings a 10.0.1.11
}
"$zetactl" --lab "$other" delete port a >>"$work/log" 2>&1 || true
cloud=$other
holds "what is deleted in the second stops working there" until_true unreached
cloud=$one
holds "and goes on in the first" pings a 10.0.1.11
holds "the second goes down" "$zetactl" lab down "$other"
holds "and the first does not notice" pings a 10.0.2.10
verdict "They can."
