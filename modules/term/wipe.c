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
#include "modules/chain/roles.h"
#include "modules/limits/limits.h"
#include "modules/session/flat.h"
#include "shared/key.h"
#include "shared/move.h"
#include "shared/view.h"

#define BATCH 512 // records looked at in one step
#define PAGES 64  // of a flat table
#define READ 4096 // buckets
#define NOTHING_MS 1000
#define SETTLE_MS 2

struct wipe_room {
	struct session_key keys[BATCH];
	struct session_key gone[BATCH];
	struct session_value values[BATCH];
	__u32 bucket[READ];
	__u32 floor[READ];
	__u32 chain[READ]; // of each bucket, + 1
	struct origin_value origin[READ];
	__u8 wiped[BUCKETS];	  // records of these go
	__s8 in_path[MAX_CHAINS]; // this node is, -1: not known yet
};

int wipe_open(struct wipe *wipe, const struct datapath *datapath)
{
	*wipe = (struct wipe){.datapath = datapath};
	wipe->room = malloc(sizeof(*wipe->room));
	return wipe->room ? 0 : -ENOMEM;
}

void wipe_close(struct wipe *wipe)
{
	if (wipe->settling)
		pthread_join(wipe->thread, NULL);
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
	return wipe->room->wiped[(__u32)key_hash(key) % BUCKETS] ||
	       (wipe->gone == WIPE_RUNNING && vni_of(key->vni) == wipe->transfer.vni);
}

// Values of the array from this bucket on. Returns 0 or a negative errno.
static int read_values(int map, __u32 from, __u32 count, __u32 keys[READ], void *values)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	__u32 before = from - 1, cursor, done = count;

	if (bpf_map_lookup_batch(map, from ? &before : NULL, &cursor, keys, values, &done,
				 &options) &&
	    errno != ENOENT)
		return -errno;
	return done == count ? 0 : -EIO;
}

// Who looked at the fence before it was written may be about to store a record. It is stored by
// when this call returns: the kernel waits until every program that runs now has ended, which takes
// some 10 ms, or ten times that on a busy machine; so it has a thread of its own.
static void *settle(void *context)
{
	struct wipe *wipe = context;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		log_warn("a chain is wiped without waiting for packets that are under way");
	__atomic_store_n(&wipe->settled, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void begin(struct wipe *wipe)
{
	int i;

	wipe->asked = 0;
	wipe->running = 1;
	wipe->begun = wipe->flat_begun = wipe->settled = wipe->read = 0;
	wipe->cursor = 0;
	wipe->removed = 0;
	memset(wipe->room->in_path, -1, sizeof(wipe->room->in_path));
	for (i = 0; i < MAX_CHAINS; i++)
		if (wipe->state[i] == WIPE_ASKED)
			wipe->state[i] = WIPE_RUNNING;
	if (wipe->gone == WIPE_ASKED)
		wipe->gone = WIPE_RUNNING;
	wipe->settling = !pthread_create(&wipe->thread, NULL, settle, wipe);
	if (!wipe->settling)
		settle(wipe);
}

static int is_running(const struct wipe *wipe, __u32 entry)
{
	return entry && entry <= MAX_CHAINS && wipe->state[entry - 1] == WIPE_RUNNING;
}

// Whether this node is in the path of the chain, by its newest chosen term.
static int in_path(struct wipe *wipe, __u32 entry)
{
	const struct datapath *d = wipe->datapath;
	const __u32 chain = entry - 1;
	struct chain_value value;
	__s8 *known;
	__u32 i;

	if (!entry || entry > MAX_CHAINS)
		return 0;
	known = &wipe->room->in_path[chain];
	if (*known >= 0)
		return *known;
	*known = 0;
	if (bpf_map_lookup_elem(d->tables[TABLE_CHAINS], &chain, &value))
		return 0;
	for (i = 0; i < (__u32)value.live + value.learner && i <= MAX_CHAIN_LENGTH; i++)
		*known |= value.node[i] == d->settings.index;
	return *known;
}

// Whether a bucket is wiped, and to which floor. M7: one that moves is of two chains; it is left
// alone where this node has it for the other one.
static int wipes(struct wipe *wipe, __u32 chain, __u32 from, __u32 *floor)
{
	const int to_goes = is_running(wipe, chain), from_goes = is_running(wipe, from);

	*floor = 0;
	if (to_goes)
		*floor = wipe->floor[chain - 1];
	if (from_goes && wipe->floor[from - 1] > *floor)
		*floor = wipe->floor[from - 1];
	if (!from)
		return to_goes;
	return (to_goes || from_goes) && (to_goes || !in_path(wipe, chain)) &&
	       (from_goes || !in_path(wipe, from));
}

// Of some buckets: which records go, and their floors. Returns whether there are more; negative
// errno.
static int read_buckets(struct wipe *wipe)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	int buckets = wipe->datapath->tables[TABLE_BUCKETS];
	int origins = wipe->datapath->tables[TABLE_ORIGINS];
	int floors = wipe->datapath->own[MAP_FLOORS], err;
	struct wipe_room *room = wipe->room;
	__u32 from = wipe->cursor, count = 0, floor, i;
	__u32 most = from + READ < BUCKETS ? READ : BUCKETS - from;

	if (buckets < 0 || origins < 0 || floors < 0)
		return -ENOENT;
	if ((err = read_values(buckets, from, most, room->bucket, room->chain)) ||
	    (err = read_values(origins, from, most, room->bucket, room->origin)) ||
	    (err = read_values(floors, from, most, room->bucket, room->floor)))
		return err;
	for (i = 0; i < most; i++) {
		room->wiped[from + i] =
			(__u8)wipes(wipe, room->chain[i], room->origin[i].from, &floor);
		if (!room->wiped[from + i] || room->floor[i] == floor)
			continue;
		room->bucket[count] = from + i;
		room->floor[count++] = floor;
	}
	if (count && bpf_map_update_batch(floors, room->bucket, room->floor, &count, &options))
		return -errno;
	wipe->cursor += most;
	return wipe->cursor < BUCKETS;
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
		if (!bpf_map_delete_elem(map, &room->gone[i]))
			wipe->removed++;
		else if (errno != ENOENT)
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
			       is_wiped(wipe, &session.key))
				wipe->removed +=
					flat_map_remove(&wipe->flat, wipe->cursor, slot, &session);
	return wipe->cursor < wipe->flat.pages;
}

static int was_wiped(const void *context, const struct usage_key *key)
{
	const struct wipe *wipe = context;

	return (key->chain < MAX_CHAINS && wipe->state[key->chain] == WIPE_RUNNING) ||
	       (wipe->gone == WIPE_RUNNING && key->vni == wipe->transfer.vni);
}

// The map says so to the loader after this one: when that starts, the VPC may be back, or another
// may have its VNI, and nobody has told this node yet.
static void swept(struct wipe *wipe)
{
	const __u32 only = 0;
	__u64 word;

	wipe->transfer.swept = 1;
	wipe->swept = wipe->transfer.number;
	word = transfer_pack(&wipe->transfer);
	if (bpf_map_update_elem(wipe->datapath->tables[TABLE_TRANSFER], &only, &word, BPF_ANY))
		log_warn("what was removed of a VPC is removed again when this daemon starts");
}

static void end(struct wipe *wipe, int err)
{
	int i;

	flat_map_close(&wipe->flat);
	wipe->running = 0;
	if (err)
		log_warnx("the records of a chain cannot be removed, trying again: %s",
			  strerror(-err));
	// After an error the next scan counts anew what is left.
	limits_wiped(wipe->datapath, wipe->removed, was_wiped, wipe);
	for (i = 0; i < MAX_CHAINS; i++)
		if (wipe->state[i] == WIPE_RUNNING)
			wipe->state[i] = err ? WIPE_ASKED : WIPE_DONE;
	if (wipe->gone == WIPE_RUNNING) {
		wipe->gone = err ? WIPE_ASKED : WIPE_NONE;
		if (!err)
			swept(wipe);
	}
	wipe->asked |= err != 0;
}

// Nobody asks this cluster about the VPC any more, so nothing of it is stored meanwhile: as long as
// the word is this one, which the loader itself replaces, between two steps.
static void follow_transfer(struct wipe *wipe)
{
	const struct transfer t = roles_transfer(wipe->datapath->tables[TABLE_TRANSFER]);

	if (wipe->gone != WIPE_NONE && t.over && t.number == wipe->transfer.number)
		return;
	wipe->gone = WIPE_NONE;
	if (t.over && t.swept)
		wipe->swept = t.number;
	if (!t.over || t.number == wipe->swept)
		return;
	wipe->transfer = t;
	wipe->gone = WIPE_ASKED;
	wipe->asked = 1;
}

int wipe_step(struct wipe *wipe)
{
	int more;

	follow_transfer(wipe);
	if (!wipe->running) {
		if (!wipe->asked)
			return NOTHING_MS;
		begin(wipe);
		return SETTLE_MS;
	}
	if (wipe->settling && !__atomic_load_n(&wipe->settled, __ATOMIC_ACQUIRE))
		return SETTLE_MS;
	if (wipe->settled) {
		if (wipe->settling)
			pthread_join(wipe->thread, NULL);
		wipe->settling = wipe->settled = 0;
	}
	if (!wipe->read) {
		more = read_buckets(wipe);
		wipe->read = !more;
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
