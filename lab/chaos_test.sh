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
		--gap 5000 --json "$work/blackout.json" && python3 - "$work/blackout.json" <<-'END'
		import json, sys
		report = json.load(open(sys.argv[1]))
		assert report["broken"] and report["unopened"] and report["openings"]["failed"], report
		assert any(gap["role"] == "none" and gap["max_ms"] >= 5900 for gap in report["gaps"]), report
		assert any("blackout: a gap of" in bad for bad in report["bad"]), report
	END
}
# A forwarder whose tenant side carries one direction only is seen before the cable is mended,
# after ten seconds.
serves_on() { # forwarders
	"$lab/chaos.py" "$build" --forwarders "$1" --count 4 --events oneway --only tenant --hold 10-10 --rate 300 \
		--load 0.5 --heartbeat 50 --whole 600 --patience 60 --gap 7000 --json "$work/oneway.json" && python3 - "$work/oneway.json" <<-'END'
		import json, sys
		events = json.load(open(sys.argv[1]))["log"]
		assert len(events) == 4 and all("tenant" in event["variant"] for event in events), events
	END
}
# Who leaves as planned loses nothing: forwarders and flow table nodes, each both ways. That a lease ends where this
# machine is short of processors is not the question here: so heartbeats are slow ones.
leaves() {
	"$lab/chaos.py" "$build" --count 4 --seed 10 --events drain,replace --hold 0.5-1 --rate 300 --load 0.5 --heartbeat 200 \
		--whole 600 --patience 60 --json "$work/planned.json" && python3 - "$work/planned.json" <<-'END'
		import json, sys
		report = json.load(open(sys.argv[1]))
		drawn = {(event["kind"], event["node"][:3]) for event in report["log"]}
		assert drawn == {(kind, role) for kind in ("drain", "replace") for role in ("fwd", "ftn")}, drawn
		assert report["probes"]["sent"] and report["lost_in_lossless_events"] == 0, report
	END
}
# What it looked like stays until the next time. Heartbeats are slower than by default: what a machine
# that is short of processors does to those of 10 ms is not the question here.
survives() {
	"$lab/chaos.py" "$build" --keep "$build/chaos" --json "$build/chaos.json" --seconds 60 \
		--rate 300 --load 0.5 --heartbeat 50 --whole 600 --patience 60 --gap 20000 \
		--events kill,orphan,freeze,link,oneway,part,pause,restart,crash,control,controller
}
holds "without forwarders connections break, and that is seen" breaks
holds "a forwarder that hosts do not reach, or that does not reach them, is replaced" serves_on 3
holds "and so is one of two" serves_on 2
holds "no packet is lost where nodes are drained or replaced" leaves
survives || failures=$((failures + 1))
verdict "It does not."
