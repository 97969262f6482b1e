/* SPDX-License-Identifier: Apache-2.0 */
// Reading the whole flow table of a node a little at a time, whatever implements it. Every session
// that is there from the beginning to the end of a scan is seen, one that comes or goes meanwhile
// perhaps; each is read in one piece.
#pragma once

#include "modules/session/flat_map.h"
#include "shared/session.h"

#define SCAN_BATCH 512 // sessions at a time: some tenths of a millisecond

struct session_seen {
	struct session_key key;
	struct dft_record record;
	__u32 used_s; // as the table has it; of a flat table 16 bits
	__u32 dying;  // session_mark() of the term in which its end was due; 0: of none
};

struct scan {
	int kernel, flat; // descriptors, lent while it goes on
	struct flat_map pages;
	__u32 cursor;
	int begun;		   // of the kernel map
	struct session_seen *seen; // count of them, until the next call
	__u32 count;
	struct scan_room *room;
};

// Returns 0 or -ENOMEM.
int scan_open(struct scan *scan);
void scan_close(struct scan *scan);

// Begins anew. Descriptors of the maps "sessions" and "flat_sessions"; below 0: there is none.
void scan_begin(struct scan *scan, int kernel, int flat);
// The next sessions, perhaps none. Returns 1; 0: there are no more; a negative errno: it cannot go
// on.
int scan_next(struct scan *scan);
