#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does the number of chains change under load without a packet lost, and is nothing left behind?
# From six to 1, 3, 2 and 1 (lab/chaos.yaml, lab/chaos.py)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
can_run
make_work
trap 'rm -rf "$work"' EXIT

scales() {
	"$lab/chaos.py" "$build" --json "$work/scale.json" --keep "$build/scale" --events scale --count 4 --seed 386 \
		--hold 1-2 --rate 300 --load 0.5 --heartbeat 50 --whole 600 --patience 60
}
# First packets that come while nobody has their bucket, which is a round trip for each that moves; on a machine
# that is short of processors that may be a tenth of a second.
few_are_lost() {
	python3 - "$work/scale.json" <<-'END'
		import json, sys
		report = json.load(open(sys.argv[1]))
		assert [entry["variant"] for entry in report["log"]] == ["to 1", "to 3", "to 2", "to 1"], report["log"]
		lost = sum(report["drops"].get(name, 0) for name in ("HOPS_EXCEEDED", "BUCKET_MOVES", "NO_VIEW"))
		begun = report["openings"]["begun"]
		assert begun > 500 and lost <= begun / 20, (begun, report["drops"])
	END
}
scales || failures=$((failures + 1))
holds "hardly any first packet is lost" few_are_lost
verdict "It does."
