// SPDX-License-Identifier: Apache-2.0
// Columns, JSON, YAML. Two blanks between columns, and none at a line's end.
#include "cli/output.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

struct cell {
	char *text;
	int right;
};

struct row {
	struct cell *cell;
	size_t cells;
};

struct table {
	struct row *row;
	size_t rows; // the last one is being filled
};

// Output without memory is not worth a way out in every caller.
static void *grow(void *old, size_t size)
{
	void *grown = realloc(old, size);

	if (!grown)
		abort();
	return grown;
}

struct table *table_new(void)
{
	struct table *table = calloc(1, sizeof(*table));

	if (table)
		table_row(table);
	return table;
}

static struct cell *add(struct table *table)
{
	struct row *row = &table->row[table->rows - 1];

	row->cell = grow(row->cell, (row->cells + 1) * sizeof(*row->cell));
	row->cell[row->cells] = (struct cell){};
	return &row->cell[row->cells++];
}

void table_cell(struct table *table, const char *format, ...)
{
	struct cell *cell = add(table);
	va_list args;

	va_start(args, format);
	if (vasprintf(&cell->text, format, args) < 0)
		abort();
	va_end(args);
}

void table_number(struct table *table, json_int_t number)
{
	table_cell(table, "%lld", (long long)number);
	table->row[table->rows - 1].cell[table->row[table->rows - 1].cells - 1].right = 1;
}

void table_row(struct table *table)
{
	table->row = grow(table->row, (table->rows + 1) * sizeof(*table->row));
	table->row[table->rows++] = (struct row){};
}

static size_t width_of(const struct table *table, size_t column)
{
	size_t i, width = 0;

	for (i = 0; i < table->rows; i++)
		if (column < table->row[i].cells && strlen(table->row[i].cell[column].text) > width)
			width = strlen(table->row[i].cell[column].text);
	return width;
}

// A title stands over numbers as numbers do.
static int is_right(const struct table *table, size_t column)
{
	size_t i;

	for (i = 0; i < table->rows; i++)
		if (column < table->row[i].cells && table->row[i].cell[column].right)
			return 1;
	return 0;
}

static void table_freep(struct table **table)
{
	size_t i, column;

	if (!*table)
		return;
	for (i = 0; i < (*table)->rows; i++) {
		for (column = 0; column < (*table)->row[i].cells; column++)
			free((*table)->row[i].cell[column].text);
		free((*table)->row[i].cell);
	}
	free((*table)->row);
	free(*table);
	*table = NULL;
}

void table_print(struct table **table, FILE *to, unsigned int indent)
{
	size_t i, column, columns = 0;
	struct table *t = *table;
	int *right;
	size_t *width;

	for (i = 0; i < t->rows; i++)
		if (t->row[i].cells > columns)
			columns = t->row[i].cells;
	width = calloc(columns + 1, sizeof(*width));
	right = calloc(columns + 1, sizeof(*right));
	if (!width || !right)
		abort();
	for (column = 0; column < columns; column++) {
		width[column] = width_of(t, column);
		right[column] = is_right(t, column);
	}
	for (i = 0; i < t->rows; i++) {
		const struct row *row = &t->row[i];

		if (!row->cells)
			continue;
		fprintf(to, "%*s", (int)indent, "");
		for (column = 0; column < row->cells; column++) {
			const char *text = row->cell[column].text;
			int pad = (int)(width[column] - strlen(text));

			fprintf(to, "%s%*s%s", column ? "  " : "", right[column] ? pad : 0, "",
				text);
			if (!right[column] && column + 1 < row->cells)
				fprintf(to, "%*s", pad, "");
		}
		fputc('\n', to);
	}
	free(width);
	free(right);
	table_freep(table);
}

void print_json(const json_t *value, FILE *to)
{
	json_dumpf(value, to, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', to);
}

// Plain only where no reader could take it for anything but this text.
static int is_plain(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_./-";
	static const char *const taken[] = {"true", "false", "null", "yes", "no",
					    "on",   "off",   "y",    "n",   NULL};
	size_t i;

	if (!*text || strspn(text, safe) != strlen(text))
		return 0;
	for (i = 0; taken[i]; i++)
		if (!strcasecmp(text, taken[i]))
			return 0;
	// 12, 1.5, .5, -1 and 1e3 would be numbers; 10.0.0.1 would not.
	if (strspn(text, "+-.0123456789eExXoOabcdfABCDF_") == strlen(text) &&
	    strspn(text, "+-.0123456789"))
		return strchr(text, '.') && strchr(strchr(text, '.') + 1, '.') && text[0] >= '0' &&
		       text[0] <= '9';
	return text[0] != '-' && text[0] != '.';
}

static void yaml_value(const json_t *value, FILE *to, unsigned int indent);

// The code point at *text, which is valid UTF-8; *text moves behind it.
static uint32_t code_point(const unsigned char **text)
{
	uint32_t first = *(*text)++, point;
	int more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;

	point = more ? first & (0x3Fu >> more) : first;
	while (more--)
		point = point << 6 | (*(*text)++ & 0x3F);
	return point;
}

// Double-quoted. What YAML takes for a line's end or does not allow at all is escaped.
static void yaml_quoted(const char *string, FILE *to)
{
	const unsigned char *text = (const unsigned char *)string, *begin;
	uint32_t point;

	fputc('"', to);
	while (*text) {
		begin = text;
		point = code_point(&text);
		if (point == '"' || point == '\\')
			fprintf(to, "\\%c", (int)point);
		else if (point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x2028 ||
			 point == 0x2029 || point == 0xFEFF || (point & 0xFFFE) == 0xFFFE)
			fprintf(to, "\\U%08X", point);
		else
			fwrite(begin, 1, (size_t)(text - begin), to);
	}
	fputc('"', to);
}

static void yaml_text(const char *text, FILE *to)
{
	if (is_plain(text))
		fputs(text, to);
	else
		yaml_quoted(text, to);
}

static void yaml_scalar(const json_t *value, FILE *to)
{
	if (json_is_string(value))
		yaml_text(json_string_value(value), to);
	else
		json_dumpf(value, to, JSON_ENCODE_ANY);
	fputc('\n', to);
}

static int is_empty(const json_t *value)
{
	return !json_array_size(value) && !json_object_size(value);
}

// Continues a line that ends with ":" or "-".
static void yaml_after(const json_t *value, FILE *to, unsigned int indent)
{
	if (json_is_array(value) || json_is_object(value)) {
		if (is_empty(value)) {
			fputs(json_is_array(value) ? " []\n" : " {}\n", to);
			return;
		}
		fputc('\n', to);
		yaml_value(value, to, indent);
		return;
	}
	fputc(' ', to);
	yaml_scalar(value, to);
}

static void yaml_value(const json_t *value, FILE *to, unsigned int indent)
{
	const char *name;
	json_t *item;
	size_t i;

	if (is_empty(value) && (json_is_array(value) || json_is_object(value))) {
		fputs(json_is_array(value) ? "[]\n" : "{}\n", to);
	} else if (json_is_object(value)) {
		json_object_foreach ((json_t *)value, name, item) {
			fprintf(to, "%*s", (int)indent, "");
			yaml_text(name, to);
			fputc(':', to);
			yaml_after(item, to, indent + 2);
		}
	} else if (json_is_array(value)) {
		json_array_foreach (value, i, item) {
			fprintf(to, "%*s-", (int)indent, "");
			yaml_after(item, to, indent + 2);
		}
	} else {
		yaml_scalar(value, to);
	}
}

void print_yaml(const json_t *value, FILE *to)
{
	yaml_value(value, to, 0);
}
