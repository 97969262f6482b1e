#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does anybody notice when a VPC goes to another cluster, and comes back?
#
#            host1        host2
#   red      red-a .10    red-b .11 (security group)      from east: e1 e2 e3, to west: w1 w2 w3,
#                                                         and back (lab/clusters.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/clusters.yaml"

ctl apply -f - >"$work/log" <<-END
	kind: SecurityGroup
	name: web
	vpc: red
	rules: [{direction: ingress, protocol: tcp}, {direction: ingress, protocol: udp}]
END
# What goes on meanwhile: streams whose content is checked, short connections, UDP flows that begin
# and ones that last. The hosts are told no direct path: every packet crosses a cluster.
mkfifo "$work/mute"
nsenter --net="/run/zeta/lab/$cloud/net/fabric" "$build/lab/chaos_cut" -p 8300 to host1.t to host2.t \
	<"$work/mute" >"$work/cut" &
exec 7>"$work/mute"
until_true grep -q cut "$work/cut"
load() {
	on "$1" "$build/lab/chaos_load" 3600 100 120 "${@:2}" <"$work/orders.$1" >"$work/$1.load" &
}
for endpoint in red-a red-b; do
	mkfifo "$work/orders.$endpoint"
done
load red-a probe=10.0.1.11:7100:2000:0 probe=10.0.1.11:7101:2000:1000 'stream=10.0.1.11*4' \
	'short=10.0.1.11*10' 'open=10.0.1.11*25'
load red-b probe=10.0.1.10:7100:2000:0 probe=10.0.1.10:7101:2000:1000 'short=10.0.1.10*10'
exec 8>"$work/orders.red-a" 9>"$work/orders.red-b"
tell() {
	printf %s "$1" >&8
	printf %s "$1" >&9
}
said() {
	local endpoint
	for endpoint in red-a red-b; do
		grep -q "\"what\":\"$1\"" "$work/$endpoint.load" || return 1
	done
}
until_true said ready
tell g
holds "traffic flows" until_true said flowing

holds "red goes to west" goes_to west
holds "there is no way back" until_true red_is 'move and move["phase"] != "prepare"'
fails "nowhere else before it is there" goes_to east
holds "all daemons restart meanwhile" "$zetactl" lab restart "$cloud"
holds "it arrives" until_true red_is 'move is None and cluster == "west"'
in_west() {
	fresh_status >/dev/null && python3 - "$work/status.json" "$1" "$2" <<-'END'
		import json, sys
		clusters = {c["name"]: c for c in json.load(open(sys.argv[1]))["clusters"]}
		def sessions(name):
		    return sum(m["sessions"] for m in clusters[name]["members"] if "ftn" in m["roles"])
		has, lacks = sys.argv[2:]
		sys.exit(0 if sessions(has) > 20 and sessions(lacks) == 0 else 1)
	END
}
holds "west has its sessions, east has none" until_true in_west west east
holds "red comes back" goes_to east
holds "it arrives" until_true red_is 'move is None and cluster == "east"'
holds "east has its sessions, west has none" until_true in_west east west
tell s
holds "all that was under way ends" until_true said idle
tell q
until_true said end
summary() {
	python3 - "$work/red-a.load" "$work/red-b.load" <<-'END'
		import json, sys
		probes, bad = {}, []
		count = {"streams": 0, "shorts": 0, "openings": 0, "probes": 0}
		for path in sys.argv[1:]:
		    for line in open(path):
		        r = json.loads(line)
		        if r["what"] == "probe":
		            probes[r["flow"]] = r
		        elif r["what"] == "stream":
		            count["streams"] += 1
		            bad += [r] if r["how"] not in ("ended", "done", "closed") else []
		        elif r["what"] == "shorts":
		            count["shorts"] += r["done"]
		            bad += [r] if r["broken"] or r["unopened"] else []
		        elif r["what"] == "openings":
		            count["openings"] += r["answered"]
		            bad += [r] if r["answered"] != r["begun"] else []
		        elif r["what"] == "short":
		            bad.append(r)
		for name, probe in probes.items():
		    one, rest = name.split(">")
		    other, port = rest.split(":")
		    sender = probes[f"{other}>{one}:{port}"]
		    lost = sender["sent"] - probe["first"] - probe["came"]
		    count["probes"] += probe["came"]
		    bad += [(name, "lost", lost)] if lost else []
		print(count)
		print(*bad, sep="\n")
		sys.exit(1 if bad or not all(count.values()) else 0)
	END
}
sum_up() {
	summary >"$work/summary"
}
holds "nothing broke and nothing was lost" sum_up
head -n 5 "$work/summary"
holds "replicas have the same" until_true replicas_agree
verdict "Nobody does."
