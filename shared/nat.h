/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: network address translation. Written by zetad, read by network function "nat" and by who
// answers ARP; on flow table nodes.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/limits.h"

// Map "nat_sources": hash, key __u32: number of a subnet. What connections that leave its VPC come
// from.
struct nat_source_value {
	__u32 vni; // of the external VPC
	__u16 addresses;
	__u8 maps; // what an inside port has outside it has towards everybody
	__u8 pad;
	struct in6_addr address[MAX_NAT_ADDRESSES]; // shared by all that comes from the subnet
};
_Static_assert(sizeof(struct nat_source_value) == 8 + 16 * MAX_NAT_ADDRESSES, "no padding");
_Static_assert(!(MAX_NAT_ADDRESSES & (MAX_NAT_ADDRESSES - 1)), "a place is cut to it by a mask");

// Map "nat_addresses": hash, key struct endpoint_key: an address of an external VPC that a NAT has.
struct nat_address_value {
	__u32 vni;		// of the VPC behind it
	struct in6_addr inside; // a floating IP's endpoint; :: of an address that is shared
	__u32 chain;		// number of the floating IP's service chain, 0: none
	__u8 open;		// of a shared one: what an inside port has there leads to it
	__u8 pad[3];
};

// Map "nat_floating": hash, key struct endpoint_key: a VPC and an address of an endpoint that has a
// floating IP.
struct nat_floating_value {
	__u32 vni; // of the external VPC
	struct in6_addr address;
};

// Map "nat_forwards": hash. Of an address that is shared: a port that leads inside.
struct nat_forward_key {
	__u32 vni; // of the external VPC
	struct in6_addr address;
	__be16 port;
	__u8 protocol;
	__u8 pad;
};
_Static_assert(sizeof(struct nat_forward_key) == 24, "hash key: no padding");

struct nat_forward_value {
	struct in6_addr inside; // in the VPC behind the address
	__be16 port;
	__u16 pad;
	__u32 chain; // number of its service chain, 0: none
};
_Static_assert(sizeof(struct nat_forward_value) == 24, "no padding");

// Map "nat_refusing": LRU hash, key struct endpoint_key: an address of an external VPC from which a
// connection was refused, as no port of it was free.
struct nat_refusing_value {
	__u64 last_ns; // bpf_ktime_get_coarse_ns()
	__u64 refused; // packets that would have begun one
};

// The ports that connections from a shared address may have; echo identifiers are as ports. Below
// are those of servers.
#define NAT_FIRST_PORT 1024
#define NAT_PORTS (65536 - NAT_FIRST_PORT)
