// SPDX-License-Identifier: Apache-2.0
// Walks libyaml's documents. Aliases may repeat a node without bound, and may even contain
// themselves, so what is built is counted, not what was read.
#include "cli/document.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "lib/file.h"
#include "lib/own.h"

#define FILE_LIMIT (16 << 20)

struct reader {
	yaml_document_t *document;
	struct document_error *error;
	size_t *nodes; // of all documents so far
};

__attribute__((format(printf, 3, 4))) static json_t *
refuse(struct reader *reader, const yaml_mark_t *mark, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reader->error->text, sizeof(reader->error->text), format, args);
	va_end(args);
	reader->error->line = mark->line + 1;
	return NULL;
}

// -?(0|[1-9][0-9]*): what would lose a digit as a number ("007") stays text.
static int is_integer(const char *text, size_t length)
{
	size_t i = text[0] == '-';

	if (length == i || length > 18 || (text[i] == '0' && length > i + 1))
		return 0;
	for (; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return 0;
	return 1;
}

static int is_word(const char *text, size_t length, const char *word)
{
	return length == strlen(word) && !memcmp(text, word, length);
}

static json_t *scalar(struct reader *reader, const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	size_t length = node->data.scalar.length;
	json_t *value;

	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		if (!length || is_word(text, length, "null") || is_word(text, length, "~"))
			return json_null();
		if (is_word(text, length, "true") || is_word(text, length, "false"))
			return json_boolean(text[0] == 't');
		if (is_integer(text, length))
			return json_integer(strtoll(text, NULL, 10));
	}
	if (memchr(text, 0, length))
		return refuse(reader, &node->start_mark, "text must not contain a zero byte");
	value = json_stringn(text, length);
	return value ? value : refuse(reader, &node->start_mark, "text is not UTF-8");
}

static json_t *convert(struct reader *reader, int index, unsigned int depth);

static json_t *sequence(struct reader *reader, const yaml_node_t *node, unsigned int depth)
{
	json_t *array = json_array(), *item;
	yaml_node_item_t *at;

	for (at = node->data.sequence.items.start; at < node->data.sequence.items.top; at++) {
		item = convert(reader, *at, depth + 1);
		if (!item) {
			json_decref(array);
			return NULL;
		}
		json_array_append_new(array, item);
	}
	return array;
}

static json_t *mapping(struct reader *reader, const yaml_node_t *node, unsigned int depth)
{
	json_t *object = json_object(), *item;
	const yaml_node_t *key;
	yaml_node_pair_t *at;
	const char *name;

	for (at = node->data.mapping.pairs.start; at < node->data.mapping.pairs.top; at++) {
		key = yaml_document_get_node(reader->document, at->key);
		name = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : NULL;
		if (!name || strlen(name) != key->data.scalar.length ||
		    strlen(name) > DOCUMENT_NAME) {
			refuse(reader, &key->start_mark,
			       "a field's name must be plain text of at most %d bytes",
			       DOCUMENT_NAME);
			goto fail;
		}
		if (json_object_get(object, name)) {
			refuse(reader, &key->start_mark, "%.64s is given twice", name);
			goto fail;
		}
		item = convert(reader, at->value, depth + 1);
		if (!item)
			goto fail;
		if (json_object_set_new(object, name, item)) {
			refuse(reader, &key->start_mark, "a field's name is not UTF-8");
			goto fail;
		}
	}
	return object;
fail:
	json_decref(object);
	return NULL;
}

static json_t *convert(struct reader *reader, int index, unsigned int depth)
{
	const yaml_node_t *node = yaml_document_get_node(reader->document, index);

	if (depth > DOCUMENT_DEPTH)
		return refuse(reader, &node->start_mark, "nested too deep");
	if (++*reader->nodes > DOCUMENT_NODES)
		return refuse(reader, &node->start_mark, "too large");
	switch (node->type) {
	case YAML_SEQUENCE_NODE:
		return sequence(reader, node, depth);
	case YAML_MAPPING_NODE:
		return mapping(reader, node, depth);
	case YAML_SCALAR_NODE:
		return scalar(reader, node);
	default:
		return refuse(reader, &node->start_mark, "not YAML that this program knows");
	}
}

static int append(struct documents *documents, json_t *value, size_t line)
{
	struct document *grown;

	grown = realloc(documents->document, (documents->count + 1) * sizeof(*grown));
	if (!grown) {
		json_decref(value);
		return -ENOMEM;
	}
	documents->document = grown;
	grown[documents->count++] = (struct document){value, line};
	return 0;
}

// Reads one document and appends it. Returns 1: that was the end; 0: there may be more.
static int next(struct documents *documents, yaml_parser_t *parser, struct document_error *error,
		size_t *nodes)
{
	yaml_document_t document;
	struct reader reader = {&document, error, nodes};
	yaml_node_t *root;
	json_t *value;
	int err = 0;

	error->document++;
	if (!yaml_parser_load(parser, &document)) {
		yaml_mark_t mark = parser->problem_mark;

		refuse(&reader, &mark, "%s", parser->problem ? parser->problem : "not YAML");
		return parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
	}
	root = yaml_document_get_root_node(&document);
	if (!root) {
		yaml_document_delete(&document);
		return 1;
	}
	value = convert(&reader, 1, 0);
	if (!value)
		err = -EINVAL;
	else if (json_is_null(value))
		json_decref(value);
	else
		err = append(documents, value, root->start_mark.line + 1);
	yaml_document_delete(&document);
	return err;
}

int documents_parse(struct documents *out, const char *text, size_t length,
		    struct document_error *error)
{
	struct documents documents = {};
	yaml_parser_t parser;
	size_t nodes = 0;
	int err;

	*error = (struct document_error){};
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	while (!(err = next(&documents, &parser, error, &nodes)))
		;
	yaml_parser_delete(&parser);
	if (err < 0) {
		documents_free(&documents);
		return err;
	}
	*out = documents;
	return 0;
}

void documents_free(struct documents *documents)
{
	size_t i;

	for (i = 0; i < documents->count; i++)
		json_decref(documents->document[i].value);
	free(documents->document);
	*documents = (struct documents){};
}

int input_read(char **text, size_t *length, const char *path)
{
	if (!strcmp(path, "-"))
		return open_file_read(0, FILE_LIMIT, text, length);
	return file_read(path, FILE_LIMIT, text, length);
}
