/* SPDX-License-Identifier: Apache-2.0 */
// Messages by audience, in order of their last change.
//
// A message belongs to one group, and a member (a node or a host) gets the messages of up to
// MEMBER_GROUPS groups. A group keeps its messages in the order of their last change, so that what
// changed since a revision is its tail: a delta costs what changed, not what there is. A removed
// message leaves its key behind until nobody needs to be told.
//
// Not thread-safe: one thread owns it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node.pb-c.h"
#include "shared/limits.h"

struct ledger;
struct group; // lent by the ledger, as long as it lives
struct item;

// What is its own, and a host's the entrances of its clusters and what its uplinks announce.
#define MEMBER_GROUPS (1 + MAX_HOST_CLUSTERS + MAX_HOST_UPLINKS)

// The caller owns *out. Returns 0 or -ENOMEM.
int ledger_new(struct ledger **out);
// Owners have nothing any more by then.
void ledger_freep(struct ledger **ledger);

// Of the changes that follow; never falls.
void ledger_set_revision(struct ledger *ledger, uint64_t revision);
// The group of this name, empty where it is new. NULL: no memory.
struct group *ledger_group(struct ledger *ledger, const char *kind, const char *id);
// Promises that no delta since an older revision will be asked for.
void ledger_forget(struct ledger *ledger, uint64_t revision);

// What some messages were made of. Zeroed is empty.
struct owner {
	struct item *items;
};

// An owner's messages are set between these two: those not put anew are removed at the end, and
// those that are as they were did not change. One owner at a time.
void owner_begin(struct ledger *ledger);
void owner_end(struct ledger *ledger, struct owner *owner);
// kind: field number in Object. No two owners put the same kind and id into one group.
// Returns 0 or -ENOMEM, also for a group that is NULL.
int owner_put(struct ledger *ledger, struct owner *owner, struct group *group, uint32_t kind,
	      const char *id, Zeta__Node__V1__Object *message);

// What one member gets. Equal ones (memcmp) mean the same.
struct membership {
	const struct group *group[MEMBER_GROUPS]; // the rest is NULL
};

// One encoded zeta.node.v1.Update, and those that follow it because one message cannot hold all.
struct update {
	struct update *next;
	size_t size;
	uint8_t bytes[];
};

// Updates of up to most bytes each (more only where one object alone has more), in the order in
// which to send them, that say this revision; the caller frees them. NULL membership: an empty
// snapshot. Returns 0 or -ENOMEM.
int membership_snapshot(const struct membership *membership, uint64_t revision, size_t most,
			struct update **out);
// What changed after since. *out is NULL where that is nothing.
int membership_delta(const struct membership *membership, uint64_t since, uint64_t revision,
		     size_t most, struct update **out);
// Frees the whole list and leaves NULL.
void updates_freep(struct update **updates);
