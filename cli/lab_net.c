// SPDX-License-Identifier: Apache-2.0
// One netlink request, one acknowledgement. A namespace's socket stays in it while the process
// moves on.
#include "cli/lab_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

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

static int route_socket(void)
{
	const int on = 1;
	int fd;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	// An error's answer need not carry the request back.
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return fd;
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
	netns->route = route_socket();
	if (netns->route < 0)
		return netns->route;
	return link_up(netns, "lo");
}

int netns_make(struct netns *out, const char *path)
{
	auto_(closep) int home = self_open();
	struct netns netns = NETNS_NONE;
	int err, back;

	if (home < 0)
		return home;
	if (unshare(CLONE_NEWNET))
		return -errno;
	err = furnish(&netns, path);
	back = enter(home);
	if (!err)
		err = back;
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
	int err, back;

	if (home < 0)
		return home;
	netns.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (netns.fd < 0)
		return -errno;
	err = enter(netns.fd);
	if (!err) {
		netns.route = route_socket();
		err = netns.route < 0 ? netns.route : 0;
		back = enter(home);
		if (!err)
			err = back;
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

int netns_sysctl(const struct netns *netns, const char *name, const char *value)
{
	auto_(closep) int home = self_open();
	int err, back;

	if (home < 0)
		return home;
	err = enter(netns->fd);
	if (err)
		return err;
	err = sysctl_here(name, value);
	back = enter(home);
	return err ? err : back;
}

struct request {
	struct nlmsghdr header;
	char room[1024];
};

static void *begin(struct request *request, uint16_t type, uint16_t flags, size_t size)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
	return NLMSG_DATA(&request->header);
}

// The largest request here is some 200 bytes: one that does not fit is a mistake of this file.
static struct rtattr *put(struct request *request, uint16_t type, const void *data, size_t length)
{
	size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
	struct rtattr *attribute = (struct rtattr *)((char *)request + at);

	if (at + RTA_SPACE(length) > sizeof(*request))
		abort();
	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(length);
	if (length)
		memcpy(RTA_DATA(attribute), data, length);
	request->header.nlmsg_len = (uint32_t)(at + RTA_ALIGN(RTA_LENGTH(length)));
	return attribute;
}

static void put_number(struct request *request, uint16_t type, uint32_t number)
{
	put(request, type, &number, sizeof(number));
}

static void put_text(struct request *request, uint16_t type, const char *text)
{
	put(request, type, text, strlen(text) + 1);
}

static void end(struct request *request, struct rtattr *nest)
{
	nest->rta_len =
		(unsigned short)((char *)request + request->header.nlmsg_len - (char *)nest);
}

static int carry_out(const struct netns *netns, struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char room[512];
	} answer;
	ssize_t got;

	if (send(netns->route, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	do
		got = recv(netns->route, &answer, sizeof(answer), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if ((size_t)got < sizeof(answer.header) + sizeof(answer.error.error) ||
	    answer.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
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
	struct request request;

	begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	put_text(&request, IFLA_IFNAME, a->name);
	put_number(&request, IFLA_MTU, mtu);
	if (a->mac)
		put(&request, IFLA_ADDRESS, a->mac, 6);
	info = put(&request, IFLA_LINKINFO, NULL, 0);
	put_text(&request, IFLA_INFO_KIND, "veth");
	data = put(&request, IFLA_INFO_DATA, NULL, 0);
	peer = put(&request, VETH_INFO_PEER, &(struct ifinfomsg){}, sizeof(struct ifinfomsg));
	put_text(&request, IFLA_IFNAME, b->name);
	put_number(&request, IFLA_MTU, mtu);
	put_number(&request, IFLA_NET_NS_FD, (uint32_t)b->netns->fd);
	if (b->mac)
		put(&request, IFLA_ADDRESS, b->mac, 6);
	end(&request, peer);
	end(&request, data);
	end(&request, info);
	return carry_out(a->netns, &request);
}

int link_bridge(const struct netns *netns, const char *name, unsigned int mtu)
{
	struct rtattr *info, *data;
	struct request request;
	const uint8_t off = 0;

	begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	put_text(&request, IFLA_IFNAME, name);
	put_number(&request, IFLA_MTU, mtu);
	info = put(&request, IFLA_LINKINFO, NULL, 0);
	put_text(&request, IFLA_INFO_KIND, "bridge");
	data = put(&request, IFLA_INFO_DATA, NULL, 0);
	put(&request, IFLA_BR_MCAST_SNOOPING, &off, sizeof(off));
	end(&request, data);
	end(&request, info);
	return carry_out(netns, &request);
}

static int change(const struct netns *netns, const char *name, uint32_t master, unsigned int up)
{
	int index = index_of(netns, name);
	struct request request;
	struct ifinfomsg *link;

	if (index < 0)
		return index;
	link = begin(&request, RTM_NEWLINK, 0, sizeof(*link));
	link->ifi_index = index;
	link->ifi_change = link->ifi_flags = up ? IFF_UP : 0;
	if (master)
		put_number(&request, IFLA_MASTER, master);
	return carry_out(netns, &request);
}

int link_join(const struct netns *netns, const char *name, const char *bridge)
{
	int master = index_of(netns, bridge);

	return master < 0 ? master : change(netns, name, (uint32_t)master, 1);
}

int link_up(const struct netns *netns, const char *name)
{
	return change(netns, name, 0, 1);
}

int link_address(const struct netns *netns, const char *name, const struct in6_addr *address,
		 unsigned int bits)
{
	int index = index_of(netns, name), four = IN6_IS_ADDR_V4MAPPED(address);
	struct ifaddrmsg *message;
	struct request request;
	const void *bytes = four ? (const void *)&address->s6_addr[12] : address;
	size_t length = four ? 4 : 16;

	if (index < 0)
		return index;
	message = begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*message));
	message->ifa_family = four ? AF_INET : AF_INET6;
	message->ifa_prefixlen = (unsigned char)(four ? bits - 96 : bits);
	message->ifa_index = (unsigned int)index;
	put(&request, IFA_LOCAL, bytes, length);
	put(&request, IFA_ADDRESS, bytes, length);
	return carry_out(netns, &request);
}

int route_default(const struct netns *netns, const struct in6_addr *gateway)
{
	int four = IN6_IS_ADDR_V4MAPPED(gateway);
	struct request request;
	struct rtmsg *route;

	route = begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*route));
	route->rtm_family = four ? AF_INET : AF_INET6;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = RT_SCOPE_UNIVERSE;
	route->rtm_type = RTN_UNICAST;
	put(&request, RTA_GATEWAY, four ? (const void *)&gateway->s6_addr[12] : gateway,
	    four ? 4 : 16);
	return carry_out(netns, &request);
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
