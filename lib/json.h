/* SPDX-License-Identifier: Apache-2.0 */
// Shorthands for the fields of a JSON object. Texts are lent.
#pragma once

#include <jansson.h>

// NULL where the field is missing or no text.
static inline const char *text_in(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

// "" where it is.
static inline const char *text_or_empty(const json_t *object, const char *name)
{
	const char *text = text_in(object, name);

	return text ? text : "";
}

// 0 where the field is missing or no integer.
static inline json_int_t integer_in(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}
