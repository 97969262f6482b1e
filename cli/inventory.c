// SPDX-License-Identifier: Apache-2.0
// Lists are asked for whole: applying a file of a thousand ports costs one list, not a thousand.
#include "cli/inventory.h"

#include <errno.h>
#include <string.h>

#include "lib/own.h"

int inventory_list(struct inventory *inventory, const struct kind *kind, json_t **list)
{
	json_t *answer, *items;
	char path[64];
	int err;

	if (!inventory->lists)
		inventory->lists = json_object();
	items = json_object_get(inventory->lists, kind->path);
	if (!items) {
		snprintf(path, sizeof(path), "/v1/%s", kind->path);
		err = rest_call(inventory->rest, "GET", path, NULL, &answer);
		if (err)
			return err;
		items = json_object_get(answer, "items");
		if (json_is_array(items))
			json_object_set(inventory->lists, kind->path, items);
		else
			json_object_set_new(inventory->lists, kind->path, json_array());
		json_decref(answer);
		items = json_object_get(inventory->lists, kind->path);
	}
	*list = items;
	return 0;
}

void inventory_keep(struct inventory *inventory, const struct kind *kind, json_t *object)
{
	json_t *list = json_object_get(inventory->lists, kind->path), *item;
	size_t i;

	if (!list || !object) {
		json_decref(object);
		return;
	}
	json_array_foreach (list, i, item) {
		if (!strcmp(text_or_empty(item, "id"), text_or_empty(object, "id"))) {
			json_array_set_new(list, i, object);
			return;
		}
	}
	json_array_append_new(list, object);
}

void inventory_drop(struct inventory *inventory, const struct kind *kind, const char *id)
{
	json_t *list = json_object_get(inventory->lists, kind->path), *item;
	size_t i;

	json_array_foreach (list, i, item) {
		if (!strcmp(text_or_empty(item, "id"), id)) {
			json_array_remove(list, i);
			return;
		}
	}
}

void inventory_free(struct inventory *inventory)
{
	json_decref(inventory->lists);
	inventory->lists = NULL;
}

static int same(const json_t *object, const char *name)
{
	return !strcmp(text_or_empty(object, "id"), name) ||
	       !strcmp(text_or_empty(object, "name"), name);
}

// Views are named by their cluster.
static int is_called(const json_t *object, const char *name)
{
	return same(object, name) || !strcmp(text_or_empty(object, "cluster"), name);
}

int inventory_find(struct inventory *inventory, const struct kind *kind, const char *name,
		   const char *vpc, json_t **object)
{
	const struct kind *vpcs = kind_of_path("vpcs");
	json_t *list, *item, *found = NULL, *owner = NULL;
	size_t i;
	int err;

	if (kind->per_vpc && vpc) {
		err = inventory_find(inventory, vpcs, vpc, NULL, &owner);
		if (err)
			return err;
		if (!owner) {
			*object = NULL;
			return 0;
		}
	}
	err = inventory_list(inventory, kind, &list);
	if (err)
		return err;
	json_array_foreach (list, i, item) {
		if (kind->read_only ? !is_called(item, name) : !same(item, name))
			continue;
		if (owner && !same(owner, text_or_empty(item, "vpc")))
			continue;
		if (!strcmp(text_or_empty(item, "id"), name)) {
			*object = item;
			return 0;
		}
		if (found)
			return -EEXIST;
		found = item;
	}
	*object = found;
	return 0;
}

static int rename_one(struct inventory *inventory, const struct kind *kind, const char *vpc,
		      const json_t *value, json_t **out)
{
	json_t *object = NULL;
	int err;

	if (!json_is_string(value)) {
		*out = json_deep_copy(value);
		return 0;
	}
	err = inventory_find(inventory, kind, json_string_value(value), vpc, &object);
	if (err && err != -EEXIST)
		return err;
	*out = json_string(object ? text_or_empty(object, "name") : json_string_value(value));
	return 0;
}

int inventory_named(struct inventory *inventory, const struct kind *kind, const json_t *object,
		    json_t **named)
{
	const char *vpc = text_in(object, "vpc"), *name;
	json_t *copy = json_is_array(object) ? json_array() : json_object();
	const struct field *field;
	const json_t *value, *item;
	json_t *changed;
	size_t i;
	int err = 0;

	json_object_foreach ((json_t *)object, name, *(json_t **)&value) {
		field = kind_field(kind, name);
		changed = NULL;
		if (field && field->refers && !json_is_array(value)) {
			err = rename_one(inventory, kind_of_path(field->refers), vpc, value,
					 &changed);
		} else if (field && field->refers) {
			changed = json_array();
			json_array_foreach (value, i, *(json_t **)&item) {
				json_t *one = NULL;

				err = rename_one(inventory, kind_of_path(field->refers), vpc, item,
						 &one);
				if (err)
					break;
				json_array_append_new(changed, one);
			}
		} else if (field && json_is_object(json_array_get(value, 0))) {
			changed = json_array();
			json_array_foreach (value, i, *(json_t **)&item) {
				json_t *one = NULL;

				err = inventory_named(inventory, kind, item, &one);
				if (err)
					break;
				json_array_append_new(changed, one);
			}
		} else if (kind->read_only && !strcmp(name, "cluster")) {
			err = rename_one(inventory, kind_of_path("clusters"), NULL, value,
					 &changed);
		} else {
			changed = json_deep_copy(value);
		}
		if (err) {
			json_decref(changed);
			json_decref(copy);
			return err;
		}
		json_object_set_new(copy, name, changed);
	}
	*named = copy;
	return 0;
}
