/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Health checks of backends: how the sockets of a flow table node's agent reach endpoints, whose
// addresses mean something in their VPC only. Each backend that is checked has a place, and an
// address of its own on a pair of interfaces that the loader makes:
//
//   agent's socket -- first end: check_room -> second end: check_out -- op --> forwarder --> host
//   agent's socket <- first end ------------------ check_in <-- op -- forwarder <-- host
//
// To sockets all of it is IPv4. Where a backend has an IPv6 address the two programs write the
// header anew, of that family and of this (RFC 7915, of TCP alone): so that the node itself needs
// no IPv6, and nobody there an address of it.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/limits.h"

// 240.0.0.0/15: nobody has an address there (RFC 1112 section 4). The node's own is the first.
#define CHECK_NETWORK 0xF0000000u
#define CHECK_BITS 15
#define CHECK_OWN (CHECK_NETWORK | 1)
#define CHECK_FIRST 2 // the host part of place 0's
_Static_assert(MAX_CHECKED + CHECK_FIRST < 1u << (32 - CHECK_BITS), "an address for each place");

// To a backend a check comes from its subnet's gateway, whose address no endpoint has. The port
// says which node checks, so that whichever forwarder gets the answer knows whose it is.
#define CHECK_FIRST_PORT 1024
#define CHECK_PORTS 63 // of each node
_Static_assert(CHECK_FIRST_PORT + MAX_NODES * CHECK_PORTS <= 65536, "ports for all nodes");

// Bytes in front of a check's frame from the first end on, a part of the room for an op's headers
// and for a longer one of its own.
#define CHECK_ROOM 96

// The first end ("a") and the second ("b"), of the node with this index.
#define CHECK_INTERFACE "zchk%u%c"

// Map "checked": hash, key __u32: the place. Map "checks": which place a check on its way is of.
struct checked_value {
	__u32 vni;
	struct in6_addr address;
};
_Static_assert(sizeof(struct checked_value) == 20, "no padding");

struct check_key {
	__u32 vni;
	struct in6_addr address;
	__be16 port; // the backend's
	__be16 own_port;
};
_Static_assert(sizeof(struct check_key) == 24, "hash key: no padding");

// Map "check_ends": array of one: the pair, as the loader has made it.
struct check_ends_value {
	__u32 second; // ifindex; 0: there is none
	__u8 first_mac[6];
	__u8 pad[2];
};
