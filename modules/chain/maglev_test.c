// SPDX-License-Identifier: Apache-2.0
// The Maglev table: balance, what moves when a chain comes or goes, and that nothing else decides.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "modules/chain/maglev.h"

struct set {
	struct maglev_member chain[MAX_CHAINS + 1];
	char id[MAX_CHAINS + 1][32];
	size_t count;
};

static uint16_t before[BUCKETS], after[BUCKETS];
static struct set set;

static void make(struct set *s, size_t count)
{
	s->count = count;
	for (size_t i = 0; i < count; i++) {
		snprintf(s->id[i], sizeof(s->id[i]), "cluster-1/%zu", i);
		s->chain[i] = (struct maglev_member){s->id[i], (uint16_t)i, 1};
	}
}

static void shares_differ_by_one(void **state)
{
	static const size_t counts[] = {1, 2, 3, 5, 7, 10, 64, 100, 333, 1000, 1023, MAX_CHAINS};

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		size_t share[MAX_CHAINS] = {}, least = SIZE_MAX, most = 0;

		make(&set, counts[c]);
		assert_int_equal(maglev_fill(before, BUCKETS, set.chain, set.count), 0);
		for (size_t b = 0; b < BUCKETS; b++) {
			assert_in_range(before[b], 1, counts[c]);
			share[before[b] - 1]++;
		}
		for (size_t i = 0; i < counts[c]; i++) {
			least = share[i] < least ? share[i] : least;
			most = share[i] > most ? share[i] : most;
		}
		assert_in_range(least, BUCKETS / counts[c], BUCKETS);
		assert_in_range(most, 0, BUCKETS / counts[c] + 1);
	}
}

// Buckets that moved although neither their old nor their new chain is the given one.
static size_t moved_for_nothing(uint16_t number)
{
	size_t moved = 0;

	for (size_t b = 0; b < BUCKETS; b++)
		moved += before[b] != after[b] && before[b] != number + 1 && after[b] != number + 1;
	return moved;
}

static void little_moves(void **state)
{
	static const size_t counts[] = {2, 3, 5, 10, 30, 100, 300, 1000};
	size_t worst = 0;

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		size_t n = counts[c], step = n / 10 ? n / 10 : 1;

		make(&set, n);
		assert_int_equal(maglev_fill(before, BUCKETS, set.chain, n), 0);
		for (size_t gone = 0; gone < n; gone += step) {
			struct maglev_member fewer[MAX_CHAINS];
			size_t kept = 0, moved;

			for (size_t i = 0; i < n; i++)
				if (i != gone)
					fewer[kept++] = set.chain[i];
			assert_int_equal(maglev_fill(after, BUCKETS, fewer, kept), 0);
			// Coming is going, seen from the other side: the table has no history.
			moved = moved_for_nothing((uint16_t)gone);
			worst = moved > worst ? moved : worst;
			for (size_t b = 0; b < BUCKETS; b++)
				assert_int_not_equal(after[b], gone + 1);
		}
	}
	print_message("at most %zu of %d buckets (%.2f %%) moved beyond need\n", worst, BUCKETS,
		      100.0 * (double)worst / BUCKETS);
	assert_in_range(worst, 0, BUCKETS / 50);
}

// As weights say, but for what is left of a round; and none without a weight.
static void weights_count(void **state)
{
	static const uint16_t weights[] = {256, 128, 0, 1, 128};
	size_t share[5] = {}, sum = 0, due;

	make(&set, 5);
	for (size_t i = 0; i < 5; i++) {
		set.chain[i].weight = weights[i];
		sum += weights[i];
	}
	assert_int_equal(maglev_fill(before, 4093, set.chain, 5), 0);
	for (size_t b = 0; b < 4093; b++) {
		assert_in_range(before[b], 1, 5);
		share[before[b] - 1]++;
	}
	for (size_t i = 0; i < 5; i++) {
		due = (size_t)4093 * weights[i] / sum;
		assert_in_range(share[i], due > 2 ? due - 2 : 0, weights[i] ? due + 2 : 0);
	}
	// It is the ratio that counts.
	for (size_t i = 0; i < 5; i++)
		set.chain[i].weight = weights[i] * 255;
	assert_int_equal(maglev_fill(after, 4093, set.chain, 5), 0);
	assert_memory_equal(before, after, 4093 * sizeof(*before));
	for (size_t i = 0; i < 5; i++)
		set.chain[i].weight = 0;
	assert_int_equal(maglev_fill(after, 4093, set.chain, 5), 0);
	for (size_t b = 0; b < 4093; b++)
		assert_int_equal(after[b], 0);
}

static void order_does_not_matter(void **state)
{
	struct maglev_member reversed[100];

	make(&set, 100);
	for (size_t i = 0; i < 100; i++)
		reversed[i] = set.chain[99 - i];
	assert_int_equal(maglev_fill(before, BUCKETS, set.chain, 100), 0);
	assert_int_equal(maglev_fill(after, BUCKETS, reversed, 100), 0);
	assert_memory_equal(before, after, sizeof(before));
}

static void numbers_do_not_matter(void **state)
{
	make(&set, 10);
	assert_int_equal(maglev_fill(before, BUCKETS, set.chain, 10), 0);
	for (size_t i = 0; i < 10; i++)
		set.chain[i].number += 500;
	assert_int_equal(maglev_fill(after, BUCKETS, set.chain, 10), 0);
	for (size_t b = 0; b < BUCKETS; b++)
		assert_int_equal(after[b], before[b] + 500);
}

// Nodes of different builds must agree, so the function may never change: a sum that was written
// down once.
static void it_is_the_same_everywhere(void **state)
{
	uint32_t sum = 0;

	make(&set, 3);
	assert_int_equal(maglev_fill(before, BUCKETS, set.chain, 3), 0);
	for (size_t b = 0; b < BUCKETS; b++)
		sum = sum * 31 + before[b];
	assert_int_equal(sum, 0xec3ed24b);
}

static void limits(void **state)
{
	make(&set, MAX_CHAINS);
	assert_int_equal(maglev_fill(before, BUCKETS, set.chain, MAX_CHAINS + 1), -EINVAL);
	set.chain[3].number = MAX_CHAINS;
	assert_int_equal(maglev_fill(before, BUCKETS, set.chain, 4), -EINVAL);
	assert_int_equal(maglev_fill(before, BUCKETS, NULL, 0), 0);
	for (size_t b = 0; b < BUCKETS; b++)
		assert_int_equal(before[b], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_differ_by_one),
		cmocka_unit_test(little_moves),
		cmocka_unit_test(weights_count),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(numbers_do_not_matter),
		cmocka_unit_test(it_is_the_same_everywhere),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
