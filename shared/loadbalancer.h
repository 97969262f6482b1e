/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: load balancers. Written by zetad, read by network function "load-balancer" and by who
// answers ARP; on flow table nodes.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/limits.h"

// Map "load_balancers": hash, key struct endpoint_key: the address that it serves.
struct load_balancer_value {
	__u8 by_source; // all connections of a client's address have one backend
	__u8 direct;	// backends have its address too, and answer clients themselves
	__u8 pad[2];
	__u32 chain; // number of its service chain, 0: none
};

// Map "direct_backends": hash, value struct in6_addr: an address of the backend's port. Of a load
// balancer with `direct`, all backends.
struct direct_backend_key {
	struct in6_addr address; // of the load balancer
	__u32 vni;
	__u8 mac[6]; // of the backend
	__u8 pad[2];
};
_Static_assert(sizeof(struct direct_backend_key) == 28, "hash key: no padding");

// Map "listeners": hash.
struct listener_key {
	__u32 vni;
	struct in6_addr address; // of the load balancer
	__be16 port;
	__u8 protocol;
	__u8 pad;
};
_Static_assert(sizeof(struct listener_key) == 24, "hash key: no padding");

#define LISTENER_SLOTS 4093 // prime; 64 for each backend, so shares are even within 2 %

// One entry, so that a packet sees one state of it.
struct listener_value {
	__be16 backend_port;
	__u16 backends;			       // that take new connections
	struct in6_addr backend[MAX_BACKENDS]; // .. they
	__u8 slot[LISTENER_SLOTS];	       // the Maglev table: places of backends
	__u8 pad[3];
};
_Static_assert(sizeof(struct listener_value) == 4 + 16 * MAX_BACKENDS + LISTENER_SLOTS + 3,
	       "no padding");
_Static_assert(MAX_BACKENDS <= 256, "a place fits a slot");
