/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: what an edge host knows: its own ports, the entrances, the direct paths it was told.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/rate.h"

#define MAX_DSCP 63

#define MIRROR_EGRESS 0x1
#define MIRROR_INGRESS 0x2

// Where copies of a port's packets go: VXLAN (RFC 7348), whatever the overlay is.
struct mirror {
	struct in6_addr collector; // on the tenants' network, or behind a router of it
	__u32 vni;
	__u16 bytes; // of each packet, Ethernet header and all
	__u8 which;  // MIRROR_*; 0: none
	__u8 pad;
	struct rate rate;
};

// Map "port_by_ifindex": hash, key __u32 ifindex of the workload's interface on this host.
struct local_port {
	__u32 vni;
	__u8 mac[6];		 // the workload's
	__u8 marks;		 // 1: what it sends has this dscp, inside of the tunnel and outside
	__u8 dscp;		 // 6 bits
	__u32 cluster;		 // number of the cluster that serves its VPC
	struct rate egress;	 // of what the workload sends
	struct rate ingress;	 // .. and gets
	struct rate connections; // of TCP that it begins, as packets
	struct mirror mirror;
};
_Static_assert(sizeof(struct local_port) == 64 + 24 + 48, "compared whole: no padding");

// Map "port_buckets": hash, key __u32 ifindex. What a port has used of its rates. It is the
// kernel's alone, so that a new local_port gives nobody a fresh burst; the loader removes it with
// the port.
struct port_buckets {
	struct bucket egress;
	struct bucket ingress;
	struct bucket connections;
	struct bucket mirror;
};

// Map "mirror_end": array of 1, value __u32: ifindex of the end of a pair of interfaces at which a
// packet becomes a copy for a collector.

// Map "port_by_mac": hash.
struct local_mac_key {
	__u32 vni;
	__u8 mac[6];
	__u8 pad[2];
};

#define PLACE_LIMITED 0x1  // the port has a rate for what it gets
#define PLACE_MIRRORED 0x2 // .. a collector

struct local_place {
	__u32 ifindex;
	__u32 flags; // PLACE_*: whether there is anything to look up in the port
};

// Map "edge_entrances": hash, key __u32 cluster number, an entry replaced whole. A flow of a VPC of
// that cluster goes to entrance[hash % count].
struct edge_entrance {
	struct in6_addr ip;
	__u8 mac[6]; // all zero: the kernel's neighbour table tells
	__u8 pad[2];
};

#define MAX_EDGE_ENTRANCES 64

struct edge_entrances {
	__u32 count;
	struct edge_entrance entrance[MAX_EDGE_ENTRANCES];
};

// Map "direct": LRU hash. A flow as an endpoint of this host sends it.
struct direct_key {
	struct in6_addr source;
	struct in6_addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 vni[3];
	__u8 protocol;
};
_Static_assert(sizeof(struct direct_key) == 40, "hash key: no padding");

struct direct_value {
	struct in6_addr host;
	__u8 host_mac[6];
	__u8 instance_mac[6];
	__u32 learned_ms; // this host's coarse clock: forgotten DIRECT_LIFE_MS later, used or not
	__u32 used_ms;	  // forgotten idle_ms after this
	__u32 idle_ms;
	__u32 flags; // OAM_ROUTED
	__u32 pad;
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct direct_value) == 64, "no padding");
