// SPDX-License-Identifier: Apache-2.0
#include "modules/session/ageing.h"

#include "modules/session/timeout.h"
#include "shared/flat.h"
#include "shared/key.h"
#include "shared/mapping.h"

// For how long nobody was answered about it, at least: the clock counts whole seconds. What was
// asked for after the clock was read has been used in the future: just now.
static __u32 idle_s(const struct ageing *ageing, const struct session_seen *seen, __u32 since_s)
{
	__s32 idle = ageing->narrow ? (__s16)(ageing->now_s - seen->used_s)
				    : (__s32)(ageing->now_s - seen->used_s);
	const __s32 tail = (__s32)(ageing->now_s - since_s);

	// O9: who was answered by the tail before is not known.
	if (idle > tail)
		idle = tail;
	// M7: nor by another chain's, whose replica this node may have been.
	if (ageing->moved_s && idle > (__s32)(ageing->now_s - ageing->moved_s))
		idle = (__s32)(ageing->now_s - ageing->moved_s);
	return idle > 1 ? (__u32)idle - 1 : 0;
}

static void ask(struct ageing *ageing, const struct session_seen *seen, __u32 op, __u32 chain,
		__u32 bucket, __u64 term)
{
	outbox_add(ageing->outbox,
		   &(struct outbox_entry){
			   .op = op,
			   .chain = chain,
			   .bucket = bucket,
			   .epoch = (__u32)(term >> 32),
			   .term = (__u32)term,
			   .used_s = seen->used_s,
			   .stamp = seen->record.stamp,
			   .key = seen->key,
		   },
		   0);
}

// A5: also where it has ended here: somebody behind this head may have missed that, and nobody else
// would tell.
static void verify(struct ageing *ageing, const struct session_seen *seen, __u32 chain,
		   __u32 bucket)
{
	const __u64 term = ageing->roles->head[chain];

	// What a flat table cannot have says all 32 bits.
	if (!term || (__s32)(ageing->now_s - seen->used_s) < VERIFY_S)
		return;
	ask(ageing, seen, DFT_VERIFY, chain, bucket, term);
	ageing->verifies++;
}

// One of the mappings that a session has: of who is inside, in this VPC.
static void touch(struct ageing *ageing, const struct session_seen *seen,
		  const struct in6_addr *inside, __be16 port, const __u8 vni[3], __u32 chain,
		  __u64 term)
{
	struct session_seen mapping = *seen;

	if (!outbox_room(ageing->outbox))
		return;
	mapping_key(&mapping.key, inside, port, vni, seen->key.protocol);
	ask(ageing, &mapping, DFT_TOUCH, chain, roles_bucket(&mapping.key), term);
	ageing->touches++;
}

// Once in each period, at a time of its own in it. (What was seen in the scan before was seen after
// that one began.)
static int has_turn(const struct ageing *ageing, const struct session_seen *seen, __u32 period_s)
{
	const __u32 offset = (__u32)(key_hash(&seen->key) >> 32) % period_s;

	return (ageing->now_s + offset) / period_s != (ageing->last_s + offset) / period_s;
}

static void touch_mappings(struct ageing *ageing, const struct session_seen *seen, __u32 chain,
			   __u64 term)
{
	const struct translation *t = &seen->record.translation;
	const __u8 flags = seen->record.towards[0].flags;
	const int from_b = t->flags & TRANSLATION_FROM_B;

	if (!(flags & (DECISION_MAPS_SOURCE | DECISION_MAPS_DESTINATION)) ||
	    mapping_key_is(&seen->key) || dft_state_closed(seen->record.state) ||
	    !has_turn(ageing, seen, TOUCH_S))
		return;
	if (flags & DECISION_MAPS_SOURCE)
		touch(ageing, seen, from_b ? &seen->key.b : &seen->key.a,
		      from_b ? seen->key.b_port : seen->key.a_port, seen->key.vni, chain, term);
	if (flags & DECISION_MAPS_DESTINATION)
		touch(ageing, seen, &t->destination, t->destination_port, t->vni, chain, term);
}

// Whether a moment of the table's clock was before.
static int is_over(const struct ageing *ageing, __u32 moment_s, __u32 now_s)
{
	return ageing->narrow ? (__s16)(now_s - moment_s) >= 0 : (__s32)(now_s - moment_s) >= 0;
}

// A head's record says when it was last changed. Some time after that, the tail has asked for its
// end, unless it is in use there: or it is not there. That is looked at once; and all is, from time
// to time, as what goes down may be lost again. Nobody has to remember it, and who becomes the head
// goes on in the same turn.
static int push_is_due(const struct ageing *ageing, const struct session_seen *seen)
{
	const __u32 ends_s =
		seen->used_s + session_timeout_s(&seen->key, seen->record.state) + PUSH_AFTER_S;

	// Of all it would seem so.
	if (!ageing->last_s)
		return 0;
	return (seen->record.life == DFT_LIVE && is_over(ageing, ends_s, ageing->now_s) &&
		!is_over(ageing, ends_s, ageing->last_s)) ||
	       has_turn(ageing, seen, PUSH_S);
}

// O9: a delete that names no record has the head send what it has down its path.
static void push(struct ageing *ageing, const struct session_seen *seen, __u32 chain, __u32 bucket)
{
	const __u64 term = ageing->roles->head[chain];
	struct session_seen none = *seen;

	if (!term || !push_is_due(ageing, seen))
		return;
	none.record.stamp = (struct dft_stamp){};
	ask(ageing, &none, DFT_DELETE, chain, bucket, term);
	ageing->pushes++;
}

void ageing_begin(struct ageing *ageing)
{
	ageing->last_s = ageing->scan_s;
	ageing->scan_s = ageing->now_s;
}

void ageing_look(struct ageing *ageing, const struct session_seen *seen)
{
	const __u32 bucket = roles_bucket(&seen->key);
	const __u32 chain = roles_chain(ageing->roles, bucket);
	const struct chain_role *role;
	int dying;

	if (chain == NO_CHAIN || !outbox_room(ageing->outbox))
		return;
	if (seen->record.state & DFT_ALIAS)
		verify(ageing, seen, chain, bucket);
	if (seen->record.life == DFT_LIVE && seen->record.state & DFT_ALIAS)
		return;
	role = &ageing->roles->role[chain];
	if (!role->term) {
		// A5 alone ends aliases.
		if (!(seen->record.state & DFT_ALIAS))
			push(ageing, seen, chain, bucket);
		return;
	}
	// Marked already: its end is due whether it is used or not, or was asked for.
	dying = seen->dying &&
		seen->dying == session_mark((__u32)(role->term >> 32), (__u32)role->term);
	switch (dft_age(&seen->record, dying, (__u64)idle_s(ageing, seen, role->since_s) * 1000,
			(__u64)session_timeout_s(&seen->key, seen->record.state) * 1000, REFRESH_MS,
			PACKET_LIFE_MS)) {
	case DFT_DYING:
		ask(ageing, seen, DFT_DELETE, chain, bucket, role->term);
		ageing->deletes++;
		return;
	case DFT_SUCCEEDS:
		// A learner may not have the tombstone, nor that it is collected.
		if (role->learner)
			return;
		ask(ageing, seen, DFT_COLLECT, chain, bucket, role->term);
		ageing->collects++;
		return;
	case DFT_IN_USE:
		touch_mappings(ageing, seen, chain, role->term);
		return;
	default:
		return;
	}
}
