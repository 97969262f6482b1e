// SPDX-License-Identifier: Apache-2.0
// The Maglev table.
#include "modules/chain/maglev.h"

#include <errno.h>
#include <string.h>

#include "lib/own.h"

// A member's turn: where its permutation of the buckets goes on.
struct turn {
	const struct maglev_member *member;
	uint32_t next;
	uint32_t skip;
	uint32_t credit; // it has not taken yet
};

// FNV-1a, then a finalizer: FNV alone leaves the ids of neighbours ("c/1", "c/2") close together.
static uint64_t hash(const char *text, uint64_t seed)
{
	uint64_t h = 0xcbf29ce484222325 ^ seed;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
	h = (h ^ h >> 27) * 0x94d049bb133111eb;
	return h ^ h >> 31;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct turn *)a)->member->id, ((const struct turn *)b)->member->id);
}

// The first bucket of the member's permutation that nobody has. size is prime and skip is less, so
// the permutation visits every bucket.
static uint32_t first_free(struct turn *t, const uint16_t *table, uint32_t size)
{
	uint32_t bucket;

	do {
		bucket = t->next;
		t->next = (t->next + t->skip) % size;
	} while (table[bucket]);
	return bucket;
}

int maglev_fill(uint16_t *table, uint32_t size, const struct maglev_member *members, size_t count)
{
	auto_(freep) struct turn *turns = NULL;
	uint32_t heaviest = 0, filled = 0;
	struct turn *t;

	if (count > MAX_CHAINS)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (members[i].number >= MAX_CHAINS)
			return -EINVAL;
		heaviest = members[i].weight > heaviest ? members[i].weight : heaviest;
	}
	turns = calloc(count + 1, sizeof(*turns));
	if (!turns)
		return -ENOMEM;
	memset(table, 0, size * sizeof(*table));
	if (!heaviest)
		return 0;
	for (size_t i = 0; i < count; i++) {
		turns[i].member = &members[i];
		turns[i].next = hash(members[i].id, 0) % size;
		turns[i].skip = hash(members[i].id, 0x9e3779b97f4a7c15) % (size - 1) + 1;
	}
	qsort(turns, count, sizeof(*turns), by_id);
	for (size_t turn = 0; filled < size; turn++) {
		t = &turns[turn % count];
		t->credit += t->member->weight;
		if (t->credit < heaviest)
			continue;
		t->credit -= heaviest;
		table[first_free(t, table, size)] = t->member->number + 1;
		filled++;
	}
	return 0;
}
