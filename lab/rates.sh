# SPDX-License-Identifier: Apache-2.0
# How much arrives of what endpoints send; sourced after cloud.sh by scenarios about limits.

listens() {
	on "$1" ss -H -n -l -t | grep ":$2 " >/dev/null
}
# sent FROM TO ADDRESS OPTIONS..: iperf3 to a server at that endpoint, what it says in $work/iperf.
sent() {
	on "$2" iperf3 -s -1 -p 5201 >>"$work/log" 2>&1 &
	local server=$!
	until_true listens "$2" 5201
	on "$1" timeout $patience iperf3 -c "$3" -p 5201 -J "${@:4}" >"$work/iperf"
	wait $server
}
# may bits|packets NUMBER SIZE: so much arrived, +-15 %, or all of what was sent where that is less; in
# datagrams of SIZE bytes, or 0: of TCP, which sends what it can.
may() {
	python3 - "$work/iperf" "$@" <<-'END'
		import json, sys
		what, limit, size = sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
		end = json.load(open(sys.argv[1]))["end"]
		unit = size if what == "packets" else 1 / 8
		got = end["sum_received"]["bytes"] / end["sum_received"]["seconds"] / unit
		sent = end["sum_sent"]["bytes"] / end["sum_sent"]["seconds"] / unit if size else limit
		print(f"may {limit:.0f} {what}/s, sent {sent:.0f}, arrived {got:.0f}")
		sys.exit(not 0.85 * min(limit, sent) <= got <= 1.15 * limit)
	END
}
