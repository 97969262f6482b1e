// SPDX-License-Identifier: Apache-2.0
// Pages first, then the kernel map: a session that moves meanwhile goes from there to here.
#include "modules/session/scan.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#define PAGES_AT_ONCE (SCAN_BATCH / FLAT_SLOTS)

// A bucket of the kernel map has to fit in at once.
struct scan_room {
	struct session_seen seen[SCAN_BATCH];
	struct session_key keys[SCAN_BATCH];
	struct session_value values[SCAN_BATCH];
};

int scan_open(struct scan *scan)
{
	struct scan_room *room = malloc(sizeof(*room));

	if (!room)
		return -ENOMEM;
	*scan = (struct scan){.kernel = -1, .flat = -1, .seen = room->seen, .room = room};
	return 0;
}

void scan_close(struct scan *scan)
{
	flat_map_close(&scan->pages);
	free(scan->room);
	*scan = (struct scan){};
}

void scan_begin(struct scan *scan, int kernel, int flat)
{
	flat_map_close(&scan->pages);
	scan->kernel = kernel;
	scan->flat = flat;
	scan->cursor = scan->count = 0;
	scan->begun = 0;
}

static int next_pages(struct scan *scan)
{
	struct flat_session session;
	__u32 end, slot;
	int err;

	if (!scan->pages.page && (err = flat_map_open(&scan->pages, scan->flat)))
		return err;
	end = scan->cursor + PAGES_AT_ONCE;
	if (end > scan->pages.pages)
		end = scan->pages.pages;
	for (; scan->cursor < end; scan->cursor++)
		for (slot = 1; slot <= FLAT_SLOTS; slot++)
			if (flat_map_get(&scan->pages, scan->cursor, slot, &session))
				scan->seen[scan->count++] = (struct session_seen){
					session.key, session.record, session.asked & 0xFFFF,
					session.asked >> FLAT_DYING_SHIFT};
	if (scan->cursor == scan->pages.pages) {
		flat_map_close(&scan->pages);
		scan->flat = -1;
	}
	return 1;
}

static int next_batch(struct scan *scan)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct scan_room *room = scan->room;
	__u32 count = SCAN_BATCH, i;
	int err;

	// Under each record's lock, so that no half of a change is read.
	options.elem_flags = BPF_F_LOCK;
	err = bpf_map_lookup_batch(scan->kernel, scan->begun ? &scan->cursor : NULL, &scan->cursor,
				   room->keys, room->values, &count, &options)
		      ? -errno
		      : 0;
	if (err && err != -ENOENT)
		return err;
	scan->begun = 1;
	for (i = 0; i < count; i++)
		scan->seen[i] =
			(struct session_seen){room->keys[i], room->values[i].record,
					      room->values[i].used_s, room->values[i].dying};
	scan->count = count;
	if (err)
		scan->kernel = -1;
	return 1;
}

int scan_next(struct scan *scan)
{
	scan->count = 0;
	if (scan->flat >= 0)
		return next_pages(scan);
	return scan->kernel >= 0 ? next_batch(scan) : 0;
}
