#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does zetactl do with the controller's objects what its manual page says?
#
#   a .1.10 - host1 - gw1 - host2 - b .1.11      (lab/small.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/small.yaml"

# prints WORDS COMMAND..: what it prints has a line with them.
prints() {
	{ "${@:2}" 2>&1 || true; } | tee -a "$work/log" | grep -E -- "$1"
}
# exits STATUS COMMAND..
exits() {
	local status=0
	"${@:2}" || status=$?
	[ "$status" = "$1" ]
}
cat >"$work/green.yaml" <<-END
	# Ports before what they need: the order is zetactl's business.
	kind: Port
	name: green-one
	vpc: green
	host: host1
	mac: 02:00:00:00:09:01
	ips: [10.9.0.5]
	interface: green-one
	security_groups: [mail]
	---
	kind: Vpc
	name: green
	tenant: green
	cluster: main
	---
	{kind: Tenant, name: green, description: "late"}
	---
	{kind: Subnet, name: nine, vpc: green, cidr: 10.9.0.0/16}
	---
	kind: SecurityGroup
	name: mail
	vpc: green
	rules:
	  - {direction: ingress, protocol: tcp, port_min: 25, port_max: 25, remote_cidr: 10.9.0.0/16}
	  - {direction: ingress, protocol: icmp, remote_group: mail}
END
holds "apply creates" prints 'port/green-one created' ctl apply -f "$work/green.yaml"
all_unchanged() {
	[ "$(ctl apply -f "$work/green.yaml" | grep -c unchanged)" = 5 ]
}
holds "apply again changes nothing" all_unchanged
sed -i 's/10.9.0.5/10.9.0.6/' "$work/green.yaml"
holds "apply of a change configures" prints 'port/green-one configured' \
	ctl apply -f "$work/green.yaml"
holds "and nothing else" all_unchanged
holds "get shows names" prints '^green-one +green +10.9.0.6 +host1 +mail' ctl get ports
holds "get of one, as JSON" prints '"name": "green-one"' ctl get port green-one -o json
holds "describe" prints '^cidr: 10.9.0.0/16' ctl describe subnet nine
round_trip() {
	ctl get "$1" -o yaml >"$work/got.yaml" && ctl apply -f "$work/got.yaml" >"$work/applied" &&
		! grep -v unchanged "$work/applied"
}
ctl apply -f - >>"$work/log" <<-END
	{kind: ServiceChain, name: strict, vpc: green, functions: [{function: acl}, {function: security-group}]}
	---
	{kind: Subnet, name: nine, vpc: green, service_chain: strict}
END
holds "get shows a chain's functions" prints '^strict +green +acl,security-group' ctl get service-chains
holds "and who has it" prints '^nine .*strict' ctl get subnets -o wide
holds "a chain that runs late is refused in words" prints 'nat cannot run after divider' ctl apply -f - <<-END
	{kind: ServiceChain, name: late, vpc: green, functions: [{function: nat}]}
END
holds "one in use is not deleted" prints 'is referred to by subnet "nine"' ctl delete service-chain strict
for kind in tenants clusters nodes hosts vpcs subnets security-groups ports service-chains; do
	holds "what get prints of $kind can be applied and changes nothing" round_trip $kind
done
ctl apply -f - >>"$work/log" <<<"{kind: Subnet, name: nine, vpc: green, service_chain: null}"
holds "a chain that nobody names is deleted" prints 'service-chain/strict deleted' ctl delete service-chain strict
holds "views are shown" prints '^main .* 0$' ctl get views
pings a 10.0.1.11 >/dev/null
fresh_status >/dev/null
holds "status shows why packets went" prints '^  EDGE_TO_ENTRANCE +SENT +[0-9]+ +[0-9]+  an endpoint' \
	ctl status
holds "and wide, where" prints '^  VERDICT +KIND +PACKETS +BYTES +gw1 +host1 +host2$' \
	ctl status -o wide
holds "status as JSON" prints '"epoch"' ctl status -o json
holds "status shows who is there" prints '^  gw1 +here +[0-9a-f]{8} +1 +1 +1 ' ctl status
holds "status as YAML" prints '^clusters:' ctl status -o yaml
holds "sessions of a node, from its pins" prints '^VNI' \
	"$zetactl" sessions --bpf "/run/zeta/lab/$cloud/bpf/gw1"

holds "a node in use is not deleted" prints 'node "gw1" votes in 1 chains' ctl delete node gw1
holds "a node that nobody can stand in for stays what it is" \
	prints '^node/gw1 leaves' ctl node drain gw1 --no-wait
holds "and is told to leave" prints '^  gw1 +here, leaves ' ctl status
holds "until it is taken back" prints '^node/gw1 in use' ctl node undrain gw1
holds "no such node" exits 1 ctl node drain gw9

holds "a refusal names document, line and field" \
	prints 'document 2, line 3: subnet ten: cidr ' ctl apply -f - <<-END
		{kind: Tenant, name: green}
		---
		{kind: Subnet, name: ten, vpc: green, cidr: 10.9.0.0/33}
	END
holds "and is a failure" exits 1 ctl apply -f - <<<"{kind: Subnet, name: ten, vpc: green, cidr: x}"
holds "an unknown kind is refused before anything is done" \
	prints 'document 2, line 3: kind: Boat' ctl apply -f - <<-END
		{kind: Tenant, name: never}
		---
		{kind: Boat, name: x}
	END
fails "really" ctl get tenant never
holds "an unknown field, too" prints 'colour: no such field' ctl apply -f - <<-END
	{kind: Tenant, name: never, colour: red}
END
holds "no YAML" prints 'line [12]: ' ctl apply -f - <<<"{"
holds "a conflict is told" prints 'vpc red2: vni 100 is used' ctl apply -f - <<-END
	{kind: Vpc, name: red2, tenant: red, cluster: main, vni: 100}
END
holds "what is in use is not deleted" exits 1 ctl delete tenant green
holds "delete" prints 'port/green-one deleted' ctl delete port green/green-one
holds "what is not there is not deleted" exits 1 ctl delete port green-one
holds "of a file it does not matter" prints 'tenant/green deleted' ctl delete -f "$work/green.yaml"
holds "nor twice" exits 0 ctl delete -f "$work/green.yaml"

# A topology that makes no sense is refused before anything is started.
topology() {
	sed "$1" "$lab/small.yaml" >"$work/bad.yaml"
	"$zetactl" lab up "$work/bad.yaml" --name "$cloud-bad"
}
holds "topology: no such host" prints 'endpoints\[1\] \(b\): host: there is no host host9' \
	topology 's/name: b\(.*\)host2/name: b\1host9/'
holds "topology: a name twice" prints 'endpoints\[1\] \(a\): name: a is there twice' \
	topology 's/name: b,/name: a,/'
holds "topology: an address of another subnet" prints "ip: not in its subnet 10.0.1.0/24" \
	topology 's/10.0.1.11/10.0.9.11/'
holds "topology: an unknown field" prints 'endpoints\[0\] \(a\): colour: no such field' \
	topology 's/{name: a,/{name: a, colour: red,/'
holds "topology: options that are no list" prints 'nodes\[0\] \(gw1\): options: not a list of at most 16' \
	topology 's/{name: gw1,/{name: gw1, options: fast,/'
holds "topology: what the controller refuses" prints 'vpc red: vni' topology 's/vni: 100/vni: 0/'
holds "topology: too small an underlay" prints 'underlay.tenant: mtu: 1300 is too small' \
	topology 's/^cluster:/underlay: {tenant: {mtu: 1300}}\ncluster:/'
fails "and nothing of them is left" ls "/run/zeta/lab/$cloud-bad"

holds "wrong use is 2: no command" exits 2 "$zetactl"
holds "no such command" exits 2 "$zetactl" fly
holds "half a command names the other halves" prints 'zetactl lab down CLOUD' "$zetactl" lab
holds "and is wrong use" exits 2 "$zetactl" lab dwon
holds "views are nobody's to delete" exits 2 ctl delete view main
holds "a file without documents is a failure" exits 1 ctl apply -f /dev/null
holds "no such option" exits 2 "$zetactl" get ports --fast
holds "an option of another command" exits 2 "$zetactl" get ports -f x
holds "a word too many" exits 2 "$zetactl" get ports a b
holds "a word missing" exits 2 "$zetactl" lab up
holds "no such kind" exits 2 ctl get boats
holds "no such format" exits 2 ctl get ports -o pdf
holds "no controller is 1" exits 1 "$zetactl" --controller http://127.0.0.1:1 get ports
holds "and said" prints 'zetactl: no answer from http://127.0.0.1:1' \
	"$zetactl" --controller http://127.0.0.1:1 get ports
holds "no such cloud" exits 1 "$zetactl" --lab nowhere get ports
holds "exec gives the command's status" exits 3 on a sh -c 'exit 3'
holds "no such endpoint" exits 1 on nobody true
verdict "It does."
