// SPDX-License-Identifier: Apache-2.0
// The intrusive hash table against a plain array.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/hash.h"

struct thing {
	char name[16];
	struct hash_entry entry;
	int in;
};

#define THINGS 5000

static struct thing things[THINGS];

static struct thing *find(const struct hash *table, const char *name, uint64_t hash)
{
	struct hash_entry *entry = hash_first(table, hash);

	for (; entry; entry = hash_next(entry))
		if (!strcmp(container_of_entry(entry, struct thing, entry)->name, name))
			return container_of_entry(entry, struct thing, entry);
	return NULL;
}

static void check(const struct hash *table, uint64_t (*hash)(const char *), size_t count)
{
	assert_int_equal(table->count, count);
	for (int i = 0; i < THINGS; i++)
		assert_ptr_equal(find(table, things[i].name, hash(things[i].name)),
				 things[i].in ? &things[i] : NULL);
}

static uint64_t good(const char *name)
{
	return hash_text(name, 0);
}

// Everything collides, in the whole hash or in the bucket only.
static uint64_t bad(const char *name)
{
	return (hash_text(name, 0) & 1) << 40;
}

// Takes every other one out on the way.
static void walk(struct hash *table)
{
	struct hash_walk walk = {};
	struct hash_entry *entry;
	size_t count = table->count, seen = 0;

	while ((entry = hash_walk(table, &walk))) {
		struct thing *thing = container_of_entry(entry, struct thing, entry);

		assert_int_equal(thing->in, 1);
		thing->in = 2;
		if (seen++ % 2) {
			hash_remove(table, entry);
			memset(thing, 0, sizeof(*thing));
		}
	}
	assert_int_equal(seen, count);
	assert_int_equal(table->count, count - count / 2);
}

static void add_and_remove(uint64_t (*hash)(const char *), int most)
{
	struct hash table = {};
	size_t count = 0;

	memset(things, 0, sizeof(things));
	for (int i = 0; i < THINGS; i++)
		snprintf(things[i].name, sizeof(things[i].name), "thing-%d", i);
	check(&table, hash, 0);
	for (int i = 0; i < most; i++, count++) {
		assert_int_equal(hash_add(&table, &things[i].entry, hash(things[i].name)), 0);
		things[i].in = 1;
	}
	check(&table, hash, count);
	for (int i = 0; i < most; i += 3, count--) {
		hash_remove(&table, &things[i].entry);
		things[i].in = 0;
	}
	check(&table, hash, count);
	for (int i = 0; i < most; i += 6, count++) {
		assert_int_equal(hash_add(&table, &things[i].entry, hash(things[i].name)), 0);
		things[i].in = 1;
	}
	check(&table, hash, count);
	walk(&table);
	hash_free(&table);
	walk(&table);
	assert_int_equal(table.count, 0);
}

static void keeps_what_it_is_given(void **state)
{
	add_and_remove(good, THINGS);
}

static void keeps_what_collides(void **state)
{
	add_and_remove(bad, 200);
}

static void follows_from_all_bytes(void **state)
{
	uint8_t bytes[40] = {};
	uint64_t zero = hash_bytes(bytes, sizeof(bytes), 0);

	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = 1;
		assert_int_not_equal(hash_bytes(bytes, sizeof(bytes), 0), zero);
		bytes[i] = 0;
		assert_int_not_equal(hash_bytes(bytes, i, 0), zero);
	}
	assert_int_equal(hash_bytes(bytes, sizeof(bytes), 0), zero);
}

static void spreads_and_depends_on_the_seed(void **state)
{
	unsigned int in_bucket[64] = {};
	char name[16];

	for (int i = 0; i < 6400; i++) {
		snprintf(name, sizeof(name), "n%06d", i);
		in_bucket[hash_text(name, 7) & 63]++;
		assert_true(hash_text(name, 7) != hash_text(name, 8));
	}
	for (int i = 0; i < 64; i++)
		assert_in_range(in_bucket[i], 50, 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_it_is_given),
		cmocka_unit_test(keeps_what_collides),
		cmocka_unit_test(follows_from_all_bytes),
		cmocka_unit_test(spreads_and_depends_on_the_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
