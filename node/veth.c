// SPDX-License-Identifier: Apache-2.0
// What the loader needs of interfaces: a pair of its own, their MTU, and to hear when they change.
#include "node/veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/netlink.h"
#include "lib/own.h"
#include "shared/limits.h"

static int ask(const struct netlink_request *request)
{
	auto_(closep) int netlink = netlink_open();

	return netlink < 0 ? netlink : netlink_ask(netlink, request);
}

static int make_pair(const struct interface_name *first, const struct interface_name *second,
		     unsigned int mtu, int with_ipv6)
{
	struct netlink_request request;
	const unsigned char no_addresses = IN6_ADDR_GEN_MODE_NONE;
	struct rtattr *info, *data, *peer, *families, *family;
	const struct ifinfomsg link = {};

	netlink_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(link));
	netlink_put_text(&request, IFLA_IFNAME, first->text);
	netlink_put_number(&request, IFLA_MTU, mtu);
	if (with_ipv6) {
		families = netlink_nest(&request, IFLA_AF_SPEC | NLA_F_NESTED, NULL, 0);
		family = netlink_nest(&request, AF_INET6 | NLA_F_NESTED, NULL, 0);
		netlink_put(&request, IFLA_INET6_ADDR_GEN_MODE, &no_addresses,
			    sizeof(no_addresses));
		netlink_end(&request, family);
		netlink_end(&request, families);
	}
	info = netlink_nest(&request, IFLA_LINKINFO, NULL, 0);
	netlink_put_text(&request, IFLA_INFO_KIND, "veth");
	data = netlink_nest(&request, IFLA_INFO_DATA, NULL, 0);
	peer = netlink_nest(&request, VETH_INFO_PEER, &link, sizeof(link));
	netlink_put_text(&request, IFLA_IFNAME, second->text);
	netlink_put_number(&request, IFLA_MTU, mtu);
	netlink_end(&request, peer);
	netlink_end(&request, data);
	netlink_end(&request, info);
	return ask(&request);
}

static int set_up(const struct interface_name *name, unsigned int mtu)
{
	struct netlink_request request;
	struct ifinfomsg *link = netlink_begin(&request, RTM_NEWLINK, 0, sizeof(*link));

	link->ifi_index = (int)if_nametoindex(name->text);
	if (!link->ifi_index)
		return -ENODEV;
	link->ifi_flags = IFF_UP | IFF_NOARP;
	link->ifi_change = IFF_UP | IFF_NOARP;
	netlink_put_number(&request, IFLA_MTU, mtu);
	return ask(&request);
}

// That the link layer is named spares the kernel a table of rates.
int veth_queue(const struct interface_name *name, unsigned int bytes_per_s, unsigned int overhead,
	       unsigned int limit, unsigned int burst)
{
	const struct tc_tbf_qopt options = {
		.rate = {.linklayer = TC_LINKLAYER_ETHERNET,
			 .overhead = (unsigned short)overhead,
			 .rate = bytes_per_s},
		.limit = limit,
	};
	struct netlink_request request;
	struct rtattr *nest;
	struct tcmsg *qdisc =
		netlink_begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*qdisc));

	qdisc->tcm_ifindex = (int)if_nametoindex(name->text);
	if (!qdisc->tcm_ifindex)
		return -ENODEV;
	qdisc->tcm_parent = TC_H_ROOT;
	qdisc->tcm_handle = TC_H_MAKE(1 << 16, 0);
	netlink_put_text(&request, TCA_KIND, "tbf");
	nest = netlink_nest(&request, TCA_OPTIONS, NULL, 0);
	netlink_put(&request, TCA_TBF_PARMS, &options, sizeof(options));
	netlink_put_number(&request, TCA_TBF_BURST, burst);
	netlink_end(&request, nest);
	return ask(&request);
}

// With tokens for exactly one frame: each takes all of them, and they are back after one interval.
int veth_pace(const struct interface_name *name, unsigned int bytes, unsigned int interval_ms)
{
	return veth_queue(name, bytes * 1000 / interval_ms, 0, 4 * bytes, bytes);
}

int interface_runs(const struct interface_name *name)
{
	auto_(closep) int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};

	memcpy(request.ifr_name, name->text, sizeof(name->text));
	return any >= 0 && !ioctl(any, SIOCGIFFLAGS, &request) &&
	       (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

unsigned int interface_mtu(const struct interface_name *name)
{
	auto_(closep) int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};

	memcpy(request.ifr_name, name->text, sizeof(name->text));
	return any < 0 || ioctl(any, SIOCGIFMTU, &request) ? 0 : (unsigned int)request.ifr_mtu;
}

int interface_ask_after(const struct interface_name *name, unsigned int ms)
{
	struct netlink_request request;
	const __u64 after = ms;
	struct rtattr *nest;
	struct ndtmsg *table = netlink_begin(&request, RTM_SETNEIGHTBL, 0, sizeof(*table));

	table->ndtm_family = AF_INET;
	netlink_put_text(&request, NDTA_NAME, "arp_cache");
	nest = netlink_nest(&request, NDTA_PARMS, NULL, 0);
	netlink_put_number(&request, NDTPA_IFINDEX, if_nametoindex(name->text));
	netlink_put(&request, NDTPA_RETRANS_TIME, &after, sizeof(after));
	netlink_end(&request, nest);
	return ask(&request);
}

unsigned int veth_mtu(const struct interface_name *like)
{
	unsigned int mtu = interface_mtu(like);

	return mtu < PAIR_MTU ? mtu : PAIR_MTU;
}

int veth_make(const struct interface_name *first, const struct interface_name *second,
	      unsigned int mtu)
{
	int err;

	if (!mtu)
		return -ENODEV;
	err = make_pair(first, second, mtu, 1);

	// A kernel without IPv6 has nothing to be told about its addresses.
	if (err == -EAFNOSUPPORT)
		err = make_pair(first, second, mtu, 0);
	if (err && err != -EEXIST)
		return err;
	err = set_up(first, mtu);
	return err ? err : set_up(second, mtu);
}

int interface_address(const struct interface_name *name, __u32 address, unsigned int bits)
{
	const __be32 own = htonl(address);
	struct netlink_request request;
	struct ifaddrmsg *message = netlink_begin(&request, RTM_NEWADDR,
						  NLM_F_CREATE | NLM_F_REPLACE, sizeof(*message));

	message->ifa_family = AF_INET;
	message->ifa_prefixlen = (unsigned char)bits;
	message->ifa_index = if_nametoindex(name->text);
	if (!message->ifa_index)
		return -ENODEV;
	netlink_put(&request, IFA_LOCAL, &own, sizeof(own));
	netlink_put(&request, IFA_ADDRESS, &own, sizeof(own));
	return ask(&request);
}

int interface_mac(const struct interface_name *name, __u8 mac[6])
{
	auto_(closep) int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};

	memcpy(request.ifr_name, name->text, sizeof(name->text));
	if (any < 0 || ioctl(any, SIOCGIFHWADDR, &request))
		return -errno;
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return 0;
}

int veth_delete(unsigned int ifindex)
{
	struct netlink_request request;
	struct ifinfomsg *link = netlink_begin(&request, RTM_DELLINK, 0, sizeof(*link));

	link->ifi_index = (int)ifindex;
	return ask(&request);
}

int interfaces_watch(void)
{
	const struct sockaddr_nl links = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	auto_(closep) int watch =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (watch < 0 || bind(watch, (const struct sockaddr *)&links, sizeof(links)))
		return -errno;
	return take_fd(watch);
}

int interfaces_changed(int watch)
{
	char ignored[64];
	int any = 0;

	// What changed is looked up by name anyway. ENOBUFS: so much changed that the kernel gave
	// up telling; it is a change too.
	while (recv(watch, ignored, sizeof(ignored), 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		any = 1;
	return any;
}
