#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How the tree must read: formatted, spelled, licensed, and clean under two static analysers.
set -uo pipefail
build=${1:-build}
bad=0

complain() {
	echo "lint: $*" >&2
	bad=1
}

mapfile -t sources < <(git ls-files '*.c' '*.h')
mapfile -t user < <(git ls-files '*.c' | grep -v '\.bpf\.c$')

echo "lint: format"
clang-format --dry-run -Werror "${sources[@]}" || complain "run: make format"

echo "lint: spelling"
git ls-files | grep -v '\.svg$' | xargs codespell --ignore-words=devtools/words-ignored.txt || complain "spelling"

echo "lint: licence lines"
for file in $(git ls-files '*.c' '*.h' '*.sh' '*.py' '*.proto' '*.def' 'meson.build' '*/meson.build' Makefile); do
	head -n 3 "$file" | grep -q 'SPDX-License-Identifier:' || complain "$file: no SPDX line"
done
for file in $(git ls-files '*.bpf.c' '*.bpf.h' wire shared dft/*.h); do
	case $file in
	*.c | *.h | *.def)
		head -n 1 "$file" | grep -q 'GPL-2.0-only OR BSD-2-Clause' ||
			complain "$file: eBPF and what it shares is GPL-2.0-only OR BSD-2-Clause"
		;;
	esac
done

echo "lint: shell"
for file in $(git ls-files '*.sh') .ci/run; do
	bash -n "$file" || complain "$file: does not parse"
done

echo "lint: cppcheck"
cppcheck --quiet --enable=warning,performance --inline-suppr --error-exitcode=1 -j 2 \
	--suppressions-list=devtools/cppcheck.txt --library=devtools/cppcheck.cfg \
	-I . "${user[@]}" || complain "cppcheck"

echo "lint: clang-tidy"
[ -f "$build/build.ninja" ] || meson setup "$build" >/dev/null || complain "meson setup"
ninja -C "$build" >/dev/null || complain "build"
# Skeletons are bpftool's: what it generates is not ours to mend.
printf '%s\n' "${user[@]}" | xargs -P 2 -n 1 clang-tidy -p "$build" --quiet 2>/dev/null |
	grep -E 'warning:|error:' | grep -v '^[^ ]*\.skel\.h:' && complain "clang-tidy"

[ "$bad" -eq 0 ] && echo "lint: clean"
exit "$bad"
