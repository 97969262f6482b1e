// SPDX-License-Identifier: Apache-2.0
// The commands on objects: apply, get, describe, delete.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/apply.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/output.h"
#include "lib/json.h"
#include "lib/own.h"

static void tell(void *context, const struct kind *kind, const char *name, const char *outcome)
{
	printf("%s/%s %s\n", kind->word, name, outcome);
}

static int read_documents(struct documents *documents, const char *path)
{
	struct document_error error;
	auto_(freep) char *text = NULL;
	size_t length;
	int err;

	err = input_read(&text, &length, path);
	if (err)
		return sorry(err, "%s: %s", path, strerror(-err));
	err = documents_parse(documents, text, length, &error);
	if (err)
		return sorry(err, "%s: document %zu, line %zu: %s", path, error.document,
			     error.line, error.text);
	return 0;
}

typedef int carry_out(struct inventory *inventory, const struct documents *documents,
		      apply_told *told, void *context, struct apply_error *error);

static int on_file(struct cli *cli, carry_out *carry_out)
{
	auto_(documents_free) struct documents documents = {};
	struct apply_error error = {};
	struct inventory inventory = {};
	int err;

	err = read_documents(&documents, cli->file);
	if (!err && !documents.count)
		err = sorry(-ENODATA, "%s: there is no document in it", cli->file);
	if (!err)
		err = controller_connect(cli, &inventory);
	if (!err) {
		err = carry_out(&inventory, &documents, tell, NULL, &error);
		if (err)
			sorry(err, "%s: document %zu, line %zu: %s", cli->file, error.document + 1,
			      documents.document[error.document].line, error.text);
	}
	controller_leave(&inventory);
	return err ? FAILED : DONE;
}

int command_apply(struct cli *cli)
{
	if (!cli->file) {
		complain("what shall be applied? -f FILE");
		return USAGE;
	}
	return on_file(cli, apply_documents);
}

static const struct kind *kind_given(struct cli *cli)
{
	const struct kind *kind = kind_find(cli->argv[0]);

	if (!kind)
		complain("%s is no kind of object; `zetactl help` lists them", cli->argv[0]);
	return kind;
}

// A name of which there may be one per VPC can be given as VPC/NAME.
static int find_given(struct inventory *inventory, const struct kind *kind, const char *given,
		      json_t **object)
{
	const char *slash = kind->per_vpc ? strchr(given, '/') : NULL;
	auto_(freep) char *vpc = slash ? strndup(given, (size_t)(slash - given)) : NULL;
	int err;

	err = inventory_find(inventory, kind, slash ? slash + 1 : given, vpc, object);
	if (err == -EEXIST)
		return sorry(err, "several VPCs have a %s %s: say VPC/%s", kind->word, given,
			     given);
	if (err)
		return sorry(err, "%s", rest_message(inventory->rest));
	if (!*object)
		return sorry(-ENOENT, "there is no %s %s", kind->word, given);
	return 0;
}

static int delete_named(struct cli *cli)
{
	struct inventory inventory = {};
	auto_(freep) char *path = NULL;
	const struct kind *kind;
	json_t *object;
	int err;

	kind = kind_given(cli);
	if (!kind)
		return USAGE;
	if (kind->read_only) {
		complain("%s are made by the controller: nobody can delete them", kind->path);
		return USAGE;
	}
	err = controller_connect(cli, &inventory);
	if (!err)
		err = find_given(&inventory, kind, cli->argv[1], &object);
	if (!err) {
		path = rest_path(inventory.rest, kind->path, text_or_empty(object, "id"));
		err = rest_call(inventory.rest, "DELETE", path, NULL, NULL);
		if (err)
			sorry(err, "%s %s: %s", kind->word, cli->argv[1],
			      rest_message(inventory.rest));
		else
			tell(NULL, kind, text_or_empty(object, "name"), "deleted");
	}
	controller_leave(&inventory);
	return err ? FAILED : DONE;
}

int command_delete(struct cli *cli)
{
	if (cli->file && !cli->argc)
		return on_file(cli, delete_documents);
	if (cli->file || cli->argc != 2) {
		complain("what shall be deleted? KIND NAME or -f FILE");
		return USAGE;
	}
	return delete_named(cli);
}

// A cell's text: "fwd,ftn" of a list, its members' field where the column names one, "4 rules" of a
// list of objects.
static void list_cell(struct table *table, const json_t *list, const char *field)
{
	char text[512] = "";
	size_t used = 0, i;
	json_t *item;

	json_array_foreach (list, i, item) {
		const json_t *part = field && *field ? json_object_get(item, field) : item;
		const char *comma = i ? "," : "";

		if (json_is_string(part))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", comma,
						 json_string_value(part));
		else if (json_is_integer(part))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%lld", comma,
						 (long long)json_integer_value(part));
		if (json_is_object(part) || used >= sizeof(text)) {
			snprintf(text, sizeof(text), "%zu", json_array_size(list));
			break;
		}
	}
	table_cell(table, "%s", *text ? text : "-");
}

static void cell_of(struct table *table, const json_t *value, const char *field)
{
	const char *dot = strchr(field, '.');
	char first[64];

	snprintf(first, sizeof(first), "%.*s", dot ? (int)(dot - field) : (int)strlen(field),
		 field);
	value = json_object_get(value, first);
	if (json_is_array(value))
		list_cell(table, value, dot ? dot + 1 : NULL);
	else if (json_is_object(value) && dot)
		cell_of(table, value, dot + 1);
	else if (json_is_string(value))
		table_cell(table, "%s", json_string_length(value) ? json_string_value(value) : "-");
	else if (json_is_integer(value))
		table_number(table, json_integer_value(value));
	else if (json_is_boolean(value))
		table_cell(table, "%s", json_is_true(value) ? "yes" : "no");
	else
		table_cell(table, "-");
}

static void print_table(const struct kind *kind, const json_t *objects, int wide)
{
	struct table *table = table_new();
	json_t *object;
	size_t i, c;

	table_cell(table, "NAME");
	for (c = 0; c < KIND_COLUMNS && kind->column[c].title; c++)
		if (wide || !kind->column[c].wide)
			table_cell(table, "%s", kind->column[c].title);
	if (wide)
		table_cell(table, "ID");
	json_array_foreach (objects, i, object) {
		table_row(table);
		cell_of(table, object, kind->read_only ? "cluster" : "name");
		for (c = 0; c < KIND_COLUMNS && kind->column[c].title; c++)
			if (wide || !kind->column[c].wide)
				cell_of(table, object, kind->column[c].field);
		if (wide)
			cell_of(table, object, "id");
	}
	table_print(&table, stdout, 0);
}

// As `zetactl apply` takes it, so that what was got can be edited and applied: what people may set,
// and no more. With everything else for who describes it, and of kinds that nobody may set.
static json_t *as_document(const struct kind *kind, const json_t *object, int whole)
{
	json_t *document = json_pack("{s:s}", "kind", kind->name), *value;
	const char *name;
	size_t i;

	for (i = 0; i < KIND_FIELDS && kind->field[i].name; i++) {
		value = json_object_get(object, field_api(&kind->field[i]));
		if (value)
			json_object_set(document, kind->field[i].name, value);
	}
	json_object_foreach ((json_t *)object, name, value) {
		for (i = 0; i < KIND_FIELDS && kind->field[i].name; i++)
			if (!strcmp(field_api(&kind->field[i]), name))
				break;
		if ((whole || kind->read_only) && (i == KIND_FIELDS || !kind->field[i].name))
			json_object_set(document, name, value);
	}
	return document;
}

static void print_documents(const struct kind *kind, const json_t *objects, int several, int whole)
{
	json_t *object, *document;
	size_t i;

	json_array_foreach (objects, i, object) {
		document = as_document(kind, object, whole);
		if (several)
			puts("---");
		print_yaml(document, stdout);
		json_decref(document);
	}
}

static void print_objects(struct cli *cli, const struct kind *kind, const json_t *objects,
			  int whole)
{
	if (cli->output == OUTPUT_JSON)
		print_json(cli->argc > 1 ? json_array_get(objects, 0) : objects, stdout);
	else if (cli->output == OUTPUT_YAML)
		print_documents(kind, objects, cli->argc == 1, whole);
	else
		print_table(kind, objects, cli->output == OUTPUT_WIDE);
}

// Views have no list of their own: there is one for each cluster.
static int list_views(struct inventory *inventory)
{
	json_t *clusters, *cluster, *views = json_array(), *view;
	char *path;
	size_t i;
	int err;

	err = inventory_list(inventory, kind_of_path("clusters"), &clusters);
	json_array_foreach (clusters, i, cluster) {
		if (err)
			break;
		path = rest_path(inventory->rest, "views", text_or_empty(cluster, "id"));
		err = rest_call(inventory->rest, "GET", path, NULL, &view);
		free(path);
		if (!err) {
			json_object_set(view, "cluster", json_object_get(cluster, "name"));
			json_array_append_new(views, view);
		}
	}
	if (err)
		json_decref(views);
	else
		json_object_set_new(inventory->lists, "views", views);
	return err;
}

static int collect(struct inventory *inventory, const struct kind *kind, const char *name,
		   json_t *out)
{
	json_t *list, *item, *object, *named;
	size_t i;
	int err;

	err = kind->read_only ? list_views(inventory) : 0;
	if (!err)
		err = inventory_list(inventory, kind, &list);
	if (err)
		return sorry(err, "%s", rest_message(inventory->rest));
	if (name) {
		err = find_given(inventory, kind, name, &object);
		if (err)
			return err;
	}
	json_array_foreach (list, i, item) {
		if (name && item != object)
			continue;
		err = inventory_named(inventory, kind, item, &named);
		if (err)
			return sorry(err, "%s", rest_message(inventory->rest));
		json_array_append_new(out, named);
	}
	return 0;
}

static int show(struct cli *cli, int whole)
{
	struct inventory inventory = {};
	const struct kind *kind;
	json_t *objects;
	int err;

	kind = kind_given(cli);
	if (!kind)
		return USAGE;
	objects = json_array();
	err = controller_connect(cli, &inventory);
	if (!err)
		err = collect(&inventory, kind, cli->argc > 1 ? cli->argv[1] : NULL, objects);
	if (!err)
		print_objects(cli, kind, objects, whole);
	json_decref(objects);
	controller_leave(&inventory);
	return err ? FAILED : DONE;
}

int command_get(struct cli *cli)
{
	return show(cli, 0);
}

int command_describe(struct cli *cli)
{
	cli->output = OUTPUT_YAML;
	return show(cli, 1);
}
