// SPDX-License-Identifier: Apache-2.0
// The flat table, mapped: the algorithm is the one that eBPF runs.
#include "modules/session/flat_map.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>

#include "modules/session/flat.h"

int flat_map_open(struct flat_map *out, int map)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	void *memory;

	if (bpf_obj_get_info_by_fd(map, &info, &size))
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != sizeof(union flat_page) ||
	    !(info.map_flags & BPF_F_MMAPABLE))
		return -EINVAL;
	memory = mmap(NULL, (size_t)info.max_entries * sizeof(union flat_page),
		      PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*out = (struct flat_map){memory, info.max_entries};
	return 0;
}

void flat_map_close(struct flat_map *map)
{
	if (map->page)
		munmap(map->page, (size_t)map->pages * sizeof(union flat_page));
	*map = (struct flat_map){};
}

int flat_map_get(const struct flat_map *map, __u32 page, __u32 slot, struct flat_session *out)
{
	union flat_page *p = &map->page[page];
	struct flat_slot *s = flat_slot_of(p, slot);
	union flat_half room;
	union flat_key key;

	// Where there is a session there is a tag, and the tags of a page are in one cache line.
	if (!flat_load(&p->head.tag[slot]))
		return 0;
	out->version = flat_load(&s->half[0].version);
	if (!(out->version & FLAT_HELD))
		return 0;
	key.word[0] = flat_load(&s->half[0].word[1]);
	key.word[1] = flat_load(&s->half[0].word[2]);
	if (!flat_read(p, slot, &key, &room, &out->record, &out->asked))
		return 0;
	out->key = flat_key_back(&key);
	return 1;
}

__u32 flat_map_count(const struct flat_map *map, __u32 page)
{
	__u32 slot, count = 0;

	for (slot = 1; slot <= FLAT_SLOTS; slot++)
		if (flat_load(&map->page[page].head.tag[slot]) &&
		    flat_is_held(&map->page[page], slot))
			count++;
	return count;
}

int flat_map_remove(const struct flat_map *map, __u32 page, __u32 slot,
		    const struct flat_session *session)
{
	return flat_remove(&map->page[page], slot, session->version);
}
