/* SPDX-License-Identifier: Apache-2.0 */
// Counting the large tables a little at a time, so that the loader goes on answering: sessions and
// their digest, cached sessions, direct paths. A round begins at most once a second, and rests nine
// times as long as it took: counting costs at most a tenth of a core.
#pragma once

#include "modules/session/scan.h"
#include "node/datapath.h"

// Who else wants to look at each session that is counted; NULL: this round has seen all.
typedef void survey_look(void *context, const struct session_seen *seen);

struct survey {
	const struct datapath *datapath; // lent
	survey_look *look;
	void *context;
	int round;	      // a place in the order of tables; -1: resting
	struct scan scan;     // of the flow table
	struct flat_map flat; // of a cache, while it is counted
	__u32 cursor;
	int begun; // of this table
	__u64 started_ms, next_ms;
	__u64 counting, digesting; // so far, of this table
	__u64 sessions, digest, cached, cached_so_far;
	void *room; // for one batch
};

// Returns 0 or -ENOMEM. The datapath is lent for good.
int survey_open(struct survey *survey, const struct datapath *datapath, survey_look *look,
		void *context);
void survey_close(struct survey *survey);
// Counts for some milliseconds if it is time; at most sessions are looked at. Returns in how many
// milliseconds it wants to be called again.
int survey_step(struct survey *survey, __u32 sessions);
