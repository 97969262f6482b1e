/* SPDX-License-Identifier: Apache-2.0 */
// A replica begins empty (docs/dft.md M5): the loader removes what a node holds of a chain, a few
// records at a time, whatever implements the table. So it does with a VPC that went to another
// cluster (M8).
#pragma once

#include <pthread.h>

#include "modules/session/flat_map.h"
#include "node/datapath.h"

enum wipe_state { WIPE_NONE, WIPE_ASKED, WIPE_RUNNING, WIPE_DONE };

struct wipe {
	const struct datapath *datapath; // lent
	__u8 state[MAX_CHAINS];		 // enum wipe_state
	__u32 floor[MAX_CHAINS];
	int running;  // for all chains that are WIPE_RUNNING
	int settling; // the thread was started, and not joined yet
	int settled;  // what it says
	pthread_t thread;
	int asked; // some chain is WIPE_ASKED
	int read;  // the buckets
	int begun, flat_begun;
	__u64 removed; // records, by this scan
	__u32 cursor;
	struct flat_map flat;
	struct wipe_room *room;

	// M8: the VPC that went to another cluster.
	struct transfer transfer;
	enum wipe_state gone;
	__u32 swept; // number of the last such transfer of which nothing is left
};

// Returns 0 or -ENOMEM.
int wipe_open(struct wipe *wipe, const struct datapath *datapath);
void wipe_close(struct wipe *wipe);

// The chain shall have no records here, and its buckets this floor. The caller has fenced it
// before: nothing is stored in it any more by then. Returns -EINPROGRESS: ask again; 0: it has
// none, as of a moment after it was first asked. Then the question is over, and the next one begins
// anew.
int wipe_chain(struct wipe *wipe, __u32 chain, __u32 floor);
// Goes on for about a millisecond. Returns in how many milliseconds there is more to do; 1,000
// where there is nothing.
int wipe_step(struct wipe *wipe);
