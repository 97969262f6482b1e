// SPDX-License-Identifier: Apache-2.0
// The little rtnetlink that the loader needs: requests of one attribute tree each, answered by one
// error code. What the kernel sends is read only as that code.
#include "node/veth.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/own.h"

#define REQUEST_ROOM 512

// A frame of XDP is one page with room for headers and the kernel's own data: veth refuses native
// programs where the other end has a larger MTU (3520 less 14 and some).
#define XDP_MTU 3490

struct request {
	struct nlmsghdr head;
	struct ifinfomsg link;
	char room[REQUEST_ROOM];
};

static struct request request_new(unsigned short type, unsigned short flags)
{
	struct request request = {};

	request.head.nlmsg_len = NLMSG_LENGTH(sizeof(request.link));
	request.head.nlmsg_type = type;
	request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return request;
}

// The trees below are small and of constant size: they always fit.
static struct rtattr *add(struct request *request, unsigned short type, const void *data,
			  size_t size)
{
	struct rtattr *attribute =
		(struct rtattr *)((char *)request + NLMSG_ALIGN(request->head.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(attribute), data, size);
	request->head.nlmsg_len =
		NLMSG_ALIGN(request->head.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
	return attribute;
}

static void end(struct request *request, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)((char *)request + request->head.nlmsg_len - (char *)nest);
}

static int ask(const struct request *request)
{
	auto_(closep) int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[1024];
	} answer;
	ssize_t got;

	if (netlink < 0)
		return -errno;
	if (send(netlink, request, request->head.nlmsg_len, 0) < 0)
		return -errno;
	got = recv(netlink, &answer, sizeof(answer), 0);
	if (got < 0)
		return -errno;
	if ((size_t)got < sizeof(answer.head) + sizeof(int) ||
	    answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

static int make_pair(const struct interface_name *first, const struct interface_name *second,
		     unsigned int mtu, int with_ipv6)
{
	struct request request = request_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	const unsigned char no_addresses = IN6_ADDR_GEN_MODE_NONE;
	struct rtattr *info, *data, *peer, *families, *family;
	const struct ifinfomsg link = {};

	add(&request, IFLA_IFNAME, first->text, strlen(first->text) + 1);
	add(&request, IFLA_MTU, &mtu, sizeof(mtu));
	if (with_ipv6) {
		families = add(&request, IFLA_AF_SPEC | NLA_F_NESTED, NULL, 0);
		family = add(&request, AF_INET6 | NLA_F_NESTED, NULL, 0);
		add(&request, IFLA_INET6_ADDR_GEN_MODE, &no_addresses, sizeof(no_addresses));
		end(&request, family);
		end(&request, families);
	}
	info = add(&request, IFLA_LINKINFO, NULL, 0);
	add(&request, IFLA_INFO_KIND, "veth", strlen("veth"));
	data = add(&request, IFLA_INFO_DATA, NULL, 0);
	peer = add(&request, VETH_INFO_PEER, &link, sizeof(link));
	add(&request, IFLA_IFNAME, second->text, strlen(second->text) + 1);
	add(&request, IFLA_MTU, &mtu, sizeof(mtu));
	end(&request, peer);
	end(&request, data);
	end(&request, info);
	return ask(&request);
}

static int set_up(const struct interface_name *name, unsigned int mtu)
{
	struct request request = request_new(RTM_NEWLINK, 0);

	request.link.ifi_index = (int)if_nametoindex(name->text);
	if (!request.link.ifi_index)
		return -ENODEV;
	request.link.ifi_flags = IFF_UP | IFF_NOARP;
	request.link.ifi_change = IFF_UP | IFF_NOARP;
	add(&request, IFLA_MTU, &mtu, sizeof(mtu));
	return ask(&request);
}

unsigned int interface_mtu(const struct interface_name *name)
{
	auto_(closep) int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};

	memcpy(request.ifr_name, name->text, sizeof(name->text));
	return any < 0 || ioctl(any, SIOCGIFMTU, &request) ? 0 : (unsigned int)request.ifr_mtu;
}

int veth_make(const struct interface_name *first, const struct interface_name *second,
	      const struct interface_name *like)
{
	unsigned int mtu = interface_mtu(like);
	int err;

	if (!mtu)
		return -ENODEV;
	if (mtu > XDP_MTU)
		mtu = XDP_MTU;
	err = make_pair(first, second, mtu, 1);

	// A kernel without IPv6 has nothing to be told about its addresses.
	if (err == -EAFNOSUPPORT)
		err = make_pair(first, second, mtu, 0);
	if (err && err != -EEXIST)
		return err;
	err = set_up(first, mtu);
	return err ? err : set_up(second, mtu);
}

int veth_delete(unsigned int ifindex)
{
	struct request request = request_new(RTM_DELLINK, 0);

	request.link.ifi_index = (int)ifindex;
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
