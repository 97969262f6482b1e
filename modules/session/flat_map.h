/* SPDX-License-Identifier: Apache-2.0 */
// A flat session table as user space sees it: the memory that packets are forwarded from, mapped.
// It changes while it is read; each session is read in one piece.
#pragma once

#include "shared/flat.h"

struct flat_map {
	union flat_page *page;
	__u32 pages;
};

struct flat_session {
	struct session_key key;
	struct dft_record record; // cache: without state and life
	__u32 asked;		  // of half 0 (shared/flat.h)
	__u32 version;		  // for flat_map_remove()
};

// Maps the table behind a descriptor, which may be closed then. Returns 0; -EINVAL: it is no flat
// table, or another version's; or mmap's error.
int flat_map_open(struct flat_map *out, int map);
void flat_map_close(struct flat_map *map);

// Slots are 1 to FLAT_SLOTS. Returns 1, or 0 where there is no session.
int flat_map_get(const struct flat_map *map, __u32 page, __u32 slot, struct flat_session *out);
// How many sessions the page has: a look at the versions only.
__u32 flat_map_count(const struct flat_map *map, __u32 page);
// Ends the session that flat_map_get() gave, unless it has changed since. Returns whether it did.
int flat_map_remove(const struct flat_map *map, __u32 page, __u32 slot,
		    const struct flat_session *session);
