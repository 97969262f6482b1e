/* SPDX-License-Identifier: Apache-2.0 */
// This node's membership in every chain: what dft/term.h says of one chain, carried out for all of
// them. Pure but for what the caller lends: where to write, whom to send to, and what the kernel
// knows (shared/membership.h).
//
// The order of every step is what makes votes safe, and it is in one place, settle() of members.c:
// what this node promised or accepted is first kept (it may be killed any moment), then in the
// fence, where the kernel's programs see it; then the kernel is told of a new term; only then
// anybody hears of it. What the kernel granted is read after the fence was written: a program that
// grants writes the grant before it looks at the fence again, so either it sees the promise, or we
// see the grant.
#pragma once

#include <stddef.h>

#include "modules/chain/wish.h"
#include "modules/term/message.h"
#include "shared/membership.h"
#include "shared/move.h"
#include "shared/view.h"

// What changes in the kernel and in the registers; NULL: that does not.
struct membership_change {
	const struct register_value *kept;
	const struct fence_value *fence;
	const struct chain_value *chain;
};

struct members_host {
	// Writes what is given, in the order of the struct's members, and returns when it is there.
	// 0 or a negative errno: then it may be there or not.
	int (*write)(void *context, __u32 chain, const struct membership_change *change);
	// Removes the records of a chain; its buckets' floors are this one then. Returns 0: it is
	// done; -EINPROGRESS: ask again.
	int (*wipe)(void *context, __u32 chain, __u32 floor);
	// A datagram; it may be lost.
	void (*send)(void *context, __u32 node, const void *bytes, size_t size);
	// CLOCK_BOOTTIME, as in the arrays.
	__u64 (*now)(void *context);
	void *context;

	// Lent, and changing by themselves.
	const struct peer_value *peers;
	const struct grant_value *grants;
	const struct lease_value *leases;
	const struct copy_value *copies;
	const struct departure_value *departures;
};

struct members;

// self: this node in this life. beat_ms 0: no heartbeats, and so no ballots: a chain stays in the
// term that it was founded with. NULL: no memory.
struct members *members_new(const struct members_host *host, struct dft_name self, __u32 beat_ms,
			    __u32 cluster);
void members_free(struct members *members);

// What a former daemon of this life left, before anything else; both as they were in the arrays.
// Another life's is left alone.
void members_restore(struct members *members, __u32 chain, const struct register_value *kept,
		     const struct fence_value *fence);

// The chain goes on as it was, until the controller is heard.
void members_resume(struct members *members, __u32 chain);

// What the controller says: a chain; that there is none of this number; a node of the cluster, or
// none of this index.
void members_wish(struct members *members, __u32 chain, const struct chain_wish *wish);
void members_forget(struct members *members, __u32 chain);
void members_node(struct members *members, __u32 node, int there);

// A datagram that came from that node.
void members_take(struct members *members, __u32 node, const void *bytes, size_t size);
// To be called every members_pace() nanoseconds.
void members_tick(struct members *members);
// A few times per heartbeat where this node has a part in some chain; else a few times a second.
__u64 members_pace(const struct members *members);

// For reports.
struct member_state {
	__u32 chain;
	struct dft_configuration active;
	struct dft_voters voters; // in force
	int acts;		  // it is in the path, and has promised no higher term
	int leased;		  // and holds its lease
	__u64 copied, to_copy;
	__u32 move, to_move; // of the head, as in struct departure_value
};

// Of the chains of which it is a voter or a replica; at most most of them. Returns how many.
size_t members_states(const struct members *members, struct member_state *out, size_t most);
// Number of the last move of buckets that is over, when nothing is left here of any chain in whose
// path this node is not; else 0.
__u32 members_cleared(const struct members *members);
// Whether some chain that this node has a part in is shared with that node.
int members_share(const struct members *members, __u32 node);
