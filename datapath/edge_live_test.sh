#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do real programs talk through the edge, and do super-packets stay whole on the direct path?
#
#   a1 a2          b1         workloads: MTU 1500, while a tenant may only use 1450
#    |  |           |
#   host A --veth-- host B    underlay, MTU 1500; each is the other's entrance
#
# There is no gateway here: what goes "to the entrance" goes to the other host, which delivers it by
# its MAC; so ARP is static, and a routed flow works only while its direct path is known.
# Usage: edge_live_test.sh EDGE_TOOL vxlan|geneve
set -euo pipefail

# In namespaces of our own, whose processes, mounts and interfaces end with the first of them.
if [ $$ -ne 1 ]; then
	unshare --net --mount --pid --fork true 2>/dev/null || exit 77
	exec timeout 600 unshare --net --mount --pid --fork --kill-child --mount-proc \
		bash "$0" "$@"
fi

tool=$(realpath "$1")
overlay=$2
vni=0xA1B2C3
pins=/sys/fs/bpf

mount -t bpf bpf $pins
mount -t tmpfs tmpfs /run
mkdir /run/netns

# Our counters count what goes over the wire; a device's, what is whole.
sent() { # NAMESPACE DEVICE: packets and bytes that it sent
	in_ "$1" awk -v device="$2:" '$1 == device { print $11, $10 }' /proc/net/dev
}

in_() { # NAMESPACE COMMAND..: ip netns exec would hide the bpffs
	nsenter --net=/run/netns/"$1" -- "${@:2}"
}

fail() {
	echo "FAILED: $*" >&2
	for host in A B; do
		echo "verdicts of host $host:" >&2
		"$tool" $pins/$host verdicts >&2 || true
	done
	exit 1
}

wait_for() { # COMMAND..
	for _ in $(seq 1000); do
		"$@" && return
		sleep 0.1
	done
	return 1
}

listening() { # WORKLOAD SOCKET_OPTIONS PORT
	in_ "$1" ss "$2" | grep -q ":$3 "
}

# packets|bytes VERDICT HOST
count() {
	"$tool" $pins/"$3" verdicts | awk -v name="$2" -v what="$1" \
		'$1 == name { n = what == "packets" ? $2 : $3 } END { printf "%.0f\n", n }'
}

mac() { # of NAMESPACE's INTERFACE
	in_ "$1" ip -o link show "$2" | sed 's/.*link\/ether \([^ ]*\).*/\1/'
}

workload() { # NAME IP HOST
	ip netns add "$1"
	ip -n "$3" link add "$1" mtu 1500 type veth peer name eth0 netns "$1"
	ip -n "$3" link set "$1" up
	ip -n "$1" link set lo up
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$2" dev eth0
	in_ "$3" "$tool" $pins/"$3" port "$1" $vni "$(mac "$1" eth0)"
}

neighbour() { # WORKLOAD IP MAC
	ip -n "$1" neigh replace "$2" lladdr "$3" dev eth0
}

for host in A B; do
	ip netns add $host
	ip -n $host link set lo up
done
ip -n A link add underlay mtu 1500 type veth peer name underlay netns B
ip -n A addr add 192.0.2.1/24 dev underlay
ip -n B addr add 192.0.2.2/24 dev underlay
for host in A B; do
	ip -n $host link set underlay up
done
mac_A=$(mac A underlay) mac_B=$(mac B underlay)
in_ A "$tool" $pins/A load "$overlay" underlay 192.0.2.1 "$mac_A" 1450
in_ B "$tool" $pins/B load "$overlay" underlay 192.0.2.2 "$mac_B" 1450
"$tool" $pins/A entrance 192.0.2.2 "$mac_B"
"$tool" $pins/B entrance 192.0.2.1 "$mac_A"

workload a1 10.0.0.1/24 A
workload a2 10.0.0.3/24 A
workload b1 10.0.0.2/24 B
mac_a1=$(mac a1 eth0) mac_a2=$(mac a2 eth0) mac_b1=$(mac b1 eth0)
neighbour a1 10.0.0.2 "$mac_b1"
neighbour a1 10.0.0.3 "$mac_a2"
neighbour a2 10.0.0.1 "$mac_a1"
neighbour b1 10.0.0.1 "$mac_a1"

# Both directions of the flow a1 PORT -> b1 PORT, told by each one's entrance.
tell() { # inject|routed|delete PROTOCOL PORT PORT [A_IP B_IP]
	local a=${5:-10.0.0.1} b=${6:-10.0.0.2} to_b=() to_a=()

	if [ "$1" != delete ]; then
		to_b=(192.0.2.2 "$mac_B" "$mac_b1")
		to_a=(192.0.2.1 "$mac_A" "$mac_a1")
	fi
	in_ B "$tool" 192.0.2.1 "$1" $vni "$2" "$a" "$3" "$b" "$4" "${to_b[@]}"
	in_ A "$tool" 192.0.2.2 "$1" $vni "$2" "$b" "$4" "$a" "$3" "${to_a[@]}"
}

echo "# $overlay: through the entrance"
in_ a1 ping -q -c 3 -i 0.05 -W 5 10.0.0.2 || fail "ping through the entrance"
[ "$(count packets EDGE_TO_ENTRANCE A)" -ge 3 ] || fail "not through the entrance"
[ "$(count packets EDGE_DIRECT A)" -eq 0 ] || fail "direct, and nobody told"

echo "# told the direct path"
tell inject 1 77 77
in_ a1 ping -q -c 5 -i 0.05 -W 5 -e 77 10.0.0.2 || fail "ping, direct"
[ "$(count packets FLOW_INJECTED A)" -eq 1 ] || fail "OAM was not heard"
for host in A B; do
	[ "$(count packets EDGE_DIRECT $host)" -eq 5 ] || fail "five packets, direct at $host"
done
tell delete 1 77 77
in_ a1 ping -q -c 1 -W 5 -e 77 10.0.0.2 || fail "ping after the direct path was forgotten"
[ "$(count packets EDGE_DIRECT A)" -eq 5 ] || fail "direct, though forgotten"

echo "# across subnets: a hop less, and only the direct path knows the way"
ip -n a1 route add 10.0.9.0/24 dev eth0
ip -n b1 addr add 10.0.9.2/24 dev eth0
neighbour a1 10.0.9.2 02:00:00:00:00:fe
neighbour b1 10.0.0.1 02:00:00:00:00:fd
tell routed 1 78 78 10.0.0.1 10.0.9.2
said=$(in_ a1 ping -c 1 -W 5 -e 78 10.0.9.2) || fail "ping, routed"
[[ $said == *ttl=63* ]] || fail "TTL, routed: $said"
neighbour b1 10.0.0.1 "$mac_a1"

echo "# both on one host"
in_ B "$tool" 192.0.2.1 inject $vni 1 10.0.0.1 79 10.0.0.3 79 192.0.2.1 "$mac_A" "$mac_a2"
in_ B "$tool" 192.0.2.1 inject $vni 1 10.0.0.3 79 10.0.0.1 79 192.0.2.1 "$mac_A" "$mac_a1"
in_ a1 ping -q -c 2 -i 0.05 -W 5 -e 79 10.0.0.3 || fail "ping on one host"

echo "# too large is said"
said=$(in_ a1 ping -c 1 -W 5 -M do -s 1423 10.0.0.2 2>&1) && fail "1451 bytes fit"
[[ $said == *"mtu = 1450"* ]] || fail "nothing said about 1451 bytes: $said"
ip -n a1 route flush cache
in_ a1 ping -q -c 1 -W 5 -M do -s 1422 10.0.0.2 || fail "1450 bytes do not fit"

echo "# TCP, direct, from workloads that begin with too large a segment"
in_ b1 iperf3 -s -1 -p 5201 >/dev/null &
wait_for listening b1 -ltn 5201 || fail "iperf3 does not listen"
ip -n a1 route flush cache
read -r before_packets before_bytes < <(sent A underlay)
tell inject 6 40000 5201
in_ a1 timeout 150 iperf3 -c 10.0.0.2 -p 5201 --cport 40000 -t 2 -f g || fail "iperf3"
wait
read -r packets bytes < <(sent A underlay)
packets=$((packets - before_packets)) bytes=$((bytes - before_bytes))
[ $packets -gt 1000 ] || fail "$packets direct packets only"
echo "direct: $packets packets, $((bytes / packets)) bytes each"
[ $((bytes / packets)) -gt 4000 ] || fail "super-packets were cut: $((bytes / packets)) bytes each"

echo "# a super-packet of UDP"
in_ b1 "$tool" - sink 9000 >/run/sink &
sink=$!
all_there() { [ "$(grep -c ' 1000$' /run/sink)" -eq 40 ]; }
wait_for listening b1 -lun 9000 || fail "the sink does not listen"
in_ a1 "$tool" 10.0.0.2 burst 9000 1000 40
wait_for all_there || fail "$(grep -c ' 1000$' /run/sink) of 40 datagrams arrived"
kill $sink

echo "# frames whose headers are in pages"
ip -n A link set underlay mtu 9000
ip -n B link set underlay mtu 9000
for pair in "A a1" "B b1"; do
	ip -n ${pair% *} link set ${pair#* } mtu 9000
	ip -n ${pair#* } link set eth0 mtu 9000
done
told=$(count packets FRAGMENTATION_NEEDED A)
in_ a1 "$tool" eth0 pages "$mac_a1" "$mac_b1" 10.0.0.1 10.0.0.2
[ "$(count packets FRAGMENTATION_NEEDED A)" -eq $((told + 1)) ] || fail "not read: sent by a workload"
in_ b1 "$tool" - sink 9001 >/run/sink &
sink=$!
wait_for listening b1 -lun 9001 || fail "the sink does not listen"
in_ A "$tool" underlay tunnel "$overlay" $vni "$mac_B" 192.0.2.2 "$mac_a1" "$mac_b1" 10.0.0.1 10.0.0.2
wait_for grep -q ' 4958$' /run/sink || fail "not read: in a tunnel"
kill $sink
for workload in a1 b1; do
	ip -n $workload link set eth0 mtu 1500
done

echo "# a workload that routes: what came to it whole is sent on whole, or cut by its host's underlay"
in_ b1 sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.{all,eth0}.send_redirects=0
ip -n a2 addr add 10.0.8.3/32 dev lo
ip -n a1 route add 10.0.8.3 via 10.0.0.2
ip -n a2 route add 10.0.0.1 via 10.0.0.2
ip -n b1 route add 10.0.8.3 dev eth0
neighbour b1 10.0.8.3 "$mac_a2"
neighbour a2 10.0.0.2 "$mac_b1"
for segmentation in on off; do
	in_ B ethtool -K underlay tx-udp_tnl-segmentation $segmentation
	in_ a2 iperf3 -s -1 -p 5201 >/dev/null &
	wait_for listening a2 -ltn 5201 || fail "iperf3 does not listen"
	read -r before_packets before_bytes < <(sent b1 eth0)
	in_ a1 timeout 150 iperf3 -c 10.0.8.3 -p 5201 -t 1 -f g || fail "iperf3, routed"
	wait $!
	read -r packets bytes < <(sent b1 eth0)
	packets=$((packets - before_packets)) bytes=$((bytes - before_bytes))
	echo "routed: $packets packets, $((bytes / packets)) bytes each"
	[ $((bytes / packets)) -gt 4000 ] || fail "super-packets were cut before they were routed"
done

echo "# an entrance whose MAC only the kernel knows"
"$tool" $pins/A entrance 192.0.2.2 00:00:00:00:00:00
ip -n A neigh flush dev underlay
heard=$(count packets NO_LOCAL_PORT B)
in_ a1 ping -q -c 1 -W 1 10.0.0.77 && fail "an answer from nobody" # its ARP goes first
[ "$(count packets NO_LOCAL_PORT B)" -gt "$heard" ] || fail "ARP got lost, MAC looked up"
in_ a1 ping -q -c 2 -i 0.05 -W 5 10.0.0.2 || fail "ping, MAC looked up"

echo "# an underlay that offloads nothing: its frames are cut, and their inner sums are whole"
in_ A ethtool -K underlay tx off tso off gso off sg off >/dev/null
in_ B timeout 150 tcpdump -Q in -nvvv -c 40 -i underlay udp >/run/dump 2>/run/tcpdump &
dump=$!
wait_for grep -q 'listening on' /run/tcpdump || fail "tcpdump does not listen"
in_ b1 iperf3 -s -1 -p 5201 >/dev/null &
server=$!
wait_for listening b1 -ltn 5201 || fail "iperf3 does not listen"
in_ a1 timeout 150 iperf3 -c 10.0.0.2 -p 5201 -n 10M -f g || fail "iperf3, no offloads"
wait $server $dump || fail "no frames seen"
! grep -q 'cksum .*incorrect' /run/dump || fail "a sum is not whole: $(grep incorrect /run/dump)"
[ "$(grep -c 'cksum .*(correct)' /run/dump)" -ge 30 ] || fail "sums were not seen"

for host in A B; do
	for verdict in BUG NO_ROOM TUNNEL_MALFORMED UNDERLAY_MALFORMED NO_ENTRANCE; do
		[ "$(count packets $verdict $host)" -eq 0 ] || fail "$verdict at host $host"
	done
done
