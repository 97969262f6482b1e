#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do programs in user space, at flow table nodes, decide about connections; and what when they are gone,
# stand still, or come again?
#
#            host1            host2
#   red      a .1.10          b .1.11, c .2.10
#   fwd1, and ftn1 and ftn2, at each of which a middlebox of examples/gate.c runs: examples/gatekeeper.c
#   (lab/middlebox.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/middlebox.yaml"
top=$(cd "$lab/.." && pwd)

prints() {
	{ "${@:2}" 2>&1 || true; } | tee -a "$work/log" | grep -E -- "$1"
}
b=http://10.0.1.11
c=http://10.0.2.10
has_file b page
web c page

# keeper NODE: a middlebox there, of nobody's and without rights.
declare -A keeper
cp "$build/modules/door/gatekeeper" "$work/gatekeeper"
: >"$work/denied"
keeper() {
	setpriv --reuid nobody --regid "${2:-nogroup}" --clear-groups --inh-caps=-all --bounding-set=-all \
		"$work/gatekeeper" "$run/run/$1.door" gate "$work/denied" </dev/null >>"$work/$1.keeper" 2>&1 &
	keeper[$1]=$!
	disown $!
}
keepers() {
	keeper ftn1
	keeper ftn2
}
# However the script ends, none is left.
leave() {
	local status=$?
	trap - EXIT
	kill -KILL "${keeper[@]}" 2>/dev/null || true
	(exit "$status") && end || end
}
trap leave EXIT
signal() {
	kill -"$1" "${keeper[ftn1]}" "${keeper[ftn2]}"
}
seen() {
	fresh_status >/dev/null && grep -q "\"$1\"" "$work/status.json"
}
# Each connection has another port, so that both nodes are asked.
twenty() {
	local i
	for i in {1..20}; do
		page a "$1/" >/dev/null || return 1
	done
}
none_of_ten() {
	local i
	for i in {1..10}; do
		! on a curl -s -f --max-time 0.5 -o /dev/null "$1/" || return 1
	done
}

(cd "$work" && "$zetactl" nf build "$top/examples/gate.c") >>"$work/log"
holds "a function that asks" prints 'version 1 loaded' ctl nf push gate 1 "$work/gate.o"
ctl nf rollout gate 1 >>"$work/log"
holds "what it may is told" prints '"ask"' ctl get function gate -o json
gate() {
	ctl apply -f - <<<"{kind: Vpc, name: red, service_chain: [{function: divider}, {function: bouncer}, {function: acl},
		{function: security-group}, {function: gate, config: $1}]}"
}
holds "works before it is in a chain" page a $b/
gate '{port: 0}' >>"$work/log"
holds "without middleboxes nobody is let through" until_true none_of_ten $b
holds "which has a name" until_true seen NO_MIDDLEBOX
keeper ftn1 daemon
holds "who is not of the group does not come in" until_true grep -q 'Permission denied' "$work/ftn1.keeper"
kill "${keeper[ftn1]}"
keepers
holds "with them all are" until_true twenty $b
holds "they were asked" until_true seen FUNCTION_ANSWERED
holds "and have no rights" grep -q 'CapEff:.*0000000000000000' "/proc/${keeper[ftn1]}/status"
holds "none fails of many" twenty $c

# What they say is what their list says.
echo 10.0.2.10 >"$work/denied"
holds "an address is denied" until_true none_of_ten $c
holds "another is not" twenty $b
: >"$work/denied"
holds "and it is no more" until_true twenty $c

# dns NAME: the answer to a query for it, from something at b that answers to all.
on b python3 - <<-END &
	import socket
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.bind(("", 53))
	while True:
	    query, client = s.recvfrom(512)
	    s.sendto(query[:2] + b"\x84\x00" + query[4:], client)
END
server=$!
dns() {
	on a timeout "${brief:-20}" dig +tries=5 +time=1 +noall +comments @10.0.1.11 "$1" | grep NOERROR
}
printf 'bad.example # and below\n' >"$work/denied"
holds "a name that nobody denies" until_true dns www.good.example
fails "one that is denied" dns bad.example
fails "and one below it" dns www.BAD.example
holds "and not what only ends so" dns notbad.example
kill $server 2>/dev/null || true
: >"$work/denied"

# Without them what was decided stays, and nothing new begins.
transfer a 10.0.1.11 &
download=$!
holds "a download" until_true is_connected a
signal KILL
holds "they die: nobody is let through" none_of_ten $b
holds "the download goes on" is_connected a
keepers
holds "they come again: all are" until_true twenty $b
: >"$work/enough"
holds "the download ends well" wait $download
signal STOP
holds "they stand still: nobody is let through" none_of_ten $b
holds "which has a name, too" until_true seen NO_ANSWER
signal CONT
holds "they go on: all are" until_true twenty $b
gate '{port: 0, open: 1}' >>"$work/log"
signal KILL
holds "where the function says so, all are let through without them" until_true twenty $b
gate '{port: 0}' >>"$work/log"
keepers
holds "with them, again" until_true twenty $b

# zetad is not in their way.
"$zetactl" lab restart "$cloud" >>"$work/log" 2>&1
holds "zetad is restarted, and they are asked as before" until_true twenty $b
kill -KILL "$(pid_of ftn1)" "$(pid_of ftn2)"
holds "zetad is gone: so it is" twenty $c
"$zetactl" lab restart "$cloud" >>"$work/log" 2>&1
signal KILL
keepers
holds "and who comes then is let in" until_true twenty $c

# The function goes, and what it had with it.
ctl apply -f - <<<'{kind: Vpc, name: red, service_chain: null}' >>"$work/log"
ctl delete function gate >>"$work/log"
holds "its middleboxes are told" until_true grep -q 'no function gate' "$work/ftn1.keeper"
holds "and its interfaces are gone" until_true bash -c "! nsenter --net='$run/net/ftn1' ip -o link | grep -q ': zd[0-9a-f]*b@'"
signal KILL
holds "all is as before" until_true twenty $b
verdict "Who is asked decides."
