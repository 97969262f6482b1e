/* SPDX-License-Identifier: Apache-2.0 */
// What every node should have: the stored objects, compiled once to the messages of api/node.proto,
// and who gets which of them: those for a member alone (settings, local ports), its cluster's
// entrances (a host's: its clusters'), what its cluster's gateway nodes share, what its cluster's
// flow table nodes share.
//
// Not thread-safe: one thread owns it.
#pragma once

#include "controller/ledger.h"

struct desired;
struct store;

// Compiles all that is stored. The caller owns *out; the store outlives it.
// Returns 0, -ENOMEM, or what the store returned.
int desired_new(struct desired **out, struct store *store);
void desired_freep(struct desired **desired);

// Catches up with the store. Returns 0, -ENOMEM, or what the store returned; after an error the
// rest comes with the next call.
int desired_update(struct desired *desired);
// The store's revision that this is.
uint64_t desired_revision(const struct desired *desired);

// What the node or host of this name gets; valid as long as the desired state is.
// Returns 0; -ENOENT: there is none; -ENOMEM.
int desired_membership(struct desired *desired, const char *name, struct membership *out);

// See membership_snapshot() and membership_delta(): up to this revision.
int desired_snapshot(const struct desired *desired, const struct membership *membership,
		     size_t most, struct update **out);
int desired_delta(const struct desired *desired, const struct membership *membership,
		  uint64_t since, size_t most, struct update **out);

// Promises that no delta since an older revision will be asked for.
void desired_forget(struct desired *desired, uint64_t revision);
