// SPDX-License-Identifier: Apache-2.0
// Medians and ratios of rounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/values.h"

static void test_quantiles_are_of_sorted_values(void **state)
{
	const double values[] = {5, 1, 4, 2, 3};

	(void)state;
	assert_float_equal(values_quantile(values, 5, 0.5), 3, 0);
	assert_float_equal(values_quantile(values, 5, 0), 1, 0);
	assert_float_equal(values_quantile(values, 5, 1), 5, 0);
	assert_float_equal(values_quantile(values, 5, 0.9), 5, 0);
	assert_float_equal(values[0], 5, 0); // left as they were
}

// One round beside others' work: each of its figures is three times as large.
static void test_ratios_are_taken_round_by_round(void **state)
{
	const double base[] = {10, 30, 10}, under[] = {20, 60, 20}, over[] = {30, 90, 40};

	(void)state;
	assert_float_equal(values_ratio(over, under, base, 3), 2, 1e-9);
	assert_float_equal(values_ratio(over, under, NULL, 3), 1.5, 1e-9);
}

static void test_a_ratio_is_no_ratio_of_medians(void **state)
{
	const double over[] = {1, 10, 100}, under[] = {4, 20, 5};

	(void)state;
	assert_float_equal(values_ratio(over, under, NULL, 3), 0.5, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantiles_are_of_sorted_values),
		cmocka_unit_test(test_ratios_are_taken_round_by_round),
		cmocka_unit_test(test_a_ratio_is_no_ratio_of_medians),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
