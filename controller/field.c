// SPDX-License-Identifier: Apache-2.0
// Checks JSON from outside against tables of fields.
#include "controller/field.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"

#define PATH 96

int refuse(struct problem *problem, int status, const char *field, const char *format, ...)
{
	va_list args;

	if (!problem->status) {
		problem->status = status;
		snprintf(problem->field, sizeof(problem->field), "%s", field ? field : "");
		va_start(args, format);
		vsnprintf(problem->message, sizeof(problem->message), format, args);
		va_end(args);
	}
	switch (problem->status) {
	case 400:
		return -EINVAL;
	case 404:
		return -ENOENT;
	case 409:
		return -EEXIST;
	default:
		return -EPROTO;
	}
}

// Where in the body a field is. Tables bound the depth; a longer path would only be cut short.
static void write_path(char path[PATH], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void write_path(char path[PATH], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(path, PATH, format, args);
	va_end(args);
}

// The parser recurses; a body must not decide how deep. Brackets inside strings do not count.
static bool too_deep(const char *text, size_t size)
{
	unsigned int depth = 0;
	bool quoted = false;
	size_t i;

	for (i = 0; i < size; i++) {
		if (quoted) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				quoted = false;
		} else if (text[i] == '"') {
			quoted = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > FIELD_DEPTH)
				return true;
		} else if ((text[i] == '}' || text[i] == ']') && depth) {
			depth--;
		}
	}
	return false;
}

json_t *field_parse(const char *text, size_t size, struct problem *problem)
{
	json_error_t error;
	json_t *json;

	if (too_deep(text, size)) {
		refuse(problem, 400, "body", "body is nested more than %d deep", FIELD_DEPTH);
		return NULL;
	}
	json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	// The parser quotes what it stumbled over; only its position is told, as bodies of the
	// published API may hold a password.
	if (!json)
		refuse(problem, 400, "body", "body is not JSON: line %d, column %d", error.line,
		       error.column);
	return json;
}

bool field_is_word(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789_.-");

	return length >= 1 && length <= 64 && !text[length] && strcmp(text, ".") &&
	       strcmp(text, "..");
}

static bool is_interface(const char *text)
{
	size_t i, length = strlen(text);

	if (length < 1 || length > 15 || !strcmp(text, ".") || !strcmp(text, ".."))
		return false;
	for (i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '/' || text[i] == ':')
			return false;
	return true;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7F)
			return false;
	return true;
}

static bool is_unicast(const struct in6_addr *address)
{
	const uint8_t *a = address->s6_addr;

	if (IN6_IS_ADDR_V4MAPPED(address))
		return a[12] != 0 && a[12] != 127 && a[12] < 224;
	return !IN6_IS_ADDR_MULTICAST(address) && !IN6_IS_ADDR_UNSPECIFIED(address) &&
	       !IN6_IS_ADDR_LOOPBACK(address);
}

static json_t *check_text(const struct field *field, const json_t *given, const char *path,
			  struct problem *problem)
{
	size_t length = json_string_length(given);

	if (!json_is_string(given) || length < (size_t)field->min || length > (size_t)field->max ||
	    !is_printable(json_string_value(given))) {
		refuse(problem, 400, path, "%s must be text of %d to %d bytes on one line", path,
		       (int)field->min, (int)field->max);
		return NULL;
	}
	return json_copy((json_t *)given);
}

static json_t *check_boolean(const json_t *given, const char *path, struct problem *problem)
{
	if (!json_is_boolean(given)) {
		refuse(problem, 400, path, "%s must be true or false", path);
		return NULL;
	}
	return json_copy((json_t *)given);
}

static json_t *check_word(const json_t *given, const char *path, struct problem *problem)
{
	if (!json_is_string(given) || !field_is_word(json_string_value(given))) {
		refuse(problem, 400, path, "%s must be 1 to 64 of A-Z a-z 0-9 _ . -", path);
		return NULL;
	}
	return json_copy((json_t *)given);
}

static json_t *check_interface(const json_t *given, const char *path, struct problem *problem)
{
	if (!json_is_string(given) || !is_interface(json_string_value(given))) {
		refuse(problem, 400, path, "%s must be the name of a network interface", path);
		return NULL;
	}
	return json_copy((json_t *)given);
}

static json_t *check_integer(const struct field *field, const json_t *given, const char *path,
			     struct problem *problem)
{
	json_int_t value = json_integer_value(given);
	bool ok = json_is_integer(given);
	const char *text;

	if (!ok && field->type == FIELD_DIGITS && json_is_string(given)) {
		text = json_string_value(given);
		// Nine digits are more than any field needs, and cannot overflow.
		ok = *text && strlen(text) <= 9 && strspn(text, "0123456789") == strlen(text);
		value = ok ? atoll(text) : 0;
	}
	if (!ok || value < field->min || value > field->max) {
		refuse(problem, 400, path, "%s must be a whole number from %lld to %lld", path,
		       (long long)field->min, (long long)field->max);
		return NULL;
	}
	return json_integer(value);
}

static json_t *check_choice(const struct field *field, const json_t *given, const char *path,
			    struct problem *problem)
{
	const char *text = json_is_string(given) ? json_string_value(given) : "";
	char words[128] = "";
	size_t used = 0;
	int i;

	for (i = 0; field->choices[i]; i++) {
		if (!strcmp(text, field->choices[i]))
			return json_string(text);
		used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%s", i ? ", " : "",
					 field->choices[i]);
	}
	refuse(problem, 400, path, "%s must be one of: %s", path, words);
	return NULL;
}

static json_t *check_address(const struct field *field, const json_t *given, const char *path,
			     struct problem *problem)
{
	char text[ADDRESS_TEXT];
	struct in6_addr address;

	if (!json_is_string(given) || address_parse(json_string_value(given), &address) ||
	    !is_unicast(&address)) {
		refuse(problem, 400, path, "%s must be a unicast address like 10.0.0.1", path);
		return NULL;
	}
	if (address_odd_name(&address)) {
		refuse(problem, 400, path, "%s %s is %s: such an address is nobody's alone", path,
		       address_text(&address, text), address_odd_name(&address));
		return NULL;
	}
	if (field->type == FIELD_UNDERLAY && !IN6_IS_ADDR_V4MAPPED(&address)) {
		refuse(problem, 400, path, "%s %s is IPv6: the underlay is IPv4", path,
		       address_text(&address, text));
		return NULL;
	}
	return json_string(address_text(&address, text));
}

static json_t *check_prefix(const json_t *given, const char *path, struct problem *problem)
{
	char text[ADDRESS_TEXT];
	struct in6_addr address;
	unsigned int bits;

	// A prefix that covers IPv4 and more (::/0) is IPv6's; v4-mapped text is not taken for it.
	if (!json_is_string(given) || prefix_parse(json_string_value(given), &address, &bits) ||
	    (IN6_IS_ADDR_V4MAPPED(&address) && bits < V4_PREFIX_BITS)) {
		refuse(problem, 400, path, "%s must be a prefix like 10.0.0.0/24, host bits 0",
		       path);
		return NULL;
	}
	return json_string(prefix_text(&address, bits, text));
}

static json_t *check_mac(const json_t *given, const char *path, struct problem *problem)
{
	static const uint8_t zero[6];
	char text[ADDRESS_TEXT];
	uint8_t mac[6];

	if (!json_is_string(given) || mac_parse(json_string_value(given), mac) || mac[0] & 1 ||
	    !memcmp(mac, zero, sizeof(mac))) {
		refuse(problem, 400, path,
		       "%s must be a unicast MAC address like 02:00:00:00:00:01", path);
		return NULL;
	}
	return json_string(mac_text(mac, text));
}

static json_t *check_protocol(const json_t *given, const char *path, struct problem *problem)
{
	static const struct {
		const char *word;
		json_int_t number;
	} words[] = {{"any", 0}, {"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}};
	json_int_t number = json_integer_value(given);
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (json_is_string(given) ? !strcmp(json_string_value(given), words[i].word)
					  : json_is_integer(given) && number == words[i].number)
			return json_string(words[i].word);
	if (!json_is_integer(given) || number < 0 || number > 255) {
		refuse(problem, 400, path,
		       "%s must be tcp, udp, icmp, icmpv6, any or a number up to 255", path);
		return NULL;
	}
	return json_integer(number);
}

static json_t *check_one(const struct field *field, const json_t *given, const char *path,
			 struct problem *problem)
{
	char inner[PATH];

	switch (field->type) {
	case FIELD_TEXT:
		return check_text(field, given, path, problem);
	case FIELD_WORD:
	case FIELD_REFERENCE:
		return check_word(given, path, problem);
	case FIELD_INTERFACE:
		return check_interface(given, path, problem);
	case FIELD_INTEGER:
	case FIELD_DIGITS:
		return check_integer(field, given, path, problem);
	case FIELD_BOOLEAN:
		return check_boolean(given, path, problem);
	case FIELD_CHOICE:
		return check_choice(field, given, path, problem);
	case FIELD_ADDRESS:
	case FIELD_UNDERLAY:
		return check_address(field, given, path, problem);
	case FIELD_PREFIX:
		return check_prefix(given, path, problem);
	case FIELD_MAC:
		return check_mac(given, path, problem);
	case FIELD_PROTOCOL:
		return check_protocol(given, path, problem);
	case FIELD_FREE:
		if (json_is_object(given))
			return json_deep_copy(given);
		refuse(problem, 400, path, "%s must be an object", path);
		return NULL;
	case FIELD_OBJECT:
		if (!json_is_object(given)) {
			refuse(problem, 400, path, "%s must be an object", path);
			return NULL;
		}
		write_path(inner, "%s.", path);
		return field_check(field->fields, given, inner, problem);
	}
	return NULL;
}

static json_t *check_list(const struct field *field, const json_t *given, const char *path,
			  struct problem *problem)
{
	auto_(json_decrefp) json_t *list = json_array();
	char inner[PATH];
	json_t *item;
	size_t i, k;

	if (!json_is_array(given) || json_array_size(given) < field->min_items ||
	    json_array_size(given) > field->max_items) {
		refuse(problem, 400, path, "%s must be a list of %zu to %zu", path,
		       field->min_items, field->max_items);
		return NULL;
	}
	json_array_foreach (given, i, item) {
		write_path(inner, "%s[%zu]", path, i);
		item = check_one(field, item, inner, problem);
		if (!item)
			return NULL;
		for (k = 0; k < i && field->type != FIELD_OBJECT; k++)
			if (json_equal(item, json_array_get(list, k)))
				refuse(problem, 400, inner, "%s is there twice", inner);
		if (json_array_append_new(list, item) || problem->status)
			return NULL;
	}
	return take_ptr(list);
}

json_t *field_fallback(const struct field *field)
{
	return field->fallback ? json_loads(field->fallback, JSON_DECODE_ANY, NULL) : json_null();
}

static json_t *check_field(const struct field *field, const json_t *given, const char *path,
			   struct problem *problem)
{
	if (!given && field->required) {
		refuse(problem, 400, path, "%s is missing", path);
		return NULL;
	}
	if (!given)
		return field_fallback(field);
	if (json_is_null(given) && field->nullable)
		return json_null();
	return field->list ? check_list(field, given, path, problem)
			   : check_one(field, given, path, problem);
}

static bool is_known(const struct field *fields, const char *name)
{
	for (; fields->name; fields++)
		if (!strcmp(fields->name, name))
			return true;
	return false;
}

json_t *field_check(const struct field *fields, const json_t *given, const char *path,
		    struct problem *problem)
{
	auto_(json_decrefp) json_t *checked = json_object();
	const struct field *field;
	char inner[PATH];
	const char *name;
	json_t *value;

	if (!json_is_object(given)) {
		refuse(problem, 400, *path ? path : "body", "%s must be an object",
		       *path ? path : "body");
		return NULL;
	}
	json_object_foreach ((json_t *)given, name, value) {
		if (is_known(fields, name))
			continue;
		// A name from outside is repeated only as far as it is one.
		write_path(inner, "%s%.64s", path, field_is_word(name) ? name : "?");
		refuse(problem, 400, inner, "%s is not a field that can be set here", inner);
		return NULL;
	}
	for (field = fields; field->name; field++) {
		write_path(inner, "%s%s", path, field->name);
		value = check_field(field, json_object_get(given, field->name), inner, problem);
		if (!value || json_object_set_new(checked, field->name, value))
			return NULL;
	}
	return take_ptr(checked);
}

static int put_reference(const struct field *field, json_t *parent, const char *key, size_t place,
			 json_t *value, const char *path, reference_fn fn, void *arg)
{
	json_t *other;

	if (field->type == FIELD_OBJECT)
		return json_is_object(value) ? field_references(field->fields, value, path, fn, arg)
					     : 0;
	if (!json_is_string(value))
		return 0;
	other = fn(field, path, json_string_value(value), arg);
	if (!other)
		return -EINVAL;
	return key ? json_object_set_new(parent, key, other)
		   : json_array_set_new(parent, place, other);
}

int field_references(const struct field *fields, json_t *object, const char *path, reference_fn fn,
		     void *arg)
{
	const struct field *field;
	char inner[PATH];
	json_t *value, *item;
	size_t i;
	int err;

	for (field = fields; field->name; field++) {
		if (field->type != FIELD_REFERENCE && field->type != FIELD_OBJECT)
			continue;
		value = json_object_get(object, field->name);
		if (!field->list) {
			write_path(inner, "%s%s%s", path, field->name,
				   field->type == FIELD_OBJECT ? "." : "");
			if ((err = put_reference(field, object, field->name, 0, value, inner, fn,
						 arg)))
				return err;
			continue;
		}
		json_array_foreach (value, i, item) {
			write_path(inner, "%s%s[%zu]%s", path, field->name, i,
				   field->type == FIELD_OBJECT ? "." : "");
			if ((err = put_reference(field, value, NULL, i, item, inner, fn, arg)))
				return err;
		}
	}
	return 0;
}
