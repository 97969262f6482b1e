// SPDX-License-Identifier: Apache-2.0
// When a backend is taken for up or down, how soon, and what an HTTP server's first line says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "modules/health/judge.h"

static const struct check usual = {
	.interval_ms = 2000, .timeout_ms = 500, .up_after = 2, .down_after = 3};

static void first_check_decides(void **state)
{
	struct judgement up = {}, down = {};

	assert_true(judge(&up, &usual, 1));
	assert_int_equal(up.health, HEALTH_UP);
	assert_true(judge(&down, &usual, 0));
	assert_int_equal(down.health, HEALTH_DOWN);
}

static void only_rows_count(void **state)
{
	struct judgement j = {.health = HEALTH_UP};

	for (int i = 0; i < 10; i++) {
		assert_false(judge(&j, &usual, 0));
		assert_false(judge(&j, &usual, 0));
		assert_false(judge(&j, &usual, 1));
	}
	assert_false(judge(&j, &usual, 0));
	assert_false(judge(&j, &usual, 0));
	assert_true(judge(&j, &usual, 0));
	assert_int_equal(j.health, HEALTH_DOWN);
	assert_false(judge(&j, &usual, 1));
	assert_false(judge(&j, &usual, 0));
	assert_false(judge(&j, &usual, 1));
	assert_true(judge(&j, &usual, 1));
	assert_int_equal(j.health, HEALTH_UP);
}

// Whenever it dies: the last check that passed began just before.
static void dead_within_an_interval(void **state)
{
	static const struct check all[] = {
		{2000, 500, 2, 2}, {2000, 500, 2, 3}, {100, 10, 1, 9}, {300000, 299999, 1, 1}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct judgement j = {.health = HEALTH_UP};
		uint32_t passed_ms = judge_pause_ms(&j, &all[i]);

		while (!judge(&j, &all[i], 0))
			passed_ms += judge_pause_ms(&j, &all[i]);
		assert_in_range(passed_ms + all[i].timeout_ms, 1, all[i].interval_ms);
	}
}

// It is checked no more often for that.
static void down_is_checked_as_up(void **state)
{
	struct judgement up = {.health = HEALTH_UP}, down = {.health = HEALTH_UP};

	judge(&up, &usual, 1);
	while (!judge(&down, &usual, 0))
		;
	assert_int_equal(judge_pause_ms(&down, &usual), judge_pause_ms(&up, &usual));
}

static void http(void **state)
{
	static const struct {
		const char *text;
		int is;
	} answers[] = {
		{"", -1},
		{"HTTP/1.1 20", -1},
		{"HTTP/1.1 200", 1},
		{"HTTP/1.0 204 No Content\r\n", 1},
		{"HTTP/1.1 302", 1},
		{"HTTP/1.1 404", 0},
		{"HTTP/1.1 500", 0},
		{"HTTP/1.1 100", 0},
		{"HTTP/2 200  ", 0},
		{"HTTP/1.1x200", 0},
		{"SSH-2.0-", 0},
		{"HTTQ", 0},
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		assert_int_equal(judge_http(answers[i].text, strlen(answers[i].text)),
				 answers[i].is);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_check_decides),
		cmocka_unit_test(only_rows_count),
		cmocka_unit_test(dead_within_an_interval),
		cmocka_unit_test(down_is_checked_as_up),
		cmocka_unit_test(http),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
