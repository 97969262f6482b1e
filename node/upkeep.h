/* SPDX-License-Identifier: Apache-2.0 */
// What a node does by itself, whatever the agent asks: it counts what it has and, as a tail, ends
// sessions that nobody uses and copies the others to learners, and as a head hands buckets over.
// All in steps of some milliseconds, between which the loader answers.
#pragma once

#include "lib/spare.h"
#include "modules/chain/outbox.h"
#include "modules/chain/roles.h"
#include "modules/limits/recount.h"
#include "modules/session/ageing.h"
#include "modules/session/copying.h"
#include "modules/session/moving.h"
#include "node/datapath.h"
#include "node/survey.h"

struct upkeep {
	const struct datapath *datapath; // lent
	struct survey survey;
	struct roles roles;
	struct outbox outbox;
	struct ageing ageing;
	struct copying copying;
	struct moving moving;
	struct recount recount;
	struct spare spare;
	__u32 loads_seen; // of the datapath
	__u64 roles_ms;	  // when they are read again
	int error;	  // that sending met last; said once
};

// Returns 0 or -ENOMEM. The datapath is lent for good.
int upkeep_open(struct upkeep *upkeep, const struct datapath *datapath);
void upkeep_close(struct upkeep *upkeep);
// Goes on. Returns in how many milliseconds it wants to be called again.
int upkeep_step(struct upkeep *upkeep);
