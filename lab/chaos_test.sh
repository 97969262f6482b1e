#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does anything break in a minute of chaos? (lab/chaos.yaml, lab/chaos.py)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
can_run
exec "$lab/chaos.py" "$build" --seconds 45 --rate 500 --events pause,restart,crash,control,controller
