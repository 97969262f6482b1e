/* SPDX-License-Identifier: Apache-2.0 */
// Ends what nobody uses (docs/dft.md O8 to O10, A5): of each bucket its tail, and only it, has dead
// sessions deleted and their tombstones collected. An alias has no age: its head, and only it, asks
// whether its owner is there. Of a session in use that mappings translate its tail tells them so.
// Nothing is remembered from scan to scan: what is not answered is asked for again when it is seen
// again. What was lost on its way down a chain its tail cannot end: the head, and only it, sends
// what it has down again.
#pragma once

#include "modules/chain/outbox.h"
#include "modules/chain/roles.h"
#include "modules/session/scan.h"

struct ageing {
	const struct roles *roles; // lent
	struct outbox *outbox;	   // lent
	int narrow;		   // the table keeps 16 bits of used_s
	__u32 now_s;		   // not later than when what is seen was read
	__u32 scan_s, last_s;	   // when this scan began, and the one before
	__u32 moved_s;		   // when buckets were last on their way to other chains; 0: never
	__u64 deletes, collects;   // asked for so far
	__u64 verifies;		   // aliases asked about
	__u64 touches;		   // mappings told of a session of theirs
	__u64 pushes;		   // what this head has, sent down its chain
};

// A scan begins.
void ageing_begin(struct ageing *ageing);
// Looks at one session, and asks for its end if it is time and there is room in the outbox.
void ageing_look(struct ageing *ageing, const struct session_seen *seen);
