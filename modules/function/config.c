// SPDX-License-Identifier: Apache-2.0
// One value at a time, each at its place.
#include "modules/function/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"

static int refuse(char why[OBJECT_WHY], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(char why[OBJECT_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, OBJECT_WHY, format, args);
	va_end(args);
	return -EINVAL;
}

static int put_integer(const struct object_field *f, const json_t *value, uint8_t *at,
		       char why[OBJECT_WHY])
{
	const uint64_t most = f->size >= 8 ? INT64_MAX : (1ull << 8 * f->size) - 1;
	uint64_t number;
	uint32_t i;

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > most)
		return refuse(why, "%s must be an integer from 0 to %llu", f->name,
			      (unsigned long long)most);
	number = (uint64_t)json_integer_value(value);
	for (i = 0; i < f->size; i++)
		at[f->type == OBJECT_NETWORK ? f->size - 1 - i : i] = (uint8_t)(number >> 8 * i);
	return 0;
}

static int put_one(const struct object_field *f, const json_t *value, uint8_t *at,
		   char why[OBJECT_WHY])
{
	struct in6_addr address;

	if (f->type != OBJECT_ADDRESS)
		return put_integer(f, value, at, why);
	if (!json_is_string(value) || address_parse(json_string_value(value), &address))
		return refuse(why, "%s must be an address like 10.0.0.1", f->name);
	memcpy(at, &address, sizeof(address));
	return 0;
}

static int put_field(const struct object_field *f, const json_t *value, uint8_t *out,
		     char why[OBJECT_WHY])
{
	const json_t *item;
	size_t i;
	int err;

	if (!f->count)
		return put_one(f, value, out + f->offset, why);
	if (!json_is_array(value) || json_array_size(value) > f->count)
		return refuse(why, "%s must be a list of at most %u", f->name, f->count);
	json_array_foreach (value, i, item)
		if ((err = put_one(f, item, out + f->offset + i * f->size, why)))
			return err;
	return 0;
}

static const struct object_field *field_named(const struct function_object *object,
					      const char *name)
{
	for (uint32_t i = 0; i < object->fields; i++)
		if (!strcmp(object->field[i].name, name))
			return &object->field[i];
	return NULL;
}

int config_bytes(const struct function_object *object, const json_t *config,
		 uint8_t out[ZETA_CONFIG_BYTES], char why[OBJECT_WHY])
{
	const struct object_field *field;
	const char *name;
	json_t *value;
	int err;

	memset(out, 0, ZETA_CONFIG_BYTES);
	json_object_foreach ((json_t *)config, name, value) {
		field = field_named(object, name);
		if (!field)
			return refuse(why, "the function has no field \"%.40s\"", name);
		if ((err = put_field(field, value, out, why)))
			return err;
	}
	return 0;
}

static const char *type_of(const struct object_field *field, char text[24])
{
	if (field->type == OBJECT_ADDRESS)
		return "address";
	snprintf(text, 24, "integer of %u bits", field->size * 8);
	return text;
}

json_t *config_fields(const struct function_object *object)
{
	json_t *fields = json_array();
	char text[24];

	for (uint32_t i = 0; fields && i < object->fields; i++)
		if (json_array_append_new(
			    fields, json_pack("{s:s, s:s, s:I}", "name", object->field[i].name,
					      "type", type_of(&object->field[i], text), "count",
					      (json_int_t)object->field[i].count))) {
			json_decref(fields);
			return NULL;
		}
	return fields;
}
