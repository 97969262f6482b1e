// SPDX-License-Identifier: Apache-2.0
// One pass over the flow table, then batched lookups, or pages of a mapped cache. A table may
// change while it is read: what a round counts is near the truth, and right when nothing changes.
#include "node/survey.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "modules/session/session.h"
#include "shared/edge.h"

#define BATCH 1024
#define PAGES 512     // of a flat cache at a time: some milliseconds, where they are full
#define SESSIONS 4096 // of a flow table at a time: the same
#define KEY_ROOM 40   // of the largest key
#define REST_MS 1000
#define REST_TIMES 9

struct room {
	__u8 keys[BATCH * KEY_ROOM];
	union {
		struct cache_value cached[BATCH];
		struct direct_value direct[BATCH];
	};
};
_Static_assert(sizeof(struct session_key) == KEY_ROOM && sizeof(struct direct_key) == KEY_ROOM, "");

int survey_open(struct survey *survey, const struct datapath *datapath, survey_look *look,
		void *context)
{
	int err;

	*survey = (struct survey){
		.datapath = datapath, .look = look, .context = context, .round = -1};
	if ((err = scan_open(&survey->scan)))
		return err;
	survey->room = malloc(sizeof(struct room));
	if (survey->room)
		return 0;
	scan_close(&survey->scan);
	return -ENOMEM;
}

void survey_close(struct survey *survey)
{
	flat_map_close(&survey->flat);
	scan_close(&survey->scan);
	free(survey->room);
}

// In which order tables are counted. The first is the flow table, whatever implements it.
static const enum own_map order[] = {MAP_SESSIONS, MAP_CACHE, MAP_FLAT_CACHE, MAP_DIRECT};
#define ROUNDS ((int)(sizeof(order) / sizeof(order[0])))

// Ends the table: what it had is added, and the next one follows.
static void next_table(struct survey *survey)
{
	flat_map_close(&survey->flat);
	survey->begun = 0;
	if (!survey->round++) {
		survey->look(survey->context, NULL);
		survey->sessions = survey->counting;
		survey->digest = survey->digesting;
		survey->counting = survey->digesting = 0;
	}
	if (survey->round < ROUNDS)
		return;
	survey->cached = survey->counting;
	survey->counting = 0;
	survey->round = -1;
	survey->next_ms = now_ms() + (now_ms() - survey->started_ms) * REST_TIMES;
	if (survey->next_ms < survey->started_ms + REST_MS)
		survey->next_ms = survey->started_ms + REST_MS;
}

static void count_sessions(struct survey *survey, __u32 sessions)
{
	__u32 looked, i;
	int more;

	if (!survey->begun) {
		scan_begin(&survey->scan, survey->datapath->own[MAP_SESSIONS],
			   survey->datapath->own[MAP_FLAT_SESSIONS]);
		survey->begun = 1;
	}
	if (sessions > SESSIONS)
		sessions = SESSIONS;
	for (looked = 0; looked + SCAN_BATCH <= sessions; looked += SCAN_BATCH) {
		more = scan_next(&survey->scan);
		for (i = 0; i < survey->scan.count; i++) {
			const struct session_seen *seen = &survey->scan.seen[i];

			survey->counting += seen->record.life == DFT_LIVE;
			survey->digesting += session_digest(&seen->key, &seen->record);
			survey->look(survey->context, seen);
		}
		if (more <= 0) {
			next_table(survey);
			return;
		}
	}
}

// Some pages of a flat cache.
static void count_pages(struct survey *survey, int map)
{
	__u32 end;

	if (!survey->begun) {
		if (flat_map_open(&survey->flat, map)) {
			next_table(survey);
			return;
		}
		survey->begun = 1;
		survey->cursor = 0;
	}
	end = survey->cursor + PAGES < survey->flat.pages ? survey->cursor + PAGES
							  : survey->flat.pages;
	for (; survey->cursor < end; survey->cursor++)
		survey->counting += flat_map_count(&survey->flat, survey->cursor);
	if (survey->cursor == survey->flat.pages)
		next_table(survey);
}

static void count_batch(struct survey *survey, int map)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct room *room = survey->room;
	__u32 count = BATCH;
	int err;

	err = bpf_map_lookup_batch(map, survey->begun ? &survey->cursor : NULL, &survey->cursor,
				   room->keys, room->cached, &count, &options);
	survey->begun = 1;
	if (err && errno != ENOENT) {
		next_table(survey);
		return;
	}
	survey->counting += count;
	if (err)
		next_table(survey);
}

int survey_step(struct survey *survey, __u32 sessions)
{
	__u64 now = now_ms();
	int map;

	if (survey->round < 0) {
		if (now < survey->next_ms)
			return (int)(survey->next_ms - now);
		survey->round = 0;
		survey->started_ms = now;
	}
	if (!survey->round) {
		count_sessions(survey, sessions);
		return 0;
	}
	map = survey->datapath->own[order[survey->round]];
	if (map < 0)
		next_table(survey);
	else if (order[survey->round] == MAP_FLAT_CACHE)
		count_pages(survey, map);
	else
		count_batch(survey, map);
	return 0;
}
