/* SPDX-License-Identifier: Apache-2.0 */
// What a JSON object from outside may hold, as a table; one function checks bodies against it.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/json.h"
#include "lib/own.h"

// Why a request is refused: the HTTP status, the field, one sentence.
struct problem {
	int status; // 0: nothing was said, so an error is ours: 500
	char field[96];
	char message[256];
};

// Fills *problem (the first that is said stays) and returns the errno that belongs to the status:
// 400 -EINVAL, 404 -ENOENT, 409 -EEXIST, else -EPROTO. field may be NULL.
int refuse(struct problem *problem, int status, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

enum field_type {
	FIELD_TEXT,	 // min to max bytes of UTF-8 without control characters
	FIELD_WORD,	 // id, name: 1 to 64 of [A-Za-z0-9_.-]
	FIELD_INTERFACE, // name of a network interface: 1 to 15, without '/' and blanks
	FIELD_INTEGER,	 // min to max
	FIELD_DIGITS,	 // an integer from min to max, or text of its digits; kept as an integer
	FIELD_BOOLEAN,	 // true, false
	FIELD_CHOICE,	 // one of the words in choices
	FIELD_ADDRESS,	 // unicast; kept as address_text() writes it
	FIELD_UNDERLAY,	 // such an address of IPv4, the underlay's family
	FIELD_PREFIX,
	FIELD_MAC,	 // not a group's, not all zero; kept in lower case
	FIELD_PROTOCOL,	 // tcp, udp, icmp, any or a number; kept as a word where there is one
	FIELD_REFERENCE, // id or name of an object of this kind; kept as its id
	FIELD_OBJECT,	 // of fields
	FIELD_FREE,	 // an object with any fields: the kind checks it
};

struct field {
	const char *name; // NULL ends a table
	enum field_type type;
	bool required;
	bool nullable; // null may be given, and stands where nothing was
	bool list;     // of such; min_items to max_items
	bool fixed;    // cannot be changed later
	json_int_t min;
	json_int_t max;
	size_t min_items;
	size_t max_items;
	const char *fallback; // where it is absent, as JSON; none: null
	const char *const *choices;
	const char *kind;
	const struct field *fields;
};

// Parses text from outside: objects and arrays at most FIELD_DEPTH deep, no key twice.
// Returns a new reference, or NULL with *problem filled.
#define FIELD_DEPTH 16
json_t *field_parse(const char *text, size_t size, struct problem *problem);

// Whether text is what FIELD_WORD takes: fit to be an id or a name, and to be repeated in a
// sentence.
bool field_is_word(const char *text);

// Returns a new object with exactly the fields of the table, in its order, checked and in canonical
// form; or NULL with *problem filled, its field prefixed by path ("" or e.g. "[3].").
json_t *field_check(const struct field *fields, const json_t *given, const char *path,
		    struct problem *problem);

// What a field is where it is absent: a new reference.
json_t *field_fallback(const struct field *field);

// Calls fn for each reference in a checked object, deep; fn may return another text to put in its
// place (a new reference), or NULL with *problem filled, which ends the walk. Returns 0 or -errno.
typedef json_t *(*reference_fn)(const struct field *field, const char *path, const char *text,
				void *arg);
int field_references(const struct field *fields, json_t *object, const char *path, reference_fn fn,
		     void *arg);
