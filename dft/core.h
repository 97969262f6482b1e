/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The protocol's transitions: what a node does to its record of a key, and to an op, when the op
// arrives. Pure: no maps, no I/O, no clock, so that XDP, the daemon, a simulator and the tests run
// the same. Rules O1 to O7 of docs/dft.md; membership (who is head, who is next) is the caller's.
#pragma once

#include "dft/record.h"
#include "shared/inlined.h"

// What became of the op. In each case *op is then what goes on.
enum dft_outcome {
	DFT_STORED,   // *mine was changed to what *op now says: pass it on
	DFT_SAME,     // *mine already says it: pass it on
	DFT_OWN,      // *mine is newer, and is now in *op: pass it on
	DFT_REFUSED,  // not under what was observed: the packet is to be looked up again
	DFT_ENDED,    // about another life of the key, or a key that is gone: no-op
	DFT_CONFLICT, // equal stamps, different content: a bug somewhere (O5)
};

// -1, 0, 1: a is older than, as old as, newer than b.
inlined int dft_stamp_compare(struct dft_stamp a, struct dft_stamp b)
{
	if (a.floor != b.floor)
		return a.floor < b.floor ? -1 : 1;
	return a.counter == b.counter ? 0 : a.counter < b.counter ? -1 : 1;
}

// Whether two records say the same. All of a record is meaning, there is no padding.
inlined int dft_record_equal(const struct dft_record *a, const struct dft_record *b)
{
	const __u32 *x = (const void *)a, *y = (const void *)b;
	__u32 differ = 0;
	unsigned int i;

#ifdef __clang__ // which alone knows this pragma, and alone compiles for BPF
#pragma unroll
#endif
	for (i = 0; i < sizeof(*a) / sizeof(*x); i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

// O4. At the head: *op is a live record without stamps, seen is what its evaluator observed: the
// tombstone's stamp, or the bucket's floor and counter 0 where there was no record. *floor is the
// bucket's at this head; it rises to the observed one, never falls. *mine has life DFT_ABSENT where
// the head has no record.
inlined enum dft_outcome dft_insert_at_head(struct dft_record *mine, __u32 *floor,
					    struct dft_stamp seen, struct dft_record *op)
{
	if (mine->life == DFT_LIVE) {
		// It wins. Under a risen floor it is stamped anew: a replica that has no record of
		// the key drops what is below its floor (O8).
		if (mine->stamp.floor < *floor) {
			mine->stamp.floor = *floor;
			mine->stamp.counter++;
		}
		*op = *mine;
		return DFT_OWN;
	}
	if (mine->life == DFT_TOMBSTONE) {
		if (dft_stamp_compare(seen, mine->stamp) != 0 && seen.floor <= mine->stamp.floor)
			return DFT_REFUSED;
	} else if (seen.floor < *floor) {
		return DFT_REFUSED;
	}
	if (*floor < seen.floor)
		*floor = seen.floor;
	op->stamp.floor = *floor;
	op->stamp.counter = 1;
	if (mine->life == DFT_TOMBSTONE && mine->stamp.floor == *floor)
		op->stamp.counter = mine->stamp.counter + 1;
	op->incarnation = op->stamp;
	op->life = DFT_LIVE;
	*mine = *op;
	return DFT_STORED;
}

// O5. At a replica that is not the head. A key that it does not have is taken only at or above the
// bucket's floor; of one that it has, only the stamps count.
inlined enum dft_outcome dft_copy(struct dft_record *mine, __u32 floor, struct dft_record *op)
{
	int newer;

	if (mine->life == DFT_ABSENT) {
		if (op->stamp.floor < floor)
			return DFT_ENDED;
		*mine = *op;
		return DFT_STORED;
	}
	newer = dft_stamp_compare(op->stamp, mine->stamp);
	if (newer > 0) {
		*mine = *op;
		return DFT_STORED;
	}
	if (newer < 0) {
		*op = *mine;
		return DFT_OWN;
	}
	return dft_record_equal(op, mine) ? DFT_SAME : DFT_CONFLICT;
}

// O7. At the head: bits of state seen by a forwarder are merged into the life they were seen in.
// Under a risen floor the record is stamped anew even where nothing is new, as by an insert that it
// wins against: a replica that lacks the key drops what is below its floor (O8).
inlined enum dft_outcome dft_update_at_head(struct dft_record *mine, __u32 floor,
					    struct dft_stamp incarnation, __u16 state,
					    struct dft_record *op)
{
	enum dft_outcome outcome = DFT_SAME;

	if (mine->life != DFT_LIVE || dft_stamp_compare(mine->incarnation, incarnation) != 0)
		return DFT_ENDED;
	if ((mine->state | state) != mine->state || mine->stamp.floor < floor) {
		mine->state |= state;
		if (mine->stamp.floor < floor)
			mine->stamp.floor = floor;
		mine->stamp.counter++;
		outcome = DFT_STORED;
	}
	*op = *mine;
	return outcome;
}

// O2. Where this node stands in a term's path (the live list, then the learner): its place, or -1.
// length is how many there are.
inlined int dft_place(const __u32 *path, __u32 length, __u32 most, __u32 node)
{
	int place = -1;
	__u32 i;

	for (i = 0; i < most; i++)
		if (i < length && path[i] == node)
			place = i;
	return place;
}
