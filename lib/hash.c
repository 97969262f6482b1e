// SPDX-License-Identifier: Apache-2.0
// The intrusive hash table: chains, doubled when there is more than one entry per bucket.
#include "lib/hash.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS_FIRST 64

uint64_t hash_text(const char *text, uint64_t seed)
{
	uint64_t h = 0xcbf29ce484222325 ^ seed;

	// FNV-1a, and a finalizer that lets the low bits depend on all.
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
	return h ^ h >> 32;
}

static struct hash_entry *same_hash(struct hash_entry *entry, uint64_t hash)
{
	while (entry && entry->hash != hash)
		entry = entry->next;
	return entry;
}

struct hash_entry *hash_first(const struct hash *table, uint64_t hash)
{
	if (!table->buckets)
		return NULL;
	return same_hash(table->bucket[hash & (table->buckets - 1)], hash);
}

struct hash_entry *hash_next(const struct hash_entry *entry)
{
	return same_hash(entry->next, entry->hash);
}

static void link_entry(struct hash *table, struct hash_entry *entry)
{
	struct hash_entry **head = &table->bucket[entry->hash & (table->buckets - 1)];

	entry->next = *head;
	*head = entry;
}

static int grow(struct hash *table)
{
	struct hash larger = {.buckets = table->buckets ? 2 * table->buckets : BUCKETS_FIRST};

	larger.bucket = calloc(larger.buckets, sizeof(struct hash_entry *));
	if (!larger.bucket)
		return -ENOMEM;
	for (size_t i = 0; i < table->buckets; i++) {
		for (struct hash_entry *entry = table->bucket[i], *next; entry; entry = next) {
			next = entry->next;
			link_entry(&larger, entry);
		}
	}
	larger.count = table->count;
	free(table->bucket);
	*table = larger;
	return 0;
}

int hash_add(struct hash *table, struct hash_entry *entry, uint64_t hash)
{
	if (table->count == table->buckets && grow(table) && !table->buckets)
		return -ENOMEM;
	entry->hash = hash;
	link_entry(table, entry);
	table->count++;
	return 0;
}

void hash_remove(struct hash *table, struct hash_entry *entry)
{
	struct hash_entry **at = &table->bucket[entry->hash & (table->buckets - 1)];

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	table->count--;
}

void hash_free(struct hash *table)
{
	free(table->bucket);
	*table = (struct hash){};
}
