#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does anything stay behind: after down, after Ctrl-C, after a crash midway?
#
#   a .1.10 - host1 - gw1 - host2 - b .1.11      (lab/small.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
can_run
trap end EXIT
trap 'exit 130' INT TERM HUP
"$zetactl" lab down "$cloud" >/dev/null 2>&1 || true
make_work

# Processes, mounts and files that have the cloud's name; and those inside its namespaces cannot
# live without a process or a mount.
left() {
	ls -d /run/zeta/lab/"$cloud"* 2>/dev/null
	grep "/run/zeta/lab/$cloud" /proc/self/mountinfo
	grep -lzs "/run/zeta/lab/$cloud/" /proc/[0-9]*/cmdline
}
nothing_left() {
	! left
}
up() {
	"$zetactl" lab up "$lab/small.yaml" --name "$cloud"
}
down() {
	"$zetactl" lab down "$cloud"
}
works() {
	pings a 10.0.1.11
}

holds "it comes up" up
holds "and works" works
on b sleep 1000 &
holds "it goes down, with what runs in it" down
holds "nothing is left" nothing_left
wait
fails "down of what is not there says so" down
for moment in 0.02 0.05 0.15 0.4 0.7; do
	timeout -s INT $moment "$zetactl" lab up "$lab/small.yaml" --name "$cloud" \
		>>"$work/log" 2>&1 || true
	within 10 nothing_left >>"$work/log" || true
	if [ -e "/run/zeta/lab/$cloud" ]; then # it was faster than the interrupt
		down >>"$work/log" 2>&1
	fi
	holds "Ctrl-C after $moment s leaves nothing" nothing_left
done
for moment in 0.02 0.05 0.15 0.4 0.7; do
	timeout -s KILL $moment "$zetactl" lab up "$lab/small.yaml" --name "$cloud" \
		>>"$work/log" 2>&1 || true
	"$zetactl" lab list >>"$work/log"
	if "$zetactl" lab list | grep -q "^$cloud  *up"; then
		down >>"$work/log" 2>&1
	fi
	holds "killed after $moment s: the next run comes up" up
	holds "and works" works
	holds "and goes down" down
	holds "nothing is left" nothing_left
done
# A cloud one of whose daemons died is broken: up makes it anew.
holds "up again" up
kill -9 "$(python3 -c '
import json, sys
print(json.load(open(sys.argv[1]))["processes"][0]["pid"])' "/run/zeta/lab/$cloud/state.json")"
broken() {
	"$zetactl" lab list | grep "^$cloud  *broken"
}
holds "a cloud without its controller is broken" until_true broken
holds "and made anew" up
holds "which works" works
verdict "Nothing stays."
