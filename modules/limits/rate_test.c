// SPDX-License-Identifier: Apache-2.0
// Whoever sends more than a rate gets that rate: at any rate, with frames of any size, and with
// several threads that take from one bucket.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "shared/rate.h"

#define SECOND 1000000000ull
#define BURST_MS 1

// How many of such frames pass in so many nanoseconds, where one comes every gap_ns.
static uint64_t passed(struct rate rate, struct bucket *bucket, uint32_t packets, uint32_t bytes,
		       double gap_ns, uint64_t from, uint64_t length)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i * gap_ns < length; i++)
		count += rate_allows(&rate, bucket, from + (uint64_t)(i * gap_ns), packets, bytes);
	return count;
}

static void assert_between(double value, double low, double high)
{
	if (value < low || value > high)
		fail_msg("%.6f is not between %.6f and %.6f", value, low, high);
}

// Offered three times as much as may pass.
static void rate_is_kept(void **state)
{
	static const uint64_t bits[] = {MIN_BITS_PER_S, 3333,	     1000000,
					1000000007,	10000000000, MAX_BITS_PER_S};
	static const uint32_t sizes[] = {60, 1514, 65536, (1 << 20) - 1};

	for (size_t r = 0; r < sizeof(bits) / sizeof(*bits); r++) {
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
			struct rate rate = rate_of(bits[r], 0, BURST_MS);
			struct bucket bucket = {0};
			double frame_ns = sizes[s] * 8.0 * SECOND / bits[r];
			// A thousand frames, and at least ten bursts.
			uint64_t length = frame_ns * 1000 + 10 * BURST_MS * 1000000.0;
			double most = length / frame_ns;
			uint64_t count;

			if (most > 10000000)
				continue;
			count = passed(rate, &bucket, 1, sizes[s], frame_ns / 3, 77 * SECOND,
				       length);
			// The burst, one frame, and what rounding gives.
			assert_between(count, most - 1,
				       most * 1.013 + BURST_MS * 1000000.0 / frame_ns + 1);
		}
	}
}

static void packets_are_kept(void **state)
{
	static const uint64_t rates[] = {1, 7, 1000, 333333, MAX_PACKETS_PER_S};

	for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++) {
		struct rate rate = rate_of(0, rates[r], BURST_MS);
		struct bucket bucket = {0};
		double gap_ns = (double)SECOND / rates[r];
		uint64_t length = gap_ns * 1000 + 10 * BURST_MS * 1000000.0;
		uint64_t count = 3 * passed(rate, &bucket, 3, 90, gap_ns, 77 * SECOND, length);

		assert_between(count, length / gap_ns - 3,
			       length / gap_ns * 1.002 + BURST_MS * 1000000.0 / gap_ns + 3);
	}
}

// Who sends less is never refused, nor is the first packet after a silence, however large.
static void below_it_all_passes(void **state)
{
	struct rate rate = rate_of(8000000, 1000, 1);
	struct bucket bucket = {0};

	for (uint64_t i = 0; i < 10000; i++)
		assert_true(rate_allows(&rate, &bucket, SECOND + i * 1000000, 1, 1000));
	assert_true(rate_allows(&rate, &bucket, 20 * SECOND, 700, 1000000));
	assert_false(rate_allows(&rate, &bucket, 20 * SECOND, 1, 60));
	assert_false(rate_allows(&rate, &bucket, 20 * SECOND + 900000000, 1, 60));
	assert_true(rate_allows(&rate, &bucket, 21 * SECOND, 1, 60));
}

// What is not used for longer than the burst is lost.
static void burst_is_bounded(void **state)
{
	struct rate rate = rate_of(0, 1000, 50);
	struct bucket bucket = {0};
	int count = 0;

	while (rate_allows(&rate, &bucket, 1000 * SECOND, 1, 60))
		count++;
	assert_int_equal(count, 51);
}

static void no_limit_is_none(void **state)
{
	struct rate none = rate_of(0, 0, 100);
	struct bucket bucket = {0};

	assert_false(rate_limits(&none));
	for (int i = 0; i < 1000; i++)
		assert_true(rate_allows(&none, &bucket, SECOND, 1000, 1 << 19));
	assert_int_equal(bucket.bytes_until, 0);
}

// A packet that is refused for its bytes is not paid for in packets.
static void refused_costs_nothing(void **state)
{
	struct rate rate = rate_of(1000, 10, 1);
	struct bucket bucket = {0}, before;

	assert_true(rate_allows(&rate, &bucket, SECOND, 1, 1000));
	before = bucket;
	assert_false(rate_allows(&rate, &bucket, SECOND + 500000000, 1, 60));
	assert_int_equal(bucket.bytes_until, before.bytes_until);
	assert_true(bucket.packets_until <= (SECOND + 500000000) << RATE_TIME_BITS);
}

struct shared {
	struct rate rate;
	struct bucket bucket;
};

#define TURNS 200000

// Each at the same times: what passes of all of them is what may.
static void *take(void *arg)
{
	struct shared *shared = arg;
	uintptr_t count = 0;

	for (uint64_t i = 0; i < TURNS; i++)
		count += rate_allows(&shared->rate, &shared->bucket, SECOND + i * 1000, 1, 100);
	return (void *)count;
}

static void threads_share(void **state)
{
	// A packet of 100 bytes in 4 us, while four threads send one per microsecond each.
	struct shared shared = {.rate = rate_of(200000000, 0, 1)};
	uint64_t most = TURNS / 4 + 1000 / 4, count = 0;
	pthread_t thread[4];
	void *result;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take, &shared), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &result), 0);
		count += (uintptr_t)result;
	}
	assert_true(count <= most + 4);
	assert_true(count > TURNS / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_is_kept),	       cmocka_unit_test(packets_are_kept),
		cmocka_unit_test(below_it_all_passes), cmocka_unit_test(burst_is_bounded),
		cmocka_unit_test(no_limit_is_none),    cmocka_unit_test(refused_costs_nothing),
		cmocka_unit_test(threads_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
