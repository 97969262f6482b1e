// SPDX-License-Identifier: Apache-2.0
// Namespaces and what is in them. A namespace's socket stays in it while the process
// moves on.
#include "cli/lab_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "lib/address.h"
#include "lib/netlink.h"
#include "lib/own.h"

static int enter(int fd)
{
	return setns(fd, CLONE_NEWNET) ? -errno : 0;
}

static int self_open(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

// Goes home from another namespace. What went wrong there is worse than what goes wrong here.
static int go_home(int home, int err)
{
	int back = enter(home);

	return err ? err : back;
}

static int write_file(const char *path, const char *text)
{
	auto_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

static int sysctl_here(const char *name, const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	return write_file(path, value);
}

// IPv4 settings of a new namespace are copies of the machine's: say what is needed. A kernel
// without IPv6 has nothing to be switched off.
static int settle(void)
{
	int err;

	err = sysctl_here("net/ipv4/ip_forward", "0");
	if (!err)
		err = sysctl_here("net/ipv4/conf/all/rp_filter", "0");
	if (!err)
		err = sysctl_here("net/ipv4/conf/default/rp_filter", "0");
	if (!err)
		err = sysctl_here("net/ipv6/conf/default/disable_ipv6", "1");
	return err == -ENOENT ? 0 : err;
}

// What is done inside the new namespace, before going back.
static int furnish(struct netns *netns, const char *path)
{
	int err, fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	close(fd);
	if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL))
		return -errno;
	err = settle();
	if (err)
		return err;
	netns->fd = self_open();
	if (netns->fd < 0)
		return netns->fd;
	netns->route = netlink_open();
	if (netns->route < 0)
		return netns->route;
	return link_up(netns, "lo");
}

int netns_make(struct netns *out, const char *path)
{
	auto_(closep) int home = self_open();
	struct netns netns = NETNS_NONE;
	int err;

	if (home < 0)
		return home;
	if (unshare(CLONE_NEWNET))
		return -errno;
	err = go_home(home, furnish(&netns, path));
	if (err)
		netns_close(&netns);
	else
		*out = netns;
	return err;
}

int netns_open(struct netns *out, const char *path)
{
	auto_(closep) int home = self_open();
	struct netns netns = NETNS_NONE;
	int err;

	if (home < 0)
		return home;
	netns.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (netns.fd < 0)
		return -errno;
	err = enter(netns.fd);
	if (!err) {
		netns.route = netlink_open();
		err = go_home(home, netns.route < 0 ? netns.route : 0);
	}
	if (err)
		netns_close(&netns);
	else
		*out = netns;
	return err;
}

void netns_close(struct netns *netns)
{
	closep(&netns->fd);
	closep(&netns->route);
}

// An ioctl on a device, by a socket of its namespace.
static int device(const struct netns *netns, const char *name, unsigned long what,
		  struct ifreq *request)
{
	snprintf(request->ifr_name, IFNAMSIZ, "%s", name);
	return ioctl(netns->route, what, request) ? -errno : 0;
}

static int index_of(const struct netns *netns, const char *name)
{
	struct ifreq request = {};
	int err = device(netns, name, SIOCGIFINDEX, &request);

	return err ? err : request.ifr_ifindex;
}

int link_veth(const struct link_end *a, const struct link_end *b, unsigned int mtu)
{
	struct rtattr *info, *data, *peer;
	struct netlink_request request;

	netlink_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	netlink_put_text(&request, IFLA_IFNAME, a->name);
	netlink_put_number(&request, IFLA_MTU, mtu);
	if (a->mac)
		netlink_put(&request, IFLA_ADDRESS, a->mac, 6);
	info = netlink_nest(&request, IFLA_LINKINFO, NULL, 0);
	netlink_put_text(&request, IFLA_INFO_KIND, "veth");
	data = netlink_nest(&request, IFLA_INFO_DATA, NULL, 0);
	peer = netlink_nest(&request, VETH_INFO_PEER, &(struct ifinfomsg){},
			    sizeof(struct ifinfomsg));
	netlink_put_text(&request, IFLA_IFNAME, b->name);
	netlink_put_number(&request, IFLA_MTU, mtu);
	netlink_put_number(&request, IFLA_NET_NS_FD, (uint32_t)b->netns->fd);
	if (b->mac)
		netlink_put(&request, IFLA_ADDRESS, b->mac, 6);
	netlink_end(&request, peer);
	netlink_end(&request, data);
	netlink_end(&request, info);
	return netlink_ask(a->netns->route, &request);
}

int link_bridge(const struct netns *netns, const char *name, unsigned int mtu)
{
	struct rtattr *info, *data;
	struct netlink_request request;
	const uint8_t off = 0;

	netlink_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	netlink_put_text(&request, IFLA_IFNAME, name);
	netlink_put_number(&request, IFLA_MTU, mtu);
	info = netlink_nest(&request, IFLA_LINKINFO, NULL, 0);
	netlink_put_text(&request, IFLA_INFO_KIND, "bridge");
	data = netlink_nest(&request, IFLA_INFO_DATA, NULL, 0);
	netlink_put(&request, IFLA_BR_MCAST_SNOOPING, &off, sizeof(off));
	netlink_end(&request, data);
	netlink_end(&request, info);
	return netlink_ask(netns->route, &request);
}

// Puts the link up, and into a bridge unless master is 0.
static int bring_up(const struct netns *netns, const char *name, uint32_t master)
{
	int index = index_of(netns, name);
	struct netlink_request request;
	struct ifinfomsg *link;

	if (index < 0)
		return index;
	link = netlink_begin(&request, RTM_NEWLINK, 0, sizeof(*link));
	link->ifi_index = index;
	link->ifi_change = link->ifi_flags = IFF_UP;
	if (master)
		netlink_put_number(&request, IFLA_MASTER, master);
	return netlink_ask(netns->route, &request);
}

int link_join(const struct netns *netns, const char *name, const char *bridge)
{
	int master = index_of(netns, bridge);

	return master < 0 ? master : bring_up(netns, name, (uint32_t)master);
}

int link_up(const struct netns *netns, const char *name)
{
	return bring_up(netns, name, 0);
}

int link_address(const struct netns *netns, const char *name, const struct in6_addr *address,
		 unsigned int bits)
{
	int index = index_of(netns, name), four = IN6_IS_ADDR_V4MAPPED(address);
	struct ifaddrmsg *message;
	struct netlink_request request;
	const void *bytes = four ? (const void *)&address->s6_addr[12] : address;
	size_t length = four ? 4 : 16;

	if (index < 0)
		return index;
	message = netlink_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*message));
	message->ifa_family = four ? AF_INET : AF_INET6;
	message->ifa_prefixlen = (unsigned char)(four ? bits - V4_PREFIX_BITS : bits);
	message->ifa_index = (unsigned int)index;
	netlink_put(&request, IFA_LOCAL, bytes, length);
	netlink_put(&request, IFA_ADDRESS, bytes, length);
	return netlink_ask(netns->route, &request);
}

int route_default(const struct netns *netns, const struct in6_addr *gateway)
{
	int four = IN6_IS_ADDR_V4MAPPED(gateway);
	struct netlink_request request;
	struct rtmsg *route;

	route = netlink_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*route));
	route->rtm_family = four ? AF_INET : AF_INET6;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = RT_SCOPE_UNIVERSE;
	route->rtm_type = RTN_UNICAST;
	netlink_put(&request, RTA_GATEWAY, four ? (const void *)&gateway->s6_addr[12] : gateway,
		    four ? 4 : 16);
	return netlink_ask(netns->route, &request);
}

static int ethtool(const struct netns *netns, const char *name, uint32_t what, uint32_t value)
{
	struct ethtool_value setting = {.cmd = what, .data = value};
	struct ifreq request = {.ifr_data = (char *)&setting};

	return device(netns, name, SIOCETHTOOL, &request);
}

int link_like_a_wire(const struct netns *netns, const char *name)
{
	static const uint32_t off[] = {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SSG};
	size_t i;
	int err;

	for (i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		err = ethtool(netns, name, off[i], 0);
		if (err)
			return err;
	}
	return ethtool(netns, name, ETHTOOL_SGRO, 1);
}
