// SPDX-License-Identifier: Apache-2.0
// Feeds the YAML reader anything. What it accepts must come out of JSON's and YAML's printers and
// be read again as the same.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/document.h"
#include "cli/output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const json_t *value)
{
	struct documents documents = {};
	struct document_error error;
	char *text = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&text, &length);

	if (!file)
		abort();
	print_yaml(value, file);
	fclose(file);
	if (documents_parse(&documents, text, length, &error)) {
		fprintf(stderr, "line %zu: %s in:\n%s", error.line, error.text, text);
		abort();
	}
	if (documents.count != !json_is_null(value) ||
	    (documents.count && !json_equal(documents.document[0].value, value))) {
		fprintf(stderr, "not the same:\n%s", text);
		abort();
	}
	documents_free(&documents);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct documents documents;
	struct document_error error;
	size_t i;

	if (documents_parse(&documents, (const char *)data, size, &error))
		return 0;
	for (i = 0; i < documents.count; i++)
		read_again(documents.document[i].value);
	documents_free(&documents);
	return 0;
}
