// SPDX-License-Identifier: Apache-2.0
// Batched lookups, or pages of a mapped table. A table may change while it is read: what a round
// counts is near the truth, and right when nothing changes.
#include "node/survey.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/session/session.h"
#include "shared/edge.h"
#include "lib/clock.h"

#define BATCH 1024
#define PAGES 512   // of a flat table at a time: some milliseconds, where they are full
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

int survey_open(struct survey *survey, const struct datapath *datapath)
{
	*survey = (struct survey){.datapath = datapath, .round = -1};
	survey->room = malloc(sizeof(struct room));
	return survey->room ? 0 : -ENOMEM;
}

void survey_close(struct survey *survey)
{
	flat_map_close(&survey->flat);
	free(survey->room);
}

// In which order tables are counted. The first two are the flow table.
static const enum own_map order[] = {MAP_SESSIONS, MAP_FLAT_SESSIONS, MAP_CACHE, MAP_FLAT_CACHE,
				     MAP_DIRECT};
#define ROUNDS ((int)(sizeof(order) / sizeof(order[0])))
#define FLOW_TABLE_ROUNDS 2

// Ends the table: what it had is added, and the next one follows.
static void next_table(struct survey *survey)
{
	flat_map_close(&survey->flat);
	survey->begun = 0;
	if (++survey->round == FLOW_TABLE_ROUNDS) {
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

static void count_session(struct survey *survey, const struct session_key *key,
			  const struct dft_record *record)
{
	survey->counting += record->life == DFT_LIVE;
	survey->digesting += session_digest(key, record);
}

// Some pages of a flat table.
static void count_pages(struct survey *survey, int map)
{
	struct flat_session session;
	__u32 end, slot;

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
	for (; survey->cursor < end; survey->cursor++) {
		if (order[survey->round] == MAP_FLAT_CACHE) {
			survey->counting += flat_map_count(&survey->flat, survey->cursor);
			continue;
		}
		for (slot = 1; slot <= FLAT_SLOTS; slot++)
			if (flat_map_get(&survey->flat, survey->cursor, slot, &session))
				count_session(survey, &session.key, &session.record);
	}
	if (survey->cursor == survey->flat.pages)
		next_table(survey);
}

static void count_batch(struct survey *survey, int map)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct room *room = survey->room;
	__u32 count = BATCH, i;
	int err;

	// Under the record's lock, so that no half of a change is read.
	if (order[survey->round] == MAP_SESSIONS)
		options.elem_flags = BPF_F_LOCK;
	err = bpf_map_lookup_batch(map, survey->begun ? &survey->cursor : NULL, &survey->cursor,
				   room->keys, room->sessions, &count, &options);
	survey->begun = 1;
	if (err && errno != ENOENT) {
		next_table(survey);
		return;
	}
	if (order[survey->round] == MAP_SESSIONS) {
		for (i = 0; i < count; i++)
			count_session(
				survey,
				(const struct session_key *)(room->keys + (size_t)i * KEY_ROOM),
				&room->sessions[i].record);
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
		survey->round = 0;
		survey->started_ms = now;
	}
	map = survey->datapath->own[order[survey->round]];
	if (map < 0)
		next_table(survey);
	else if (order[survey->round] == MAP_FLAT_SESSIONS ||
		 order[survey->round] == MAP_FLAT_CACHE)
		count_pages(survey, map);
	else
		count_batch(survey, map);
	return 0;
}
