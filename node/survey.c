// SPDX-License-Identifier: Apache-2.0
// Batched lookups. A table may change while it is read: what a round counts is near the truth, and
// right when nothing changes.
#include "node/survey.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "modules/session/session.h"
#include "shared/edge.h"

#define BATCH 1024
#define KEY_ROOM 40 // of the largest key
#define REST_MS 1000
#define REST_TIMES 9

struct room {
	__u8 keys[BATCH * KEY_ROOM];
	union {
		struct session_value sessions[BATCH];
		struct cache_value cached[BATCH];
		struct direct_value direct[BATCH];
	};
};
_Static_assert(sizeof(struct session_key) == KEY_ROOM && sizeof(struct direct_key) == KEY_ROOM, "");

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000 + (__u64)now.tv_nsec / 1000000;
}

int survey_open(struct survey *survey, const struct datapath *datapath)
{
	*survey = (struct survey){.datapath = datapath, .round = -1};
	survey->room = malloc(sizeof(struct room));
	return survey->room ? 0 : -ENOMEM;
}

void survey_close(struct survey *survey)
{
	free(survey->room);
}

// Ends the table: what it had is the result, and the next one follows.
static void next_table(struct survey *survey)
{
	if (survey->round == MAP_SESSIONS) {
		survey->sessions = survey->counting;
		survey->digest = survey->digesting;
	} else {
		survey->cached_so_far += survey->counting;
	}
	survey->counting = survey->digesting = 0;
	survey->begun = 0;
	if (survey->round != MAP_DIRECT) {
		survey->round = survey->round == MAP_SESSIONS ? MAP_CACHE : MAP_DIRECT;
		return;
	}
	survey->cached = survey->cached_so_far;
	survey->cached_so_far = 0;
	survey->round = -1;
	survey->next_ms = now_ms() + (now_ms() - survey->started_ms) * REST_TIMES;
	if (survey->next_ms < survey->started_ms + REST_MS)
		survey->next_ms = survey->started_ms + REST_MS;
}

static void count_batch(struct survey *survey, int map)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct room *room = survey->room;
	__u32 count = BATCH, i;
	int err;

	// Under the record's lock, so that no half of a change is read.
	if (survey->round == MAP_SESSIONS)
		options.elem_flags = BPF_F_LOCK;
	err = bpf_map_lookup_batch(map, survey->begun ? &survey->cursor : NULL, &survey->cursor,
				   room->keys, room->sessions, &count, &options);
	survey->begun = 1;
	if (err && errno != ENOENT) {
		next_table(survey);
		return;
	}
	if (survey->round == MAP_SESSIONS) {
		for (i = 0; i < count; i++) {
			const struct dft_record *record = &room->sessions[i].record;

			survey->counting += record->life == DFT_LIVE;
			survey->digesting += session_digest(
				(const struct session_key *)(room->keys + (size_t)i * KEY_ROOM),
				record);
		}
	} else {
		survey->counting += count;
	}
	if (err)
		next_table(survey);
}

int survey_step(struct survey *survey)
{
	__u64 now = now_ms();
	int map;

	if (survey->round < 0) {
		if (now < survey->next_ms)
			return (int)(survey->next_ms - now);
		survey->round = MAP_SESSIONS;
		survey->started_ms = now;
	}
	map = survey->datapath->own[survey->round];
	if (map < 0)
		next_table(survey);
	else
		count_batch(survey, map);
	return 0;
}
