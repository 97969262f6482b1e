/* SPDX-License-Identifier: Apache-2.0 */
// A dictionary from byte strings to pointers. Keys and values are lent to it: whoever puts one in
// keeps it alive and frees it. One thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct dict_slot {
	uint64_t hash; // 0: empty
	const void *key;
	size_t size;
	void *value;
};

// All zero is an empty one.
struct dict {
	struct dict_slot *slots;
	size_t room; // of slots: 0 or a power of two
	size_t count;
};

// 64 bits that follow from the bytes alone: the same on every machine of one byte order.
uint64_t dict_hash(const void *bytes, size_t size);

// The value under the key, or NULL.
void *dict_find(const struct dict *dict, const void *key, size_t size);
// Puts a value, not NULL, under a key that has none or another. The key must live on with the
// value: of a replaced one the new key is used from then on. Returns 0 or -ENOMEM.
int dict_put(struct dict *dict, const void *key, size_t size, void *value);
// Takes the key out. Returns its value, or NULL: there was none.
void *dict_remove(struct dict *dict, const void *key, size_t size);
// The values, in no order: begin with *at = 0; NULL is the end. Nothing may be put or removed
// meanwhile.
void *dict_next(const struct dict *dict, size_t *at);
// Frees the dictionary's own memory and leaves it empty.
void dict_clear(struct dict *dict);
