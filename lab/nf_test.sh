#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does what docs/nf-tutorial.md says work as it says, under traffic, and do bad functions harm nobody but
# themselves?
#
#   a .1.10 - host1 - gw1 - host2 - b .1.11, c .2.10      (lab/small.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/small.yaml"
top=$(cd "$lab/.." && pwd)

prints() {
	{ "${@:2}" 2>&1 || true; } | tee -a "$work/log" | grep -E -- "$1"
}
chain() {
	ctl apply -f - <<<"{kind: Vpc, name: red, service_chain: $1}"
}
has_file c shop
web b page
shop=http://10.0.2.10

# The tutorial's own commands, in its order: every indented line that begins with a dollar sign, in a
# directory with the two examples. The cloud is this one.
mkdir "$work/tutorial"
cp "$top"/examples/*.c "$work/tutorial"
sed -n 's/^    \$ //p' "$top/docs/nf-tutorial.md" |
	sed "s/^zetactl lab \(up\|down\).*/true/; s/zetactl/\$zetactl/g; s/--lab tour/--lab $cloud/g; s/lab exec tour/lab exec $cloud/g" \
		>"$work/tutorial/commands"
tutorial() {
	(cd "$work/tutorial" && zetactl=$zetactl bash -euxo pipefail commands)
}
holds "the tutorial has commands" test "$(wc -l <"$work/tutorial/commands")" -ge 10
holds "the tutorial works from its first command to its last" tutorial
chain null >/dev/null

build() {
	cat >"$work/$1.c" && (cd "$work" && "$zetactl" nf build "$1.c")
}
build shut >>"$work/log" <<-END
	#include <zeta/nf.h>
	ZETA_FUNCTION("GPL", ZETA_MAY_DROP | ZETA_MAY_REMEMBER);
	struct zeta_config { __be16 port; };
	ZETA_FIRST_PACKET(p, config)
	{
		p->remember = 1;
		return p->destination_port == config->port ? ZETA_DROP : ZETA_NEXT;
	}
END
build open >>"$work/log" <<-END
	#include <zeta/nf.h>
	ZETA_FUNCTION("GPL", ZETA_MAY_REMEMBER);
	struct zeta_config { __be16 port; };
	ZETA_FIRST_PACKET(p, config)
	{
		p->remember = config->port > 0;
		return ZETA_NEXT;
	}
END
holds "a version is pushed" prints 'version 1 loaded' ctl nf push gate 1 "$work/shut.o"
holds "and rolled out" prints 'function/gate runs version 1' ctl nf rollout gate 1
holds "no VPC uses it" page a $shop/
with='[{function: divider}, {function: bouncer}, {function: acl}, {function: security-group},
	{function: gate, config: {port: 8080}}]'
holds "a VPC does" chain "$with"
holds "now one port is shut" until_true shut a $shop:8080/
holds "and the other is not" page a $shop/

# Rollouts while packets pass and new connections come: nothing may be lost.
holds "another version" prints 'version 2 loaded' ctl nf push gate 2 "$work/open.o"
on a ping -i 0.01 -c 1000 -q 10.0.2.10 >"$work/ping" &
pinger=$!
# TCP sends again what is lost; these flows do not, and each of them is new.
on a bash -c "until [ -e $work/rolled ]; do ping -q -c 1 -W 20 10.0.2.10 >/dev/null || echo lost; done" \
	>"$work/flows" &
flows=$!
(
	for _ in {1..100}; do
		on a curl -s -f --max-time 60 -o /dev/null $shop/ || echo lost
		on a curl -s -f --max-time 60 -o /dev/null http://10.0.1.11/ || echo lost
	done
) >"$work/curls" &
curler=$!
for version in 2 1 2 1; do
	holds "rollout of $version under traffic" prints "runs version $version" \
		ctl nf rollout gate "$version"
done
holds "rollback under traffic" prints 'runs version 2' ctl nf rollback gate
touch "$work/rolled"
wait $flows || true
wait $pinger || true
wait $curler || true
holds "no ping was lost" grep -q ' 0% packet loss' "$work/ping"
holds "no first packet was lost" test ! -s "$work/flows"
holds "no connection failed" test ! -s "$work/curls"
fresh_status >/dev/null
fails "no packet found the function missing" prints NO_CHAIN_FUNCTION ctl status
holds "the port that was shut is open" until_true page a $shop:8080/

# What was decided stays: a download that began under version 2 goes on under version 1.
transfer a 10.0.2.10:8080 &
download=$!
holds "a download" until_true is_connected a
holds "a version that forbids it is rolled out" prints 'runs version 1' ctl nf rollout gate 1
holds "others are refused" until_true shut a $shop:8080/
holds "while it goes on" is_connected a
: >"$work/enough"
holds "to its end" wait $download

# Every packet: what arrives has the mark.
(cd "$work" && "$zetactl" nf build "$top/examples/mark.c") >>"$work/log"
ctl nf push mark 1 "$work/mark.o" >>"$work/log"
ctl nf rollout mark 1 >>"$work/log"
chain '[{function: mark, config: {port: 4000, dscp: 46}}, {function: divider}, {function: bouncer},
	{function: acl}, {function: security-group}]' >/dev/null
holds "what arrives at the port is marked" hears marked c 10.0.2.10 4000
holds "and at another it is not" hears plain c 10.0.2.10 4001
marks() {
	ctl nf top -o json | python3 -c '
import json, sys
for f in json.load(sys.stdin):
    if f["name"] == "mark":
        sys.exit(f["nodes"][0]["versions"]["1"]["runs"] < 20)
sys.exit(1)'
}
holds "all of them came through the forwarder" until_true marks
chain "$with" >/dev/null

# Bad ones.
build outside >>"$work/log" <<-END
	#include <zeta/nf.h>
	ZETA_FUNCTION("GPL", 0);
	ZETA_FIRST_PACKET(p, config)
	{
		return ((const __u8 *)p)[p->destination_port];
	}
END
holds "what the verifier refuses is refused, with its log" \
	prints 'invalid access to memory' ctl nf push bad 1 "$work/outside.o"
holds "and by which node" prints 'node gw1 cannot load version 1 of function bad' \
	ctl nf push bad 1 "$work/outside.o"
holds "it is not rolled out" prints 'node gw1 cannot load version 1: R' \
	ctl nf rollout bad 1
fails "really" ctl nf rollout bad 1
build edits >>"$work/log" <<-END
	#include <zeta/nf.h>
	ZETA_FUNCTION("GPL", 0);
	struct zeta_config { __be16 port; };
	ZETA_FIRST_PACKET(p, config)
	{
		if (p->destination_port == config->port)
			p->vni++;
		return ZETA_NEXT;
	}
END
ctl nf push gate 3 "$work/edits.o" >>"$work/log"
ctl nf rollout gate 3 >>"$work/log"
holds "what edits what it may not loses that packet" until_true shut a $shop:8080/
holds "and no other" page a $shop/
holds "which is counted" until_true prints '^gate +3 +yes +[0-9]+ +0 +[1-9]' ctl nf top
holds "and has a name" until_true prints 'FUNCTION_BEYOND' ctl status
fails "a chain without a bouncer" chain '[{function: divider}, {function: acl}, {function: security-group}]'
holds "is refused in words" prints 'needs bouncer' chain '[{function: divider}, {function: acl}, {function: security-group}]'
holds "a restart of the node changes nothing" "$zetactl" lab restart "$cloud" gw1
holds "for others" until_true page a $shop/
holds "what runs runs" shut a $shop:8080/
holds "the function is in use" prints 'is referred to by vpc' ctl delete function gate
chain null >/dev/null
holds "and not any more" ctl delete function gate
holds "and everything is as before" until_true page a $shop:8080/
verdict "They do."
