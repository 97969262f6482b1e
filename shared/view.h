/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: the cluster as its controller describes it. Written by zetad, read by the gateway.
// What must change together is one entry, replaced whole.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/limits.h"

// Map "nodes": hash, key __u32 node index. A gateway node as its peers reach it.
struct node_value {
	struct in6_addr zgc_ip;
	__u8 zgc_mac[6];
	__u8 foreign;	// of another cluster: no heartbeats, no ballots
	__u8 forwarder; // it has the two that follow
	struct in6_addr tenant_ip;
	__u8 tenant_mac[6];
	__u8 pad[2];
};
_Static_assert(sizeof(struct node_value) == 48, "no padding");

// Map "node_by_ip": hash, key struct in6_addr (cluster address), value __u32 node index, with
// NODE_FOREIGN where the node is of another cluster (shared/move.h).
#define NODE_FOREIGN 0x80000000u

// Map "chains": hash, key __u32 chain id; from MAX_CHAINS on another cluster's, by its number
// there. The newest chosen term of a chain that this node knows. Whether it acts in it is for
// "fences" and "leases" to say (shared/membership.h).
struct chain_value {
	__u32 epoch;			  // of the view
	__u32 term;			  // struct dft_term's number
	__u16 live;			  // replicas in node[0 .. live), in chain order: head first
	__u16 learner;			  // 1: node[live] is the learner
	__u32 node[MAX_CHAIN_LENGTH + 1]; // node indices; the last is for a learner
	__u32 boot[MAX_CHAIN_LENGTH + 1]; // in which of its lives each is meant (docs/dft.md M4)
	__u32 voters;			  // in voter[0 .. voters)
	struct {
		__u32 node;
		__u32 boot;
	} voter[MAX_VOTERS];
};

// Map "buckets": array of PLACES (shared/move.h), index bucket, value __u32: chain id + 1, 0: no
// chain. (Mapped into memory it has 8 bytes for each.)

// Map "chain_count": array of 1, value __u32: how many chains the buckets name.

// Map "entrances": array of MAX_ENTRANCES. live 0: no such entrance. Written by zetad: what should
// be. With heartbeats the data path reads "duties" instead (shared/heartbeat.h).
struct entrance_value {
	struct in6_addr ip;
	__u8 mac[6];
	__u8 live;
	__u8 serves;	   // "duties" only: this node takes what comes for it
	__u32 owner;	   // node index of the forwarder that answers for it
	__u32 preferences; // in preference[]; the owner is the first of them that is alive
	__u16 preference[MAX_PREFERENCES];
};
_Static_assert(sizeof(struct entrance_value) == 48, "no padding");

// Map "entrance_by_ip": hash, key struct in6_addr, value __u32 entrance index.
