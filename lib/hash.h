/* SPDX-License-Identifier: Apache-2.0 */
// An intrusive hash table: the entry lives in the caller's struct, the caller owns that, knows its
// key, and compares. Zeroed is empty. One thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_entry {
	struct hash_entry *next;
	uint64_t hash;
};

struct hash {
	struct hash_entry **bucket;
	size_t buckets; // 0, or a power of two
	size_t count;
};

// container_of_entry(entry, struct thing, member): the struct that the entry is a member of.
#define container_of_entry(pointer, type, member)                                                  \
	((type *)((char *)(pointer)-offsetof(type, member)))

// 64 bits that follow from the bytes alone, the same on every machine of one byte order; continuing
// from seed (0, or the hash of something else of the key).
uint64_t hash_bytes(const void *bytes, size_t size, uint64_t seed);
uint64_t hash_text(const char *text, uint64_t seed);

// The first entry that has this hash, or NULL; hash_next() gives the others.
struct hash_entry *hash_first(const struct hash *table, uint64_t hash);
struct hash_entry *hash_next(const struct hash_entry *entry);

// All entries, in no order: begin with a zeroed walk; NULL is the end. The entry that was given
// last may be removed meanwhile, and freed; nothing may be added.
struct hash_walk {
	size_t bucket; // the next one
	struct hash_entry *next;
};
struct hash_entry *hash_walk(const struct hash *table, struct hash_walk *walk);

// entry->hash is set here. Returns 0 or -ENOMEM (then it was not added).
int hash_add(struct hash *table, struct hash_entry *entry, uint64_t hash);
// The entry must be in the table.
void hash_remove(struct hash *table, struct hash_entry *entry);
// Frees the table, not the entries, and leaves it empty.
void hash_free(struct hash *table);
