// SPDX-License-Identifier: Apache-2.0
// What YAML becomes, and what is refused, with its line.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/document.h"

static void becomes(const char *yaml, const char *json)
{
	struct documents documents;
	struct document_error error;
	json_t *expected = json_loads(json, JSON_DECODE_ANY, NULL);

	assert_non_null(expected);
	assert_int_equal(documents_parse(&documents, yaml, strlen(yaml), &error), 0);
	assert_int_equal(documents.count, 1);
	assert_true(json_equal(documents.document[0].value, expected));
	json_decref(expected);
	documents_free(&documents);
}

static void refused(const char *yaml, size_t document, size_t line, const char *word)
{
	struct documents documents = {};
	struct document_error error;

	assert_int_equal(documents_parse(&documents, yaml, strlen(yaml), &error), -EINVAL);
	assert_int_equal(documents.count, 0);
	assert_int_equal(error.document, document);
	assert_int_equal(error.line, line);
	assert_non_null(strstr(error.text, word));
}

static void scalars(void **state)
{
	becomes("a: 12", "{\"a\": 12}");
	becomes("a: -1", "{\"a\": -1}");
	becomes("a: 007", "{\"a\": \"007\"}");
	becomes("a: 0", "{\"a\": 0}");
}

static void texts(void **state)
{
	becomes("a: \"12\"", "{\"a\": \"12\"}");
	becomes("a: 'true'", "{\"a\": \"true\"}");
	becomes("a: 10.0.0.0/24", "{\"a\": \"10.0.0.0/24\"}");
	becomes("a: 02:00:00:00:00:01", "{\"a\": \"02:00:00:00:00:01\"}");
	becomes("a: 1234567890123456789012", "{\"a\": \"1234567890123456789012\"}");
	becomes("a: no", "{\"a\": \"no\"}");
	becomes("a: -0", "{\"a\": 0}");
	becomes("a: 1.5", "{\"a\": \"1.5\"}");
	becomes("a: \"\"", "{\"a\": \"\"}");
}

static void nothing_and_truth(void **state)
{
	becomes("a:", "{\"a\": null}");
	becomes("a: ~", "{\"a\": null}");
	becomes("a: null", "{\"a\": null}");
	becomes("a: true", "{\"a\": true}");
	becomes("a: false", "{\"a\": false}");
}

static void nested(void **state)
{
	becomes("a: [1, {b: c}]\nlast:\n  - e\n",
		"{\"a\": [1, {\"b\": \"c\"}], \"last\": [\"e\"]}");
	becomes("a: &x [1]\nb: *x\n", "{\"a\": [1], \"b\": [1]}");
	becomes("{}", "{}");
}

static void several(void **state)
{
	static const char yaml[] = "---\n# nothing\n---\na: 1\n---\n\nbb: 2\n...\n";
	struct documents documents;
	struct document_error error;

	assert_int_equal(documents_parse(&documents, yaml, strlen(yaml), &error), 0);
	assert_int_equal(documents.count, 2);
	assert_int_equal(documents.document[0].line, 4);
	assert_int_equal(documents.document[1].line, 7);
	documents_free(&documents);
	assert_int_equal(documents_parse(&documents, "", 0, &error), 0);
	assert_int_equal(documents.count, 0);
	documents_free(&documents);
}

static void refusals(void **state)
{
	refused("a: 1\nb: [\n", 1, 3, "");
	refused("a: 1\nb: 2\na: 3\n", 1, 3, "twice");
	refused("a: 1\n---\n\n? [x]\n: 1\n", 2, 4, "plain text");
	refused("a: \"\\0\"\n", 1, 1, "zero byte");
	refused("\"a\\0b\": 1\n", 1, 1, "plain text");
	refused("a: *b\n", 1, 1, "undefined alias");
	refused("a: \xff\xfe\n", 1, 1, "");
}

// Each level doubles: 2^40 nodes, should anybody walk all of them.
static void bombs(void **state)
{
	char yaml[4096] = "a0: &a0 [x, x]\n";
	int i;

	for (i = 1; i < 28; i++)
		sprintf(yaml + strlen(yaml), "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
	refused(yaml, 1, 1, "too large");
	refused("a: &a [*a]\n", 1, 1, "nested too deep");
	memset(yaml, '[', 200);
	memset(yaml + 200, ']', 200);
	yaml[400] = 0;
	refused(yaml, 1, 1, "nested too deep");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),
		cmocka_unit_test(texts),
		cmocka_unit_test(nothing_and_truth),
		cmocka_unit_test(nested),
		cmocka_unit_test(several),
		cmocka_unit_test(refusals),
		cmocka_unit_test(bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
