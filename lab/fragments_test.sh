#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do packets in fragments arrive wherever whole ones would, in any order, and nowhere else?
#
#            host1              host2                    host3
#   red      client .1.10       server .2.11             back .2.12
#                               floats .1.11
#            shop .1.100, a load balancer: UDP 7000, to back
#   blue     blue-client .1.10  blue-server .1.11
#   public                                               far 198.51.100.20
#   red leaves as 198.51.100.10, floats as .30; red's servers take pings, and of UDP the ports 7000 and
#   5201 (lab/fragments.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
begin "$lab/fragments.yaml"

server=10.0.2.11
for endpoint in server back floats far blue-server; do
	on $endpoint python3 "$lab/fragments.py" serve 7000 7001 >>"$work/log" 2>&1 &
	until_true eval "on $endpoint ss -H -u -l -n | grep -q ':7001 '"
done

# large ENDPOINT ADDRESS BYTES: a ping of so many.
large() {
	on "$1" ping -q -c 1 -W "${brief:-20}" -M dont -s "$3" "$2"
}
asks() {
	on "$1" python3 "$lab/fragments.py" ask "${@:2}"
}
sends() {
	on "$1" python3 "$lab/fragments.py" send "${@:2}"
}
# counted VERDICT: how often so far, at all forwarders.
counted() {
	fresh_status >/dev/null
	figure count "$1" packets <"$work/status.json"
}
more_than() {
	[ "$(counted "$1")" -gt "$2" ]
}

holds "a ping of 3,000 bytes, of the first packet on" large client $server 3000
holds "and of 60,000" large client $server 60000
holds "datagrams of 8,000 bytes, each a session's first" asks client $server 7000 8000 20
holds "and of 60,000" asks client $server 7000 60000 5
holds "in the subnet" asks client 10.0.1.11 7000 8000 5
refused=$(counted SECURITY_GROUP)
fails "but not to a port that is closed" asks client $server 7001 8000 1
holds "each of its fragments is refused as the first one" more_than SECURITY_GROUP "$((refused + 5))"

holds "a datagram whose pieces come in order" sends client $server 7000 8000 ordered 3
holds "from the last to the first" until_true sends client $server 7000 8000 reversed 5
# (What waits does so for 64 ms, and who sends so all the time is over his share of the room: docs/fragments.md.)
holds "in any order" until_true sends client $server 7000 30000 shuffled 1
holds "each twice" sends client $server 7000 8000 doubled 3
holds "its first one 20 ms late" until_true sends client $server 7000 8000 late 1 20
holds "of a session that is known, too" until_true eval 'asks client '$server' 7000 8000 1 && sends client '$server' 7000 8000 reversed 5'
holds "they wait for it" more_than FRAGMENT_WAITS 40
lost=$(counted NO_FIRST_FRAGMENT)
fails "not when it is a second late" sends client $server 7000 8000 late 1 1000
holds "what waited in vain is counted, each once" \
	[ "$(counted NO_FIRST_FRAGMENT)" = "$((lost + 5))" ]
holds "a first one without all of its header is sent" on client python3 "$lab/fragments.py" tiny $server
holds "and refused" more_than FRAGMENT_ODD 0

holds "by a NAT a ping of 3,000 bytes" large client 198.51.100.20 3000
holds "datagrams" asks client 198.51.100.20 7000 8000 10
holds "in any order" until_true sends client 198.51.100.20 7000 8000 shuffled 3
holds "to a floating IP a ping of 3,000 bytes" large far 198.51.100.30 3000
holds "datagrams" asks far 198.51.100.30 7000 8000 10
holds "in any order" until_true sends far 198.51.100.30 7000 8000 shuffled 3
holds "by a load balancer datagrams" asks client 10.0.1.100 7000 8000 10
holds "in any order" until_true sends client 10.0.1.100 7000 8000 shuffled 3

stream() {
	on server iperf3 -s -1 -p 5201 >>"$work/log" 2>&1 &
	until_true eval 'on server ss -H -n -l -t sport = :5201 | grep -q .'
	on client iperf3 -c $server -p 5201 -u -l 8000 -b 8M -t 3 -J | python3 -c '
import json, sys
end = json.load(sys.stdin)["end"]["sum"]
print(end)
sys.exit(end["packets"] < 100 or end["lost_percent"] > 20)'
}
holds "a stream of datagrams of 8,000 bytes" until_true stream

# Who sends what nobody can do anything with costs his own VPC a part of the room.
on blue-client python3 "$lab/fragments.py" orphans 10.0.1.11 20000 >>"$work/log" 2>&1 &
flooding=$!
holds "while another tenant floods: datagrams" asks client $server 7000 8000 10
holds "from the last to the first" until_true sends client $server 7000 8000 reversed 5
wait $flooding || true
holds "the flood was refused" more_than FRAGMENT_RATE 1000
verdict "Fragments follow their first one."
