/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Moving a bucket from one chain to another: rule M7 of docs/dft.md. What a node of either chain
// knows of the bucket, and what follows from it. Pure, like dft/core.h.
#pragma once

#include "dft/core.h"
#include "dft/term.h"

// A node's knowledge of one bucket. It goes down a path with the bucket's floor, and to a learner
// with what is copied; it only grows.
struct dft_bucket {
	__u32 move;	       // number of its last move: a later one has a higher; 0: none
	__u32 fenced;	       // the old chain: nothing is answered, accepted or aged any more
	__u32 guest;	       // the new chain: it comes from elsewhere
	struct dft_term owned; // the new chain: the old one's term under which all of its live list
			       // was fenced; epoch 0: the old chain still owns it
	__u32 complete;	       // the new chain: every key was asked for
	__u32 base;	       // the new chain: what it stamps is not below this floor
};

inlined void dft_bucket_learn(struct dft_bucket *mine, const struct dft_bucket *told)
{
	if (told->move != mine->move) {
		if (told->move > mine->move)
			*mine = *told;
		return;
	}
	mine->fenced |= told->fenced;
	mine->guest |= told->guest;
	mine->complete |= told->complete;
	if (dft_term_compare(told->owned, mine->owned) > 0)
		mine->owned = told->owned;
	if (mine->base < told->base)
		mine->base = told->base;
}

// What the new chain begins with, by the old one's report: the term in which all of its list was
// fenced, and its floor, which has not risen since.
inlined struct dft_bucket dft_bucket_owned(__u32 move, struct dft_term owned, __u32 old_floor)
{
	return (struct dft_bucket){.move = move, .guest = 1, .owned = owned, .base = old_floor + 1};
}

// Whether a record of the bucket was left here by an earlier move, or by another chain that the
// node is or was in. It is as good as none: all that counts is stamped anew.
inlined int dft_bucket_left(const struct dft_bucket *mine, const struct dft_record *record)
{
	return mine->guest && record->life != DFT_ABSENT && record->stamp.floor < mine->base &&
	       !BUGGY(MOVE_KEEPS);
}

// Whether this chain answers and accepts for the bucket; else the other one does.
inlined int dft_bucket_serves(const struct dft_bucket *mine)
{
	return !mine->fenced && (!mine->guest || mine->owned.epoch);
}

// Whether a key that the new chain does not know must be asked for before anybody decides about it.
// asked: the old head has answered already that there is nothing; as it is fenced, that stays so.
inlined int dft_bucket_must_ask(const struct dft_bucket *mine, const struct dft_record *record,
				int asked)
{
	return mine->guest && !mine->complete && record->life == DFT_ABSENT && !asked &&
	       !BUGGY(MOVE_NO_ASK);
}

// Whether a node of the old chain may say what it has. The fence was completed under the term that
// is named: who is head under an older one was replaced before, and may lack what came after.
inlined int dft_bucket_answers(const struct dft_bucket *mine, const struct dft_member *m,
			       struct dft_term owned)
{
	if (BUGGY(MOVE_ANY_ANSWERS))
		return 1;
	return mine->fenced && dft_is_head(m) &&
	       (dft_term_compare(m->active.term, owned) >= 0 || BUGGY(MOVE_FORMER_HEAD));
}

// At the new head: what the old one had. The new head may stamp it anew, and does under its own
// floor. OWN: goes down the path; ENDED: the key is known here already, or was.
inlined enum dft_outcome dft_adopt_at_head(struct dft_record *mine, const struct dft_bucket *bucket,
					   __u32 *floor, __u32 old_floor, struct dft_record *op)
{
	if (bucket->complete || mine->life != DFT_ABSENT)
		return DFT_ENDED;
	if (*floor < old_floor)
		*floor = old_floor;
	if (op->life == DFT_ABSENT)
		return DFT_SAME;
	*mine = *op;
	return dft_push_at_head(mine, *floor, op);
}

// Whether tombstones may be collected: before the copy is complete they are how the new chain knows
// that it need not ask, or the old chain's record would come back.
inlined int dft_bucket_collects(const struct dft_bucket *mine)
{
	return !mine->guest || mine->complete || BUGGY(MOVE_COLLECTS);
}
