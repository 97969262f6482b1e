/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Moving a bucket from one chain to another: rule M7 of docs/dft.md. What a node of either chain
// knows of the bucket, and what follows from it. Pure, like dft/core.h.
#pragma once

#include "dft/core.h"
#include "dft/term.h"

// A node's knowledge of one bucket. It goes down a path with the bucket's floor, and to a learner
// with what is copied; it only grows.
struct dft_bucket {
	__u32 fenced;	       // the old chain: nothing is answered, accepted or aged any more
	__u32 guest;	       // the new chain: it comes from elsewhere
	struct dft_term owned; // the new chain: the old one's term under which all of its live list
			       // was fenced; epoch 0: the old chain still owns it
	__u32 complete;	       // the new chain: every key was asked for
};

inlined void dft_bucket_learn(struct dft_bucket *mine, const struct dft_bucket *told)
{
	mine->fenced |= told->fenced;
	mine->guest |= told->guest;
	mine->complete |= told->complete;
	if (dft_term_compare(told->owned, mine->owned) > 0)
		mine->owned = told->owned;
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
