#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a physical router find the cluster's addresses by BGP, over two border hosts at once, and do connections
# stay while one of them loses the router, its routing daemon, the cluster, or dies?
#
#                               border1 (bird) ---- 10.255.1.0/24 --+
#   host1 client web server         uplink1 198.51.100.251          router (bird, ECMP) --- internet 203.0.113.10
#                               border2 (bird) ---- 10.255.2.0/24 --+
#                                   uplink2 198.51.100.252
#   addresses: NAT .10, floating IP .30, load balancer .40; 2 forwarders, 2 flow table nodes (lab/provider.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
command -v bird >/dev/null || { echo "needs bird"; exit 77; }
begin "$lab/provider.yaml"

network router
network internet
far=203.0.113.10
there router ip link add inside type veth peer name eth0 netns "${outside[internet]}"
there router ip address add 203.0.113.1/24 dev inside
there router ip link set inside up
there internet ip address add $far/24 dev eth0
there internet ip link set eth0 up
there internet ip route add default via 203.0.113.1
# Connections of one client, too, go by both borders.
there router sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.fib_multipath_hash_policy=1

# daemon NAME NAMESPACE: a routing daemon, by $work/NAME.conf.
daemon() {
	nsenter --net="$2" bird -f -c "$work/$1.conf" -s "$work/$1.ctl" >>"$work/$1.log" 2>&1 &
	outside[bird-$1]=$!
}
mtu=$(on client ip -j link show eth0 | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["mtu"])')
# border NUMBER: interface up0 of the host's kernel, on the other end of zup0, is the uplink; what is
# between it and the router goes by table 100, and nothing else does.
border() {
	local host=border$1
	inside "$host" ip link add zup0 mtu "$mtu" type veth peer name up0 address 02:10:00:00:01:0$1 mtu "$mtu"
	inside "$host" ip address add 198.51.100.25$1/24 dev up0
	inside "$host" ip link set zup0 up
	inside "$host" ip link set up0 up
	inside "$host" ip link add prov type veth peer name "b$1" netns "${outside[router]}"
	inside "$host" ip address add "10.255.$1.2/24" dev prov
	inside "$host" ip link set prov up
	there router ip address add "10.255.$1.1/24" dev "b$1"
	there router ip link set "b$1" up
	inside "$host" sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
	inside "$host" ip rule add iif up0 lookup 100
	inside "$host" ip rule add iif prov lookup 100
	cat >"$work/$host.conf" <<-END
		router id 10.255.$1.2;
		ipv4 table provider;
		protocol device { scan time 1; }
		protocol bfd { interface "prov" { interval 400 ms; multiplier 10; }; }
		protocol kernel {
			kernel table 100;
			learn;
			scan time 5;
			ipv4 { table provider; import where krt_source = 122; export where source = RTS_BGP; };
		}
		protocol bgp {
			local 10.255.$1.2 as 65001;
			neighbor 10.255.$1.1 as 65000;
			connect retry time 1; connect delay time 1; error wait time 1, 2;
			bfd;
			ipv4 { table provider; import where net = 0.0.0.0/0; export where source = RTS_INHERIT; };
		}
	END
	daemon "$host" "$run/net/$host"
	ctl apply -f - <<-END
		kind: Port
		name: uplink$1
		vpc: public
		host: $host
		mac: 02:10:00:00:01:0$1
		ips: [198.51.100.25$1]
		interface: zup0
		allowed_prefixes: [0.0.0.0/0]
		uplink: {interface: up0, table: 100}
	END
}
cat >"$work/router.conf" <<-END
	router id 203.0.113.1;
	protocol device { scan time 1; }
	protocol bfd { interface "b*" { interval 400 ms; multiplier 10; }; }
	protocol static { ipv4; route 0.0.0.0/0 blackhole; }
	protocol kernel { merge paths on; ipv4 { export where source = RTS_BGP; }; }
	template bgp border {
		local as 65000;
		connect retry time 1; connect delay time 1; error wait time 1, 2;
		bfd;
		ipv4 { import where net ~ [198.51.100.0/24{32,32}]; export where source = RTS_STATIC; };
	}
	protocol bgp from border { neighbor 10.255.1.2 as 65001; }
	protocol bgp from border { neighbor 10.255.2.2 as 65001; }
END
web web floating
web server shop
web client client
mkdir -p "$work/internet"
head -c 12000000 /dev/urandom >"$work/internet/file"
cp "$work/internet/file" "$work/web/file"
sum=$(sha256sum <"$work/web/file" | cut -d' ' -f1)
nsenter --net="/proc/${outside[internet]}/ns/net" python3 -m http.server 80 --directory "$work/internet" >>"$work/log" 2>&1 &
outside[http]=$!
holds "border 1 has an uplink" border 1
holds "and border 2" border 2
daemon router "/proc/${outside[router]}/ns/net"
holds "a route to both" ctl apply -f - <<-END
	kind: RouteTable
	name: up
	vpc: public
	routes: [{prefix: 0.0.0.0/0, next_hops: [198.51.100.251, 198.51.100.252]}]
END

# ways ADDRESS: by how many borders the router sends packets there.
ways() {
	there router ip -j route show "198.51.100.$1" | python3 -c '
import json, sys
routes = json.load(sys.stdin)
print(sum(len(r.get("nexthops", [r])) for r in routes))'
}
has_ways() {
	[ "$(ways "$1")" = "$2" ]
}
all_have_ways() {
	has_ways 10 "$1" && has_ways 30 "$1" && has_ways 40 "$1"
}
# leads UPLINK: as all flow table nodes find.
leads() {
	ctl get port public/"$1" -o json | python3 -c '
import json, sys
uplink = json.load(sys.stdin)["status"]["uplink"]
sys.exit(len(uplink["up"]) != 2 or uplink["down"] != [])'
}
leads_not() {
	ctl get port public/"$1" -o json | python3 -c '
import json, sys
uplink = json.load(sys.stdin)["status"]["uplink"]
sys.exit(len(uplink["down"]) != 2 or uplink["up"] != [])'
}
gets() {
	[ "$(there internet curl -s -f --max-time "${brief:-10}" "$1")" = "$2" ]
}
# passed BORDER DIRECTION: packets that its uplink has sent (tx: to the cluster) or received.
passed() {
	inside "$1" ip -s -j link show up0 |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["stats64"][sys.argv[1]]["packets"])' "$2"
}
# by_both DIRECTION COMMAND..: which makes 16 connections, and both borders had their part.
by_both() {
	local one two
	one=$(passed border1 "$1") two=$(passed border2 "$1")
	"${@:2}"
	[ "$(passed border1 "$1")" -gt $((one + 8)) ] && [ "$(passed border2 "$1")" -gt $((two + 8)) ]
}
holds "the router has each address by both borders" until_true all_have_ways 2
holds "uplink 1 leads outside" until_true leads uplink1
holds "and uplink 2" until_true leads uplink2
fails "an address that is nobody's is not announced" has_ways 31 2
holds "from outside a floating IP is reached" until_true gets http://198.51.100.30/ floating
holds "and a load balancer" until_true gets http://198.51.100.40/ shop
# times COUNT URL: so many connections.
times() {
	local i
	for ((i = 0; i < $1; i++)); do
		curl -s -f --max-time 20 -o /dev/null -r 0-0 "$2" || return 1
	done
}
export -f times
out() {
	on client bash -c "times $1 http://$far/file"
}
come() {
	there internet bash -c "times $1 http://198.51.100.30/"
}
holds "from inside there is a way out" until_true out 1
holds "packets come in by both borders" by_both tx come 16
holds "and leave by both" by_both rx out 16

# What is announced follows what there is.
nat() {
	ctl apply -f - <<-END
		{kind: Nat, name: out, vpc: red, external_vpc: public, addresses: [198.51.100.10], subnets: [front],
		 floating_ips: [$1]}
	END
}
holds "another floating IP" nat '{ip: 198.51.100.30, target: web}, {ip: 198.51.100.31, target: client}'
holds "is announced" until_true has_ways 31 2
holds "and reached" until_true gets http://198.51.100.31/ client
holds "it is removed" nat '{ip: 198.51.100.30, target: web}'
holds "and withdrawn" until_true has_ways 31 0

# The router's cable.
there router ip link set b1 down
holds "without the router uplink 1 leads nowhere" until_true leads_not uplink1
leaves_by() {
	local one two
	one=$(passed border1 rx) two=$(passed border2 rx)
	out 8
	echo "border1 $(($(passed border1 rx) - one)), border2 $(($(passed border2 rx) - two))"
	[ "$(passed border2 rx)" -gt $((two + 40)) ]
}
holds "packets leave by the other one" leaves_by
holds "and come in" gets http://198.51.100.30/ floating
there router ip link set b1 up
holds "with the router it leads outside" until_true leads uplink1
holds "and has its part again" until_true all_have_ways 2

# What the router sends is lost, and no interface says so: there is BFD alone, long before BGP's hold time.
there router ip neighbour replace 10.255.1.2 lladdr 02:00:00:00:00:99 nud permanent dev b1
holds "by BFD an uplink that hears no router leads nowhere" within 120 leads_not uplink1
holds "and nobody sends to it" within 120 all_have_ways 1
there router ip neighbour del 10.255.1.2 dev b1
holds "what is not lost any more is heard" until_true leads uplink1
holds "and it has its part" until_true all_have_ways 2

# The routing daemon.
kill -KILL "${outside[bird-border1]}"
holds "without a routing daemon nobody sends to border 1" until_true all_have_ways 1
holds "which leads outside as it did" leads uplink1
daemon border1 "$run/net/border1"
holds "a new one announces all" until_true all_have_ways 2

# The cluster. Whatever is sent meanwhile has the kernel ask for the gateway over and over.
nsenter --net="$run/net/border1" ping -q -i 0.2 198.51.100.1 >>"$work/log" 2>&1 &
outside[ping]=$!
inside fabric ip link set border1.t down
holds "who does not reach the cluster withdraws all" until_true all_have_ways 1
holds "the other one does not" gets http://198.51.100.30/ floating
kill "${outside[ping]}"
unset "outside[ping]"
inside fabric ip link set border1.t up
holds "who reaches it again announces all" until_true all_have_ways 2
holds "and leads outside" until_true leads uplink1

# zetad.
"$zetactl" lab restart "$cloud" border1 >>"$work/log" 2>&1
holds "zetad starts anew, and no route goes" all_have_ways 2
holds "it answers" until_true leads uplink1

# A border dies.
transfers=8
there internet python3 "$lab/trickle.py" "$work/enough" 198.51.100.30 /file $transfers >"$work/in" 2>&1 &
coming=$!
on client python3 "$lab/trickle.py" "$work/enough" $far /file $transfers >"$work/out" 2>&1 &
going=$!
under_way() {
	[ "$(there internet ss -H -n -t state established dport = :80 | wc -l)" = $transfers ] &&
		[ "$(on client ss -H -n -t state established dport = :80 | wc -l)" = $transfers ]
}
holds "$transfers transfers in, $transfers out are under way" until_true under_way
busy() {
	local sent received
	sent=$(passed border1 tx) received=$(passed border1 rx)
	sleep 1
	[ "$(passed border1 tx)" -gt "$sent" ] && [ "$(passed border1 rx)" -gt "$received" ]
}
holds "some of them by border 1" until_true busy
death() {
	inside border1 ip link set prov down
	inside fabric ip link set border1.t down
	kill -KILL "${outside[bird-border1]}" "$(of_process border1 pid)"
	unset "outside[bird-border1]"
}
holds "border 1 dies" death
holds "the router sends all by border 2" until_true all_have_ways 1
holds "connections begin" until_true gets http://198.51.100.30/ floating
: >"$work/enough"
holds "the transfers in end well" wait $coming
holds "and those out" wait $going
holds "byte for byte, all of them" [ "$(cat "$work/in" "$work/out" | grep -c "^$sum live")" = $((2 * transfers)) ]

# Its port is the next hop of a route.
fails "an uplink stays while a route names it" ctl delete port public/uplink2
holds "the route goes" ctl delete route-table public/up
holds "and the uplink" ctl delete port public/uplink2
holds "nothing is announced any more" until_true all_have_ways 0
verdict "They do."
