/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What is fixed when a program is loaded: the loader fills it, the verifier removes dead branches.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

enum overlay {
	OVERLAY_VXLAN = 0,
	OVERLAY_GENEVE = 1,
};

#define ROLE_FWD 0x1
#define ROLE_FTN 0x2

// Read-only data of the gateway program ("cfg").
struct gateway_config {
	__u32 roles;	      // ROLE_*
	__u32 overlay;	      // enum overlay: between hosts and entrances
	__u32 node;	      // this node's index in the view
	__u32 boot;	      // random at every loss of the maps, never 0
	__u32 tenant_ifindex; // hosts are behind this one
	__u32 zgc_ifindex;    // gateway nodes are behind this one; may be the same
	__u32 tenant_mtu;     // largest IP packet of a tenant, bytes
	__be16 oam_port;
	__u8 tenant_mac[6];
	__u8 zgc_mac[6];
	__u8 pad[2];
	struct in6_addr tenant_ip;
	struct in6_addr zgc_ip;
	// Pages of the flat session table; 0: the kernel map instead.
	__u32 session_pages;
	__u32 cache_pages;
	__u32 tick_q10; // a timer tick in 1/1024 ms; 0: not known, the coarse clock instead
	__u32 beat_ms;	// between heartbeats; 0: none, and every node acts as if it held its lease
	__u32 cluster;	// number of the cluster
	__u32 sessions; // records that the flow table has room for
};
_Static_assert(sizeof(struct gateway_config) == 100, "no padding");

// What follows from the interval of heartbeats (docs/dft.md M3): how long a lease runs from the
// sending of a heartbeat that was answered; how long a voter that answered accepts no term without
// that node; and the silence after which a node is taken for dead.
#define LEASE_HALF_BEATS 5 // halves of an interval: 25 ms of 10
#define GUARD_BEATS 3
#define SUSPECT_BEATS 3
#define BALLOT_BEATS 6 // after which a ballot that came to nothing is given up
// After so much more silence nobody waits any longer for a suspected node to refute it.
#define DEAD_BEATS 20
// A node whose rounds came late by so many intervals waits that much longer before it suspects
// others (Lifeguard, Dadgar et al. 2018), at most LATE_MOST times as long again.
#define LATE_MOST 4
// A node that did not run for ASLEEP_BEATS judges nobody for SETTLE_BEATS: it has heard nobody
// because it did not listen.
#define ASLEEP_BEATS 10
#define SETTLE_BEATS 10
// An entrance's former owner, where it can serve, owns it until it has heard the new one announce
// it: that one may not know yet. It serves what still reaches it for HANDOVER_MS from then on, and
// uses the entrance's MAC until then, which switches learn from. When that is, the new owner cannot
// know: so it announces itself again and again, well before the other one ends.
#define HANDOVER_MS 1000
#define ANNOUNCE_MS (HANDOVER_MS / 2)
// News go with every heartbeat for so long: more than log2 of the largest cluster.
#define FRESH_BEATS 12

// Read-only data of the edge program ("cfg").
struct edge_config {
	__u32 overlay;
	__u32 underlay_ifindex;
	__u32 tenant_mtu; // largest IP packet of a tenant, bytes
	__be16 oam_port;
	__u8 host_mac[6];
	struct in6_addr host_ip;
};
_Static_assert(sizeof(struct edge_config) == 36, "no padding");
