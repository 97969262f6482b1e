/* SPDX-License-Identifier: Apache-2.0 */
// YAML as people write it, to JSON as the API takes it.
#pragma once

#include <jansson.h>
#include <stddef.h>

#define DOCUMENT_DEPTH 32     // nesting; deeper is a mistake or an attack
#define DOCUMENT_NAME 64      // bytes of a field's name; no kind has half as long a one
#define DOCUMENT_NODES 200000 // of one file, aliases expanded

struct document {
	json_t *value; // owned
	size_t line;   // where it begins, from 1
};

struct documents {
	size_t count;
	struct document *document;
};

struct document_error {
	size_t document; // which one, from 1
	size_t line;	 // from 1
	char text[160];
};

// Reads all documents of a YAML stream; empty ones are left out. Plain `12`, `true` and `null` (or
// nothing) become a number, a boolean and null, every other scalar a string. On success the caller
// frees *out with documents_free(). Returns 0; -EINVAL: not acceptable, *error says what and where;
// -ENOMEM.
int documents_parse(struct documents *out, const char *text, size_t length,
		    struct document_error *error);
void documents_free(struct documents *documents);

// Reads a whole file, "-": standard input, up to 16 MiB. The caller frees *text.
// Returns 0; -EFBIG; what opening and reading said.
int input_read(char **text, size_t *length, const char *path);
