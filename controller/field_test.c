// SPDX-License-Identifier: Apache-2.0
// The checker of bodies: one row per rule, each with the field and the sentence it refuses with.
#include "controller/field.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *const colours[] = {"red", "blue", NULL};
static const struct field inner[] = {
	{.name = "mac", .type = FIELD_MAC, .required = true},
	{.name = "group", .type = FIELD_REFERENCE, .kind = "groups", .nullable = true},
	{}};
static const struct field fields[] = {
	{.name = "text", .type = FIELD_TEXT, .min = 1, .max = 5, .fallback = "\"x\""},
	{.name = "word", .type = FIELD_WORD},
	{.name = "interface", .type = FIELD_INTERFACE, .nullable = true},
	{.name = "integer", .type = FIELD_INTEGER, .min = -1, .max = 9, .fallback = "4"},
	{.name = "digits", .type = FIELD_DIGITS, .min = 1, .max = 70},
	{.name = "colour", .type = FIELD_CHOICE, .choices = colours},
	{.name = "address", .type = FIELD_ADDRESS},
	{.name = "underlay", .type = FIELD_UNDERLAY},
	{.name = "prefix", .type = FIELD_PREFIX},
	{.name = "protocol", .type = FIELD_PROTOCOL},
	{.name = "owner", .type = FIELD_REFERENCE, .kind = "owners"},
	{.name = "list",
	 .type = FIELD_INTEGER,
	 .max = 9,
	 .list = true,
	 .min_items = 1,
	 .max_items = 3},
	{.name = "objects", .type = FIELD_OBJECT, .fields = inner, .list = true, .max_items = 2},
	{.name = "object", .type = FIELD_OBJECT, .fields = inner},
	{.name = "groups", .type = FIELD_REFERENCE, .kind = "groups", .list = true, .max_items = 2},
	{}};

struct row {
	const char *given;
	const char *field; // NULL: it is taken
	const char *kept;  // the value of the first field in given
};

static const struct row rows[] = {
	{"{'text': 'hello'}", NULL, "'hello'"},
	{"{'text': ''}", "text", NULL},
	{"{'text': 'too long'}", "text", NULL},
	{"{'text': 'a\\u0001'}", "text", NULL},
	{"{'text': 'a\\u007f'}", "text", NULL},
	{"{'text': null}", "text", NULL},
	{"{'word': 'a.B_9-'}", NULL, "'a.B_9-'"},
	{"{'word': '.'}", "word", NULL},
	{"{'word': '..'}", "word", NULL},
	{"{'word': '...'}", NULL, "'...'"},
	{"{'word': 'a b'}", "word", NULL},
	{"{'interface': 'eth0.100'}", NULL, "'eth0.100'"},
	{"{'interface': null}", NULL, "null"},
	{"{'interface': 'a/b'}", "interface", NULL},
	{"{'interface': '0123456789abcdef'}", "interface", NULL},
	{"{'integer': -1}", NULL, "-1"},
	{"{'integer': -2}", "integer", NULL},
	{"{'integer': 10}", "integer", NULL},
	{"{'integer': 1.0}", "integer", NULL},
	{"{'integer': '1'}", "integer", NULL},
	{"{'integer': true}", "integer", NULL},
	{"{'digits': '70'}", NULL, "70"},
	{"{'digits': '0000070'}", NULL, "70"},
	{"{'digits': 7}", NULL, "7"},
	{"{'digits': ''}", "digits", NULL},
	{"{'digits': '71'}", "digits", NULL},
	{"{'digits': ' 7'}", "digits", NULL},
	{"{'digits': '4294967297'}", "digits", NULL},
	{"{'digits': '18446744073709551617'}", "digits", NULL},
	{"{'colour': 'red'}", NULL, "'red'"},
	{"{'colour': 'Red'}", "colour", NULL},
	{"{'colour': 1}", "colour", NULL},
	{"{'address': '10.0.0.1'}", NULL, "'10.0.0.1'"},
	{"{'address': '::ffff:10.0.0.1'}", NULL, "'10.0.0.1'"},
	{"{'address': 'FD00:0::1'}", NULL, "'fd00::1'"},
	{"{'address': '::1'}", "address", NULL},
	{"{'address': '::'}", "address", NULL},
	{"{'address': 'ff02::1'}", "address", NULL},
	{"{'address': '0.0.0.1'}", "address", NULL},
	{"{'address': '127.0.0.1'}", "address", NULL},
	{"{'address': '239.0.0.1'}", "address", NULL},
	{"{'address': '255.255.255.255'}", "address", NULL},
	{"{'address': '10.0.0.1/24'}", "address", NULL},
	{"{'underlay': '10.0.0.1'}", NULL, "'10.0.0.1'"},
	{"{'underlay': '::ffff:10.0.0.1'}", NULL, "'10.0.0.1'"},
	{"{'underlay': 'fd00::1'}", "underlay", NULL},
	{"{'underlay': '224.0.0.1'}", "underlay", NULL},
	{"{'prefix': '10.0.0.0/8'}", NULL, "'10.0.0.0/8'"},
	{"{'prefix': '0.0.0.0/0'}", NULL, "'0.0.0.0/0'"},
	{"{'prefix': '::/0'}", NULL, "'::/0'"},
	{"{'prefix': '::ffff:0:0/80'}", "prefix", NULL},
	{"{'prefix': '10.0.0.1/8'}", "prefix", NULL},
	{"{'prefix': '10.0.0.0/ 8'}", "prefix", NULL},
	{"{'prefix': '10.0.0.0/-8'}", "prefix", NULL},
	{"{'protocol': 'tcp'}", NULL, "'tcp'"},
	{"{'protocol': 17}", NULL, "'udp'"},
	{"{'protocol': 0}", NULL, "'any'"},
	{"{'protocol': 255}", NULL, "255"},
	{"{'protocol': 256}", "protocol", NULL},
	{"{'protocol': '6'}", "protocol", NULL},
	{"{'protocol': false}", "protocol", NULL},
	{"{'list': [1, 2]}", NULL, "[1, 2]"},
	{"{'list': []}", "list", NULL},
	{"{'list': [1, 2, 3, 4]}", "list", NULL},
	{"{'list': [1, 1]}", "list[1]", NULL},
	{"{'list': [1, 10]}", "list[1]", NULL},
	{"{'list': 1}", "list", NULL},
	{"{'object': {'mac': '02:00:00:00:00:0A'}}", NULL,
	 "{'mac': '02:00:00:00:00:0a', 'group': null}"},
	{"{'object': {}}", "object.mac", NULL},
	{"{'object': {'mac': '03:00:00:00:00:0a'}}", "object.mac", NULL},
	{"{'object': {'mac': '00:00:00:00:00:00'}}", "object.mac", NULL},
	{"{'object': {'mac': '02:00:00:00:00:0a', 'x': 1}}", "object.x", NULL},
	{"{'objects': [{'mac': '02:00:00:00:00:0a'}, {}]}", "objects[1].mac", NULL},
	{"{'objects': [{'mac': '02:00:00:00:00:0a'}, {'mac': '02:00:00:00:00:0a'}]}", NULL,
	 "[{'mac': '02:00:00:00:00:0a', 'group': null}, {'mac': '02:00:00:00:00:0a', 'group': null}]"},
	{"{'objects': [3]}", "objects[0]", NULL},
	{"{'smell': 1}", "smell", NULL},
	{"{'sm\\nell': 1}", "?", NULL},
	{"[]", "body", NULL},
};

// Rows are written with ' for ".
static json_t *parse(const char *text, struct problem *problem)
{
	char copy[256], *quote;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((quote = strchr(copy, '\'')))
		*quote = '"';
	return field_parse(copy, strlen(copy), problem);
}

static void test_rows(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		struct problem problem = {}, none = {};
		json_t *given = parse(row->given, &none), *checked, *kept = NULL;
		char wrapped[256];

		assert_non_null(given);
		checked = field_check(fields, given, "", &problem);
		if (row->field) {
			if (checked)
				fail_msg("%s was taken", row->given);
			assert_int_equal(problem.status, 400);
			assert_string_equal(problem.field, row->field);
			assert_non_null(strstr(problem.message, row->field));
		} else {
			if (!checked)
				fail_msg("%s: %s", row->given, problem.message);
			snprintf(wrapped, sizeof(wrapped), "[%s]", row->kept);
			kept = parse(wrapped, &none);
			if (!json_equal(json_array_get(kept, 0),
					json_object_get(checked, json_object_iter_key(
									 json_object_iter(given)))))
				fail_msg("%s is not kept as %s", row->given, row->kept);
			// Every field is there, whatever was given.
			assert_int_equal(json_object_size(checked),
					 sizeof(fields) / sizeof(*fields) - 1);
		}
		json_decref(kept);
		json_decref(checked);
		json_decref(given);
	}
}

static void test_fallbacks(void **state)
{
	struct problem problem = {};
	json_t *given = json_object(), *checked = field_check(fields, given, "", &problem);

	assert_string_equal(text_in(checked, "text"), "x");
	assert_int_equal(integer_in(checked, "integer"), 4);
	assert_true(json_is_null(json_object_get(checked, "word")));
	assert_null(text_in(checked, "word"));
	json_decref(checked);
	json_decref(given);
}

static void test_parse(void **state)
{
	static const char *const bad[] = {"",
					  "{",
					  "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
					  "{} x",
					  "{'a': 1, 'a': 2}",
					  "['\\u0000']",
					  "nul",
					  "[1e999]",
					  "[99999999999999999999]",
					  "'never ends"};
	static const char *const good[] = {"[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "{}",
					   "['[[[[[[[[[[[[[[[[[[[[[', '\\\\', '\\'']"};
	struct problem problem;
	json_t *json;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		problem = (struct problem){};
		assert_null(parse(bad[i], &problem));
		assert_int_equal(problem.status, 400);
		assert_string_equal(problem.field, "body");
	}
	problem = (struct problem){};
	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		json = parse(good[i], &problem);
		assert_non_null(json);
		json_decref(json);
	}
}

#define SEEN 256

static json_t *collect(const struct field *field, const char *path, const char *text, void *arg)
{
	char *seen = arg;
	size_t used = strlen(seen);

	snprintf(seen + used, SEEN - used, "%s=%s/%s ", path, field->kind, text);
	return strcmp(text, "bad") ? json_sprintf("%s!", text) : NULL;
}

static void test_references(void **state)
{
	struct problem problem = {};
	json_t *given = parse("{'owner': 'o', 'groups': ['g', 'h'], 'objects': [{'mac': "
			      "'02:00:00:00:00:0a', 'group': 'i'}]}",
			      &problem);
	json_t *checked = field_check(fields, given, "", &problem);
	char text[SEEN] = "";

	assert_int_equal(field_references(fields, checked, "", collect, text), 0);
	assert_string_equal(text, "owner=owners/o objects[0].group=groups/i groups[0]=groups/g "
				  "groups[1]=groups/h ");
	assert_string_equal(text_in(checked, "owner"), "o!");
	json_object_set_new(checked, "owner", json_string("bad"));
	assert_true(field_references(fields, checked, "", collect, text) < 0);
	json_decref(checked);
	json_decref(given);
}

static void test_refuse(void **state)
{
	struct problem problem = {};

	assert_int_equal(refuse(&problem, 409, "a", "%s is first", "a"), -EEXIST);
	// What was said first stays.
	assert_int_equal(refuse(&problem, 400, "b", "b"), -EEXIST);
	assert_string_equal(problem.message, "a is first");
	problem = (struct problem){};
	assert_int_equal(refuse(&problem, 404, NULL, "x"), -ENOENT);
	assert_string_equal(problem.field, "");
	problem = (struct problem){};
	assert_int_equal(refuse(&problem, 400, NULL, "x"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),   cmocka_unit_test(test_fallbacks),
		cmocka_unit_test(test_parse),  cmocka_unit_test(test_references),
		cmocka_unit_test(test_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
