// SPDX-License-Identifier: Apache-2.0
// Lines as the kernel has them, in a file of ours.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/spare.h"

static void test_parse(void **state)
{
	uint64_t idle = 7, all = 7;

	assert_int_equal(spare_parse("cpu  1 20 300 4000 50000 600000 7000000 80000000 9 9\n"
				     "cpu0 1 1 1 1 1 1 1 1 1 1\n",
				     &idle, &all),
			 0);
	assert_int_equal(idle, 54000);
	assert_int_equal(all, 87654321);
	assert_int_equal(spare_parse("cpu0 1 1 1 1 1 1 1 1 1 1\n", &idle, &all), -EINVAL);
	assert_int_equal(spare_parse("cpu  1 20 300\n", &idle, &all), -EINVAL);
	assert_int_equal(spare_parse("", &idle, &all), -EINVAL);
	assert_int_equal(all, 87654321);
}

// What the kernel says, and when.
static void put(struct spare *spare, unsigned int idle, unsigned int all, uint64_t later_ms)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "cpu  %u 0 0 %u 0 0 0 0 0 0\n", all - idle, idle);

	assert_int_equal(ftruncate(spare->stat, 0), 0);
	assert_int_equal(pwrite(spare->stat, text, (size_t)n, 0), n);
	spare->at_ms -= later_ms;
}

static void test_short(void **state)
{
	FILE *file = tmpfile();
	struct spare spare;

	assert_non_null(file);
	spare_open(&spare);
	assert_true(spare.stat >= 0);
	spare_close(&spare);
	assert_true(spare_is_short(&spare)); // unknown
	spare = (struct spare){.stat = dup(fileno(file)), .is_short = true};
	put(&spare, 1000, 1000, 0);
	assert_true(spare_is_short(&spare)); // nothing to compare it with
	put(&spare, 1020, 1100, 200);
	assert_false(spare_is_short(&spare));
	put(&spare, 1020, 1200, 0);
	assert_false(spare_is_short(&spare)); // not read yet
	put(&spare, 1032, 1200, 200);
	assert_true(spare_is_short(&spare)); // 12 of 100: not an eighth
	put(&spare, 1060, 1300, 200);
	assert_false(spare_is_short(&spare));
	put(&spare, 1059, 1310, 200);
	assert_true(spare_is_short(&spare));
	put(&spare, 1100, 1320, 200);
	assert_false(spare_is_short(&spare));
	put(&spare, 2000, 3000, 100000);
	assert_true(spare_is_short(&spare)); // of when?
	spare_close(&spare);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
