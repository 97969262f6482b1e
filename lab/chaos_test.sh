#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does anything break in a minute of chaos? (lab/chaos.yaml, lab/chaos.py)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
can_run
# What it looked like stays until the next time.
exec "$lab/chaos.py" "$build" --keep "$build/chaos" --json "$build/chaos.json" --seconds 45 --rate 500 \
	--events pause,restart,crash,control,controller
