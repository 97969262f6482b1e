/* SPDX-License-Identifier: Apache-2.0 */
// What every node should have: the stored objects, compiled once to the messages of api/node.proto,
// and who gets which of them.
//
// A message belongs to one group, and a member (a node or a host) gets the messages of up to
// MEMBER_GROUPS groups: those for itself alone (settings, local ports), its cluster's entrances,
// what its cluster's gateway nodes share, what its cluster's flow table nodes share. A group keeps
// its messages in the order of their last change, so that what changed since a revision is its
// tail: a delta costs what changed, not what there is.
//
// Not thread-safe: one thread owns it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct desired;
struct group;
struct store;

#define MEMBER_GROUPS 4

// What one member gets. Equal ones (memcmp) mean the same. Valid as long as the desired state is.
struct membership {
	const struct group *group[MEMBER_GROUPS]; // the rest is NULL
};

// Compiles all that is stored. The caller owns *out; the store outlives it.
// Returns 0, -ENOMEM, or what the store returned.
int desired_new(struct desired **out, struct store *store);
void desired_freep(struct desired **desired);

// Catches up with the store. Returns 0, -ENOMEM, or what the store returned; after an error, what
// is missing comes with the next call.
int desired_update(struct desired *desired);
// The store's revision that this is.
uint64_t desired_revision(const struct desired *desired);

// What the node or host of this name gets. Returns false where there is none.
bool desired_membership(struct desired *desired, const char *name, struct membership *out);

// One encoded zeta.node.v1.Update, and those that follow it because one message cannot hold all.
struct update {
	struct update *next;
	size_t size;
	uint8_t bytes[];
};

// Updates of up to most bytes each (more only where one object alone has more), in the order in
// which to send them; the caller frees them. NULL membership: an empty snapshot.
// Returns 0 or -ENOMEM.
int desired_snapshot(struct desired *desired, const struct membership *membership, size_t most,
		     struct update **out);
// What changed after the revision. *out is NULL where that is nothing.
int desired_delta(struct desired *desired, const struct membership *membership, uint64_t since,
		  size_t most, struct update **out);
// Frees the whole list and leaves NULL.
void updates_freep(struct update **updates);

// Promises that no delta since an older revision will be asked for: removals up to it are
// forgotten.
void desired_forget(struct desired *desired, uint64_t revision);
