#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whether each test that the list of hazards in docs/dft.md names exists, and each hazard has one.
set -uo pipefail
rows=$(sed -n '/^## Hazards/,/^## Not there/p' docs/dft.md | grep '^|' | tail -n +3)
mapfile -t builds < <(git ls-files '*meson.build')
mapfile -t tests < <(git ls-files '*_test.c' 'dft/model*.c')
sim_bugs=$(sed -n '/DFT_SIM_BUGS(BUG)/,/^$/p' dft/bugs.h)
bad=0

# missing NAME WHAT
missing() {
	echo "hazards: $1: no such $2" >&2
	bad=1
}

# Those in a row that the bug has to be found by, in their own words: sim, model, sim and model.
bugs_of() {
	grep -oE "(sim|model|sim and model) [A-Z][A-Z_]+(, [A-Z][A-Z_]+)*" <<<"$rows" |
		grep -E "^(sim and )?$1|^$1" | grep -oE '[A-Z][A-Z_]{3,}' | sort -u
}

while IFS='|' read -r _ hazard test _; do
	grep -qE '[`"]|sim|model' <<<"$test" || missing "$hazard" "test"
done <<<"$rows"
for bug in $(bugs_of sim); do
	grep -q "BUG($bug," <<<"$sim_bugs" || missing "sim $bug" bug
done
for bug in $(bugs_of model); do
	grep -qE "[\" ]$bug " dft/model_*.c || missing "model $bug" "bug that the model looks for"
done
while read -r name; do
	name=${name%% ..}
	grep -qF "\"$name" "${tests[@]}" || missing "\"$name\"" "name in a test"
done < <(grep -o '"[^"]*"' <<<"$rows" | tr -d '"')
for name in $(grep -oE '\btest_[a-z_]+' <<<"$rows"); do
	grep -qE "\b$name\(" "${tests[@]}" || missing "$name" function
done
while read -r name; do
	case $name in
	lab\ *) [ -f "lab/${name#lab }_test.sh" ] || [ -f "lab/${name#lab }_test.py" ] || missing "$name" lab ;;
	*) grep -qF "'$name'" "${builds[@]}" || missing "$name" "test program" ;;
	esac
done < <(grep -o '`[^`]*`' <<<"$rows" | tr -d '`' | grep -v '\.')
exit "$bad"
