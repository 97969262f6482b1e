/* SPDX-License-Identifier: Apache-2.0 */
// What is asked of the kernel over rtnetlink: one request at a time, a tree of attributes, answered
// by one error code, and where it asks for something by messages before that.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

struct netlink_request {
	struct nlmsghdr header;
	char room[1024];
};

// A socket of the network namespace that the caller is in: the caller closes it. Or -errno.
int netlink_open(void);

// Makes a request of this type that begins with a struct of size bytes, all zero, which is
// returned.
void *netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags, size_t size);
// Adds an attribute. One that does not fit is a mistake of the caller, and ends the process.
void netlink_put(struct netlink_request *request, uint16_t type, const void *data, size_t size);
void netlink_put_number(struct netlink_request *request, uint16_t type, uint32_t number);
void netlink_put_text(struct netlink_request *request, uint16_t type, const char *text);
// What is added between these two is within the attribute, behind the data that it begins with.
struct rtattr *netlink_nest(struct netlink_request *request, uint16_t type, const void *data,
			    size_t size);
void netlink_end(struct netlink_request *request, struct rtattr *nest);

// One attribute of a message behind a struct of size bytes; NULL: it has none such.
const struct rtattr *netlink_find(const struct nlmsghdr *message, size_t size, uint16_t type);

// Asks, and calls fn for each message of the answer. Returns 0, -errno, or what fn returned if that
// was not 0: then the rest of the answer is still in the socket, which is of no more use.
int netlink_each(int netlink, const struct netlink_request *request,
		 int (*fn)(const struct nlmsghdr *message, void *arg), void *arg);

// Returns what the kernel answered: 0 or -errno.
int netlink_ask(int netlink, const struct netlink_request *request);
