#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Do programs that know nothing of all this work through each function, and ten thousand connections at once?
#
#            host1              host2              host3
#   front    client .1.10       web1 .1.11 (guard)
#            guest .1.12
#   back                                           web2 .2.11 (security group "guard")
#   public                                         server1 198.51.100.20, server2 .21 (security group "guard")
#                               uplink .254 ------ internet 203.0.113.10
#   2 forwarders, 3 flow table nodes in chains of 3; load balancers 10.0.1.100, .101 and 198.51.100.40; client leaves as
#   198.51.100.10, ports of which lead to web1; web2 has floating IP 198.51.100.30 (lab/programs.yaml)
set -euo pipefail
build=$1
source "$(dirname "$0")/cloud.sh"
for program in dig dnsmasq iperf3 sipp sshd vsftpd; do
	command -v $program >/dev/null || { echo "needs $program"; exit 77; }
done
begin "$lab/programs.yaml"
network internet
cable uplink internet up0 203.0.113
there internet ip route add default via 203.0.113.1

# What all servers offer: the same, but for their name on the page.
mkdir "$work/empty" "$work/ftp"
head -c 10000000 /dev/urandom >"$work/ftp/file"
sum=$(sha256sum <"$work/ftp/file")
for key in host user; do
	ssh-keygen -q -t ed25519 -N '' -f "$work/$key"
done
echo "* $(cat "$work/host.pub")" >"$work/known"
echo 'root:*:::::::' >"$work/shadow" # the machine's own root may be locked
cat >"$work/sshd.conf" <<-CONF
	HostKey $work/host
	AuthorizedKeysFile $work/user.pub
	StrictModes no
	UsePAM no
	PidFile none
CONF
cat >"$work/dns.conf" <<-CONF
	no-resolv
	no-hosts
	user=root
	pid-file=
	host-record=www.example.test,192.0.2.80
	$(for i in {1..20}; do printf 'txt-record=long.example.test,%0200d\n' $i; done)
CONF
# Who is called lets it ring first, for two answers at once may overtake each other.
{ sipp -sd uas || true; } | sed 's#^ *<send retrans#<pause milliseconds="200"/>&#' >"$work/uas"
# serve ENDPOINT ADDRESS OUTSIDE: the address that it is reached by, for FTP's old form
serve() {
	web "$1" "$1"
	# A /run and a shadow that are seen by this process only.
	on "$1" unshare --mount sh -c 'mount -t tmpfs none /run && mkdir /run/sshd &&
		mount --bind "$1/shadow" /etc/shadow && exec /usr/sbin/sshd -f "$1/sshd.conf"' sh "$work"
	on "$1" dnsmasq -C "$work/dns.conf"
	cat >"$work/$1.ftp" <<-CONF
		listen=YES
		background=NO
		anonymous_enable=YES
		no_anon_password=YES
		anon_root=$work/ftp
		secure_chroot_dir=$work/empty
		pasv_address=$3
		pasv_min_port=30000
		pasv_max_port=30049
		connect_timeout=2
	CONF
	on "$1" vsftpd "$work/$1.ftp" >>"$work/log" 2>&1 &
	on "$1" iperf3 -s >>"$work/log" 2>&1 &
	on "$1" sipp -sf "$work/uas" -i "$2" -p 5060 -nostdin >"$work/$1.sip" 2>&1 &
	on "$1" python3 "$lab/nat.py" serve 7000 >>"$work/log" 2>&1 &
}
listening() {
	local name
	for name in web1 web2 server1 server2; do
		[ "$(on "$name" ss -H -n -l -t -u | grep -o -E ':(21|22|53|80|5060|5201|7000) ' | sort -u |
			wc -l)" = 7 ] || return 1
	done
}
serve web1 10.0.1.11 10.0.1.11
serve web2 10.0.2.11 198.51.100.30
serve server1 198.51.100.20 198.51.100.20
serve server2 198.51.100.21 198.51.100.21
holds "servers serve" until_true listening

# $who asks for a service at $at: that of port N by port $base + N. as WHO COMMAND..: which ends.
as() {
	if [ -n "${outside[$1]:-}" ]; then
		there "$1" timeout -k 5 $patience "${@:2}"
	else
		on "$1" timeout -k 5 $patience "${@:2}"
	fi
}
answers() {
	as $who curl -s -f --max-time 20 "http://$at:$((base + 80))/" | grep -x -E "$name"
}
into() {
	as $who ssh -F none -i "$work/user" -o UserKnownHostsFile="$work/known" -o BatchMode=yes \
		-p $((base + 22)) root@$at "$@"
}
sees() {
	into 'echo $SSH_CONNECTION' | grep "^$seen "
}
copies() {
	[ "$(into cat <"$work/ftp/file" | sha256sum)" = "$sum" ]
}
# asks EXPECTED OPTIONS..
asks() {
	as $who dig +time=5 +tries=3 -p $((base + 53)) @$at "${@:2}" | tee "$work/dig" && grep -q "$1" "$work/dig"
}
measures() {
	as $who iperf3 -c $at -p $((base + 5201)) "$@"
}
# What is sent too fast for a busy machine is lost: most arrives.
arrives() {
	measures -u -b 20M -n 2M -J | python3 -c '
import json, sys
sent = json.load(sys.stdin)["end"]["sum"]
print(sent)
sys.exit(sent["lost_packets"] > sent["packets"] / 2)'
}
# 200 calls, from a port each; it fails if one of them does.
calls() {
	as $who sipp $sip -sn uac -t un -max_socket 1000 -i $own -m 200 -r 400 -d 200 -nostdin -timeout 250
}
# through FUNCTION, with these set: $who, its address $own and as which it is $seen; $at, $base; the $name of who answers
through() {
	local sip=${sip:-$at:$((base + 5060))}
	holds "$1: curl" until_true answers
	holds "  ssh, which sees $seen" sees
	holds "  10 MB there and back" copies
	holds "  dig" asks 192.0.2.80 www.example.test
	holds "  dig by TCP" asks 192.0.2.80 www.example.test +tcp
	holds "  dig by UDP, then by TCP for a long answer" asks "retrying in TCP" long.example.test TXT
	holds "  iperf3" measures -n 100M
	holds "  and back" measures -n 100M -R
	holds "  iperf3 by UDP" arrives
	holds "  sipp" calls
}
who=client own=10.0.1.10 seen=10.0.1.10 at=10.0.2.11 base=0 name=web2 through "past a security group"
who=guest own=10.0.1.12 seen=10.0.1.12 at=10.0.1.100 base=10000 name='web[12]' sip=10.0.1.101:5060 \
	through "a load balancer"
who=client own=10.0.1.10 seen=198.51.100.10 at=198.51.100.20 base=0 name=server1 through "PAT"
who=internet own=203.0.113.10 seen=203.0.113.10
at=198.51.100.10 base=10000 name=web1 through "a forward"
at=198.51.100.30 base=0 name=web2 through "a floating IP"
at=198.51.100.40 base=0 name='server[12]' through "a load balancer outside"

# fetches WHO ADDRESS OPTIONS..: by FTP; what is said in $work/ftp.said.
fetches() {
	as "$1" curl -s -v --max-time 120 -o "$work/got" "ftp://$2/file" "${@:3}" 2>"$work/ftp.said" &&
		[ "$(sha256sum <"$work/got")" = "$sum" ]
}
# refuses CODE ANSWER WHO ADDRESS OPTIONS..: curl's exit status and the server's words
refuses() {
	local code=0
	fetches "${@:3}" || code=$?
	cat "$work/ftp.said"
	[ $code = "$1" ] && grep "^< $2" "$work/ftp.said"
}
unsolicited() {
	fresh_status | figure count NAT_UNSOLICITED packets
}
holds "FTP: passive, past a security group" fetches client 10.0.2.11
holds "  through PAT" fetches client 198.51.100.20
holds "  in its old form" fetches client 198.51.100.20 --disable-epsv
holds "  to a floating IP" fetches internet 198.51.100.30
holds "  in its old form" fetches internet 198.51.100.30 --disable-epsv
holds "  active, past a security group" fetches client 10.0.2.11 --ftp-port -
holds "  through PAT the server refuses an address inside" \
	refuses 30 "500 Illegal PORT command" client 198.51.100.20 --ftp-port -
before=$(unsolicited)
holds "  and does not reach the one outside" \
	refuses 19 "425 Failed to establish connection" client 198.51.100.20 --ftp-port 198.51.100.10:40000
holds "  for NAT_UNSOLICITED, as zetactl status says" [ "$(unsolicited)" -gt "$before" ]
holds "  but by a forward" fetches client 198.51.100.20 --ftp-port 198.51.100.10:30000
holds "  and by a floating IP" fetches web2 198.51.100.20 --ftp-port 198.51.100.30:30050-30099

many=10000
declare -A holding
# hold WHO ADDRESS: $many connections, which stay.
hold() {
	on "$1" python3 "$lab/nat.py" hold "$2" 7000 $many "$work/enough" >"$work/$1.held" 2>&1 &
	holding[$1]=$!
}
under_way() {
	grep -q "^open $many $many 1$" "$work/client.held" && grep -q "^open $many $many 1$" "$work/guest.held"
}
connected() {
	on "$1" ss -H -n -t state established sport = :7000 | wc -l
}
hold client 198.51.100.20
hold guest 10.0.1.101
holds "$many connections at once through PAT to one port, and $many through a load balancer" until_true under_way
web1=$(connected web1) web2=$(connected web2)
holds "the server has as many" [ "$(connected server1)" = $many ]
holds "the backends have, in halves ($web1, $web2)" \
	[ $((web1 + web2)) = $many -a "$web1" -gt $((many / 3)) -a "$web2" -gt $((many / 3)) ]
: >"$work/enough"
for who in client guest; do
	holds "of $who's none broke" wait ${holding[$who]}
	tail -n 5 "$work/$who.held" >>"$work/log"
	holds "all $many were asked once more, and answered right" grep -q "^whole $many$" "$work/$who.held"
done
verdict "They do."
