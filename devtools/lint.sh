#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How the tree must read: formatted, spelled, licensed, and clean under two static analysers.
set -uo pipefail
build=${1:-build}
bad=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

complain() {
	echo "lint: $*" >&2
	bad=1
}

mapfile -t sources < <(git ls-files '*.c' '*.h')
# Examples are eBPF by names that their readers would give them.
mapfile -t user < <(git ls-files '*.c' ':!examples' | grep -v '\.bpf\.c$')

echo "lint: format"
clang-format --dry-run -Werror "${sources[@]}" || complain "run: make format"

echo "lint: spelling"
git ls-files | grep -v '\.svg$' | xargs codespell -q 1 --ignore-words=devtools/words-ignored.txt || complain "spelling"

echo "lint: licence lines"
for file in $(git ls-files '*.c' '*.h' '*.sh' '*.py' '*.proto' '*.def' 'meson.build' '*/meson.build' Makefile); do
	head -n 3 "$file" | grep -q 'SPDX-License-Identifier:' || complain "$file: no SPDX line"
done
# The headers of the simulator and the model are user space's alone.
for file in $(git ls-files '*.bpf.c' '*.bpf.h' wire shared 'dft/*.h' ':!dft/sim.h' ':!dft/model.h'); do
	case $file in
	*.c | *.h | *.def)
		head -n 1 "$file" | grep -q 'GPL-2.0-only OR BSD-2-Clause' ||
			complain "$file: eBPF and what it shares is GPL-2.0-only OR BSD-2-Clause"
		;;
	esac
done

echo "lint: hazards"
devtools/hazards.sh || complain "docs/dft.md: hazards name tests that are not there"

# Time that may jump: only what people read, when a list was forced, what time it is for functions, and the simulator's
# first seed.
echo "lint: clocks"
git grep -nE 'CLOCK_(REALTIME|TAI)|\btime\(|gettimeofday|ktime_get_tai' -- dft datapath modules shared wire node ':!*_test.c' |
	grep -vE '^dft/sim\.c:|^modules/function/function(s|\.bpf)\.c:|forced_s = ' >"$scratch/clocks"
while read -r line; do
	complain "$line: wall time may jump"
done <"$scratch/clocks"

echo "lint: shell"
for file in $(git ls-files '*.sh') .ci/run; do
	bash -n "$file" || complain "$file: does not parse"
done

echo "lint: python"
git ls-files -z '*.py' | PYTHONPYCACHEPREFIX=$scratch xargs -0 -r python3 -m py_compile ||
	complain "python: does not compile"

echo "lint: subjects of commits"
# The two named were there before this check, and history stays as it is.
git log --no-merges --format=%s | grep -vE '^[a-z0-9_./-]+(, [a-z0-9_./-]+)*: [a-z0-9]' |
	grep -vE '^merge |^Merge |^format$|^chain: Maglev table of buckets$' >"$scratch/subjects"
while read -r subject; do
	complain "commit \"$subject\": write \`place: lower case imperative\`"
done <"$scratch/subjects"

echo "lint: cppcheck"
cppcheck --quiet --enable=warning,performance --inline-suppr --error-exitcode=1 -j 2 \
	--suppressions-list=devtools/cppcheck.txt --library=devtools/cppcheck.cfg \
	-I . "${user[@]}" || complain "cppcheck"

echo "lint: clang-tidy"
# What a file includes but nobody wrote, skeletons and protobuf, is made first; nothing else is built.
generate() {
	local made
	[ -f "$build/build.ninja" ] || meson setup "$build" >/dev/null || return
	mapfile -t made < <(ninja -C "$build" -t targets all | sed -n 's/^\(.*\.[a-z]*\): CUSTOM_COMMAND$/\1/p')
	ninja -C "$build" "${made[@]}" >"$scratch/ninja" && return
	cat "$scratch/ninja" >&2
	return 1
}

# tidy BUILD FILE: quiet about a file that is in order.
tidy() {
	local said
	said=$(clang-tidy -p "$1" --quiet "$2" 2>&1) && return
	printf 'lint: clang-tidy: %s\n%s\n' "$2" "$said" >&2
	return 1
}
export -f tidy

# The longest files first, so that no processor waits for one of them at the end.
if generate; then
	ls -S "${user[@]}" | xargs -P "$(nproc)" -I{} bash -c 'tidy "$@"' tidy "$build" {} ||
		complain "clang-tidy"
else
	complain "cannot make what clang-tidy needs"
fi

[ "$bad" -eq 0 ] && echo "lint: clean"
exit "$bad"
