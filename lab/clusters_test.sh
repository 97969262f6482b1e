#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do two clusters under one controller serve the VPCs of the same hosts, each its own?
#
#            host1         host2         host3
#   red      red-a .10     red-b .11                   east: e1 e2 e3
#   blue     blue-a .10    blue-b .11    blue-c .12    west: w1 w2 w3      (lab/clusters.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/clusters.yaml"

# handled CLUSTER VERDICT: what its nodes counted.
handled() {
	python3 -c '
import json, sys
status = json.load(open(sys.argv[1]))
cluster = next(c for c in status["clusters"] if c["name"] == sys.argv[2])
print(sum(m["verdicts"].get(sys.argv[3], {}).get("packets", 0)
          for m in cluster["members"] if "edge" not in m["roles"]))' "$work/status.json" "$@"
}
web red-b red
web blue-b blue
head -c 5000000 /dev/urandom >"$work/red-b/file"
head -c 5000000 /dev/urandom >"$work/blue-b/file"
downloads() {
	[ "$(on "$1" curl -s --max-time $patience http://10.0.1.11/file | sha256sum)" = \
		"$(sha256sum <"$work/$2/file")" ]
}
holds "red asks red, through east" says red-a http://10.0.1.11/ red
fresh_status >/dev/null
holds "whose nodes decided" [ "$(handled east FORWARDED_FIRST)" -ge 2 ]
holds "and have the session" [ "$(handled east INSERTED)" -ge 1 ]
holds "nobody's packets went through west" [ "$(handled west FORWARDED_FIRST)" = 0 ]
before=$(handled east FORWARDED_FIRST)
holds "blue asks blue, through west" says blue-a http://10.0.1.11/ blue
holds "from a host that west has for itself" says blue-c http://10.0.1.11/ blue
fresh_status >/dev/null
holds "whose nodes decided" [ "$(handled west FORWARDED_FIRST)" -ge 4 ]
holds "nobody's packets went through east" [ "$(handled east FORWARDED_FIRST)" = "$before" ]
holds "a download of red's" downloads red-a red-b
holds "a download of blue's, of the same addresses" downloads blue-a blue-b
told() {
	fresh_status >/dev/null && [ "$(figure count FLOW_INJECTED packets host1 <"$work/status.json")" -ge 2 ]
}
holds "both clusters told a host direct paths" until_true told
fails "red's 10.0.1.12 does not exist" pings red-a 10.0.1.12
holds "blue's does" pings blue-a 10.0.1.12

refused() {
	local said
	said=$(! ctl apply -f - 2>&1) && grep -q "$1" <<<"$said"
}
holds "a host carries no VPC of a cluster that it does not know" refused 'other_clusters' <<-END
	{kind: Port, name: red-c, vpc: red, host: host3, mac: "02:00:00:00:09:01", ips: [10.0.1.13], interface: red-c}
END
holds "nor forgets a cluster while it carries one" refused 'port "blue-a"' <<-END
	{kind: Host, name: host1, other_clusters: []}
END
holds "what hosts of several clusters rely on stays" refused 'carry VPCs of both' <<-END
	{kind: Cluster, name: west, overlay: geneve}
END

# One of them away as a whole: the other's VPCs do not notice.
each_of_east() {
	local node
	for node in e1 e2 e3; do
		on "$node" ip link set tenant0 "$1"
	done
}
each_of_east down
fails "without east, red's connections do not begin" page red-a http://10.0.1.11/
holds "blue's do" says blue-a http://10.0.1.11/ blue
each_of_east up
holds "red's do again with it" until_true says red-a http://10.0.1.11/ red
verdict "They do."
