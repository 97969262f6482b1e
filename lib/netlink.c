// SPDX-License-Identifier: Apache-2.0
// Requests of one attribute tree each.
#include "lib/netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int netlink_open(void)
{
	const int on = 1;
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (netlink < 0)
		return -errno;
	// An error's answer need not carry the request back.
	setsockopt(netlink, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return netlink;
}

void *netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags, size_t size)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
	return NLMSG_DATA(&request->header);
}

struct rtattr *netlink_nest(struct netlink_request *request, uint16_t type, const void *data,
			    size_t size)
{
	size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
	struct rtattr *attribute = (struct rtattr *)((char *)request + at);

	if (at + RTA_SPACE(size) > sizeof(*request))
		abort();
	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(attribute), data, size);
	request->header.nlmsg_len = (uint32_t)(at + RTA_SPACE(size));
	return attribute;
}

void netlink_end(struct netlink_request *request, struct rtattr *nest)
{
	nest->rta_len =
		(unsigned short)((char *)request + request->header.nlmsg_len - (char *)nest);
}

void netlink_put(struct netlink_request *request, uint16_t type, const void *data, size_t size)
{
	netlink_nest(request, type, data, size);
}

void netlink_put_number(struct netlink_request *request, uint16_t type, uint32_t number)
{
	netlink_put(request, type, &number, sizeof(number));
}

void netlink_put_text(struct netlink_request *request, uint16_t type, const char *text)
{
	netlink_put(request, type, text, strlen(text) + 1);
}

int netlink_ask(int netlink, const struct netlink_request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char room[512];
	} answer;
	ssize_t got;

	if (send(netlink, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	do
		got = recv(netlink, &answer, sizeof(answer), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if ((size_t)got < sizeof(answer.header) + sizeof(answer.error.error) ||
	    answer.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

const struct rtattr *netlink_find(const struct nlmsghdr *message, size_t size, uint16_t type)
{
	const struct rtattr *at =
		(const void *)((const char *)NLMSG_DATA(message) + NLMSG_ALIGN(size));
	int left = (int)message->nlmsg_len - (int)NLMSG_SPACE(size);

	for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
		if ((at->rta_type & NLA_TYPE_MASK) == type)
			return at;
	return NULL;
}

int netlink_each(int netlink, const struct netlink_request *request,
		 int (*fn)(const struct nlmsghdr *message, void *arg), void *arg)
{
	_Alignas(struct nlmsghdr) char room[32768]; // as much as the kernel gives at once
	const struct nlmsghdr *at;
	ssize_t got;
	int err;

	if (send(netlink, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		do
			got = recv(netlink, room, sizeof(room), MSG_TRUNC);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return -errno;
		if ((size_t)got > sizeof(room))
			return -EMSGSIZE;
		for (at = (const void *)room; NLMSG_OK(at, got); at = NLMSG_NEXT(at, got)) {
			// Both say an error code first.
			if (at->nlmsg_type == NLMSG_ERROR || at->nlmsg_type == NLMSG_DONE)
				return at->nlmsg_len < NLMSG_LENGTH(sizeof(int))
					       ? -EPROTO
					       : *(const int *)NLMSG_DATA(at);
			if ((err = fn(at, arg)))
				return err;
		}
	}
}
