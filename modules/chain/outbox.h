/* SPDX-License-Identifier: Apache-2.0 */
// Ops without a packet, as the loader has them sent (shared/outbox.h): put in here, then the kernel
// is told to send what is there, as fast as it should be and not faster.
#pragma once

#include <linux/types.h>

#include "shared/outbox.h"

struct outbox {
	struct outbox_entry *entry; // mapped
	struct outbox_place *place; // mapped
	int program;		    // lent
	__u32 together;		    // records that are copied in one frame
	__u32 first, next;	    // serials: entries first to next - 1 are in use
	__u32 per_ms;		    // so many are sent: OUTBOX_PER_MS, or the owner's choice
	__u64 allowance;	    // how many may be sent now
	__u64 allowed_ms;	    // since when it has not grown
	__u64 sent_ms[MAX_OUTBOX];
	__u8 owner[MAX_OUTBOX]; // of what is told of, its sender's business
};

// What became of what somebody confirms (a copy, and what is said of a bucket that moves):
// confirmed, or lost, for all that is known. Whoever is told may add it
// again at once: there is room then.
typedef void outbox_told(void *context, const struct outbox_entry *entry, __u8 owner,
			 int confirmed);

// Maps both maps and takes over what is in them: nothing of it counts any more. The descriptors may
// be closed then, but the program's is lent. tenant_mtu: the cluster's. Returns 0; -EINVAL: they
// are other maps; mmap's error.
int outbox_open(struct outbox *outbox, int map, int place, int program, __u32 tenant_mtu);
void outbox_close(struct outbox *outbox);
int outbox_is_open(const struct outbox *outbox);

// How many may be added now.
__u32 outbox_room(const struct outbox *outbox);
// Adds one; its state and serial are filled in. There must be room.
void outbox_add(struct outbox *outbox, const struct outbox_entry *entry, __u8 owner);
// Has the kernel send some, which takes less than a millisecond. Returns 0 or a negative errno.
int outbox_send(struct outbox *outbox);
// Whether there is more that may be sent now.
int outbox_ready(const struct outbox *outbox);
// Whether all that was added has been sent.
int outbox_idle(const struct outbox *outbox);
// Goes through what was sent; tells of all that somebody confirms once that is so, or it is
// unanswered for RESEND_MS. Void is what nobody answers: asked for again no faster than that.
void outbox_settle(struct outbox *outbox, outbox_told *told, void *context);
// The kernel's clock for sessions, in seconds; it may be a little behind. Returns 0 or a negative
// errno.
int outbox_clock(const struct outbox *outbox, __u32 *now_s);
