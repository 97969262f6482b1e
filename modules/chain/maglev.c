// SPDX-License-Identifier: Apache-2.0
// The Maglev bucket table.
#include "modules/chain/maglev.h"

#include <errno.h>
#include <string.h>

#include "lib/own.h"

// A chain's turn: where its permutation of the buckets goes on.
struct turn {
	const struct maglev_chain *chain;
	uint32_t next;
	uint32_t skip;
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
	return strcmp(((const struct turn *)a)->chain->id, ((const struct turn *)b)->chain->id);
}

// The first bucket of the chain's permutation that nobody has. BUCKETS is prime and skip is less,
// so the permutation visits every bucket.
static uint32_t first_free(struct turn *t, const uint16_t table[BUCKETS])
{
	uint32_t bucket;

	do {
		bucket = t->next;
		t->next = (t->next + t->skip) % BUCKETS;
	} while (table[bucket]);
	return bucket;
}

int maglev_fill(uint16_t table[BUCKETS], const struct maglev_chain *chains, size_t count)
{
	auto_(freep) struct turn *turns = NULL;

	if (count > MAX_CHAINS)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		if (chains[i].number >= MAX_CHAINS)
			return -EINVAL;
	turns = calloc(count + 1, sizeof(*turns));
	if (!turns)
		return -ENOMEM;
	memset(table, 0, BUCKETS * sizeof(*table));
	if (!count)
		return 0;
	for (size_t i = 0; i < count; i++) {
		turns[i].chain = &chains[i];
		turns[i].next = hash(chains[i].id, 0) % BUCKETS;
		turns[i].skip = hash(chains[i].id, 0x9e3779b97f4a7c15) % (BUCKETS - 1) + 1;
	}
	qsort(turns, count, sizeof(*turns), by_id);
	for (uint32_t filled = 0; filled < BUCKETS; filled++) {
		struct turn *t = &turns[filled % count];

		table[first_free(t, table)] = t->chain->number + 1;
	}
	return 0;
}
