/* SPDX-License-Identifier: Apache-2.0 */
// Network namespaces, links and addresses, by system calls and rtnetlink: a cloud has hundreds of
// them, and a process for each would be most of the time that bringing it up takes.
#pragma once

#include <netinet/in.h>
#include <stdint.h>

// An open network namespace. Both are -1 where there is none.
struct netns {
	int fd;	   // of the namespace
	int route; // a netlink socket inside it, wherever this process goes
};

#define NETNS_NONE ((struct netns){-1, -1})

// Makes a network namespace without IPv6 noise, loopback up, and binds it to path, where it lives
// until that is unmounted. The calling thread comes back to where it was. Returns 0 or -errno.
int netns_make(struct netns *out, const char *path);
int netns_open(struct netns *out, const char *path);
void netns_close(struct netns *netns);

struct link_end {
	const struct netns *netns;
	const char *name;
	const uint8_t *mac; // NULL: the kernel's choice
};

// All of these return 0 or -errno.
int link_veth(const struct link_end *a, const struct link_end *b, unsigned int mtu);
int link_bridge(const struct netns *netns, const char *name, unsigned int mtu);
int link_join(const struct netns *netns, const char *name, const char *bridge);
int link_up(const struct netns *netns, const char *name);
int link_address(const struct netns *netns, const char *name, const struct in6_addr *address,
		 unsigned int bits); // of 128
int route_default(const struct netns *netns, const struct in6_addr *gateway);

// A port towards a machine whose NIC runs XDP: what enters the wire there is what a real wire would
// carry, i.e. segmented and with its checksums (no transmit offloads); and frames that XDP
// redirects out of the peer are taken (GRO: without NAPI here they vanish and no counter moves).
int link_like_a_wire(const struct netns *netns, const char *name);
