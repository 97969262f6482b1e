/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: buckets that go from one chain to another (docs/dft.md M7). Each map has one writer.
//
// A VPC that goes from one cluster to another (M8) has a bucket's keys to itself in a place of
// their own, as if it were another bucket: its old chain is one of the old cluster, its new one of
// the new. A node knows the other cluster's chains by numbers from MAX_CHAINS on, so between
// clusters what is said of chains is mirrored: chain_mirror().
#pragma once

#include <linux/types.h>

#include "shared/limits.h"

#define KNOWN_CHAINS (2 * MAX_CHAINS)
#define PLACES (2 * BUCKETS) // bucket + BUCKETS: of the VPC that goes to another cluster

// Map "transfer": array of one, value __u64: struct transfer, see transfer_unpack(). Written by
// zetad: the VPC that goes to, or from, another cluster; 0: none.
struct transfer {
	__u32 number; // of the move that it is
	__u32 vni;
	__u8 begun; // the old cluster: all have heard of it, its chains may be fenced
	__u8 over;  // the old cluster: nobody asks it any more
	__u8 swept; // and this node has nothing of it any more, as its loader says
};

#define TRANSFER_SWEPT 0x20000000u
#define TRANSFER_BEGUN 0x40000000u
#define TRANSFER_OVER 0x80000000u

static inline __u64 transfer_pack(const struct transfer *t)
{
	return (__u64)t->number << 32 | t->vni | (t->begun ? TRANSFER_BEGUN : 0) |
	       (t->over ? TRANSFER_OVER : 0) | (t->swept ? TRANSFER_SWEPT : 0);
}

static inline struct transfer transfer_unpack(__u64 word)
{
	return (struct transfer){
		.number = word >> 32,
		.vni = word & 0xFFFFFF,
		.begun = (word & TRANSFER_BEGUN) != 0,
		.over = (word & TRANSFER_OVER) != 0,
		.swept = (word & TRANSFER_SWEPT) != 0,
	};
}

// What a chain's number is in the other cluster.
static inline __u32 chain_mirror(__u32 chain)
{
	return chain < MAX_CHAINS ? chain + MAX_CHAINS : chain - MAX_CHAINS;
}

// Map "origins": array of PLACES, index bucket. Written by zetad, from the view.
struct origin_value {
	__u32 move; // number of the view's last move: a later one has a higher number; 0: none
	__u16 from; // chain + 1 that it comes from in that; 0: nothing of it is elsewhere
	__u16 pad;
};

// Map "moves": array of PLACES, index bucket. Written by the kernel: how far this node knows the
// bucket's last move to be. It goes down the paths of both chains and to their learners.
struct move_value {
	__u64 word;  // struct move, see move_pack(); 0: never moved
	__u64 owned; // TERM_WORD of the old chain under which all of its list was fenced
};

enum move_state {
	MOVE_FENCED = 0x1,   // the old chain: it answers, accepts and ages nothing any more
	MOVE_OWNED = 0x2,    // the new chain: all of the old list is fenced
	MOVE_COMPLETE = 0x4, // the new chain: it has all that the old one had
};

struct move {
	__u32 number;
	__u16 from, to; // chain + 1
	__u8 state;	// enum move_state, or 0
};

_Static_assert(KNOWN_CHAINS < 4096, "chain + 1 in 12 bits");

static inline __u64 move_pack(const struct move *m)
{
	return (__u64)m->number << 32 | (__u64)(m->from & 0xFFF) << 20 | (m->to & 0xFFF) << 8 |
	       m->state;
}

static inline struct move move_unpack(__u64 word)
{
	return (struct move){
		.number = word >> 32,
		.from = word >> 20 & 0xFFF,
		.to = word >> 8 & 0xFFF,
		.state = word & 0xFF,
	};
}

// Map "departures": array of MAX_CHAINS, index the old chain. Written by its head's daemon.
struct departure_value {
	__u64 term; // TERM_WORD in which this node is the head: of another one it says nothing
	__u32 move; // highest number of the moves that it knows of
	__u32 left; // buckets that are not wholly the new chain's yet
};
