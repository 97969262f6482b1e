# SPDX-License-Identifier: Apache-2.0
# What the demo and the scenarios share; sourced with $build set. One cloud, brought up by begin and
# taken down however the script ends; and words for what held and what did not.

PATH=$PATH:/usr/sbin:/sbin # nginx, ss, tcpdump
zetactl=$build/cli/zetactl
lab=$(dirname "${BASH_SOURCE[0]}")
failures=0
# Seconds for what must come about at all: no test asks how fast the machine is. Once a statement did
# not hold there is less of it, so that what is broken ends, too.
patience=300

# One cloud per build directory and script: two trees on one machine do not meet, and what a killed
# run left is found by the next.
cloud=$(basename "$0" .sh)-$(realpath "$build" | cksum | cut -d' ' -f1)
run=/run/zeta/lab/$cloud
work=
declare -A outside=() # networks there: a process in each

end() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	local holder
	for holder in "${outside[@]}"; do # and what was left running there
		kill $(pgrep --ns "$holder" --nslist net) 2>/dev/null || true
	done
	"$zetactl" lab down "$cloud" >/dev/null 2>&1 || true
	[ -z "$work" ] || rm -rf "$work"
	exit "$status"
}

# What a cloud cannot do without; a test without it is skipped.
can_run() {
	unshare --net true 2>/dev/null || { echo "needs the right to make network namespaces"; exit 77; }
	[ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ] ||
		{ echo "needs Linux 6.6 or later (tcx); this is $(uname -r)"; exit 77; }
}

# An empty directory of this run; that of a killed one goes. 755: nginx's workers read there.
make_work() {
	rm -rf "${TMPDIR:-/tmp}/zeta-$cloud".*
	work=$(mktemp -d "${TMPDIR:-/tmp}/zeta-$cloud.XXXXXX")
	chmod 755 "$work"
}

# begin TOPOLOGY
begin() {
	can_run
	trap end EXIT
	trap 'exit 130' INT TERM HUP
	"$zetactl" lab down "$cloud" >/dev/null 2>&1 || true
	make_work
	"$zetactl" lab up "$1" --name "$cloud" 2>"$work/up" || { cat "$work/up"; exit 1; }
}

# on ENDPOINT COMMAND..
on() {
	"$zetactl" lab exec "$cloud" "$@"
}

# pid_of DAEMON: by the name of its node, or controller.
pid_of() {
	python3 -c '
import json, sys
state = json.load(open(sys.argv[1]))
print(next(p["pid"] for p in state["processes"] if p["name"] == sys.argv[2]))' \
		"$run/state.json" "$1"
}

status() {
	"$zetactl" --lab "$cloud" status "$@"
}

figure() {
	python3 "$lab/figures.py" "$@"
}

# holds SENTENCE COMMAND..: the command succeeds; fails SENTENCE COMMAND..: it does not, and what does
# not come is not waited for long ($brief).
holds() {
	if "${@:2}" >>"$work/log" 2>&1; then
		echo "  ok      $1"
	else
		echo "  FAILED  $1"
		failures=$((failures + 1))
		patience=60
	fi
}

fails() {
	local brief=2
	if "${@:2}" >>"$work/log" 2>&1; then
		echo "  FAILED  $1"
		failures=$((failures + 1))
	else
		echo "  ok      $1"
	fi
}

# within SECONDS COMMAND..: tries again until it succeeds.
within() {
	local end=$((SECONDS + $1))
	until "${@:2}"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}
# until_true COMMAND..: the same, however slow the machine is.
until_true() {
	within "$patience" "$@"
}

# Prints a status that every member reported after now: counters are a second old otherwise.
fresh_status() {
	local since late= end=$((SECONDS + patience))
	since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	until status -o json >"$work/status.json" && late=$(figure fresh "$since" <"$work/status.json"); do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "no report for $patience seconds from: ${late:-the controller}" >&2
			return 1
		fi
		sleep 0.2
	done
	cat "$work/status.json"
}

# pings ENDPOINT ADDRESS: one, which is answered.
pings() {
	on "$1" ping -q -c 1 -W "${brief:-20}" "$2"
}

# hears MARK ENDPOINT ADDRESS PORT: of UDP that a sends there, what arrives is "marked", some of ten
# with DSCP 46, or "plain".
hears() {
	rm -f "$work/hears" "$work/heard"
	on "$2" timeout "$patience" python3 - >"$work/heard.now" <<-END &
		import socket
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
		s.bind(("", $4))
		open("$work/hears", "w").close()
		marks = [s.recvmsg(100, 100)[1][0][2][0] >> 2 for _ in range(10)]
		print("marked" if 46 in marks else "plain")
	END
	local listener=$!
	on a timeout "$patience" python3 - <<-END &
		import os, socket, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		while not os.path.exists("$work/heard"):
		    if os.path.exists("$work/hears"):
		        s.sendto(b"x", ("$3", $4))
		    time.sleep(0.1)
	END
	local sender=$!
	wait $listener || true
	: >"$work/heard"
	wait $sender || true
	[ "$(cat "$work/heard.now")" = "$1" ]
}

# web ENDPOINT TEXT [MORE]: a server there, on ports 80 and 8080, whose page says TEXT; MORE: what nginx is
# told beside that.
web() {
	mkdir -p "$work/$1"
	echo "$2" >"$work/$1/index.html"
	cat >"$work/$1.conf" <<-CONF
		pid $work/$1.pid;
		error_log $work/$1.log;
		worker_processes 1;
		events { worker_connections 2048; }
		http {
			access_log off;
			sendfile on;
			send_timeout 600; # who reads slowly is still there
			server {
				listen 80 backlog=1024;
				listen 8080;
				${3-}
				root $work/$1;
				location /slow { limit_rate 8k; }
				location = /health {
					if (-f $work/$1/sick) { return 500; }
					return 200 well;
				}
			}
		}
	CONF
	on "$1" nginx -c "$work/$1.conf" -e "$work/$1.log"
}

# page ENDPOINT URL: what a client there is told. shut ENDPOINT URL: nothing.
page() {
	on "$1" curl -s -f --max-time "${brief:-10}" "$2"
}
shut() {
	local brief=2
	! page "$@"
}

# network NAME: outside of the cloud. there NAME COMMAND..
network() {
	unshare --net sleep infinity &
	outside[$1]=$!
	until_true is_apart $!
	there "$1" ip link set lo up
}
is_apart() {
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}
there() {
	nsenter --net="/proc/${outside[$1]}/ns/net" "${@:2}"
}
# cable ROUTER NETWORK INTERFACE PREFIX: .1 at an endpoint, which forwards, .10 in the network.
cable() {
	on "$1" ip link add "$3" type veth peer name "$3" netns "${outside[$2]}"
	on "$1" ip address add "$4.1/24" dev "$3"
	on "$1" ip link set "$3" up
	on "$1" sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
	there "$2" ip address add "$4.10/24" dev "$3"
	there "$2" ip link set "$3" up
}
# says ENDPOINT URL TEXT: the page that an endpoint gets.
says() {
	[ "$(page "$1" "$2")" = "$3" ]
}

ctl() {
	"$zetactl" --lab "$cloud" "$@"
}
# replicas_agree: on every chain, right now.
replicas_agree() {
	fresh_status >/dev/null && figure replicas <"$work/status.json" >"$work/replicas" &&
		! grep -v ^same "$work/replicas"
}
# has_file ENDPOINT VPC: a web server with a file that takes long, and what it is.
has_file() {
	web "$1" "$2"
	head -c 12000000 /dev/urandom >"$work/$1/file"
	sum=$(sha256sum <"$work/$1/file" | cut -d' ' -f1)
}
# transfer ENDPOINT ADDRESS: of that file, which ends well, after $work/enough is there.
transfer() {
	[ "$(on "$1" python3 "$lab/trickle.py" "$work/enough" "$2" /file 1)" = "$sum live" ]
}
is_connected() {
	[ "$(on "$1" ss -H -n -t state established | wc -l)" = 1 ]
}
# VPC red goes to a cluster.
goes_to() {
	ctl apply -f - <<-END
		{kind: Vpc, name: red, cluster: $1}
	END
}
# red_is EXPRESSION: of its cluster, and of move, what the controller says of its way, or None.
red_is() {
	ctl get vpc red -o json | python3 -c '
import json, sys
vpc = json.load(sys.stdin)
cluster, move = vpc["cluster"], vpc["move"]
sys.exit(not eval(sys.argv[1]))' "$1"
}

# of_process NAME pid|argv: from what the lab wrote down, a line each.
of_process() {
	python3 -c '
import json, sys
state = json.load(open(sys.argv[1]))
found = next(p for p in state["processes"] if p["name"] == sys.argv[2])[sys.argv[3]]
print(*(found if isinstance(found, list) else [found]), sep="\n")' "$run/state.json" "$@"
}
inside() {
	nsenter --net="$run/net/$1" "${@:2}"
}
cables() {
	local network
	for network in t z c; do
		inside fabric ip link set "$1.$network" "$2"
	done
}
# gone NODE: its power, and its network; what it had in its kernel stays.
gone() {
	cables "$1" down
	kill -KILL "$(of_process "$1" pid)"
}
declare -A powered # node: the process that power_on started
# Power goes and comes back: all that was in memory is gone.
power_off() {
	local node argv
	for node in "$@"; do
		cables "$node" down
	done
	for node in "$@"; do
		mapfile -t argv < <(of_process "$node" argv)
		kill -KILL -- "-${powered[$node]:-$(of_process "$node" pid)}"
		inside "$node" "${argv[0]}" --unload "$node" --bpf "$run/bpf" --run "$run/run"
	done
}
power_on() {
	local node argv
	for node in "$@"; do
		mapfile -t argv < <(of_process "$node" argv)
		cables "$node" up
		setsid nsenter --net="$run/net/$node" "${argv[@]}" </dev/null >>"$run/log/$node.log" 2>&1 &
		powered[$node]=$!
	done
}

verdict() {
	if [ "$failures" = 0 ]; then
		echo "$1"
	else
		echo "$failures statements did not hold; what the commands said:"
		tail -n 40 "$work/log" 2>/dev/null
		exit 1
	fi
}
