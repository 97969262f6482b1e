/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The protocol's transitions: what a node does to its record of a key, and to an op, when the op
// arrives. Pure: no maps, no I/O, no clock, so that XDP, the daemon, a simulator and the tests run
// the same. Rules O4 to O11 and A1 to A7 of docs/dft.md; membership (who is head, who is next, who
// holds a lease) is dft/term.h's.
#pragma once

#include "dft/bugs.h"
#include "dft/record.h"
#include "shared/inlined.h"

#ifdef __clang__
#define DFT_UNROLL _Pragma("unroll")
#else
#define DFT_UNROLL _Pragma("GCC unroll 32")
#endif

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

	DFT_UNROLL
	for (i = 0; i < sizeof(*a) / sizeof(*x); i++) {
		differ |= x[i] ^ y[i];
		// Else compilers reckon all words first, on a stack that eBPF has not.
		__asm__ volatile("" : "+r"(differ));
	}
	return !differ;
}

// The stamp of a change to a record that has one: it carries the bucket's floor of the moment.
inlined struct dft_stamp dft_stamp_next(struct dft_stamp s, __u32 floor)
{
	if (s.floor < floor)
		s.floor = floor;
	s.counter++;
	return s;
}

// What the head has goes down the path. Under a risen floor it is stamped anew: a replica that has
// no record of the key drops what is below its floor (O8).
inlined enum dft_outcome dft_push_at_head(struct dft_record *mine, __u32 floor,
					  struct dft_record *op)
{
	if (mine->stamp.floor < floor && !BUGGY(NO_RESTAMP))
		mine->stamp = dft_stamp_next(mine->stamp, floor);
	*op = *mine;
	return DFT_OWN;
}

// O4. What an evaluation at the tail saw. A tombstone below the floor is as good as collected.
inlined struct dft_stamp dft_observe(const struct dft_record *mine, __u32 floor)
{
	if (mine->life == DFT_TOMBSTONE && mine->stamp.floor >= floor)
		return mine->stamp;
	return (struct dft_stamp){floor, 0};
}

// O4. At the head: *op is a live record without stamps, seen is what its evaluator observed: the
// tombstone's stamp, or the bucket's floor and counter 0 where there was no record. *floor is the
// bucket's at this head; it rises to the observed one, never falls. *mine has life DFT_ABSENT where
// the head has no record.
inlined enum dft_outcome dft_insert_at_head(struct dft_record *mine, __u32 *floor,
					    struct dft_stamp seen, struct dft_record *op)
{
	if (mine->life == DFT_LIVE)
		return dft_push_at_head(mine, *floor, op);
	if (BUGGY(NO_OBSERVATION)) {
		seen = mine->life == DFT_TOMBSTONE ? mine->stamp : (struct dft_stamp){*floor, 0};
	} else if (mine->life == DFT_TOMBSTONE) {
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

// M5. At the learner: what the tail read of its own table, for a bulk copy or to answer a hit. read
// is the tail's floor of that moment, and takes the place of the record's: the tail cannot stamp
// anew what lies under a risen floor. ENDED: the learner knows of a later floor, read again.
inlined enum dft_outcome dft_copy_read(struct dft_record *mine, __u32 *floor, __u32 read,
				       struct dft_record *op)
{
	if (mine->life == DFT_ABSENT && read < *floor)
		return DFT_ENDED;
	if (*floor < read)
		*floor = read;
	if (op->life == DFT_ABSENT)
		return DFT_SAME;
	if (BUGGY(BULK_OVERWRITES))
		mine->life = DFT_ABSENT;
	return dft_copy(mine, BUGGY(READ_BY_STAMP) ? *floor : 0, op);
}

inlined __u16 dft_state_generation(__u16 state)
{
	return state >> DFT_GENERATION_SHIFT & DFT_GENERATION_MASK;
}

// O7. Whether the conversation is over: both sides closed it, or one reset it.
inlined int dft_state_closed(__u16 state)
{
	return (state & DFT_FINS) == DFT_FINS || (state & DFT_RST);
}

// Whether the other side has answered, as far as is known: somebody said so, or both have closed.
inlined int dft_state_answered(__u16 state)
{
	return (state & DFT_ANSWERED) || (state & DFT_FINS) == DFT_FINS;
}

// O7. What is told to open a closed session again: the next generation, of which nothing is known
// but who began it.
inlined __u16 dft_state_reopened(__u16 state, int begun_by_b)
{
	__u16 next = (dft_state_generation(state) + 1) & DFT_GENERATION_MASK;

	return next << DFT_GENERATION_SHIFT | (begun_by_b ? DFT_BEGUN_BY_B : 0);
}

// O7. Of two generations the later counts, whole; within one, both are right. Half a circle apart
// neither is later: what is there stays.
inlined __u16 dft_state_merge(__u16 mine, __u16 told)
{
	__u16 ahead =
		(dft_state_generation(told) - dft_state_generation(mine)) & DFT_GENERATION_MASK;

	if (!ahead || BUGGY(ANY_GENERATION))
		return mine | told;
	return ahead <= DFT_GENERATION_MASK / 2 ? told : mine;
}

// O7. Whether what is told opens this tombstone again: its life goes on, in a later generation, and
// with the decision that whoever still knows it has. Not under a floor that has risen since: it may
// be collected elsewhere, and its alias another's.
inlined int dft_revives(const struct dft_record *mine, __u32 floor, struct dft_stamp incarnation,
			__u16 told)
{
	return mine->life == DFT_TOMBSTONE && !dft_stamp_compare(mine->incarnation, incarnation) &&
	       mine->stamp.floor >= floor &&
	       dft_state_generation(dft_state_merge(mine->state, told)) !=
		       dft_state_generation(mine->state);
}

// O7. At the head: the state seen by a forwarder is merged into the life it was seen in; and the
// later policy, where somebody says that the decision stands under it.
// Under a risen floor the record is stamped anew even where nothing is new, as by an insert that it
// wins against: a replica that lacks the key drops what is below its floor (O8).
inlined enum dft_outcome dft_update_at_head(struct dft_record *mine, __u32 floor,
					    struct dft_stamp incarnation, __u16 state, __u32 policy,
					    struct dft_record *op)
{
	enum dft_outcome outcome = DFT_SAME;
	__u16 merged = dft_state_merge(mine->state, state);

	if (mine->life != DFT_LIVE && !dft_revives(mine, floor, incarnation, state))
		return DFT_ENDED;
	// An alias' life is its owner's, which may be called as one of this key's was.
	if (mine->state & DFT_ALIAS && !BUGGY(ALIAS_UPDATED))
		return DFT_ENDED;
	if (dft_stamp_compare(mine->incarnation, incarnation) != 0 && !BUGGY(ANY_UPDATE))
		return DFT_ENDED;
	mine->life = DFT_LIVE;
	if ((__s32)(policy - mine->policy) <= 0)
		policy = mine->policy;
	if (merged != mine->state || policy != mine->policy || mine->stamp.floor < floor) {
		mine->state = merged;
		mine->policy = policy;
		mine->stamp = dft_stamp_next(mine->stamp, floor);
		outcome = DFT_STORED;
	}
	*op = *mine;
	return outcome;
}

// O8. At the head: the record with exactly this stamp becomes a tombstone. What is newer than that
// goes down instead, so that whoever asked learns it. ENDED: there is no record, it is collected.
inlined enum dft_outcome dft_delete_at_head(struct dft_record *mine, __u32 floor,
					    struct dft_stamp named, struct dft_record *op)
{
	if (mine->life == DFT_ABSENT)
		return DFT_ENDED;
	if (mine->life != DFT_LIVE || dft_stamp_compare(mine->stamp, named) != 0)
		return dft_push_at_head(mine, floor, op);
	mine->life = DFT_TOMBSTONE;
	mine->stamp = dft_stamp_next(mine->stamp, floor);
	*op = *mine;
	return DFT_STORED;
}

// O8. At the head: the tombstone with exactly this stamp, which the end of the path has, is removed
// and the bucket's floor rises above it; the floor then goes down the path with the stamp. STORED:
// done now; SAME: done before, who asked missed it; OWN: the key has something newer, in *op.
inlined enum dft_outcome dft_collect_at_head(struct dft_record *mine, __u32 *floor,
					     struct dft_stamp named, struct dft_record *op)
{
	if (mine->life == DFT_ABSENT) {
		if (*floor <= named.floor && !BUGGY(NO_FLOOR))
			*floor = named.floor + 1;
		return DFT_SAME;
	}
	if (mine->life != DFT_TOMBSTONE || dft_stamp_compare(mine->stamp, named) != 0)
		return dft_push_at_head(mine, *floor, op);
	mine->life = DFT_ABSENT;
	if (BUGGY(NO_FLOOR))
		return DFT_STORED;
	if (*floor < named.floor)
		*floor = named.floor;
	(*floor)++;
	return DFT_STORED;
}

// O8. At a replica that is not the head: the higher floor counts, and what is not newer than the
// tombstone goes. STORED: the record is to be removed; SAME: there is none; OWN: mine is newer.
inlined enum dft_outcome dft_collect(struct dft_record *mine, __u32 *floor, struct dft_stamp named,
				     __u32 to)
{
	if (*floor < to)
		*floor = to;
	if (mine->life == DFT_ABSENT)
		return DFT_SAME;
	if (dft_stamp_compare(mine->stamp, named) > 0)
		return DFT_OWN;
	mine->life = DFT_ABSENT;
	return DFT_STORED;
}

// O9, O10. What the leased tail does about a record. All times are intervals of its own monotonic
// clock in one unit, counted from the last answer that it gave for the key, or from when it became
// tail, whichever is later.
enum dft_age {
	DFT_IN_USE,   // answer for it
	DFT_DYING,    // a delete is under way: answer nothing, ask for the delete again
	DFT_LINGERS,  // a tombstone that caches may not know yet: answer nothing
	DFT_SUCCEEDS, // a tombstone that may be collected, or succeeded by a new life, once all of
		      // the path has it (M5)
};

// timeout: of a live record in this state. refresh, packet_life: R and D. What any cache says of
// the key ends 2R + D after the last answer: a forwarder's, then a host's that it told last, then
// what is on its way.
inlined enum dft_age dft_age(const struct dft_record *mine, int deleting, __u64 idle, __u64 timeout,
			     __u64 refresh, __u64 packet_life)
{
	__u64 least = 2 * refresh + packet_life;

	if (mine->life == DFT_TOMBSTONE)
		return idle >= least || BUGGY(NO_QUARANTINE) ? DFT_SUCCEEDS : DFT_LINGERS;
	return deleting || idle >= (timeout > least ? timeout : least) ? DFT_DYING : DFT_IN_USE;
}

// O10. Whether a forwarder applies an answer, and whether it still uses one: since is how long ago,
// by its own clock, it sent the op that was answered.
inlined int dft_reply_applies(__u64 since, __u64 packet_life)
{
	return since <= packet_life || BUGGY(NO_REPLY_AGE);
}

inlined int dft_cache_lives(__u64 since, __u64 refresh)
{
	return since < refresh || BUGGY(NO_CACHE_LIFE);
}

// A1. Whether an alias belongs to this life of this session.
inlined int dft_alias_owned(const struct dft_record *alias, const struct dft_alias *owner)
{
	const __u32 *x = (const void *)&alias->alias, *y = (const void *)owner;
	__u32 differ = 0;
	unsigned int i;

	if (alias->life != DFT_LIVE)
		return 0;
	DFT_UNROLL
	for (i = 0; i < sizeof(*owner) / sizeof(*x); i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

// A3. Which life an insert begins if the head accepts it: the stamp that follows what was seen.
inlined struct dft_stamp dft_promised_life(struct dft_stamp seen)
{
	seen.counter++;
	return seen;
}

// A3. Whether a life that begins at this head now is the promised one.
inlined int dft_promise_holds(const struct dft_record *mine, __u32 floor, struct dft_stamp seen)
{
	if (seen.floor < floor)
		return 0;
	if (mine->life == DFT_TOMBSTONE && mine->stamp.floor == seen.floor)
		return mine->stamp.counter == seen.counter;
	return !seen.counter;
}

// A3. As dft_insert_at_head, of a session for which an alias is reserved under the promised life:
// it is accepted as exactly that or not at all.
inlined enum dft_outcome dft_insert_promised_at_head(struct dft_record *mine, __u32 *floor,
						     struct dft_stamp seen, struct dft_record *op)
{
	if (mine->life != DFT_LIVE && !dft_promise_holds(mine, *floor, seen) &&
	    !BUGGY(ALIAS_UNPROMISED))
		return DFT_REFUSED;
	return dft_insert_at_head(mine, floor, seen, op);
}

// A7. Whether the record is an alias of the session that has this key: own is then the alias of the
// session that finds it, so that each of the two has reserved the other's key.
inlined int dft_crosses(const struct dft_record *mine, const __u8 own[40])
{
	const __u32 *x = (const void *)mine->alias.key, *y = (const void *)own;
	__u32 differ = 0;
	unsigned int i;

	DFT_UNROLL
	for (i = 0; i < sizeof(mine->alias.key) / sizeof(*x); i++)
		differ |= x[i] ^ y[i];
	return mine->life == DFT_LIVE && mine->state & DFT_ALIAS && !differ;
}

// A7. At the head, over such an alias, of the one of the two sessions that comes first: its own
// alias is reserved, so the other has not begun and never does, and its alias here is nobody's. The
// life is the promised one all the same; only its record comes after the alias'.
inlined enum dft_outcome dft_insert_crossing_at_head(struct dft_record *mine, __u32 floor,
						     struct dft_stamp seen, struct dft_record *op)
{
	const struct dft_stamp life = dft_promised_life(seen);

	if (life.floor < floor || dft_stamp_compare(mine->stamp, life) != 0)
		return dft_push_at_head(mine, floor, op);
	op->stamp = dft_stamp_next(life, floor);
	op->incarnation = life;
	op->life = DFT_LIVE;
	*mine = *op;
	return DFT_STORED;
}

// A1. At the alias' head; *op is the alias that is asked for. STORED: reserved; OWN: it was
// reserved for the same owner already; REFUSED: another session has it, or the key is a session's
// own, if only as a tombstone, of which caches may know; *op is untouched.
// It needs no observation: the session's insert that follows carries one.
inlined enum dft_outcome dft_alias_insert_at_head(struct dft_record *mine, __u32 floor,
						  struct dft_record *op)
{
	if (mine->life != DFT_ABSENT && !(mine->state & DFT_ALIAS) && !BUGGY(ALIAS_OVER))
		return DFT_REFUSED;
	if (mine->life == DFT_LIVE) {
		if (!dft_alias_owned(mine, &op->alias) && !BUGGY(ALIAS_ADOPTS))
			return DFT_REFUSED;
		return dft_push_at_head(mine, floor, op);
	}
	op->stamp = (struct dft_stamp){floor, 1};
	if (mine->life == DFT_TOMBSTONE)
		op->stamp = dft_stamp_next(mine->stamp, floor);
	// What a life of an alias is called says whose it is: its owner's.
	op->incarnation = op->alias.owner;
	op->life = DFT_LIVE;
	*mine = *op;
	return DFT_STORED;
}

// A5. At the alias' head: deleted if it belongs to this owner. OWN: it is deleted already, which
// who asked may have missed. ENDED: it is another's, or nobody's.
inlined enum dft_outcome dft_alias_delete_at_head(struct dft_record *mine, __u32 floor,
						  const struct dft_alias *owner,
						  struct dft_record *op)
{
	if (dft_alias_owned(mine, owner))
		return dft_delete_at_head(mine, floor, mine->stamp, op);
	if (mine->life == DFT_TOMBSTONE && mine->state & DFT_ALIAS)
		return dft_push_at_head(mine, floor, op);
	return DFT_ENDED;
}

// A5. At the session's head: is this life with this alias (uses: the record's decision names it)
// still there? SAME: it is, or its caches may be: keep the alias. STORED: it is not, and the floor
// has risen so that it never will be; the answer is given at the end of the path, when all have it.
inlined enum dft_outcome dft_verify_at_head(const struct dft_record *mine, __u32 *floor,
					    struct dft_stamp life, int uses)
{
	if (mine->life != DFT_ABSENT && uses && !dft_stamp_compare(mine->incarnation, life) &&
	    !(mine->life == DFT_TOMBSTONE && BUGGY(ALIAS_EARLY)))
		return DFT_SAME;
	if (*floor <= life.floor && !BUGGY(ALIAS_NO_FENCE))
		*floor = life.floor + 1;
	return DFT_STORED;
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
