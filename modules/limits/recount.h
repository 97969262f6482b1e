/* SPDX-License-Identifier: Apache-2.0 */
// What a node counts of VPCs is of the chain under which each change came. With a move of buckets
// (docs/dft.md M7) records go from one chain to another; a node that is in both keeps them, and
// changes nothing. So after a move it counts anew what it has.
#pragma once

#include "lib/hash.h"
#include "modules/chain/roles.h"
#include "node/datapath.h"

struct recount {
	const struct datapath *datapath; // lent
	const struct roles *roles;	 // lent
	struct hash counts;		 // by VPC and chain
	__u32 move;			 // after which it counts, or has counted
	int wanted;			 // enum recount_wanted
	int fresh;			 // no session of this round has been seen
	int begun;			 // this round is counted
};

// The number of the last move that is known here, and whether it is under way.
void recount_follow(struct recount *recount, __u32 move, int under_way);
// One of the sessions of a round; NULL: it has seen all. What nothing changes meanwhile is right
// after that; what something changes is near it, and right after the next round in which nothing
// does.
void recount_look(struct recount *recount, const struct session_key *key,
		  const struct dft_record *record);
void recount_close(struct recount *recount);
