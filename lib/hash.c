// SPDX-License-Identifier: Apache-2.0
// The intrusive hash table: chains, doubled when there is more than one entry per bucket.
#include "lib/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 64

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0x9E3779B97F4A7C15ull;
	h ^= h >> 29;
	h *= 0xBF58476D1CE4E5B9ull;
	return h ^ h >> 32;
}

uint64_t hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
	const uint8_t *at = bytes;
	uint64_t h = mix(seed + size + 1), word;

	for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		h = mix(h + word);
	}
	if (size) {
		word = 0;
		memcpy(&word, at, size);
		h = mix(h + word);
	}
	return h;
}

uint64_t hash_text(const char *text, uint64_t seed)
{
	return hash_bytes(text, strlen(text), seed);
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

struct hash_entry *hash_walk(const struct hash *table, struct hash_walk *walk)
{
	struct hash_entry *entry = walk->next;

	while (!entry && walk->bucket < table->buckets)
		entry = table->bucket[walk->bucket++];
	walk->next = entry ? entry->next : NULL;
	return entry;
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
	struct hash_walk walk = {};
	struct hash_entry *entry;

	larger.bucket = calloc(larger.buckets, sizeof(struct hash_entry *));
	if (!larger.bucket)
		return -ENOMEM;
	while ((entry = hash_walk(table, &walk)))
		link_entry(&larger, entry);
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
