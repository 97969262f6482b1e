// SPDX-License-Identifier: Apache-2.0
// Each document is compared with what the controller has: nothing is sent that changes nothing.
#include "cli/apply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/json.h"
#include "lib/own.h"

struct applying {
	struct inventory *inventory;
	const struct documents *documents;
	apply_told *told;
	void *context;
	struct apply_error *error;
	size_t at; // the document in hand
};

__attribute__((format(printf, 3, 4))) static int refuse(struct applying *applying, int err,
							const char *format, ...)
{
	va_list args;

	applying->error->document = applying->at;
	va_start(args, format);
	vsnprintf(applying->error->text, sizeof(applying->error->text), format, args);
	va_end(args);
	return err;
}

static int refused_by_controller(struct applying *applying, int err, const struct kind *kind,
				 const char *name)
{
	if (err == -EEXIST && !rest_message(applying->inventory->rest)[0])
		return refuse(applying, err, "%s %s: several have this name", kind->word, name);
	return refuse(applying, err, "%s %s: %s", kind->word, name,
		      rest_message(applying->inventory->rest));
}

// The document's kind and name, and that it has no field which the kind does not know.
static int examine(struct applying *applying, const json_t *wanted, const struct kind **kind)
{
	const char *word = text_in(wanted, "kind"), *name;
	json_t *value;

	if (!json_is_object(wanted))
		return refuse(applying, -EINVAL, "not a mapping of fields");
	if (!word)
		return refuse(applying, -EINVAL, "kind: missing");
	*kind = kind_find(word);
	if (!*kind || (*kind)->read_only)
		return refuse(applying, -EINVAL, "kind: %s is nothing that can be applied", word);
	name = text_in(wanted, "name");
	if (!name || !*name)
		return refuse(applying, -EINVAL, "%s: name: missing or not text", (*kind)->word);
	json_object_foreach ((json_t *)wanted, word, value)
		if (strcmp(word, "kind") != 0 && strcmp(word, "id") != 0 &&
		    !kind_field(*kind, word))
			return refuse(applying, -EINVAL, "%s %s: %s: no such field", (*kind)->word,
				      name, word);
	return 0;
}

static int covers(struct applying *applying, const struct kind *kind, const char *vpc,
		  const struct field *field, const json_t *has, const json_t *wants);

static int covers_array(struct applying *applying, const struct kind *kind, const char *vpc,
			const struct field *field, const json_t *has, const json_t *wants)
{
	size_t i;

	if (json_array_size(has) != json_array_size(wants))
		return 0;
	for (i = 0; i < json_array_size(wants); i++)
		if (!covers(applying, kind, vpc, field, json_array_get(has, i),
			    json_array_get(wants, i)))
			return 0;
	return 1;
}

static int same_reference(struct applying *applying, const char *path, const char *vpc,
			  const char *has, const char *wants)
{
	json_t *object = NULL;

	if (!strcmp(has, wants))
		return 1;
	if (inventory_find(applying->inventory, kind_of_path(path), wants, vpc, &object) || !object)
		return 0;
	return !strcmp(text_or_empty(object, "id"), has) ||
	       !strcmp(text_or_empty(object, "name"), has);
}

// Whether what the controller has is already what the document wants. What the document does not
// name is not compared: the controller adds defaults.
static int covers(struct applying *applying, const struct kind *kind, const char *vpc,
		  const struct field *field, const json_t *has, const json_t *wants)
{
	const char *name;
	json_t *value;

	if (json_is_null(wants) || !wants)
		return !has || json_is_null(has);
	if (json_is_array(wants))
		return json_is_array(has) && covers_array(applying, kind, vpc, field, has, wants);
	if (json_is_object(wants)) {
		json_object_foreach ((json_t *)wants, name, value)
			if (!covers(applying, kind, vpc, kind_field(kind, name),
				    json_object_get(has, name), value))
				return 0;
		return json_is_object(has);
	}
	if (json_is_string(wants) && json_is_string(has) && field && field->refers)
		return same_reference(applying, field->refers, vpc, json_string_value(has),
				      json_string_value(wants));
	if (json_is_string(wants) && json_is_string(has) && field && strstr(field->name, "mac"))
		return !strcasecmp(json_string_value(has), json_string_value(wants));
	return json_equal(has, wants);
}

// The same for whole objects, field by field.
static int settled(struct applying *applying, const struct kind *kind, const char *vpc,
		   const json_t *has, const json_t *wants)
{
	const struct field *field = kind->field;
	const json_t *value;
	size_t i;

	for (i = 0; i < KIND_FIELDS && field[i].name; i++) {
		value = json_object_get(wants, field[i].name);
		if (value && !covers(applying, kind, vpc, &field[i],
				     json_object_get(has, field_api(&field[i])), value))
			return 0;
	}
	return 1;
}

// What to send: the fields that people may set, as the document says, else as they are.
static json_t *merged(const struct kind *kind, const json_t *has, const json_t *wants)
{
	json_t *body = json_object(), *value;
	size_t i;

	if (!has && json_object_get(wants, "id"))
		json_object_set(body, "id", json_object_get(wants, "id"));
	for (i = 0; i < KIND_FIELDS && kind->field[i].name; i++) {
		value = json_object_get(wants, kind->field[i].name);
		if (!value)
			value = json_object_get(has, field_api(&kind->field[i]));
		if (value)
			json_object_set(body, field_api(&kind->field[i]), value);
	}
	return body;
}

static int apply_one(struct applying *applying, const struct kind *kind, const json_t *wants)
{
	const char *name = text_or_empty(wants, "name");
	const char *vpc = text_in(wants, "vpc");
	auto_(freep) char *path = NULL;
	json_t *has = NULL, *body, *answer;
	const char *outcome = "unchanged";
	int err;

	// Another VPC may have one of the same name, so it must be said whose this is.
	if (kind->per_vpc && !vpc)
		return refuse(applying, -EINVAL, "%s %s: vpc: missing", kind->word, name);
	err = inventory_find(applying->inventory, kind, name, vpc, &has);
	if (err)
		return refused_by_controller(applying, err, kind, name);
	if (!has || !settled(applying, kind, vpc, has, wants)) {
		outcome = has ? "configured" : "created";
		path = rest_path(applying->inventory->rest, kind->path,
				 has ? text_or_empty(has, "id") : NULL);
		body = merged(kind, has, wants);
		err = rest_call(applying->inventory->rest, has ? "PUT" : "POST", path, body,
				&answer);
		json_decref(body);
		if (err)
			return refused_by_controller(applying, err, kind, name);
		inventory_keep(applying->inventory, kind, answer);
	}
	if (applying->told)
		applying->told(applying->context, kind, name, outcome);
	return 0;
}

static int delete_one(struct applying *applying, const struct kind *kind, const json_t *wants)
{
	const char *name = text_or_empty(wants, "name");
	const char *vpc = text_in(wants, "vpc");
	auto_(freep) char *path = NULL, *id = NULL;
	json_t *has = NULL;
	int err;

	err = inventory_find(applying->inventory, kind, name, vpc, &has);
	if (err)
		return refused_by_controller(applying, err, kind, name);
	if (!has)
		return 0;
	id = strdup(text_or_empty(has, "id"));
	path = rest_path(applying->inventory->rest, kind->path, id);
	err = rest_call(applying->inventory->rest, "DELETE", path, NULL, NULL);
	if (err && err != -ENOENT)
		return refused_by_controller(applying, err, kind, name);
	inventory_drop(applying->inventory, kind, id);
	if (applying->told)
		applying->told(applying->context, kind, name, "deleted");
	return 0;
}

// All documents are examined before the first is carried out.
static int examine_all(struct applying *applying)
{
	const struct kind *kind;
	int err;

	for (applying->at = 0; applying->at < applying->documents->count; applying->at++) {
		err = examine(applying, applying->documents->document[applying->at].value, &kind);
		if (err)
			return err;
	}
	return 0;
}

static int of_kind(struct applying *applying, const struct kind *kind)
{
	const json_t *value = applying->documents->document[applying->at].value;

	return kind == kind_find(text_or_empty(value, "kind"));
}

int apply_documents(struct inventory *inventory, const struct documents *documents,
		    apply_told *told, void *context, struct apply_error *error)
{
	struct applying applying = {inventory, documents, told, context, error, 0};
	const struct kind *kind;
	int err;

	err = examine_all(&applying);
	for (kind = kinds; !err && kind->name; kind++) {
		for (applying.at = 0; applying.at < documents->count; applying.at++) {
			if (!of_kind(&applying, kind))
				continue;
			err = apply_one(&applying, kind, documents->document[applying.at].value);
			if (err)
				return err;
		}
	}
	return err;
}

int delete_documents(struct inventory *inventory, const struct documents *documents,
		     apply_told *told, void *context, struct apply_error *error)
{
	struct applying applying = {inventory, documents, told, context, error, 0};
	const struct kind *kind = kinds;
	int err;

	err = examine_all(&applying);
	while (kind->name)
		kind++;
	while (!err && kind-- > kinds) {
		for (applying.at = documents->count; applying.at-- > 0;) {
			if (!of_kind(&applying, kind))
				continue;
			err = delete_one(&applying, kind, documents->document[applying.at].value);
			if (err)
				return err;
		}
	}
	return err;
}
