/* SPDX-License-Identifier: Apache-2.0 */
// The bulk copy (docs/dft.md M5): what the tail of a term has goes to the term's learner. A copy is
// one whole scan of the tail's table, begun when the term was active here; it is complete when the
// learner has confirmed every record of it. A new term begins anew: the learner may have been
// emptied.
#pragma once

#include "modules/chain/outbox.h"
#include "modules/chain/roles.h"
#include "modules/session/scan.h"
#include "shared/membership.h"

// Chains with the same learner, which is how they come when a node does, share a scan; different
// learners have their own, so that none waits for another that does not answer.
#define COPY_SCANS 4

enum copy_state {
	COPY_NONE,
	COPY_WAITS, // for the next scan for its learner
	COPY_READS, // takes part in one
	COPY_SENT,  // the scan is over
	COPY_COMPLETE,
};

struct copy {
	__u64 term; // TERM_WORD
	enum copy_state state;
	__u8 scan; // which, where it reads or has read
	__u32 unconfirmed;
};

struct copy_scan {
	__u32 learner;		 // as in struct chain_role; 0: none
	__u32 copies;		 // that read
	__u32 bucket;		 // floors come first: of which bucket next
	__u32 places;		 // how many there are of them
	__u32 at;		 // which of what the scan has seen is next ..
	__u32 order[SCAN_BATCH]; // .. of these: the lower half says where it is, the upper its
				 // chain
	__u32 on_way;		 // entries in the outbox
	struct scan scan;
};

struct copying {
	const struct roles *roles; // lent
	struct outbox *outbox;	   // lent
	int floors, kernel, flat;  // descriptors of the flow table, lent
	int transfer;		   // map "transfer", lent
	struct copy_value *told;   // map "copies", mapped
	struct copy_floors *floor; // as they were when a scan began
	__u32 active;		   // copies that are neither NONE nor COMPLETE
	struct copy copy[MAX_CHAINS];
	struct copy_scan scan[COPY_SCANS];
};

// Returns 0 or -ENOMEM. Roles and outbox are lent for good.
int copying_open(struct copying *copying, const struct roles *roles, struct outbox *outbox);
void copying_close(struct copying *copying);
// The maps are others now: "copies", "floors", "sessions", "flat_sessions", "transfer". All but the
// first are lent until the next call. Returns 0 or a negative errno.
int copying_use(struct copying *copying, int copies, int floors, int kernel, int flat,
		int transfer);

// Follows the roles, when they were read anew.
void copying_follow(struct copying *copying);
// Puts some more into the outbox. Returns in how many milliseconds it wants to be called again.
int copying_step(struct copying *copying);
// What became of a copy: for outbox_settle().
void copying_told(struct copying *copying, const struct outbox_entry *entry, __u8 owner,
		  int confirmed);
