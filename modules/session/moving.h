/* SPDX-License-Identifier: Apache-2.0 */
// Hands buckets over (docs/dft.md M7), and what a VPC that goes to another cluster has of them
// (M8): the old chain's head has its chain fenced, then tells the new chain every record of them,
// then that it has all. Some buckets at a time, each step of which is asked for again until it is
// confirmed; a new term begins anew, as what was done is done again without harm.
#pragma once

#include "modules/chain/outbox.h"
#include "modules/chain/roles.h"
#include "modules/session/scan.h"
#include "shared/move.h"

// Buckets that are handed over together: one scan of the table serves all of them.
#define MOVE_AT_ONCE 16384

enum move_phase {
	MOVE_NOTHING,	 // not this node's to hand over
	MOVE_WANTED,	 // in a later round
	MOVE_FENCE_DUE,	 // to be sent
	MOVE_FENCE_SENT, // and not confirmed
	MOVE_READ,	 // the scan looks for its records
	MOVE_WHOLE_DUE,
	MOVE_WHOLE_SENT,
	MOVE_DONE,
};

enum move_stage { MOVE_IDLE, MOVE_FENCES, MOVE_WAITS, MOVE_READS, MOVE_WHOLES };

struct moving {
	const struct roles *roles;    // lent
	struct outbox *outbox;	      // lent
	int kernel, flat;	      // descriptors of the flow table, lent
	struct departure_value *told; // map "departures", mapped
	struct moving_room *room;     // what of each bucket is known
	enum move_stage stage;	      // of the round
	__u8 number;		      // of the round: what an earlier one sent is not its own
	int wanted;		      // perhaps some are in a later round
	__u32 round;		      // its buckets
	__u32 due;		      // of them, what this stage still waits for
	__u32 flight;		      // of what was said of them, not confirmed
	__u32 on_way;		      // records that are not confirmed
	__u64 since_ms;		      // of the stage
	__u64 follow_ms;	      // when the view is looked at again
	int followed;		      // since the maps are these
	__u32 move;		      // number of the view's last move
	int under_way;		      // that is
	__u32 at;		      // which of what the scan has seen is next
	struct scan scan;
};

// Returns 0 or -ENOMEM. Roles and outbox are lent for good.
int moving_open(struct moving *moving, const struct roles *roles, struct outbox *outbox);
void moving_close(struct moving *moving);
// The maps are others now: "departures", "sessions", "flat_sessions". All but the first are lent
// until the next call. Returns 0 or a negative errno.
int moving_use(struct moving *moving, int departures, int kernel, int flat);

// Follows the roles, when they were read anew, and now and then the view and the map "transfer".
void moving_follow(struct moving *moving, int transfer);
// Puts some more into the outbox. Returns in how many milliseconds it wants to be called again.
int moving_step(struct moving *moving);
// What became of a fence, a record told or a whole: for outbox_settle().
void moving_told(struct moving *moving, const struct outbox_entry *entry, __u8 owner,
		 int confirmed);
