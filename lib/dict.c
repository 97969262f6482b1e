// SPDX-License-Identifier: Apache-2.0
// Open addressing with linear probing. Removing shifts followers back, so there are no graves.
#include "lib/dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0x9E3779B97F4A7C15ull;
	h ^= h >> 29;
	h *= 0xBF58476D1CE4E5B9ull;
	return h ^ h >> 32;
}

uint64_t dict_hash(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t h = mix(size + 1), word;

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

static struct dict_slot *slot_of(const struct dict *dict, uint64_t hash, const void *key,
				 size_t size)
{
	size_t i = hash & (dict->room - 1);

	for (;; i = (i + 1) & (dict->room - 1)) {
		struct dict_slot *slot = &dict->slots[i];

		if (!slot->hash ||
		    (slot->hash == hash && slot->size == size && !memcmp(slot->key, key, size)))
			return slot;
	}
}

// 0 marks an empty slot.
static uint64_t hash_of(const void *key, size_t size)
{
	uint64_t hash = dict_hash(key, size);

	return hash ? hash : 1;
}

void *dict_find(const struct dict *dict, const void *key, size_t size)
{
	return dict->room ? slot_of(dict, hash_of(key, size), key, size)->value : NULL;
}

static int grow(struct dict *dict)
{
	struct dict larger = {.room = dict->room ? dict->room * 2 : 64, .count = dict->count};
	size_t i;

	larger.slots = calloc(larger.room, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (i = 0; i < dict->room; i++) {
		const struct dict_slot *old = &dict->slots[i];

		if (old->hash)
			*slot_of(&larger, old->hash, old->key, old->size) = *old;
	}
	free(dict->slots);
	*dict = larger;
	return 0;
}

int dict_put(struct dict *dict, const void *key, size_t size, void *value)
{
	struct dict_slot *slot;

	// Never fuller than three quarters: a probe soon meets an empty slot.
	if (dict->count >= dict->room / 4 * 3 && grow(dict))
		return -ENOMEM;
	slot = slot_of(dict, hash_of(key, size), key, size);
	dict->count += !slot->hash;
	*slot = (struct dict_slot){hash_of(key, size), key, size, value};
	return 0;
}

void *dict_remove(struct dict *dict, const void *key, size_t size)
{
	struct dict_slot *hole;
	size_t mask, i;
	void *value;

	if (!dict->room)
		return NULL;
	mask = dict->room - 1;
	hole = slot_of(dict, hash_of(key, size), key, size);
	value = hole->value;
	if (!hole->hash)
		return NULL;
	for (i = (size_t)(hole - dict->slots + 1) & mask; dict->slots[i].hash; i = (i + 1) & mask) {
		size_t home = dict->slots[i].hash & mask;

		// It may move into the hole unless its home lies behind the hole.
		if (((i - home) & mask) < ((i - (size_t)(hole - dict->slots)) & mask))
			continue;
		*hole = dict->slots[i];
		hole = &dict->slots[i];
	}
	*hole = (struct dict_slot){};
	dict->count--;
	return value;
}

void *dict_next(const struct dict *dict, size_t *at)
{
	while (*at < dict->room) {
		const struct dict_slot *slot = &dict->slots[(*at)++];

		if (slot->hash)
			return slot->value;
	}
	return NULL;
}

void dict_clear(struct dict *dict)
{
	free(dict->slots);
	*dict = (struct dict){};
}
