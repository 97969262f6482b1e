/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A key's record as replicas hold it and ops carry it.
#pragma once

#include <linux/types.h>

#include "wire/dft.h"

struct dft_stamp {
	__u32 floor;   // the bucket's when the change was made at the head
	__u32 counter; // one more with every change of the key
};

enum dft_life {
	DFT_ABSENT = 0,
	DFT_LIVE = 1,
	DFT_TOMBSTONE = 2,
};

// A record's state: bits, and the generation that they belong to, which grows each time a closed
// session is opened again. Two states are merged by dft_state_merge (dft.md O7).
#define DFT_FIN_FROM_A 0x0001
#define DFT_FIN_FROM_B 0x0002
#define DFT_FINS (DFT_FIN_FROM_A | DFT_FIN_FROM_B)
#define DFT_RST 0x0004
#define DFT_BEGUN_BY_B 0x0008 // the first packet of the generation came from b
#define DFT_ANSWERED 0x0010   // the other side has answered it
// Of no generation, and never told: the record is an alias (docs/dft.md A1).
#define DFT_ALIAS 0x0020
#define DFT_GENERATION_SHIFT 8
#define DFT_GENERATION_MASK 0x000F // compared by serial arithmetic: RFC 1982, 4 bits
#define DFT_GENERATION_BITS (DFT_GENERATION_MASK << DFT_GENERATION_SHIFT)
#define DFT_STATE_BITS (DFT_GENERATION_BITS | 0x003F)
#define DFT_LIFE_SHIFT 12 // on the wire enum dft_life sits above them
_Static_assert(!(DFT_STATE_BITS >> DFT_LIFE_SHIFT), "a state ends below the life");

// What the record of an alias says instead of decisions: whose it is (docs/dft.md A1).
struct dft_alias {
	__u8 key[40];		// of the session
	struct dft_stamp owner; // the session's incarnation
	__u8 zero[32];
};
_Static_assert(sizeof(struct dft_alias) == 2 * sizeof(struct decision), "in their place");

struct dft_record {
	struct dft_stamp stamp;
	struct dft_stamp incarnation;
	__u32 policy;
	__u16 state;
	__u16 life; // enum dft_life
	union {
		struct decision towards[2]; // [0]: packets to b; [1]: packets to a
		struct dft_alias alias;	    // DFT_ALIAS
	};
	struct translation translation; // of packets of this key, in the direction that it says
};
_Static_assert(sizeof(struct dft_record) == 144, "map ABI");
_Static_assert(sizeof(struct dft_item) == 44 + sizeof(struct dft_record), "all of it is copied");
