// SPDX-License-Identifier: Apache-2.0
// A dictionary against an array that is searched from end to end: the same answers after any mix of
// putting, replacing and removing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dict.h"

#define KEYS 700

static void agrees_with_an_array(void **state)
{
	static uint16_t keys[KEYS];
	static int values[KEYS];
	void *expected[KEYS] = {};
	struct dict dict = {};
	size_t count = 0, seen, at;
	unsigned int seed = 1;
	int round, i;

	for (i = 0; i < KEYS; i++)
		keys[i] = (uint16_t)i;
	for (round = 0; round < 100000; round++) {
		seed = seed * 1103515245 + 12345;
		i = (int)(seed >> 16) % KEYS;
		if (seed >> 31) {
			assert_int_equal(dict_put(&dict, &keys[i], sizeof(keys[i]), &values[i]), 0);
			count += !expected[i];
			expected[i] = &values[i];
		} else {
			assert_ptr_equal(dict_remove(&dict, &keys[i], sizeof(keys[i])),
					 expected[i]);
			count -= expected[i] != NULL;
			expected[i] = NULL;
		}
		assert_int_equal(dict.count, count);
		i = (i * 7 + 1) % KEYS;
		assert_ptr_equal(dict_find(&dict, &keys[i], sizeof(keys[i])), expected[i]);
	}
	for (i = 0; i < KEYS; i++)
		assert_ptr_equal(dict_find(&dict, &keys[i], sizeof(keys[i])), expected[i]);
	for (seen = 0, at = 0; dict_next(&dict, &at);)
		seen++;
	assert_int_equal(seen, count);
	dict_clear(&dict);
	assert_null(dict_find(&dict, &keys[0], sizeof(keys[0])));
}

static void keys_are_bytes_and_length(void **state)
{
	struct dict dict = {};
	int a, b, c;

	assert_null(dict_find(&dict, "", 0));
	assert_null(dict_remove(&dict, "", 0));
	assert_int_equal(dict_put(&dict, "", 0, &a), 0);
	assert_int_equal(dict_put(&dict, "\0", 1, &b), 0);
	assert_int_equal(dict_put(&dict, "\0\0", 2, &c), 0);
	assert_ptr_equal(dict_find(&dict, "\0x", 0), &a);
	assert_ptr_equal(dict_find(&dict, "\0x", 1), &b);
	assert_null(dict_find(&dict, "\0x", 2));
	assert_ptr_equal(dict_find(&dict, "\0\0", 2), &c);
	dict_clear(&dict);
}

static void hash_follows_from_all_bytes(void **state)
{
	uint8_t bytes[40] = {};
	uint64_t zero = dict_hash(bytes, sizeof(bytes));
	size_t i;

	for (i = 0; i < sizeof(bytes); i++) {
		bytes[i] = 1;
		assert_int_not_equal(dict_hash(bytes, sizeof(bytes)), zero);
		bytes[i] = 0;
		assert_int_not_equal(dict_hash(bytes, i), zero);
	}
	assert_int_equal(dict_hash(bytes, sizeof(bytes)), zero);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(keys_are_bytes_and_length),
		cmocka_unit_test(hash_follows_from_all_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
