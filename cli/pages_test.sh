#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does every command and every option that help lists stand in the manual page and in the completions?
set -euo pipefail
zetactl=$1 page=$2/docs/zetactl.1
missing=0

miss() {
	echo "$1 is not in $2"
	missing=1
}

words=$(sed 's/\\-/-/g; s/\\f[BIR]//g; s/^\.[A-Z]* //' "$page")
bash_completion=$("$zetactl" completion bash)
zsh_completion=$("$zetactl" completion zsh)
bash -n <(echo "$bash_completion")

# "  lab up FILE   bring up .." -> "lab up"; "  -f, --file FILE  YAML .." -> "--file"
commands=$("$zetactl" help | sed -n '/^commands:/,/^$/s/^  \([a-z ]*[a-z]\).*/\1/p' |
	sed 's/   .*//; s/ -.*//')
options=$("$zetactl" help | grep -oE '^  .{4}--[a-z-]+' | grep -oE -- '--[a-z-]+')
kinds=$("$zetactl" help | sed -n 's/^kinds: //p')
[ "$(wc -l <<<"$commands")" -ge 14 ] && [ "$(wc -l <<<"$options")" -ge 8 ]

while read -r command; do
	grep -qE "^$command( |$)" <<<"$words" || miss "command $command" "$page"
	for completion in "$bash_completion" "$zsh_completion"; do
		grep -qF "\"$command\")" <<<"$completion" || miss "command $command" completion
		grep -qE "words=\"([a-z]+ )*${command##* } " <<<"$completion" ||
			miss "command $command" "the completion's list"
	done
	"$zetactl" ${command} --help | grep -q "^usage: zetactl $command"
done <<<"$commands"
for option in $options; do
	grep -qE -- "(^|, )$option( |$)" <<<"$words" || miss "option $option" "$page"
	grep -qF -- "$option " <<<"$bash_completion" || miss "option $option" completion
done
for kind in $kinds; do
	grep -q "$kind" <<<"$words" || miss "kind $kind" "$page"
	grep -q "$kind" <<<"$bash_completion" || miss "kind $kind" completion
done

# And the other way: what the page explains does exist.
for option in $(grep -oE -- '--[a-z-]+' <<<"$words" | sort -u); do
	grep -q -- "$option" <<<"$("$zetactl" help)" || miss "option $option of the page" zetactl
done

# What a person sees after TAB.
offered() {
	bash -c 'source <(echo "$1"); shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _zetactl
		echo "${COMPREPLY[*]}"' - "$bash_completion" "$@"
}
[ "$(offered zetactl ap)" = apply ]
[ "$(offered zetactl lab d)" = down ]
[ "$(offered zetactl get vp)" = vpcs ]
[ "$(offered zetactl get vpcs -o j)" = json ]
[ "$(offered zetactl --lab demo get vp)" = vpcs ]
[ "$(offered zetactl get vpcs --l)" = --lab ]
[ -z "$(offered zetactl get vpcs vp)" ]
exit $missing
