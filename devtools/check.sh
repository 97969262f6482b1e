#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test: of the build as users have it, of the same code under the address and undefined
# behaviour sanitizers, and each fuzzer briefly. Last line: N passed, N failed, N skipped.
set -uo pipefail
build=${1:-build}
passed=0 failed=0 skipped=0

# Adds up what meson wrote about each test of a build directory, and names what failed.
count() {
	local name result
	while IFS=$'\t' read -r name result; do
		case $result in
		OK | EXPECTEDFAIL) passed=$((passed + 1)) ;;
		SKIP) skipped=$((skipped + 1)); echo "skipped: $name" ;;
		*) failed=$((failed + 1)); echo "FAILED: $name ($result)" ;;
		esac
	done < <(python3 -c '
import json, sys
for line in open(sys.argv[1] + "/meson-logs/testlog.json"):
    test = json.loads(line)
    print(test["name"], test["result"], sep="\t")' "$1")
}

run() {
	local directory=$1
	shift
	rm -f "$directory/meson-logs/testlog.json"
	# What tests may take is written for a machine like any: this one may be five times slower.
	meson test -C "$directory" --no-rebuild --num-processes 2 --timeout-multiplier 5 \
		--print-errorlogs "$@"
	if [ -f "$directory/meson-logs/testlog.json" ]; then
		count "$directory"
	else
		failed=$((failed + 1))
		echo "FAILED: the tests of $directory did not run"
	fi
}

# prepare DIRECTORY TARGETS OPTION..: builds what matches TARGETS. A build that does not succeed is
# one failure, said aloud.
prepare() {
	local directory=$1 targets=$2 wanted
	shift 2
	[ -f "$directory/build.ninja" ] || env CC="${CC:-cc}" meson setup "$directory" "$@" >/dev/null ||
		return 1
	mapfile -t wanted < <(ninja -C "$directory" -t targets all | sed -n "s/^\($targets\): .*/\1/p")
	ninja -C "$directory" "${wanted[@]}" | tail -n 1
	return "${PIPESTATUS[0]}"
}

echo "== the build as users have it"
run "$build"

echo "== under the address and undefined behaviour sanitizers"
if prepare "$build-sanitized" all -Db_sanitize=address,undefined -Db_lundef=false; then
	# model-bugs and sim run what the searches run, in a few seconds.
	run "$build-sanitized" --no-suite lab --no-suite search
	run "$build-sanitized" "lab small"
else
	failed=$((failed + 1))
	echo "FAILED: the sanitized build"
fi

echo "== fuzzers, briefly"
if CC=clang prepare "$build-fuzz" ".*_fuzz" -Dfuzz=true -Db_lundef=false; then
	run "$build-fuzz" --suite fuzz
else
	failed=$((failed + 1))
	echo "FAILED: the fuzzers' build"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
