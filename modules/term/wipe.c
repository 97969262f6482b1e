// SPDX-License-Identifier: Apache-2.0
// One scan of the table serves all chains that were asked about before it began.
#include "modules/term/wipe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"
#include "modules/session/flat.h"
#include "shared/key.h"

#define BATCH 512 // records looked at in one step
#define PAGES 128 // of a flat table
#define NOTHING_MS 1000

struct wipe_room {
	struct session_key keys[BATCH];
	struct session_key gone[BATCH];
	struct session_value values[BATCH];
	__u32 bucket[BUCKETS];
	__u32 chain[BUCKETS]; // of each bucket, + 1
	__u32 floor[BUCKETS];
};

int wipe_open(struct wipe *wipe, const struct datapath *datapath)
{
	*wipe = (struct wipe){.datapath = datapath};
	wipe->room = malloc(sizeof(*wipe->room));
	return wipe->room ? 0 : -ENOMEM;
}

void wipe_close(struct wipe *wipe)
{
	flat_map_close(&wipe->flat);
	free(wipe->room);
}

int wipe_chain(struct wipe *wipe, __u32 chain, __u32 floor)
{
	const int done = wipe->state[chain] == WIPE_DONE;

	if (done && wipe->floor[chain] == floor) {
		wipe->state[chain] = WIPE_NONE;
		return 0;
	}
	if (done || wipe->state[chain] == WIPE_NONE) {
		wipe->state[chain] = WIPE_ASKED;
		wipe->floor[chain] = floor;
		wipe->asked = 1;
	}
	return -EINPROGRESS;
}

static int is_wiped(const struct wipe *wipe, const struct session_key *key)
{
	__u32 entry = wipe->room->chain[(__u32)key_hash(key) % BUCKETS];

	return entry && wipe->state[entry - 1] == WIPE_RUNNING;
}

static int read_buckets(struct wipe *wipe, int map, __u32 out[BUCKETS])
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	__u32 count = BUCKETS, cursor;

	if (map < 0 ||
	    (bpf_map_lookup_batch(map, NULL, &cursor, wipe->room->bucket, out, &count, &options) &&
	     errno != ENOENT))
		return -errno;
	return count == BUCKETS ? 0 : -EIO;
}

static int begin(struct wipe *wipe)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	int buckets = wipe->datapath->tables[TABLE_BUCKETS];
	int floors = wipe->datapath->own[MAP_FLOORS], err, i;
	__u32 bucket, count = 0;

	wipe->asked = 0;
	wipe->running = 1;
	wipe->begun = wipe->flat_begun = 0;
	for (i = 0; i < MAX_CHAINS; i++)
		if (wipe->state[i] == WIPE_ASKED)
			wipe->state[i] = WIPE_RUNNING;
	// Who looked at the fence before it was written may be about to store a record. It is gone
	// by when this returns: the kernel waits until every program that runs now has ended.
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return -errno;
	if (buckets < 0 || floors < 0)
		return -ENOENT;
	if ((err = read_buckets(wipe, buckets, wipe->room->chain)) ||
	    (err = read_buckets(wipe, floors, wipe->room->floor)))
		return err;
	for (bucket = 0; bucket < BUCKETS; bucket++) {
		__u32 *chain = &wipe->room->chain[bucket];

		if (*chain > MAX_CHAINS)
			*chain = 0;
		if (!*chain || wipe->state[*chain - 1] != WIPE_RUNNING ||
		    wipe->room->floor[bucket] == wipe->floor[*chain - 1])
			continue;
		wipe->room->bucket[count] = bucket;
		wipe->room->floor[count++] = wipe->floor[*chain - 1];
	}
	return count && bpf_map_update_batch(floors, wipe->room->bucket, wipe->room->floor, &count,
					     &options)
		       ? -errno
		       : 0;
}

// Some records of the kernel map. Returns whether there are more; negative errno.
static int wipe_batch(struct wipe *wipe)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	int map = wipe->datapath->own[MAP_SESSIONS], more;
	struct wipe_room *room = wipe->room;
	__u32 count = BATCH, i, n = 0;

	if (map < 0)
		return 0;
	more = !bpf_map_lookup_batch(map, wipe->begun ? &wipe->cursor : NULL, &wipe->cursor,
				     room->keys, room->values, &count, &options);
	if (!more && errno != ENOENT)
		return -errno;
	wipe->begun = 1;
	for (i = 0; i < count; i++)
		if (is_wiped(wipe, &room->keys[i]))
			room->gone[n++] = room->keys[i];
	// One that is gone meanwhile ends a batch: so one by one.
	for (i = 0; i < n; i++)
		if (bpf_map_delete_elem(map, &room->gone[i]) && errno != ENOENT)
			return -errno;
	return more;
}

// Some pages of the flat table, as above.
static int wipe_pages(struct wipe *wipe)
{
	int map = wipe->datapath->own[MAP_FLAT_SESSIONS];
	struct flat_session session;
	__u32 end, slot;

	if (map < 0)
		return 0;
	if (!wipe->flat_begun) {
		int err = flat_map_open(&wipe->flat, map);

		if (err)
			return err;
		wipe->flat_begun = 1;
		wipe->cursor = 0;
	}
	end = wipe->cursor + PAGES < wipe->flat.pages ? wipe->cursor + PAGES : wipe->flat.pages;
	for (; wipe->cursor < end; wipe->cursor++)
		for (slot = 1; slot <= FLAT_SLOTS; slot++)
			// One that changes meanwhile is looked at again.
			while (flat_map_get(&wipe->flat, wipe->cursor, slot, &session) &&
			       is_wiped(wipe, &session.key) &&
			       !flat_map_remove(&wipe->flat, wipe->cursor, slot, &session))
				;
	return wipe->cursor < wipe->flat.pages;
}

static void end(struct wipe *wipe, int err)
{
	int i;

	flat_map_close(&wipe->flat);
	wipe->running = 0;
	if (err)
		log_warnx("the records of a chain cannot be removed, trying again: %s",
			  strerror(-err));
	for (i = 0; i < MAX_CHAINS; i++)
		if (wipe->state[i] == WIPE_RUNNING)
			wipe->state[i] = err ? WIPE_ASKED : WIPE_DONE;
	wipe->asked |= err != 0;
}

int wipe_step(struct wipe *wipe)
{
	int more;

	if (!wipe->running) {
		if (!wipe->asked)
			return NOTHING_MS;
		more = begin(wipe);
		if (more < 0)
			end(wipe, more);
		return more < 0 ? NOTHING_MS : 0;
	}
	// The kernel map first, then the pages.
	more = wipe->flat_begun ? 0 : wipe_batch(wipe);
	if (!more)
		more = wipe_pages(wipe);
	if (more <= 0)
		end(wipe, more);
	return 0;
}
