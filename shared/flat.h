/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: the flat session table ("flat_sessions", "flat_cache"): an array that is mapped into
// user space as well, whose values are pages of slots. A session's home is a slot that its key's
// hash names; where that is taken it lies elsewhere in the same page. So a lookup has one TLB miss,
// and, as a packet needs one direction only and each half of a slot is one cache line that holds
// all of a direction, mostly one cache miss.
//
//   page, 4096 bytes:  head | slot 1 | slot 2 | ... | slot 31        128 bytes each
//   slot:              half 0: packets to b | half 1: packets to a    64 bytes each
#pragma once

#include <linux/types.h>

#include "dft/record.h"
#include "shared/inlined.h"
#include "shared/limits.h"
#include "shared/session.h"

#define FLAT_SLOTS 31 // of a page; slot 0 is its head
#define FLAT_PAGE_BYTES 4096

// A half's version. Readers copy the half and look at it again; writers leave it odd meanwhile.
#define FLAT_BUSY 1u // somebody writes
#define FLAT_HELD 2u // there is a session
#define FLAT_STEP 4u // added with every change, so that no two contents have one version

// The key of a session between IPv4 addresses. Others have no place here.
union flat_key {
	struct {
		__be32 a;
		__be32 b;
		__be16 a_port;
		__be16 b_port;
		__u8 vni[3];
		__u8 protocol;
	};
	__u64 word[2];
};
_Static_assert(sizeof(union flat_key) == 16, "");

// One direction. Everything but told, used_s and what a cache adds to a state is written under the
// version.
union flat_half {
	struct {
		__u32 version;
		union {
			__u32 asked; // cache: tick_ms() when the op was sent that this answers
			struct {     // flow table
				__u16 used_s; // session_now_s() when an op last asked for it
				__u16 state;  // FLAT_STATE, FLAT_DYING
			};
		};
		union flat_key key;	// the same in both halves
		struct dft_stamp stamp; // half 0: the record's; half 1: its incarnation
		__u32 policy; // half 0: the record's; half 1: the same, or of a cached record
			      // that the flow table holds the state
		__be32 host;  // IPv4; 0: the decision has ::
		__u8 host_mac[6];
		__u8 told; // cache: tick_ms() / FLAT_TOLD_MS when the host was told; 0: never
		__u8 what; // FLAT_ACTION, FLAT_FLAGS, FLAT_LIFE
		__u8 to_mac[6];
		__u8 from_mac[6];
		__u8 to_vni[3];
		__u8 reason;
	};
	__u64 word[8];
};
_Static_assert(sizeof(union flat_half) == 64, "a cache line");

#define FLAT_ACTION 0x03   // enum decision_action
#define FLAT_FLAGS_SHIFT 2 // DECISION_*
#define FLAT_FLAGS 0x0F	   // before the shift
#define FLAT_LIFE_SHIFT 6  // flow table: enum dft_life; cache: FLAT_STATEFUL
#define FLAT_STATEFUL 1	   // the flow table holds a record
#define FLAT_NEWS 2	   // a packet of this direction tells the flow table something new
#define FLAT_TOLD_MS 256

// Of a flow table's asked, whose used_s and mark change without the version.
#define FLAT_STATE 0x0FFFu     // the record's, in state
#define FLAT_DYING 0xF0000000u // session_mark() of the term in which its end was asked for
#define FLAT_DYING_SHIFT 28
#define FLAT_MARKS 15 // 1 to 15

// Marks what is dying, so that a mark which a former term left means nothing.
inlined __u32 session_mark(__u32 epoch, __u32 term)
{
	return 1 + (epoch ^ term ^ term >> 3) % FLAT_MARKS;
}
_Static_assert(!(DFT_STATE_BITS & ~FLAT_STATE), "a state fits");

struct flat_slot {
	union flat_half half[2];
};

struct flat_head {
	__u32 lock;    // not 0: a CPU changes the page. Reading needs none
	__u32 spilled; // not 0: sessions of this page are, or were, in the kernel map
	__u32 hand;    // cache: where to look next for what may be evicted
	__u32 pad;
	// Of each slot 8 bits of its key's hash, never 0; 0: the slot was never used since a CPU
	// freed it. A hint for what is not at home: the slot's version says what is true.
	union {
		__u8 tag[FLAT_SLOTS + 1];
		__u64 tags[(FLAT_SLOTS + 1) / 8];
	};
	__u8 unused[80];
};

// Pages of a table that is to have room for so many sessions.
inlined __u32 flat_pages_for(__u32 sessions)
{
	const __u64 page = 4 * (__u64)FLAT_SLOTS; // in quarters of a slot

	return ((__u64)sessions * FLAT_ROOM + page - 1) / page;
}

// Of the kernel map beside it, for what slots have no place for. It costs its buckets at once, of
// 16 bytes, and as many of them as the next power of two; the rest as sessions come.
inlined __u32 flat_beside_for(__u32 sessions)
{
	__u32 entries = 1;

	while (entries <= sessions / 2)
		entries *= 2;
	return entries;
}

union flat_page {
	struct flat_head head;
	struct flat_slot slot[FLAT_SLOTS + 1]; // [0] is the head
};
_Static_assert(sizeof(union flat_page) == FLAT_PAGE_BYTES, "map ABI");
