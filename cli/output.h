/* SPDX-License-Identifier: Apache-2.0 */
// What commands print: aligned columns for people, JSON and YAML for programs.
#pragma once

#include <jansson.h>
#include <stdio.h>

struct table;

// Cells are copied. NULL: no memory.
struct table *table_new(void);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_number(struct table *table, json_int_t number); // right-aligned
void table_row(struct table *table);			   // ends the row
// Prints all rows in columns as wide as their widest cell, indented, and frees the table.
void table_print(struct table **table, FILE *to, unsigned int indent);

void print_json(const json_t *value, FILE *to);
void print_yaml(const json_t *value, FILE *to);
