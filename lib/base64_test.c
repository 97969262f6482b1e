// SPDX-License-Identifier: Apache-2.0
// The test vectors of RFC 4648, both ways, and what is no such text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"

static void vectors(void **state)
{
	static const struct {
		const char *plain, *text;
	} rows[] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xfe", "+//+"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = base64_encode((const uint8_t *)rows[i].plain, strlen(rows[i].plain));
		uint8_t *bytes;
		size_t size;

		assert_string_equal(text, rows[i].text);
		assert_int_equal(base64_decode(rows[i].text, &bytes, &size), 0);
		assert_int_equal(size, strlen(rows[i].plain));
		assert_memory_equal(bytes, rows[i].plain, size);
		free(text);
		free(bytes);
	}
}

static void nonsense(void **state)
{
	static const char *const rows[] = {
		"Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zm9 ", "Zm9\n", "Zm-v"};
	uint8_t *bytes;
	size_t size;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(base64_decode(rows[i], &bytes, &size), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(nonsense)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
