/* SPDX-License-Identifier: Apache-2.0 */
// What this node is in each chain, by the newest chosen terms that it knows: for what its loader
// does by itself as a tail, or as a head. Whether it is meant in this life of its, and holds its
// lease, is looked at in the kernel when something is sent.
#pragma once

#include <linux/types.h>

#include "shared/limits.h"
#include "shared/membership.h"
#include "shared/move.h"
#include "shared/session.h"

#define NO_CHAIN MAX_CHAINS

struct chain_role {
	__u64 term;	// TERM_WORD; 0: this node is not the tail
	__u32 learner;	// node index + 1; 0: there is none
	__u32 since_s;	// the kernel's clock for sessions when this node was the tail of this term
	__u64 since_ms; // the same by now_ms()
};

struct roles {
	struct chain_role role[MAX_CHAINS];
	__u64 head[MAX_CHAINS]; // TERM_WORD of the term in which this node is the head, or 0
	const __u64 *buckets;	// map "buckets", mapped; NULL: not known
	const struct origin_value *origins; // map "origins", likewise
	struct roles_room *room;
};

// Returns 0 or -ENOMEM.
int roles_open(struct roles *roles);
void roles_close(struct roles *roles);

// The maps "buckets" and "origins" are these from now on; the descriptors may be closed then. This
// node is nothing for the time being. Returns 0 or a negative errno.
int roles_use(struct roles *roles, int buckets, int origins);
// Reads the map "chains". self: this node's index; now_s: that clock now. Where it cannot be read,
// this node is nothing.
void roles_read(struct roles *roles, int chains, __u32 self, __u32 now_s);

// The chain of a bucket, or NO_CHAIN; and while it moves, the one that it comes from.
__u32 roles_chain(const struct roles *roles, __u32 bucket);
__u32 roles_origin(const struct roles *roles, __u32 bucket);
__u32 roles_bucket(const struct session_key *key);

// M8: the VPC that goes to another cluster, or comes from one, as the map "transfer" says; number
// 0: none.
struct transfer roles_transfer(int map);
