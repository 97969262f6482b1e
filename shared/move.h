/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: buckets that go from one chain to another (docs/dft.md M7). Each map has one writer.
#pragma once

#include <linux/types.h>

#include "shared/limits.h"

// Map "origins": array of BUCKETS, index bucket. Written by zetad, from the view.
struct origin_value {
	__u32 move; // number of the view's last move: a later one has a higher number; 0: none
	__u16 from; // chain + 1 that it comes from in that; 0: nothing of it is elsewhere
	__u16 pad;
};

// Map "moves": array of BUCKETS, index bucket. Written by the kernel: how far this node knows the
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

_Static_assert(MAX_CHAINS < 4096, "chain + 1 in 12 bits");

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
