/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: ops without a packet that this node's loader has the kernel send, each under one term.
//
// Map "outbox": array of MAX_OUTBOX. The loader fills an entry and sets its state last; the program
// "emit", which the loader runs once for each frame, takes them in turn: entry (next % MAX_OUTBOX).
// Records that are copied go several in a frame, all of one chain and term. Who
// confirms one finds the entry by its serial.
#pragma once

#include "shared/inlined.h"
#include "shared/limits.h"
#include "shared/session.h"

enum outbox_state {
	OUTBOX_FREE = 0,
	OUTBOX_TO_SEND = 1,
	OUTBOX_SENT = 2,
	OUTBOX_CONFIRMED = 3, // whom it was for has it (set by the kernel, of what was sent)
};

struct outbox_entry {
	__u32 state;
	__u32 serial; // of the loader's choice, but serial % MAX_OUTBOX is this entry's index, and
		      // no two uses of an entry have the same one
	__u32 op; // DFT_DELETE, DFT_COLLECT, DFT_COPY, DFT_FENCE, DFT_TOLD, DFT_WHOLE, DFT_VERIFY,
		  // DFT_TOUCH (of it chain and term are the session's)
	__u32 chain;
	__u32 bucket;
	__u32 epoch; // of the term it is sent under
	__u32 term;
	union {
		__u32 used_s;	// delete: the record's, as the loader read it
		__u32 together; // copy of a record: entries, from this one on, of one frame
	};
	struct dft_stamp stamp; // delete, collect: which record, or tombstone; delete of none: 0
	struct session_key key; // all 0 for what is of the bucket alone
};
_Static_assert(sizeof(struct outbox_entry) == 80, "map ABI: no padding");

// Whether two entries are of records that may be copied in one frame.
inlined int outbox_goes_with(const struct outbox_entry *e, const struct outbox_entry *first)
{
	return e->op == DFT_COPY && first->op == DFT_COPY && e->key.protocol &&
	       first->key.protocol && e->chain == first->chain && e->epoch == first->epoch &&
	       e->term == first->term;
}

// Whether it names no record: then the head sends what it has down its path (docs/dft.md O9).
inlined int outbox_pushes(const struct outbox_entry *e)
{
	return e->op == DFT_DELETE && !e->stamp.counter;
}

// How many go: a frame is no longer than one with a tenant's largest packet, which the cluster's
// network has to carry in any case.
inlined __u32 outbox_together(__u32 tenant_mtu)
{
	const __u32 least = sizeof(struct dft_bulk) + sizeof(struct dft_item);
	const __u32 more = tenant_mtu > least ? (tenant_mtu - least) / sizeof(struct dft_item) : 0;

	return more < DFT_BULK_MOST ? more + 1 : DFT_BULK_MOST;
}

// Whether somebody confirms such an op.
inlined int outbox_confirms(__u32 op)
{
	return op == DFT_COPY || (op >= DFT_FENCE && op != DFT_VERIFY);
}

// Map "outbox_next": array of one.
struct outbox_place {
	__u32 next;  // serial of the entry that is sent next
	__u32 now_s; // the kernel's clock for sessions (session_now_s) when "emit" ran last
};
