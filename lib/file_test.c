// SPDX-License-Identifier: Apache-2.0
// Files and pipes of sizes around the bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/file.h"
#include "lib/own.h"

static void reads(size_t size, size_t most, int expected)
{
	auto_(closep) int fd = memfd_create("test", MFD_CLOEXEC);
	auto_(freep) char *bytes = malloc(size + 1), *text = NULL;
	size_t length = 0, i;

	for (i = 0; i < size; i++)
		bytes[i] = (char)('a' + i % 23);
	bytes[size] = '\0';
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(open_file_read(fd, most, &text, &length), expected);
	if (expected) {
		assert_null(text);
		return;
	}
	assert_int_equal(length, size);
	assert_memory_equal(text, bytes, size + 1);
}

static void reads_up_to_the_bound(void **state)
{
	reads(0, 0, 0);
	reads(0, 10, 0);
	reads(10, 10, 0);
	reads(11, 10, -EFBIG);
	reads(65535, 1 << 20, 0);
	reads(65536, 1 << 20, 0);
	reads(1 << 20, 1 << 20, 0);
	reads((1 << 20) + 1, 1 << 20, -EFBIG);
}

static void reads_a_pipe_in_pieces(void **state)
{
	auto_(freep) char *text = NULL;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "one ", 4), 4);
	assert_int_equal(write(ends[1], "two", 3), 3);
	close(ends[1]);
	assert_int_equal(open_file_read(ends[0], 100, &text, NULL), 0);
	assert_string_equal(text, "one two");
	close(ends[0]);
}

static void says_why_not(void **state)
{
	char *text = NULL;

	assert_int_equal(file_read("/nonexistent", 10, &text, NULL), -ENOENT);
	assert_int_equal(file_read("/", 10, &text, NULL), -EISDIR);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_up_to_the_bound),
		cmocka_unit_test(reads_a_pipe_in_pieces),
		cmocka_unit_test(says_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
