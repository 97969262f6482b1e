#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does anything break in a minute of chaos, and would it be seen? (lab/chaos.yaml, lab/chaos.py)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
can_run
make_work
trap 'rm -rf "$work"' EXIT

# What this machine cannot survive is seen: without forwarders connections break.
breaks() {
	! "$lab/chaos.py" "$build" --count 1 --events blackout --hold 6-6 --patience 4 --rate 200 --heartbeat 50 \
		--json "$work/blackout.json" && python3 - "$work/blackout.json" <<-'END'
		import json, sys
		report = json.load(open(sys.argv[1]))
		assert report["broken"] and report["unopened"] and report["openings"]["failed"], report
		assert any(gap["role"] == "none" and gap["max_ms"] >= 5900 for gap in report["gaps"]), report
	END
}
# What it looked like stays until the next time. Heartbeats are slower than by default: what a machine
# that is short of processors does to those of 10 ms is not the question here.
survives() {
	"$lab/chaos.py" "$build" --keep "$build/chaos" --json "$build/chaos.json" --seconds 60 \
		--rate 300 --load 0.5 --heartbeat 50 --whole 90 \
		--events kill,orphan,freeze,link,oneway,part,pause,restart,crash,control,controller
}
holds "without forwarders connections break, and that is seen" breaks
survives || failures=$((failures + 1))
verdict "It does not."
