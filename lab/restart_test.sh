#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do connections notice when daemons stop, crash or are gone? They must not.
#
#            host1                host2                host3
#   red      red-web .1.10        red-client .1.11
#                                                      red-shop .2.10 (security group "shop")
#   2 forwarders, 3 flow table nodes in chains of 3 (lab/demo.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/demo.yaml"

web red-web web
web red-shop shop
head -c 12000000 /dev/urandom >"$work/red-web/file"
cp "$work/red-web/file" "$work/red-shop/file"
sum=$(sha256sum <"$work/red-web/file" | cut -d' ' -f1)

transfer() {
	[ "$(on red-client python3 "$lab/trickle.py" "$work/enough" "$1" /file 1)" = "$sum live" ]
}
two_connected() {
	[ "$(on red-client ss -H -n -t state established | wc -l)" = 2 ]
}
# during SENTENCE COMMAND..: two transfers, one of them through a security group, live through it.
during() {
	local one two
	rm -f "$work/enough"
	transfer 10.0.1.10 &
	one=$!
	transfer 10.0.2.10 &
	two=$!
	until_true two_connected
	holds "$1" "${@:2}"
	holds "  meanwhile new connections work" page red-client http://10.0.2.10/
	: >"$work/enough"
	holds "  a transfer that was under way ends well, in a subnet" wait $one
	holds "  and one through a security group" wait $two
}

during "all daemons restart" "$zetactl" lab restart "$cloud"
crash() {
	local name
	for name in "$@"; do
		kill -9 "$(pid_of "$name")"
	done
}
everyone="controller fwd1 fwd2 ftn1 ftn2 ftn3 host1 host2 host3"
during "all daemons crash, and are gone" crash $everyone
holds "they come back to what is there" "$zetactl" lab restart "$cloud"
same_everywhere() {
	fresh_status >/dev/null && figure replicas <"$work/status.json" | grep same &&
		! figure replicas <"$work/status.json" | grep different
}
holds "and every chain agrees on its sessions" until_true same_everywhere
holds "a new endpoint's rule reaches them: the API works" \
	"$zetactl" --lab "$cloud" apply -f - <<<"{kind: Tenant, name: green}"
verdict "They do not notice."
